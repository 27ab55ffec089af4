"""The router's objects on a real API server: accepted under restricted pod security, and stored word for word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.envoy.rig import make_policy

from accord.adapters.routers.envoy.objects import objects
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.domain.children import needs_apply

SETTINGS = EnvoySettings(image="envoyproxy/envoy:v1.40.0")
NAMESPACE = "router-objects"
QUANTITIES = ["0.5", "1000m", "2500m", "1024Mi", "1.5Gi", "1000Mi", "129M", "1e3", "12e6", "0.5Ki", "0.1Ki", "0"]


@pytest.fixture(scope="module")
def kubectl(control_plane: Any) -> Iterator[Any]:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(namespace))
    yield control_plane.kubectl
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def differences(wanted: object, live: object, path: str = "") -> list[str]:
    """Where `live` does not hold what `wanted` says; lists must be as long."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return [line for key, value in wanted.items() for line in differences(value, live.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        pairs = enumerate(zip(wanted, live, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    return [] if wanted == live else [f"{path}: wanted {wanted!r}, stored {live!r}"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"strategy": "RoundRobin", "router": {"envoy": {"replicas": 1, "port": 8080}}},
        {
            "router": {
                "envoy": {
                    "replicas": 3,
                    "serviceType": "NodePort",
                    "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "100m"}},
                }
            }
        },
        {
            "router": {
                "envoy": {
                    "scaling": "External",
                    "drainTime": "10m",
                    "serviceType": "LoadBalancer",
                    "service": {
                        "labels": {"team": "shop"},
                        "annotations": {"example.com/scheme": "internal"},
                        "loadBalancerClass": "example.com/internal",
                    },
                    "pods": {
                        "labels": {"team": "shop"},
                        "annotations": {"prometheus.io/scrape": "false"},
                        "nodeSelector": {"pool": "edge"},
                        "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
                        "affinity": {
                            "podAntiAffinity": {
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    {"topologyKey": "zone", "labelSelector": {"matchLabels": {"team": "shop"}}}
                                ]
                            }
                        },
                        "priorityClassName": "high",
                        "imagePullSecrets": [{"name": "registry"}],
                    },
                }
            }
        },
    ],
)
def test_objects_are_stored_word_for_word(kubectl: Any, spec: dict[str, Any]) -> None:
    policy = make_policy({"fast": 60, "slow": 40}, **spec)
    policy = policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"namespace": NAMESPACE})})
    for wanted in objects(policy, SETTINGS):
        arguments = ("apply", "--server-side", "--force-conflicts", "--field-manager=accord", "-f", "-", "-o", "json")
        live = json.loads(kubectl(*arguments, input=json.dumps(wanted)))
        assert differences(wanted, live) == [], wanted["kind"]


def test_what_is_asked_for_no_more_is_taken_back(kubectl: Any) -> None:
    """Nothing in what is wanted shows it; the digest does."""

    def deployment(**envoy: Any) -> dict[str, Any]:
        policy = make_policy({"fast": 100}, router={"envoy": envoy}, name="taken-back")
        policy = policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"namespace": NAMESPACE})})
        return next(m for m in objects(policy, SETTINGS) if m["kind"] == "Deployment")

    arguments = ("apply", "--server-side", "--force-conflicts", "--field-manager=accord", "-f", "-", "-o", "json")
    placed = deployment(pods={"nodeSelector": {"pool": "edge"}, "annotations": {"a": "b"}})
    live = json.loads(kubectl(*arguments, input=json.dumps(placed)))
    assert not needs_apply(placed, live)
    plain = deployment()
    assert needs_apply(plain, live)
    template = json.loads(kubectl(*arguments, input=json.dumps(plain)))["spec"]["template"]
    assert "nodeSelector" not in template["spec"]
    assert "a" not in template["metadata"]["annotations"]


def test_the_pod_template_passes_restricted_pod_security(kubectl: Any) -> None:
    policy = make_policy({"fast": 100})
    deployment = next(m for m in objects(policy, SETTINGS) if m["kind"] == "Deployment")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "router", "namespace": NAMESPACE},
        "spec": deployment["spec"]["template"]["spec"],
    }
    assert "pod/router created" in kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


def test_quantities_are_written_as_the_api_server_does(kubectl: Any) -> None:
    from accord.adapters.routers.envoy.quantities import canonical_quantity

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "quantities", "namespace": "default"},
        "spec": {
            "containers": [
                {"name": f"c{n}", "image": "x", "resources": {"requests": {"memory": quantity}}}
                for n, quantity in enumerate(QUANTITIES)
            ]
        },
    }
    stored = json.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod)))
    for container, quantity in zip(stored["spec"]["containers"], QUANTITIES, strict=True):
        assert container["resources"]["requests"]["memory"] == canonical_quantity(quantity), quantity
