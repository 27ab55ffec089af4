"""What 200 CheckpointPolicies with 20 checkpoints each cost, and how fast a fault is answered.

    python -m tests.bench.bench_checkpoint [--policies 200] [--checkpoints 20] [--rest 120] [--faults 50]

Needs the control plane's programs (`python -m devcluster build`) and `prometheus`. No pods run: the Deployments ask for
none, so that a rollout is over when the Deployment controller has seen it; the bench makes the snapshots ready. Prints
one line a figure; exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api, OperatorProcess, wait_until
from tests.bench.bench_operator import come_to_rest, cpu, rss, say
from tests.prometheus.rig import Exporter, Request, answer, prometheus

from accord.domain.checkpoint import names
from devcluster import snapshots as snapshot_kinds

NS = "bench"
SNAPSHOTS = f"/apis/snapshot.storage.k8s.io/v1/namespaces/{NS}/volumesnapshots"
POLICIES = f"/apis/accord.dev/v1alpha1/namespaces/{NS}/checkpointpolicies"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NS}/deployments"
EVERY = 500


@dataclass
class Trainers(Exporter):
    """All trainers behind one scrape target."""

    count: int = 0
    step: int = 0
    sick: set[int] = field(default_factory=set)

    def show(self, request: Request) -> None:
        lines = []
        for number in range(self.count):
            labels = f'{{namespace="{NS}",trainer="t{number}"}}'
            step = self.step + 100 * (number in self.sick)
            lines.append(f"ppo_training_step{labels} {step}")
            lines.append(f"ppo_checkpoint_step{labels} {self.step}")
            lines.append(f"ppo_loss_sum{labels} {'NaN' if number in self.sick else step / 2}")
            lines.append(f"ppo_loss_count{labels} {step}")
            lines.append(f"ppo_reward_sum{labels} {step * 4}")
            lines.append(f"ppo_reward_count{labels} {step}")
            lines.append(f"ppo_reward_sumsq{labels} {step * 16.5}")
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


def in_parallel(kubeconfig: Path, work: Callable[[Api, int], None], numbers: Iterable[int]) -> None:
    """With a few threads, each with a connection of its own."""
    todo = list(numbers)

    def part(share: list[int]) -> None:
        api = Api(kubeconfig)
        for number in share:
            work(api, number)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(part, [todo[index::8] for index in range(8)]))


def make_snapshots(api: Api, number: int, checkpoints: int) -> None:
    """As an operator has made them over the hours."""
    training = names.training(f"c{number}")
    for step in range(EVERY, checkpoints * EVERY + 1, EVERY):
        name = names.checkpoint(f"p{number}", step, 0, training)
        meta = {"name": name, "labels": names.labels(f"p{number}", f"c{number}", training, step, 0)}
        meta["annotations"] = {"accord.dev/reward": "4", "accord.dev/loss": "0.5"}
        spec = {"source": {"persistentVolumeClaimName": f"c{number}"}}
        kind = {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot"}
        api.create(SNAPSHOTS, {**kind, "metadata": meta, "spec": spec})
        api.patch(f"{SNAPSHOTS}/{name}/status", {"status": {"readyToUse": True, "restoreSize": "1Gi"}})


def make_policy(api: Api, number: int) -> None:
    resources = {"requests": {"storage": "1Gi"}}
    claim = {"metadata": {"name": f"c{number}"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources}}
    api.create(f"/api/v1/namespaces/{NS}/persistentvolumeclaims", claim)
    labels = {"app": f"s{number}"}
    pod = {
        "containers": [{"name": "app", "image": "x", "volumeMounts": [{"name": "model", "mountPath": "/m"}]}],
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "untrained"}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    api.create(DEPLOYMENTS, {"metadata": {"name": f"s{number}"}, "spec": spec})
    policy = {
        "source": {"claimName": f"c{number}", "selector": {"trainer": f"t{number}"}},
        "serving": {"deploymentRef": {"name": f"s{number}"}, "volume": "model"},
    }
    kind = {"apiVersion": "accord.dev/v1alpha1", "kind": "CheckpointPolicy"}
    api.create(POLICIES, {**kind, "metadata": {"name": f"p{number}"}, "spec": policy})


def is_ready(operator: OperatorProcess) -> bool:
    response = operator.fetch("/readyz")
    return response is not None and response.status_code == 200


def served(api: Api) -> dict[int, tuple[str | None, bool]]:
    """Step of each Deployment, and whether its controller has seen it."""
    found = {}
    for item in api.items(DEPLOYMENTS):
        annotations = item["spec"]["template"]["metadata"].get("annotations") or {}
        seen = item["status"].get("observedGeneration", 0) >= item["metadata"]["generation"]
        found[int(item["metadata"]["name"][1:])] = annotations.get("accord.dev/checkpoint-step"), seen
    return found


def answer_faults(api: Api, trainers: Trainers, server: Any, faults: int, target: str) -> None:
    """One after the other, trainers begin to report NaN."""
    sick = range(faults)
    visible: dict[int, float] = {}
    patched: dict[int, float] = {}
    available: dict[int, float] = {}
    deadline = time.monotonic() + 120
    waiting = list(sick)
    while len(available) < faults and time.monotonic() < deadline:
        if waiting:
            trainers.sick.add(waiting.pop(0))
        now = time.monotonic()
        for row in server.query(f"ppo_training_step > {trainers.step}"):
            visible.setdefault(int(row["metric"]["trainer"][1:]), now)
        for number, (step, seen) in served(api).items():
            if number in trainers.sick and step == target:
                patched.setdefault(number, time.monotonic())
                if seen:
                    available.setdefault(number, time.monotonic())
        time.sleep(0.2)
    assert len(available) == faults, f"only {len(available)} of {faults} faults were answered"
    for what, times in (("claim patched", patched), ("serving Available", available)):
        took = sorted(times[number] - visible[number] for number in sick)
        p99 = took[min(int(len(took) * 0.99), len(took) - 1)]
        say(f"fault visible in Prometheus → {what}", f"p50 {statistics.median(took):.1f} s, p99 {p99:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--checkpoints", type=int, default=20)
    parser.add_argument("--rest", type=float, default=120)
    parser.add_argument("--faults", type=int, default=50)
    chosen = parser.parse_args()
    broken = []
    trainers = Trainers(count=chosen.policies, step=chosen.checkpoints * EVERY)
    with tempfile.TemporaryDirectory() as scratch, ControlPlane() as plane:
        api = install_kinds(plane)
        snapshot_kinds.install(plane.kubectl)
        api.create("/api/v1/namespaces", {"metadata": {"name": NS}})
        numbers = range(chosen.policies)
        in_parallel(plane.kubeconfig, lambda at, number: make_snapshots(at, number, chosen.checkpoints), numbers)
        in_parallel(plane.kubeconfig, make_policy, numbers)
        with prometheus(Path(scratch) / "prometheus", trainers, "500ms") as server:
            server.wait_for(f"count(ppo_training_step) == {chosen.policies}", 60)
            endpoints = {"default": {"url": server.url, "timeout": "14s"}}
            config: dict[str, Any] = {"namespaces": [NS], "leaderElection": {"enabled": False}}
            began = time.monotonic()
            config["prometheus"] = {"endpoints": endpoints}
            with OperatorProcess(plane.kubeconfig, Path(scratch), **config) as operator:
                wait_until(lambda: is_ready(operator), 900, "the operator is not ready")
                newest = str(trainers.step)
                wait_until(lambda: all(step == newest for step, _ in served(api).values()), 900, "not all are served")
                say(f"{chosen.policies} policies, the newest of {chosen.checkpoints} checkpoints served by all after",
                    f"{time.monotonic() - began:.1f} s")  # fmt: skip
                come_to_rest(operator, 20, 900)
                writes, busy = operator.writes(), cpu(operator)
                queries, since = operator.metric("accord_prometheus_queries_total"), time.monotonic()
                time.sleep(chosen.rest)
                minutes = (time.monotonic() - since) / 60
                at_rest = operator.writes() - writes
                asked = (operator.metric("accord_prometheus_queries_total") - queries) / minutes
                say("resident memory at rest", f"{rss(operator):.0f} MB")
                say("processor at rest", f"{(cpu(operator) - busy) / minutes / 60 * 100:.1f} % of one")
                say(f"API writes in {minutes:.0f} minutes at rest", f"{at_rest:.0f}")
                say(
                    "Prometheus queries a minute",
                    f"{asked:.0f} ({asked / 60:.2f} a second; each policy is checked every 15 s)",
                )
                broken += ["writes at rest"] if at_rest else []
                broken += ["more than two queries a second"] if asked > 120 else []
                answer_faults(api, trainers, server, min(chosen.faults, chosen.policies), str(trainers.step - EVERY))
    for promise in broken:
        print(f"broken: {promise}")
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
