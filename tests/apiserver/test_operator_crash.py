"""Killed between any two writes, the operator comes to the same end as if it had never been."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, OperatorProcess, free_port
from tests.apiserver.test_operator_children import essence

DYING = str(Path(__file__).with_name("dying_operator.py"))
MOST_WRITES = 14
LEAST_DEATHS = {"create": 6, "change": 3}
"""What is seen together is written together, so on a busy machine an operator may need fewer writes than another one
for the same; fewer than there are objects to write it does not need.
"""


def create(namespace: Namespace) -> None:
    """A new policy."""
    namespace.policy("demo", {"a": 60, "b": 40})


def change(namespace: Namespace) -> None:
    """A mode goes, one comes, the weights change."""
    live = namespace.get("trafficpolicies", "demo")
    modes = [
        {"name": name, "weight": weight, "deploymentRef": {"name": name}, "port": 8000}
        for name, weight in (("a", 70), ("c", 30))
    ]
    namespace.patch("trafficpolicies", "demo", {"spec": {**live["spec"], "modes": modes}})


def end_state(namespace: Namespace) -> dict[str, Any]:
    """Children and status without names, times and versions that differ from namespace to namespace."""
    policy = namespace.get("trafficpolicies", "demo")
    status = policy.get("status", {})
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}
    children = {name: essence(child) for name, child in namespace.children("demo").items()}
    state = {
        "children": children,
        "conditions": conditions,
        "modes": status.get("modes"),
        "target": status.get("target"),
        "observed": status.get("observedGeneration") == policy["metadata"]["generation"],
    }
    return dict(eval(repr(state).replace(namespace.name, "NAMESPACE")))


def at_rest(operator: OperatorProcess, *namespaces: Namespace) -> list[dict[str, Any]]:
    """The end states, once the operator has had nothing to write for two seconds."""
    for namespace in namespaces:
        namespace.settled("demo")
    operator.until_at_rest()
    return [end_state(namespace) for namespace in namespaces]


def dies(operator: OperatorProcess, patience: float = 300) -> bool:
    """Whether it came to its last write; False where it has come to rest before."""
    began = since = time.monotonic()
    writes = 0.0
    while operator.process.poll() is None:
        assert time.monotonic() - began < patience, operator.log()
        answer = operator.fetch("/readyz")
        with contextlib.suppress(AssertionError):  # it died between two questions
            if (now := operator.writes()) != writes or answer is None or answer.status_code != 200:
                writes, since = now, time.monotonic()
        if writes and time.monotonic() - since > 10:
            return False
        time.sleep(0.1)
    assert operator.process.returncode == 137, operator.log()
    return True


def prepared(api: Api) -> Namespace:
    namespace = Namespace(api)
    for name in ("a", "b", "c"):
        namespace.deployment(name)
    return namespace


@pytest.mark.parametrize("do", [create, change], ids=["create", "change"])
def test_killed_after_any_write_it_ends_the_same(
    api: Api, start_operator: StartOperator, do: Callable[[Namespace], None]
) -> None:
    # The proxies' bootstrap names the port, so all operators of this test must share one.
    config = {"xds": {"host": "127.0.0.1", "port": free_port()}}
    reference, *cuts = [prepared(api) for _ in range(MOST_WRITES + 1)]
    everywhere = [reference.name, *(namespace.name for namespace in cuts)]
    if do is change:
        for namespace in (reference, *cuts):
            create(namespace)
        with start_operator(namespaces=everywhere, **config).ready() as operator:
            at_rest(operator, reference, *cuts)
    for namespace in (reference, *cuts):
        do(namespace)
    with start_operator(namespaces=[reference.name], **config).ready() as operator:
        (want,) = at_rest(operator, reference)
        writes = min(int(operator.writes()), MOST_WRITES)
    deaths = 0
    for number, namespace in enumerate(cuts[:writes], 1):
        with start_operator(namespaces=[namespace.name], program=(DYING, str(number)), **config) as dying:
            deaths += dies(dying)
    assert deaths >= LEAST_DEATHS[do.__name__]
    with start_operator(namespaces=everywhere, **config).ready() as operator:
        ends = at_rest(operator, *cuts)
    assert all(end == want for end in ends)
    print(f"{do.__name__}: killed after each of {writes} writes, the end was always the same")
