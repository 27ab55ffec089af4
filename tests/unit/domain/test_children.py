"""What counts as a difference between a wanted object and the live one."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from accord.api.base import Manifest
from accord.domain.children import needs_apply, quantity

WANTED: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "r", "namespace": "demo", "labels": {"a": "b"}, "annotations": {}},
    "spec": {
        "replicas": 2,
        "paused": None,
        "template": {
            "spec": {
                "tolerations": [],
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "envoy",
                        "image": "envoy:1",
                        "args": ["-c", "/etc/envoy.yaml"],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [{"name": "EMPTY", "value": ""}],
                        "resources": {"requests": {"cpu": "1000m", "memory": "1Gi"}},
                        "securityContext": {"capabilities": {"drop": ["ALL"]}},
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def stored() -> Manifest:
    """As the API server gives it back: defaults filled in, empty things gone, numbers canonical, others' additions."""
    live: Any = copy.deepcopy(WANTED)
    live["metadata"] |= {"uid": "1", "resourceVersion": "9"}
    live["metadata"]["labels"]["team"] = "x"
    del live["metadata"]["annotations"], live["spec"]["paused"]
    live["spec"]["strategy"] = {"type": "RollingUpdate"}
    pod = live["spec"]["template"]["spec"]
    del pod["tolerations"]
    pod["containers"].insert(0, {"name": "sidecar", "image": "x"})
    envoy = pod["containers"][1]
    envoy |= {"imagePullPolicy": "IfNotPresent", "env": [{"name": "EMPTY"}]}
    envoy["ports"][0]["protocol"] = "TCP"
    envoy["resources"] = {"requests": {"cpu": "1", "memory": "1024Mi"}}
    live["status"] = {"replicas": 2}
    return live


def test_what_is_there_to_the_letter_is_not_written_whatever_is_in_it() -> None:
    """Two items of one name, say: found by the name, the first would be compared with the second."""
    twice = [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]
    wanted = {"kind": "Deployment", "metadata": {"name": "r"}, "spec": {"env": twice}}
    assert not needs_apply(wanted, copy.deepcopy(wanted))


def test_what_the_server_adds_is_no_difference() -> None:
    assert not needs_apply(WANTED, stored())
    assert not needs_apply(WANTED, copy.deepcopy(WANTED))


def test_what_is_missing_is_made_and_what_is_going_is_left() -> None:
    assert needs_apply(WANTED, None)
    going = {**stored(), "spec": {}}
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert not needs_apply(WANTED, going)


def pod(live: Manifest) -> Any:
    return live["spec"]["template"]["spec"]


def envoy(live: Manifest) -> Any:
    return pod(live)["containers"][1]


@pytest.mark.parametrize(
    "vandalise",
    [
        lambda live: live["metadata"]["labels"].pop("a"),
        lambda live: live["spec"].update(replicas=3),
        lambda live: live.pop("spec"),
        lambda live: live.update(spec="x"),
        lambda live: pod(live).pop("automountServiceAccountToken"),
        lambda live: pod(live)["containers"].pop(1),
        lambda live: pod(live).update(containers="x"),
        lambda live: pod(live).pop("volumes"),
        lambda live: envoy(live).update(image="envoy:2"),
        lambda live: envoy(live)["args"].append("--more"),
        lambda live: envoy(live)["args"].__setitem__(1, "/tmp/x"),
        lambda live: envoy(live).pop("args"),
        lambda live: envoy(live)["ports"][0].update(containerPort=1),
        lambda live: envoy(live)["env"][0].update(value="x"),
        lambda live: envoy(live)["resources"]["requests"].update(cpu="999m"),
        lambda live: envoy(live)["resources"]["requests"].update(cpu="odd"),
        lambda live: envoy(live)["resources"]["requests"].pop("cpu"),
        lambda live: envoy(live)["securityContext"]["capabilities"].update(drop=[]),
    ],
)
def test_what_somebody_changed_is_put_back(vandalise: Any) -> None:
    live = stored()
    vandalise(live)
    assert needs_apply(WANTED, live)


def test_a_selector_is_compared_whole() -> None:
    """One label more and the Service selects fewer pods; server-side apply replaces the whole map."""
    service = {"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"app": "x"}}}
    assert needs_apply(service, {**service, "spec": {"selector": {"app": "x", "tier": "y"}}})
    other = {**service, "kind": "ConfigMap"}
    assert not needs_apply(other, {**other, "spec": {"selector": {"app": "x", "tier": "y"}}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        (1, "1"),
        (0.5, "0.5"),
        ("250m", "0.25"),
        ("100u", "0.0001"),
        ("5n", "5e-9"),
        ("2k", "2000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E", "1000000000000000000"),
        ("", None),
        ("x", None),
        ("1Xi", None),
        ("1mi", None),
    ],
)
def test_quantities(text: str | float, value: str | None) -> None:
    assert quantity(text) == (None if value is None else Decimal(value))
