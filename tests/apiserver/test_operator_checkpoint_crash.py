"""Killed in the middle of a rollback, the operator brings it to the same end as if it had never been.

Here after every third write, on a real API server; after and before every single one in
`tests/unit/checkpoint/test_interruptions.py`, by the same reconciler on a cluster in memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, free_port, wait_until
from tests.apiserver.test_operator_crash import DYING
from tests.prometheus.rig import prometheus

from devcluster import snapshots as snapshot_kinds

MOST_WRITES = 40
STRIDE = 3
_TRAINING = re.compile(r"-[0-9a-f]{5}\b")
"""Names and ids hold a digest of the run's uid, which no two namespaces share."""


def end_state(namespace: Namespace) -> dict[str, Any]:
    """What there is in the end, without times and what differs from namespace to namespace."""
    live, run = cp.status(namespace), namespace.get(cp.RUNS, "r")
    claim, step = cp.serves(namespace)
    marks = {key: text for key, text in run["metadata"]["annotations"].items() if key.startswith("accord.dev/")}
    records = [(r["phase"], r["signal"], r["fromStep"], r["toStep"], r["attempt"]) for r in live["history"]]
    return {
        "served": (_TRAINING.sub("", claim), step),
        "claims": {_TRAINING.sub("", name) for name in cp.claims(namespace)},
        "snapshots": set(cp.snapshots(namespace)),
        "quarantined": cp.quarantined(namespace),
        "run": (marks, run["status"]["attempt"]),
        "rollbacks": (live["rollbacks"], records),
        "conditions": {
            c["type"]: c["reason"] for c in live["conditions"] if c["type"] not in ("Healthy", "Snapshotted")
        },
    }


def test_killed_after_every_third_write_a_rollback_ends_the_same(
    api: Api, control_plane: Any, start_operator: StartOperator, tmp_path: Path
) -> None:
    snapshot_kinds.install(control_plane.kubectl)
    namespaces = [Namespace(api) for _ in range(MOST_WRITES // STRIDE + 1)]
    reference, *cuts = namespaces
    trainers = Trainers(trainings={namespace.name: Training() for namespace in namespaces})
    everywhere: list[str] = []  # All namespaces: a watch of each kind in each of them would be hundreds.
    with prometheus(tmp_path / "prometheus", trainers) as server, Cluster(api, *namespaces):
        endpoints = {"default": {"url": server.url, "timeout": "5s"}}
        # The same for all operators of this test: routers are not what is tested here.
        config = {"prometheus": {"endpoints": endpoints}, "xds": {"host": "127.0.0.1", "port": free_port()}}
        for namespace in namespaces:
            cp.serving_deployment(namespace)
            cp.run(namespace)
            cp.policy(namespace, serving={"follow": "Manual"}, detection={"interval": "3s"})
        with start_operator(namespaces=everywhere, **config).ready():
            train(namespaces, trainers)
        for training in trainers.trainings.values():
            training.step, training.sick = 2100, True
        with start_operator(namespaces=[reference.name], **config).ready() as operator:
            finished(reference)
            cp.at_rest(operator)
            want, writes = end_state(reference), int(operator.writes())
        assert writes <= MOST_WRITES
        killed = list(zip(range(1, writes + 1, STRIDE), cuts, strict=False))
        for number, namespace in killed:
            with start_operator(namespaces=[namespace.name], program=(DYING, str(number)), **config) as dying:
                # The last writes may be spared, where the status of the run took fewer of them.
                wait_until(
                    lambda dying=dying, at=namespace: dying.process.poll() is not None or done(at), 120, dying.log()
                )
        with start_operator(namespaces=everywhere, **config).ready():
            for _, namespace in killed:
                finished(namespace)
            for number, namespace in killed:
                ends = lambda at=namespace: end_state(at) == want  # noqa: E731
                wait_until(ends, 10, f"killed after write {number}: {end_state(namespace)}, not {want}")
    print(f"killed after {len(killed)} of {writes} writes, a rollback always ended the same")


def done(namespace: Namespace) -> bool:
    live = cp.status(namespace)
    return bool(live.get("history")) and not live.get("rollback") and not live.get("switch")


def finished(namespace: Namespace) -> None:
    """Until the rollback is over, and the claim that was served before is gone."""
    wait_until(lambda: done(namespace), 120, f"no end: {cp.status(namespace)}")
    wait_until(lambda: namespace.get(cp.RUNS, "r")["status"]["attempt"] == 2, 30, "no second attempt")
    wait_until(lambda: len(cp.claims(namespace)) == 1, 40, f"claims are left: {cp.claims(namespace)}")


def train(namespaces: list[Namespace], trainers: Trainers) -> None:
    """Three checkpoints everywhere, the newest served. Only that one is promoted: it saves half of the time."""
    for step in (1000, 1500, 2000):
        for training in trainers.trainings.values():
            training.step = training.saved = step
        for namespace in namespaces:
            wait_until(lambda at=namespace, step=step: step in cp.snapshots(at), 120, f"no snapshot of {step}")
    for namespace in namespaces:
        namespace.patch(cp.POLICIES, "p", {"spec": {"serving": {"follow": "Latest"}}})
    for namespace in namespaces:
        cp.until_served(namespace, 2000, 120)
    for namespace in namespaces:
        wait_until(lambda at=namespace: len(cp.claims(at)) == 1, 60, "claims are left")
