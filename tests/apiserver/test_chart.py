"""The chart on a real API server: installed, upgraded, rolled back, removed, and its rights tried by the operator.

Always on a control plane of its own, because it installs CRDs and cluster roles.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from devcluster.controlplane import ControlPlane
from tests.apiserver import test_operator_training as training
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tools.generate import CHART
from tools.programs import go_program

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        yield started


@pytest.fixture(scope="module")
def client(plane: ControlPlane) -> Api:
    return Api(plane.kubeconfig)


@pytest.fixture
def helm(plane: ControlPlane) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        command = [go_program("helm"), "--kubeconfig", plane.kubeconfig, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def installed(helm: Callable[..., str], client: Api) -> Iterator[Callable[..., Namespace]]:
    """installed(namespaces="{…}") installs release `accord` in a namespace with the restricted standard."""
    namespace = Namespace(client)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(f"/api/v1/namespaces/{namespace.name}", {"metadata": {"labels": labels}})

    def install(**values: str) -> Namespace:
        sets = [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
        # The CRDs that the release of another test has kept carry its name.
        helm("install", "accord", str(CHART), "--namespace", namespace.name, "--take-ownership", *sets)
        return namespace

    yield install
    helm("uninstall", "accord", "--namespace", namespace.name, "--ignore-not-found")


def service_account(plane: ControlPlane, namespace: str, directory: Path) -> Path:
    """A kubeconfig with a token of the chart's ServiceAccount."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", "accord", "--namespace", namespace).strip()
    config["users"][0]["user"] = {"token": token}
    path = directory / "service-account.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def names(client: Api, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in client.items(path)}


def test_pods_are_admitted_under_the_restricted_standard(installed: Callable[..., Namespace], client: Api) -> None:
    namespace = installed()
    pods = wait_until(lambda: len(found := client.items(namespace.path("pods"))) == 2 and found, 30, "two pods")
    # Without a scheduler they stay Pending; what admission refuses would not exist at all.
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"accord"}


@pytest.mark.parametrize("scope", ["all namespaces", "one namespace"])
def test_the_operator_gets_by_with_the_rights_of_the_chart(
    installed: Callable[..., Namespace],
    helm: Callable[..., str],
    plane: ControlPlane,
    client: Api,
    tmp_path: Path,
    scope: str,
) -> None:
    namespace = installed()
    watched = [] if scope == "all namespaces" else [namespace.name]
    if watched:
        sets = ("--set", f"namespaces={{{namespace.name}}}")
        helm("upgrade", "accord", str(CHART), "--namespace", namespace.name, *sets)
        assert "accord" not in names(client, "/apis/rbac.authorization.k8s.io/v1/clusterroles")
    kubeconfig = service_account(plane, namespace.name, tmp_path)
    for mode in ("fast", "creative", "slow"):
        namespace.deployment(mode)
    # The operator's own Lease is in the release's namespace, whatever it watches.
    with OperatorProcess(kubeconfig, tmp_path, namespaces=watched, pod_namespace=namespace.name) as operator:
        operator.ready()
        wait_until(lambda: operator.leads, 20, f"it does not lead: {operator.log()[-2000:]}")
        namespace.policy("chat", {"fast": 60, "creative": 40})
        settled = namespace.settled("chat")
        assert settled["status"]["conditions"]
        assert {"services/chat-fast", "services/chat-creative"} <= namespace.children("chat").keys()
        # Every verb: a child is put back, changed, and deleted.
        namespace.delete("services", "chat-fast")
        wait_until(lambda: namespace.get("services", "chat-fast"), 10, "the Service is not put back")
        modes = [{"name": n, "weight": 50, "deploymentRef": {"name": n}, "port": 8000} for n in ("fast", "slow")]
        namespace.patch("trafficpolicies", "chat", {"spec": {"modes": modes}})
        wait_until(lambda: not namespace.get("services", "chat-creative"), 30, "the Service of a removed mode stays")
        # The same for a run: volume and Job are made, the Job goes for a changed spec, the run when its time is up.
        training.create(namespace, trainer={"securityContext": RESTRICTED}, ttlAfterFinished="1s")
        training.pod_of(namespace, 1)
        training.edit(namespace, totalSteps=5)
        training.end(namespace, training.pod_of(namespace, 2), 0)
        wait_until(lambda: not namespace.get("trainingruns", "r"), 20, "the run outlives its time")
        events = namespace.path("events.k8s.io/v1/events")
        wait_until(lambda: client.items(events), 10, "no Event was written")
        refused = [labels for labels, count in operator.series("accord_api_requests_total") if labels["code"] == "403"]
        assert not refused
        assert "forbidden" not in operator.log().lower()


def test_upgrade_rollback_and_uninstall_keep_what_users_have(
    installed: Callable[..., Namespace], helm: Callable[..., str], client: Api, plane: ControlPlane
) -> None:
    namespace = installed()
    namespace.policy("chat", {"fast": 100})
    service = {"metadata": {"name": "chat-router"}, "spec": {"ports": [{"port": 80}]}}
    namespace.create("services", service)

    def level() -> Any:
        config = next(c for c in client.items(namespace.path("configmaps")) if c["metadata"]["name"] == "accord-config")
        return yaml.safe_load(config["data"]["config.yaml"])["log"]["level"]

    helm("upgrade", "accord", str(CHART), "--namespace", namespace.name, "--set", "log.level=debug")
    assert level() == "debug"
    helm("rollback", "accord", "1", "--namespace", namespace.name)
    assert level() == "info"
    helm("uninstall", "accord", "--namespace", namespace.name)
    assert namespace.get("apps/v1/deployments", "accord") is None
    crds = json.loads(plane.kubectl("get", "crd", "-o", "json"))["items"]
    assert len([crd for crd in crds if crd["spec"]["group"] == "accord.dev"]) == 3
    assert namespace.get("trafficpolicies", "chat")["spec"]["modes"][0]["name"] == "fast"
    assert namespace.get("services", "chat-router")
    # And it can be installed again over what was kept.
    helm("install", "accord", str(CHART), "--namespace", namespace.name)


def test_the_kustomize_base_is_accepted(plane: ControlPlane) -> None:
    root = CHART.parent.parent
    # CRDs that a release has kept carry its labels; applying by server needs --force-conflicts to take them over.
    said = plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(root / "manifests" / "base"))
    for applied in ("namespace/accord-system", "deployment.apps/accord", "trafficpolicies.accord.dev"):
        assert f"{applied} serverside-applied" in said
    plane.kubectl("delete", "namespace", "accord-system", "--wait=false")


def test_the_example_policies_are_accepted(plane: ControlPlane) -> None:
    root = CHART.parent.parent
    crds = sorted((root / "crds").glob("accord.dev_*.yaml"))
    plane.kubectl("apply", "--server-side", "--force-conflicts", *(f"--filename={crd}" for crd in crds))
    plane.kubectl("wait", "--for=condition=Established", "crd/trafficpolicies.accord.dev", "--timeout=120s")
    for example in sorted((root / "manifests" / "examples").glob("*.yaml")):
        plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", str(example))
