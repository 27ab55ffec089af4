"""Killed in the middle of a rollback, the operator brings it to the same end as if it had never been.

Here after every third write, on a real API server; after and before every single one in
`tests/unit/checkpoint/test_interruptions.py`, by the same reconciler on a cluster in memory.
"""

from __future__ import annotations

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


def test_killed_after_every_third_write_a_rollback_ends_the_same(
    api: Api, control_plane: Any, start_operator: StartOperator, tmp_path: Path
) -> None:
    snapshot_kinds.install(control_plane.kubectl)
    namespaces = [Namespace(api) for _ in range(MOST_WRITES // STRIDE + 1)]
    reference, *cuts = namespaces
    trainers = Trainers(trainings={namespace.name: Training() for namespace in namespaces})
    everywhere: list[str] = []  # All namespaces: a watch of each kind in each of them would be hundreds.
    with prometheus(tmp_path / "prometheus", trainers, every="3s") as server, Cluster(api, *namespaces):
        endpoints = {"default": {"url": server.url, "timeout": "30s"}}
        # The same for all operators of this test: routers are not what is tested here.
        config = {"prometheus": {"endpoints": endpoints}, "xds": {"host": "127.0.0.1", "port": free_port()}}
        for namespace in namespaces:
            cp.serving_deployment(namespace)
            cp.run(namespace)
            cp.policy(namespace, serving={"follow": "Manual"}, detection={"interval": "3s"})
        with start_operator(namespaces=everywhere, **config).ready():
            cp.train(namespaces, trainers)
        for training in trainers.trainings.values():
            training.step, training.sick = 2100, True
        with start_operator(namespaces=[reference.name], **config).ready() as operator:
            cp.finished(reference)
            cp.at_rest(operator)
            want, writes = cp.end_state(reference), int(operator.writes())
        # What is not written together on a busy machine may take more writes than these; they are the first ones.
        killed = list(zip(range(1, writes + 1, STRIDE), cuts, strict=False))
        for number, namespace in killed:
            with start_operator(namespaces=[namespace.name], program=(DYING, str(number)), **config) as dying:
                # The last writes may be spared, where the status of the run took fewer of them.
                wait_until(
                    lambda dying=dying, at=namespace: dying.process.poll() is not None or cp.done(at), 120, dying.log()
                )
        with start_operator(namespaces=everywhere, **config).ready():
            for _, namespace in killed:
                cp.finished(namespace)
            for number, namespace in killed:
                ends = lambda at=namespace: cp.end_state(at) == want  # noqa: E731
                wait_until(ends, 10, f"killed after write {number}: {cp.end_state(namespace)}, not {want}")
    print(f"killed after {len(killed)} of {writes} writes, a rollback always ended the same")
