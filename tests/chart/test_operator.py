"""The operator's own objects: Deployment, configuration, Services, NetworkPolicy."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.chart.conftest import Render
from tools.generate import CHART
from tools.programs import ROOT, go_program

from accord.config import Config, load

WAYS = ("default", "everything", "minimal", "single-namespace")


def config_of(render: Render, values: str, tmp_path: Path, **overrides: str) -> Config:
    rendered = render(values, **overrides)
    document = next(o for o in rendered.all("ConfigMap") if "config.yaml" in o["data"])
    path = tmp_path / "config.yaml"
    path.write_text(document["data"]["config.yaml"])
    return load(path)


@pytest.mark.parametrize("values", WAYS)
def test_the_operator_accepts_its_configuration(render: Render, values: str, tmp_path: Path) -> None:
    config_of(render, values, tmp_path)


def test_configuration_says_what_the_values_say(render: Render, tmp_path: Path) -> None:
    config = config_of(render, "everything", tmp_path)
    assert config.namespaces == ["shop", "chat"]
    assert config.xds.host == "traffic-xds.accord-system.svc"
    assert config.leader_election.lease == "traffic"
    central = config.prometheus.endpoints["central"]
    assert central.url == "https://metrics.example.com/prometheus"
    assert (central.timeout.total_seconds(), str(central.bearer_token_file), str(central.ca_file)) == (
        10,
        "/etc/accord-endpoints/central/token",
        "/etc/accord-endpoints/central/ca.crt",
    )
    assert config.prometheus.endpoints["default"].bearer_token_file is None
    assert central.headers == {"X-Scope-OrgID": "shop"}
    assert {name: str(path) for name, path in central.header_files.items()} == {
        "X-Api-Key": "/etc/accord-endpoints/central/headers/X-Api-Key"
    }
    assert (central.max_response_mib, central.custom_query_namespaces) == (16, ["shop"])
    assert config.prometheus.endpoints["default"].custom_query_namespaces is None


def test_the_defaults_of_chart_and_operator_are_the_same(render: Render, tmp_path: Path) -> None:
    assert config_of(render, "default", tmp_path) == Config()


def test_credentials_of_an_endpoint_are_mounted_where_the_configuration_looks(render: Render) -> None:
    pod = render("everything").one("Deployment")["spec"]["template"]["spec"]
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"config": "/etc/accord", "endpoint-central": "/etc/accord-endpoints/central"}
    volume = next(v for v in pod["volumes"] if v["name"] == "endpoint-central")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "central-token", "items": [{"key": "token", "path": "token"}]}},
        {"secret": {"name": "central-key", "items": [{"key": "api", "path": "headers/X-Api-Key"}]}},
        {"configMap": {"name": "central-ca", "items": [{"key": "bundle.crt", "path": "ca.crt"}]}},
    ]


@pytest.mark.parametrize("values", WAYS)
def test_pods_meet_the_restricted_pod_security_standard(render: Render, values: str) -> None:
    rendered = render(values)
    pods = [d["spec"]["template"]["spec"] for d in rendered.all("Deployment")] + [
        p["spec"] for p in rendered.all("Pod")
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_no_user_is_asked_for_where_the_platform_assigns_one(render: Render) -> None:
    rendered = render(runAsUser="null")
    for pod in (rendered.one("Deployment")["spec"]["template"]["spec"], rendered.one("Pod")["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert not pod["securityContext"].keys() & {"runAsUser", "runAsGroup", "fsGroup"}
    config = yaml.safe_load(rendered.one("ConfigMap")["data"]["config.yaml"])
    assert config["envoy"]["runAsUser"] is None


def test_a_pod_knows_who_it_is(render: Render) -> None:
    container = render().one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert {e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in container["env"]} == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
    }


def test_every_selector_finds_the_operators_pods(render: Render) -> None:
    rendered = render("default", serviceMonitor__enabled="true")
    labels = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [s["spec"]["selector"] for s in rendered.all("Service")]
    selectors += [
        rendered.one(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")
    ]
    selectors += [rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert len(selectors) == 5
    for selector in selectors:
        assert selector.items() <= labels
    monitored = rendered.one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    found = [s["metadata"]["name"] for s in rendered.all("Service") if monitored <= s["metadata"]["labels"].items()]
    assert found == ["accord-metrics"]
    # The pod of `helm test` must not become an endpoint.
    assert not selectors[0].items() <= rendered.one("Pod")["metadata"]["labels"].items()


def test_proxies_see_ready_replicas_only(render: Render) -> None:
    for service in render().all("Service"):
        assert "publishNotReadyAddresses" not in service["spec"]


def test_a_changed_configuration_rolls_the_pods(render: Render) -> None:
    def checksum(**overrides: str) -> str:
        template = render("default", **overrides).one("Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum(replicas="3")
    assert checksum() != checksum(log__level="debug")


def test_never_two_operators_without_leader_election(render: Render, refused: Callable[..., str]) -> None:
    assert render("minimal").one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert "/leaderElection/enabled" in refused("leaderElection.enabled=false")


def test_one_replica_has_no_disruption_budget(render: Render) -> None:
    assert "PodDisruptionBudget" in render().kinds()
    assert "PodDisruptionBudget" not in render("default", replicas="1").kinds()


def test_network_policy_admits_proxies_of_watched_namespaces_and_other_replicas(render: Render) -> None:
    xds, http = render("everything").one("NetworkPolicy")["spec"]["ingress"]
    assert xds["ports"] == [{"port": "xds"}]
    namespaces = xds["from"][0]["namespaceSelector"]["matchExpressions"][0]
    assert namespaces == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "chat"]}
    assert xds["from"][1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    assert http["ports"] == [{"port": "http"}]


def test_closed_metrics_still_let_helm_test_in(render: Render) -> None:
    peers = render("single-namespace").one("NetworkPolicy")["spec"]["ingress"][1]["from"]
    pod = render("single-namespace").one("Pod")["metadata"]["labels"]
    assert len(peers) == 1
    assert peers[0]["podSelector"]["matchLabels"].items() <= pod.items()


def test_egress_is_open_unless_asked_for(render: Render) -> None:
    assert render().one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]
    spec = render("everything").one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    # DNS twice, the API server, other replicas, proxies, https://metrics.example.com, prometheus.monitoring.svc:9090,
    # the collector of traces
    assert ports == [53, 53, 443, 6443, "xds", "probes", 443, 9090, 4318]


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("replicas=many", "/replicas"),
        ("replica=2", "'replica' not allowed"),
        ("log.level=chatty", "/log/level"),
        ("namespaces={Not_A_Name}", "/namespaces/0"),
        ("prometheus.endpoints.default.url=prometheus:9090", "/prometheus/endpoints/default/url"),
        ("prometheus.endpoints.default.timeout=5s", "missing property 'url'"),
        ("leaderElection.leaseDuration=10", "/leaderElection/leaseDuration"),
        ("image.digest=latest", "/image/digest"),
        ("xds.port=0", "/xds/port"),
        ("extraEnv[0].name=POD_IP", "/extraEnv/0/name"),
        ("topologySpreadConstraints[0].topologyKey=zone", "/topologySpreadConstraints/0"),
        ("admissionPolicy.validationActions={Refuse}", "/admissionPolicy/validationActions/0"),
    ],
)
def test_wrong_values_are_refused_by_name(refused: Callable[..., str], setting: str, field: str) -> None:
    assert field in refused(setting)


def test_images_by_digest_or_tag(render: Render) -> None:
    def image(values: str) -> str:
        return str(render(values).one("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"])

    assert image("default") == "accord/operator:0.1.0"
    assert image("everything") == f"registry.example.com/team/accord@sha256:{'0' * 64}"


def test_what_is_added_to_the_pods_comes_beside_the_charts_own(render: Render) -> None:
    pod = render("everything").one("Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["args"] == ["run", "--config", "/etc/accord/config.yaml", "--kubeconfig", "/etc/other/kubeconfig"]
    assert [entry["name"] for entry in container["env"]] == ["POD_IP", "POD_NAME", "POD_NAMESPACE", "HTTPS_PROXY"]
    assert pod["priorityClassName"] == "system-cluster-critical"
    labels = render("everything").one("Deployment")["spec"]["selector"]["matchLabels"]
    assert pod["topologySpreadConstraints"] == [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 2,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": labels},
        }
    ]
    usual = render().one("Deployment")["spec"]["template"]["spec"]
    assert "priorityClassName" not in usual
    assert [each["whenUnsatisfiable"] for each in usual["topologySpreadConstraints"]] == ["ScheduleAnyway"] * 2
    assert usual["containers"][0]["args"] == ["run", "--config", "/etc/accord/config.yaml"]


def test_version_of_chart_and_package_agree() -> None:
    import importlib.metadata

    from tools.generate import CHART

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == importlib.metadata.version("accord-operator")


def test_the_memory_that_the_values_name_is_what_was_measured() -> None:
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    figures = (ROOT / "docs" / "explanation" / "benchmarks.md").read_text(encoding="utf-8")
    scale = figures.partition("\n## Scale\n")[2].partition("\n## ")[0]
    said = re.search(r"1,000 TrafficPolicies take about (\d+) MiB", values)
    measured = re.search(r"memory at rest \(RSS\) \| (\d+) MiB", scale)
    assert said
    assert measured
    assert said[1] == measured[1]


def test_null_for_namespaces_is_all_of_them(render: Render, tmp_path: Path) -> None:
    assert config_of(render, "default", tmp_path, namespaces="null").namespaces == []
    command = [go_program("helm"), "install", "accord", CHART, "--dry-run=client", "--set", "namespaces=null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "It watches all namespaces." in done.stdout) == (0, True), done.stderr
