"""How much one operator can bear: cold start, size, what it costs at rest, and how fast a change gets through.

    python -m tests.bench.bench_operator [--policies 1000] [--age 630] [--rest 300]

Needs the control plane's programs (`python -m devcluster build`) and `prometheus`. No pods run: this measures the
operator, not the proxies. Prints one line a figure; exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from tests.apiserver.rig import GROUP, Api, Namespace, OperatorProcess, free_port, wait_until
from tests.prometheus.rig import Exporter, prometheus

from accord.api.crd import files

WEIGHTS = {"fast": 60, "balanced": 30, "creative": 10}
NAMESPACES = 10
CHANGES = 200
AT_REST = {
    "passes": "accord_reconcile_duration_seconds_count",
    "requests to the API server, the Lease included": "accord_api_requests_total",
    "queries to Prometheus": "accord_prometheus_queries_total",
}
"""Figures of which the growth in a second is told, by their series."""


def say(what: str, value: str) -> None:
    print(f"{what:58} {value}", flush=True)


def fill(kubeconfig: Path, namespaces: list[Namespace], policies: int) -> None:
    """Make the policies with a few threads, each with a connection of its own."""
    share = [(namespaces[number % len(namespaces)].name, f"p{number}") for number in range(policies)]

    def make(part: list[tuple[str, str]]) -> None:
        api = Api(kubeconfig)
        for namespace, name in part:
            target = Namespace.__new__(Namespace)
            target.api, target.name = api, namespace
            target.policy(name, WEIGHTS, router={"envoy": {"replicas": 1}})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(make, [share[number::8] for number in range(8)]))


def observed(api: Api) -> int:
    """How many policies have been dealt with. A listing costs the API server much, so it is asked for rarely."""
    items = api.call("GET", f"{GROUP}/trafficpolicies")["items"]
    return sum(item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"] for item in items)


def come_to_rest(operator: OperatorProcess, seconds: float, limit: float) -> float:
    """Wait until nothing was written for so long; when the last write was."""
    writes, since = operator.writes(), time.monotonic()
    deadline = since + limit

    while time.monotonic() - since < seconds:
        assert time.monotonic() < deadline, "the operator does not come to rest"
        # Its metrics are long where it has many objects, and each look at them is work for it.
        time.sleep(2)
        if (now := operator.writes()) != writes:
            writes, since = now, time.monotonic()
    return since


def cpu(operator: OperatorProcess) -> float:
    return operator.metric("process_cpu_seconds_total")


def rss(operator: OperatorProcess) -> float:
    return operator.metric("process_resident_memory_bytes") / 2**20


def until(condition: Callable[[], Any], began: float) -> float:
    wait_until(condition, 30, "a change did not get through")
    return (time.monotonic() - began) * 1000


def changes(namespaces: list[Namespace], policies: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the answer to a change of the spec to the child and to the status that show it."""
    child, status = [], []
    for number in range(min(CHANGES, policies)):
        namespace, name = namespaces[number % len(namespaces)], f"p{number}"
        modes = namespace.get("trafficpolicies", name)["spec"]["modes"]
        modes[0]["port"] = 9000 + number
        changed = namespace.patch("trafficpolicies", name, {"spec": {"modes": modes}})
        began, generation = time.monotonic(), changed["metadata"]["generation"]

        def in_child(namespace: Namespace = namespace, name: str = name, port: int = 9000 + number) -> bool:
            return bool(namespace.get("services", f"{name}-fast")["spec"]["ports"][0]["targetPort"] == port)

        def in_status(namespace: Namespace = namespace, name: str = name, generation: int = generation) -> bool:
            return bool(namespace.get("trafficpolicies", name)["status"]["observedGeneration"] == generation)

        child.append(until(in_child, began))
        status.append(until(in_status, began))
    return child, status


def percentiles(values: list[float]) -> str:
    ordered = sorted(values)
    return (
        f"p50 {statistics.median(ordered):.0f} ms, p99 {ordered[int(len(ordered) * 0.99) - 1]:.0f} ms, "
        f"max {ordered[-1]:.0f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument(
        "--age",
        type=float,
        default=630,
        help="seconds that the policies have been without a proxy when the rest begins; a young one is looked at often",
    )
    parser.add_argument("--rest", type=float, default=300, help="seconds to watch the operator at rest")
    parsed = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="accord-bench-"))
    with ControlPlane() as plane, prometheus(directory / "prometheus", Exporter(), "500ms") as metrics:
        plane.kubectl("apply", "--server-side", "-f", "-", input="---\n".join(files().values()))
        plane.kubectl("wait", "--for=condition=Established", "crd/trafficpolicies.accord.dev", "--timeout=30s")
        return measure(plane.kubeconfig, directory, metrics.url, parsed)


def measure(kubeconfig: Path, directory: Path, metrics: str, parsed: argparse.Namespace) -> int:
    policies, rest = parsed.policies, parsed.rest
    api = Api(kubeconfig)
    namespaces = [Namespace(api) for _ in range(NAMESPACES)]
    for namespace in namespaces:
        for mode in WEIGHTS:
            namespace.deployment(mode)
    fill(kubeconfig, namespaces, policies)
    say("policies", f"{policies} with {len(WEIGHTS)} modes each, {os.cpu_count()} cores")
    # The proxies' bootstrap names the port, so the second operator must have the same one.
    config = {
        "prometheus": {"endpoints": {"default": {"url": metrics}}},
        "xds": {"host": "127.0.0.1", "port": free_port()},
    }

    began = time.monotonic()
    with OperatorProcess(kubeconfig, directory, **config).ready() as operator:
        say("cold start: ready", f"{time.monotonic() - began:.1f} s")

        def statuses() -> bool:
            time.sleep(2)
            return operator.metric("accord_api_requests_total", verb="apply_status", code="200") >= policies

        wait_until(statuses, 900, "not all policies were observed")
        wait_until(lambda: time.sleep(1) or observed(api) == policies, 60, "not all policies were observed")
        say("cold start: every policy has its status", f"{time.monotonic() - began:.1f} s")
        last = come_to_rest(operator, 15, 600)
        say("cold start: last write", f"{last - began:.1f} s")
        say("writes for that", f"{operator.writes():.0f}")
        say("CPU for that", f"{cpu(operator):.1f} s")
        say("RSS", f"{rss(operator):.0f} MiB")
        errors = operator.metric("accord_reconcile_errors_total")

    time.sleep(max(0.0, parsed.age - (time.monotonic() - last)))
    began = time.monotonic()
    with OperatorProcess(kubeconfig, directory, **config).ready() as operator:
        say("restart with everything in place: ready", f"{time.monotonic() - began:.1f} s")
        come_to_rest(operator, 30, 600)
        say("restart: writes", f"{operator.writes():.0f}")
        writes, lease = operator.writes(), operator.metric("accord_api_requests_total", resource="leases")
        before = {what: operator.metric(series) for what, series in AT_REST.items()}
        used, began = cpu(operator), time.monotonic()
        time.sleep(rest)
        busy, took = cpu(operator) - used, time.monotonic() - began
        written = operator.writes() - writes
        renewals = operator.metric("accord_api_requests_total", resource="leases") - lease
        say(f"at rest for {took:.0f} s: writes without the Lease", f"{written:.0f}")
        say("at rest: Lease renewals", f"{renewals:.0f} ({renewals / took:.2f}/s)")
        say("at rest: CPU", f"{busy / took * 100:.1f} % of a core")
        for what, series in AT_REST.items():
            say(f"at rest: {what}", f"{(operator.metric(series) - before[what]) / took:.2f} a second")
        say("at rest: RSS", f"{rss(operator):.0f} MiB")
        child, status = changes(namespaces, policies)
        say("spec change → child", percentiles(child))
        say("spec change → status", percentiles(status))
        errors += operator.metric("accord_reconcile_errors_total")
        say("passes that failed", f"{errors:.0f}")
        print(f"log: {operator.log_file}")
    return 0 if written == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
