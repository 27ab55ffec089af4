"""What the operator believes is wrong or old, and each fault is answered once, and ends as it does otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.prometheus.rig import prometheus

from devcluster import snapshots as snapshot_kinds

DOUBTFUL = str(Path(__file__).with_name("doubtful_operator.py"))
DOUBTS = {
    "nothing wrong": (),
    "the clock of Prometheus is 30 s behind": ("--clock=30",),
    "the clock of Prometheus is 30 s ahead": ("--clock=-30",),
    "watches are 2 s late": ("--late=2",),
}


@dataclass(frozen=True)
class Doubt:
    """What one operator is wrong about, with a training that rollbacks restart, and one that goes on through them."""

    what: str
    restarted: Namespace
    going_on: Namespace


def test_wrong_clocks_and_late_watches_change_nothing(
    api: Api, control_plane: Any, start_operator: StartOperator, tmp_path: Path
) -> None:
    # Given an operator that is right, and some that are wrong
    snapshot_kinds.install(control_plane.kubectl)
    since = cp.version_now(api)
    doubts = [Doubt(what, Namespace(api), Namespace(api)) for what in DOUBTS]
    namespaces = [namespace for doubt in doubts for namespace in (doubt.restarted, doubt.going_on)]
    trainers = Trainers(trainings={namespace.name: Training() for namespace in namespaces})
    with prometheus(tmp_path / "prometheus", trainers, every="2s") as server, Cluster(api, *namespaces):
        operators = [start(doubt, start_operator, server.url) for doubt in doubts]
        for operator in operators:
            operator.ready()
        cp.train(namespaces, trainers)
        # When all trainings go wrong, and those that are restarted are wrong again from their first sample on
        for training in trainers.trainings.values():
            training.step, training.sick = 2100, True
        for doubt in doubts:
            cp.finished(doubt.restarted)
            trainers.trainings[doubt.restarted.name] = Training(attempt=2, step=1600, saved=1500, sick=True)
        for doubt in doubts:
            cp.finished(doubt.restarted, rollbacks=2, attempt=3)
            cp.finished(doubt.going_on, attempt=1)
        cp.at_rest(*operators)
        # Then each fault was answered once, all ends as where nothing is wrong, and nothing was done twice
        made = cp.came_and_went(api, since)
        for doubt, operator in zip(doubts, operators, strict=True):
            answered_once(doubt)
            ends_like(doubt, doubts[0])
            nothing_done_twice(doubt, operator, made)
            assert "Traceback" not in operator.log()


def start(doubt: Doubt, start_operator: StartOperator, prometheus_url: str) -> OperatorProcess:
    for namespace, training in ((doubt.restarted, "Restart"), (doubt.going_on, "Ignore")):
        cp.serving_deployment(namespace)
        cp.run(namespace)
        cp.policy(namespace, serving={"follow": "Manual"}, rollback={"training": training, "cooldown": "1s"})
    return start_operator(
        name=doubt.what.replace(" ", "-"),
        program=(DOUBTFUL, *DOUBTS[doubt.what]),
        namespaces=[doubt.restarted.name, doubt.going_on.name],
        prometheus={"endpoints": {"default": {"url": prometheus_url, "timeout": "30s"}}},
    )


def answered_once(doubt: Doubt) -> None:
    """Also where the training goes on, and its fault is there to be seen still."""
    first, second = (1, 2000, 1500, "Done"), (2, 1500, 1000, "Done")
    assert rollbacks(doubt.restarted) == [first, second], doubt.what
    assert rollbacks(doubt.going_on) == [first], doubt.what
    cp.until_condition(doubt.going_on, "Healthy", ("Unknown", "InsufficientData"))


def rollbacks(namespace: Namespace) -> list[tuple[int, int, int, str]]:
    """Oldest first: attempt that went wrong, step that was served, step to go back to, phase."""
    history = cp.status(namespace)["history"]
    return [(each["attempt"], each["fromStep"], each["toStep"], each["phase"]) for each in reversed(history)]


def ends_like(doubt: Doubt, reference: Doubt) -> None:
    for namespace, right in ((doubt.restarted, reference.restarted), (doubt.going_on, reference.going_on)):
        want = cp.end_state(right)
        ends = lambda at=namespace, want=want: cp.end_state(at) == want  # noqa: E731
        wait_until(ends, 10, f"{doubt.what}: {cp.end_state(namespace)}, not {want}")


def nothing_done_twice(doubt: Doubt, operator: OperatorProcess, made: dict[str, Counter[tuple[str, str]]]) -> None:
    """Neither as the API server has seen it, nor as the operator has asked for it."""
    snapshots = {f"VolumeSnapshot p-{step}-a1" for step in (1000, 1500, 2000)}
    source, newest, target, last = (
        f"PersistentVolumeClaim {name}" for name in ("r-checkpoints", "p-2000-a1", "p-1500-a1", "p-1000-a1")
    )
    restarted = once(
        added={"Job r-1", "Job r-2", "Job r-3", source, newest, target, last, *snapshots},
        deleted={"Job r-1", "Job r-2", newest, target},
    )
    going_on = once(added={"Job r-1", source, newest, target, *snapshots}, deleted={newest})
    assert made[doubt.restarted.name] == restarted, doubt.what
    assert made[doubt.going_on.name] == going_on, doubt.what
    deleted = sum(count for (event, _), count in (restarted + going_on).items() if event == "DELETED")
    assert operator.metric("accord_api_requests_total", verb="delete") == deleted, doubt.what


def once(*, added: set[str], deleted: set[str]) -> Counter[tuple[str, str]]:
    """Each of them came, and went, that often."""
    return Counter([*(("ADDED", each) for each in added), *(("DELETED", each) for each in deleted)])
