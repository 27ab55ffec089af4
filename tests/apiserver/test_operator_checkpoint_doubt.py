"""What the operator believes is wrong or old, and a rollback still happens once, and ends as it does otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.prometheus.rig import prometheus

from devcluster import snapshots as snapshot_kinds

DOUBTFUL = str(Path(__file__).with_name("doubtful_operator.py"))
DOUBTS = {
    "nothing wrong": (),
    "the clock of Prometheus is 30 s behind": ("--clock=30",),
    "the clock of Prometheus is 30 s ahead": ("--clock=-30",),
    "watches are 2 s late": ("--late=2",),
}


def test_wrong_clocks_and_late_watches_change_nothing(
    api: Api, control_plane: Any, start_operator: StartOperator, tmp_path: Path
) -> None:
    # Given an operator that is right, and some that are wrong, each with a namespace of its own
    snapshot_kinds.install(control_plane.kubectl)
    namespaces = {doubt: Namespace(api) for doubt in DOUBTS}
    trainers = Trainers(trainings={namespace.name: Training() for namespace in namespaces.values()})
    with prometheus(tmp_path / "prometheus", trainers) as server, Cluster(api, *namespaces.values()):
        for namespace in namespaces.values():
            cp.serving_deployment(namespace)
            cp.run(namespace)
            cp.policy(namespace, serving={"follow": "Manual"})
        operators = {
            doubt: start_operator(
                name=f"operator-{number}",
                program=(DOUBTFUL, *DOUBTS[doubt]),
                namespaces=[namespaces[doubt].name],
                prometheus={"endpoints": {"default": {"url": server.url, "timeout": "5s"}}},
            )
            for number, doubt in enumerate(DOUBTS)
        }
        for operator in operators.values():
            operator.ready()
        since = api.get(f"/apis/{cp.SNAPSHOTS}")["metadata"]["resourceVersion"]
        cp.train(list(namespaces.values()), trainers)
        # When what they watch goes wrong
        for training in trainers.trainings.values():
            training.step, training.sick = 2100, True
        for doubt, namespace in namespaces.items():
            cp.finished(namespace)
            cp.at_rest(operators[doubt])
        # Then all have done the same, no more and no less
        right = namespaces["nothing wrong"]
        want, made = cp.end_state(right), cp.came_and_went(right, since)
        assert want["rollbacks"][0] == 1
        assert want["quarantined"] == {2000}
        assert {what.partition(" ")[0] for _, what in made} == {"VolumeSnapshot", "PersistentVolumeClaim", "Job"}
        assert {event for event, _ in made} == {"ADDED", "DELETED"}
        for doubt, namespace in namespaces.items():
            ends = lambda at=namespace: cp.end_state(at) == want  # noqa: E731
            wait_until(ends, 10, f"{doubt}: {cp.end_state(namespace)}, not {want}")
            assert cp.came_and_went(namespace, since) == made, doubt
            assert "Traceback" not in operators[doubt].log()
