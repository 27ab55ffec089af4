"""Platforms whose admission is stricter than Kubernetes' own, as far as rules of the API server can be like them.

What the chart installs and the operator makes is admitted there, and what was changed on its way is left so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, wait_until
from tools.generate import CHART
from tools.programs import go_program, run

RULES = Path(__file__).parent / "platforms"
PLATFORMS = {
    "openshift": {"runAsUser": "null"},
    "autopilot": {},
}
"""By platform, what the how-to says to set in the chart's values."""
DEPLOYMENTS, RUNS = "apps/v1/deployments", "trainingruns"
FORBIDDEN = {
    "openshift": {"securityContext": {"runAsUser": 65532}},
    "autopilot": {"hostNetwork": True},
}
"""A part of a pod that the platform does not take."""


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest, control_plane: Any, api: Api, namespace: Namespace) -> str:
    """Its rules are in force in the test's namespace, and in no other."""
    name = str(request.param)
    control_plane.kubectl("apply", "--server-side", f"--filename={RULES / name}.yaml")
    labels = {"example.com/platform": name, "pod-security.kubernetes.io/enforce": "restricted"}
    if name == "autopilot":  # the restricted standard forbids the same by itself
        del labels["pod-security.kubernetes.io/enforce"]
    api.patch(f"/api/v1/namespaces/{namespace.name}", {"metadata": {"labels": labels}})
    wait_until(lambda: not is_admitted(namespace, **FORBIDDEN[name]), 60, f"the rules of {name} are not in force")
    assert is_admitted(namespace)
    return name


def is_admitted(namespace: Namespace, **more: Any) -> bool:
    """Whether a pod that all platforms take is taken with this in its spec, too."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {"containers": [{"name": "c", "image": "x", "securityContext": restricted}], **more}
    body = {"metadata": {"name": "probe"}, "spec": pod}
    try:
        namespace.api.call("POST", namespace.path("pods"), body, dryRun="All")
    except AssertionError:
        return False
    return True


def pods(namespace: Namespace, of: str) -> list[str]:
    """Names of those whose name begins so."""
    found = [each["metadata"]["name"] for each in namespace.api.items(namespace.path("pods"))]
    return [name for name in found if name.startswith(of)]


def test_the_operator_of_the_chart_is_admitted(platform: str, namespace: Namespace) -> None:
    sets = [part for name, value in PLATFORMS[platform].items() for part in ("--set", f"{name}={value}")]
    rendered = run([go_program("helm"), "template", "accord", str(CHART), "--namespace", namespace.name, *sets])
    wanted = {"ServiceAccount": "serviceaccounts", "Deployment": DEPLOYMENTS}
    for manifest in filter(None, yaml.safe_load_all(rendered)):
        if manifest["kind"] in wanted:
            namespace.create(wanted[manifest["kind"]], manifest)
    wait_until(lambda: len(pods(namespace, "accord-")) == 2, 60, "its pods are not made")


def test_what_the_operator_makes_is_admitted_and_left_as_it_was_changed(
    platform: str, namespace: Namespace, start_operator: StartOperator
) -> None:
    user = {"envoy": {"runAsUser": None}} if "runAsUser" in PLATFORMS[platform] else {}
    operator = start_operator(**user).ready()
    for mode in ("fast", "slow"):
        namespace.deployment(mode)
    namespace.policy("demo", {"fast": 60, "slow": 40})
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "trainer", "image": "example/trainer:1", "securityContext": restricted}],
    }
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}}
    namespace.create(RUNS, {**body, "spec": {"template": {"spec": pod}}})
    for name in ("demo-router-", "r-1-"):
        wait_until(lambda of=name: pods(namespace, of), 60, f"no pod {name}*")
    if platform == "autopilot":
        router = namespace.get(DEPLOYMENTS, "demo-router")["spec"]["template"]["spec"]["containers"][0]
        assert router["resources"]["requests"] == {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "1Gi"}
        (trainer,) = namespace.get("batch/v1/jobs", "r-1")["spec"]["template"]["spec"]["containers"]
        assert trainer["resources"]["requests"]["cpu"] == "500m"
    written = lambda: [  # noqa: E731
        operator.metric("accord_api_requests_total", verb="apply", resource=each) for each in ("deployments", "jobs")
    ]
    before = written()
    modes = namespace.get("trafficpolicies", "demo")["spec"]["modes"]
    namespace.patch("trafficpolicies", "demo", {"spec": {"modes": [{**each, "weight": 50} for each in modes]}})
    namespace.settled("demo")
    assert written() == before, "what the platform has changed is applied again"
    assert namespace.get(DEPLOYMENTS, "demo-router")["metadata"]["generation"] == 1
    for collection, name in (("trafficpolicies", "demo"), (RUNS, "r")):
        assert namespace.condition(name, "Stalled", collection).get("reason") != "OwnershipConflict"
