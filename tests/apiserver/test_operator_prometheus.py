"""Whatever Prometheus does: the weights stay, a condition says why, and no traceback is logged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until
from tests.prometheus.rig import Exporter, Request, answer, prometheus, serving, vector

WEIGHTS = {"fast": 60, "creative": 40}
FAST = {"mode": "fast"}


def slow(request: Request) -> None:
    threading.Event().wait(10)  # the operator waits for a second
    answer(request, vector())


def two_series(request: Request) -> None:
    answer(request, vector(({**FAST, "pod": "a"}, "10"), ({**FAST, "pod": "b"}, "20")))


BROKEN: dict[str, tuple[Callable[[Request], None], str]] = {
    "empty": (lambda request: answer(request, vector()), "NoMetric"),
    "500": (lambda request: answer(request, "boom", 500), "QueryFailed"),
    "garbage": (lambda request: answer(request, "<html>"), "QueryFailed"),
    "NaN": (lambda request: answer(request, vector((FAST, "NaN"), ({"mode": "creative"}, "NaN"))), ""),
    "two series": (two_series, "QueryFailed"),
    "partial": (lambda request: answer(request, vector((FAST, "1"), warnings=["a store is down"])), "QueryFailed"),
    "slow": (slow, "QueryFailed"),
}


def policy(namespace: Namespace, start_operator: StartOperator, url: str, timeout: str = "30s") -> OperatorProcess:
    endpoints = {"default": {"url": url, "timeout": timeout}}
    operator = start_operator(prometheus={"endpoints": endpoints}).ready()
    for mode in WEIGHTS:
        namespace.deployment(mode)
    namespace.policy("demo", WEIGHTS, monitoring={"interval": "1s", "window": "10s"})
    return operator


def nothing_written_of_two_answers(operator: OperatorProcess) -> bool:
    before, asked = operator.writes(), operator.metric("accord_prometheus_queries_total")
    wait_until(lambda: operator.metric("accord_prometheus_queries_total") > asked + 1, 20, "not asked again")
    return operator.writes() == before


def unchanged(namespace: Namespace) -> None:
    status = namespace.get("trafficpolicies", "demo")["status"]
    assert status["target"] == "60/40"
    assert {mode["name"]: mode["target"] for mode in status["modes"]} == WEIGHTS


@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_that_says_nothing_changes_nothing(
    case: str, namespace: Namespace, start_operator: StartOperator
) -> None:
    handle, reason = BROKEN[case]
    with serving(handle) as url:
        operator = policy(namespace, start_operator, url, timeout="1s" if case == "slow" else "30s")
        said = wait_until(
            lambda: (
                (found := namespace.condition("demo", "WithinTarget")).get("status") == "Unknown"
                and found.get("reason") != "NotMeasured"
                and operator.metric("accord_prometheus_queries_total") > 1
                and found
            ),
            20,
            f"WithinTarget is not Unknown: {namespace.condition('demo', 'WithinTarget')}",
        )
        print(f"{case}: {said['reason']}: {said['message']}")
        unchanged(namespace)
        # What the controllers of the cluster still do may be written about; the answers are not.
        wait_until(lambda: nothing_written_of_two_answers(operator), 60, "each answer is written about")
    assert said["message"]
    assert reason in ("", said["reason"])
    assert "Traceback" not in operator.log()


def test_a_query_of_ones_own_is_asked_only_for_the_namespaces_that_the_installer_names(
    namespace: Namespace, start_operator: StartOperator
) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.path)
        answer(request, vector((FAST, "60"), ({"mode": "creative"}, "40")))

    with serving(note) as url:
        endpoints = {
            "closed": {"url": url, "customQueryNamespaces": ["elsewhere"]},
            "open": {"url": url, "customQueryNamespaces": [namespace.name]},
        }
        start_operator(prometheus={"endpoints": endpoints}).ready()
        for mode in WEIGHTS:
            namespace.deployment(mode)
        own = {"interval": "1s", "window": "10s", "query": "sum by (mode) (increase(secrets_total[$window]))"}
        namespace.policy("demo", WEIGHTS, monitoring={**own, "endpoint": "closed"})
        refused = wait_until(
            lambda: (found := namespace.condition("demo", "WithinTarget")).get("reason") == "QueryFailed" and found,
            20,
            "not refused",
        )
        assert f"does not allow custom queries from namespace {namespace.name}" in refused["message"]
        assert asked == [], "it would be asked with the operator's credentials"
        namespace.patch("trafficpolicies", "demo", {"spec": {"monitoring": {"endpoint": "open"}}})
        wait_until(lambda: asked, 20, "not asked")


def test_without_a_prometheus_and_back(namespace: Namespace, start_operator: StartOperator, tmp_path: Path) -> None:
    exporter = Exporter({"fast": 0, "creative": 0}, f',namespace="{namespace.name}"')
    done = threading.Event()

    def traffic() -> None:
        while not done.wait(0.01):
            exporter.counts["fast"] += 6
            exporter.counts["creative"] += 4

    threading.Thread(target=traffic, daemon=True).start()
    with ExitStack() as stack:
        started = stack.enter_context(prometheus(tmp_path / "one", exporter))
        operator = policy(namespace, start_operator, started.url)

        def measured() -> bool:
            status = namespace.get("trafficpolicies", "demo").get("status", {})
            shares = {mode["name"]: mode.get("actual") for mode in status.get("modes", [])}
            return shares.get("fast") is not None and abs(shares["fast"] - 60) < 2

        wait_until(measured, 30, "nothing is measured")
        wait_until(lambda: namespace.condition("demo", "WithinTarget").get("status") == "True", 30, "not within target")
        ratio = lambda: operator.metric("accord_traffic_actual_ratio", mode="fast")  # noqa: E731
        wait_until(lambda: abs(ratio() - 0.6) < 0.02, 10, f"the metrics show {ratio()}")
        stack.close()
        done.set()
        began = time.monotonic()
        gone = wait_until(
            lambda: (found := namespace.condition("demo", "WithinTarget")).get("status") == "Unknown" and found,
            20,
            "an outage is not said",
        )
        print(f"Prometheus stopped: said after {time.monotonic() - began:.1f} s: {gone['reason']}: {gone['message']}")
        assert gone["reason"] == "QueryFailed"
        unchanged(namespace)
    assert "Traceback" not in operator.log()
