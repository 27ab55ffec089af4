"""How fast a TrainingRun gets its pod, and what many of them cost while nothing happens.

    python -m tests.bench.bench_runs [--runs 500] [--rest 120] [--interval 15s]

Needs the control plane's programs (`python -m devcluster build`) and `prometheus`. API server and Job controller are
real, and so is the Prometheus that is asked about every run; the pods are objects without a kubelet, and one exporter
speaks for all their trainers. Prints one line a figure; exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from tests.apiserver.rig import GROUP, Api, Namespace, OperatorProcess, wait_until
from tests.bench.bench_operator import come_to_rest, cpu, percentiles, rss, say
from tests.prometheus.rig import Exporter, Request, answer, prometheus

from accord.api.crd import files

NAMESPACES = 10
TIMED = 100
"""Runs that are made one after the other, each watched until its pod is there."""
MOST_QUERIES = 2
"""A second, while nothing happens."""
STEP = 3000
SCRAPES = "5s"
"""Prometheus' own default is a minute; the more samples, the more each question costs it."""
TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1"}]}}


@dataclass
class Trainers(Exporter):
    """All trainers, each at the same step as before. What they show is written once: it is scraped twice a second."""

    text: str = ""

    def are(self, pods: list[tuple[str, str]]) -> None:
        """One in each of these pods (namespace, name)."""
        values = {
            "training_step": STEP,
            "entropy_coef": 0.0155,
            "learning_rate": 2.5878e-4,
            "checkpoint_step": STEP,
            "loss_sum": 120.0,
            "loss_count": 960,
            "reward_sum": 10_000.0,
            "reward_count": STEP,
        }
        self.text = "".join(
            f'ppo_{name}{{namespace="{namespace}",pod="{pod}"}} {value}\n'
            for name, value in values.items()
            for namespace, pod in pods
        )

    def show(self, request: Request) -> None:
        answer(request, self.text, kind="text/plain; version=0.0.4")


def create(namespace: Namespace, name: str, interval: str) -> None:
    spec = {"template": TEMPLATE, "monitoring": {"interval": interval}}
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": name}}
    namespace.create("trainingruns", {**body, "spec": spec})


def timed(namespaces: list[Namespace], count: int, interval: str) -> tuple[list[float], list[float]]:
    """Milliseconds from the request that creates a run to its Job, and to its pod."""
    to_job, to_pod = [], []
    for number in range(count):
        namespace, name = namespaces[number % len(namespaces)], f"r{number}"
        labels = f"accord.dev/training-run={name}"
        began = time.monotonic()
        create(namespace, name, interval)

        def there(kind: str, namespace: Namespace = namespace, labels: str = labels) -> bool:
            return bool(namespace.api.items(namespace.path(kind), labels))

        wait_until(lambda there=there: there("batch/v1/jobs"), 30, f"{name} has no Job")
        to_job.append((time.monotonic() - began) * 1000)
        wait_until(lambda there=there: there("pods"), 30, f"{name} has no pod")
        to_pod.append((time.monotonic() - began) * 1000)
    return to_job, to_pod


def fill(kubeconfig: Path, namespaces: list[Namespace], numbers: range, interval: str) -> None:
    """The other runs, by a few threads with a connection each."""

    def make(part: range) -> None:
        api = Api(kubeconfig)
        for number in part:
            target = Namespace.__new__(Namespace)
            target.api, target.name = api, namespaces[number % len(namespaces)].name
            create(target, f"r{number}", interval)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(make, [numbers[part::4] for part in range(4)]))


def pods(api: Api) -> list[Any]:
    return [pod for pod in api.items("/api/v1/pods") if "accord.dev/training-run" in pod["metadata"]["labels"]]


def measured(api: Api) -> int:
    """Runs whose status shows the step of their trainer."""
    return sum(run.get("status", {}).get("step") == STEP for run in api.items(f"{GROUP}/trainingruns"))


def measure(
    kubeconfig: Path, operator: OperatorProcess, trainers: Trainers, runs: int, rest: float, interval: str
) -> int:
    api = Api(kubeconfig)
    namespaces = [Namespace(api) for _ in range(NAMESPACES)]
    to_job, to_pod = timed(namespaces, min(TIMED, runs), interval)
    say("apply → Job", percentiles(to_job))
    say("apply → pod", percentiles(to_pod))
    began = time.monotonic()
    fill(kubeconfig, namespaces, range(min(TIMED, runs), runs), interval)
    wait_until(lambda: time.sleep(1) or len(pods(api)) == runs, 600, "not all runs have a pod")
    say(f"{runs} runs have their pods", f"{time.monotonic() - began:.0f} s after the last {TIMED}")
    names = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods(api)]
    for namespace, name in names:
        api.patch(f"/api/v1/namespaces/{namespace}/pods/{name}/status", {"status": {"phase": "Running"}})
    trainers.are(names)
    wait_until(lambda: time.sleep(5) or measured(api) == runs, 600, "not all runs are measured")
    # The means are of the last five minutes: a series that has just begun moves until then.
    come_to_rest(operator, 75, 900)
    writes, used, began = operator.writes(), cpu(operator), time.monotonic()
    asked = operator.metric("accord_prometheus_queries_total")
    time.sleep(rest)
    took = time.monotonic() - began
    written = operator.writes() - writes
    say(f"{runs} runs at rest for {took:.0f} s: writes without the Lease", f"{written:.0f}")
    each_second = (operator.metric("accord_prometheus_queries_total") - asked) / took
    say("at rest: queries to Prometheus", f"{each_second:.2f}/s")
    say("at rest: CPU", f"{(cpu(operator) - used) / took * 100:.1f} % of a core")
    say("at rest: RSS", f"{rss(operator):.0f} MiB")
    say("passes that failed", f"{operator.metric('accord_reconcile_errors_total'):.0f}")
    print(f"log: {operator.log_file}")
    return 0 if written == 0 and each_second <= MOST_QUERIES else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rest", type=float, default=120, help="seconds to watch the operator at rest")
    parser.add_argument("--interval", default="15s", help="time between two looks at a run (default 15s)")
    parsed = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="accord-bench-"))
    trainers = Trainers()
    with ControlPlane() as plane, prometheus(directory / "prometheus", trainers, SCRAPES) as metrics:
        plane.kubectl("apply", "--server-side", "-f", "-", input="---\n".join(files().values()))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        say("machine", f"{os.cpu_count()} cores")
        config = {"prometheus": {"endpoints": {"default": {"url": metrics.url}}}}
        with OperatorProcess(plane.kubeconfig, directory, **config).ready() as operator:
            return measure(plane.kubeconfig, operator, trainers, parsed.runs, parsed.rest, parsed.interval)


if __name__ == "__main__":
    raise SystemExit(main())
