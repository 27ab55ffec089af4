"""Pods that do not end: a sidecar keeps one whose trainer has ended, or its node is gone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.training.world import World, at_rest, condition, job_key

from accord.domain.conditions import timestamp
from accord.domain.training.views import PodView

NAMES = ("container trainer of pod r-1-0 ended with exit code", "container log-shipper still runs")


def training(**spec: Any) -> World:
    world = World(**spec)
    world.settle()
    assert world.status["phase"] == "Running"
    return world


# --- A sidecar that goes on.


def test_a_trainer_that_failed_beside_a_sidecar_counts_and_its_pod_is_replaced() -> None:
    world = training(backoffLimit=1)
    world.ends_beside(1)
    plan = world.step()
    assert (plan.patch, plan.delete) == ((), ())
    assert condition(plan, "Ready")[:2] == ("False", "TrainerEnded")
    assert all(words in condition(plan, "Ready")[2] for words in NAMES)
    assert "exit code 1" in condition(plan, "Ready")[2]
    assert plan.requeue_after == pytest.approx(30)
    world.wait(30)
    plan = world.step()
    assert plan.patch == (
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": "ns", "name": "r-1-0", "uid": "uid-r-1-0"},
            "spec": {"activeDeadlineSeconds": 1},
        },
    )
    assert condition(plan, "Ready")[2] == condition(world.decide(), "Ready")[2]
    assert world.decide().patch == ()
    world.settle()
    assert (world.status["phase"], world.status["failedPods"], sorted(world.pods)) == ("Running", 1, ["r-1-0", "r-1-1"])
    world.ends_beside(3)
    world.wait(30)
    world.settle()
    assert (world.status["phase"], world.status["failedPods"]) == ("Failed", 2)
    assert condition(world.decide(), "Failed")[1] == "ExitCode"
    assert "container trainer of pod r-1-1 ended with exit code 3" in condition(world.decide(), "Failed")[2]
    at_rest(world)
    assert world.told() == ["AttemptStarted", "TrainerEnded", "PodFailed", "TrainerEnded", "ExitCode"]


@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_trainer_that_is_done_beside_a_sidecar_completes_the_run(phase: str) -> None:
    world = training()
    # A sidecar whose image cannot be pulled leaves the pod Pending.
    world.ends_beside(0, phase=phase)
    plan = world.step()
    assert condition(plan, "Ready")[:2] == ("False", "Completing")
    assert all(words in condition(plan, "Ready")[2] for words in NAMES)
    world.wait(30)
    plan = world.step()
    # First the end is on record. Only then the Job goes, so that nobody starts another pod.
    assert (plan.patch, plan.delete) == ((), ())
    assert condition(plan, "Ready")[:2] == ("True", "Succeeded")
    assert "container log-shipper kept the pod running" in condition(plan, "Ready")[2]
    assert world.status["completionTime"] == timestamp(plan_time(world))
    plan = world.step()
    assert plan.delete == (job_key(1),)
    world.settle()
    assert (world.status["phase"], world.jobs, world.pods, world.made) == ("Succeeded", {}, {}, ["r-1"])
    assert condition(world.decide(), "Complete")[0] == "True"
    at_rest(world)
    assert world.told() == ["AttemptStarted", "Succeeded"]


def plan_time(world: World) -> Any:
    (pod,) = (PodView.of(pod) for pod in world.pods.values())
    assert pod.trainer is not None
    return pod.trainer.at


def test_a_sidecar_that_ends_by_itself_in_time_changes_nothing() -> None:
    world = training()
    world.ends_beside(0)
    world.step()
    world.wait(5)
    for pod in world.pods.values():
        pod["status"]["phase"] = "Running"
    world.complete()
    world.settle()
    assert (world.status["phase"], list(world.jobs)) == ("Succeeded", ["r-1"])
    assert "log-shipper" not in condition(world.decide(), "Ready")[2]


def test_a_sidecar_that_fails_after_the_trainer_was_done_does_not_undo_it() -> None:
    world = training(backoffLimit=0)
    world.ends_beside(0, {"terminated": {"exitCode": 7, "reason": "Error"}})
    (pod,) = world.pods.values()
    world.fail_pod(pod["status"])
    world.settle()
    assert (world.status["phase"], world.made) == ("Succeeded", ["r-1"])
    assert "another container of the pod failed" in condition(world.decide(), "Ready")[2]
    at_rest(world)


@pytest.mark.parametrize(
    "told",
    [
        {"reason": "Evicted"},
        {"reason": "Terminated"},
        {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]},
    ],
    ids=lambda told: str(next(iter(told))),
)
def test_a_trainer_that_answers_0_to_being_told_to_stop_has_not_finished(told: Any) -> None:
    world = training()
    world.ends_beside(0, {"terminated": {"exitCode": 143, "reason": "Error"}})
    (pod,) = world.pods.values()
    world.fail_pod({**pod["status"], **told})
    world.settle()
    assert (world.status["phase"], len(world.pods)) == ("Running", 2)


def test_a_pod_that_is_being_deleted_is_left_to_its_end() -> None:
    world = training()
    world.node_answers = False
    for code in (0, 1):
        world.ends_beside(code)
        (pod,) = world.pods.values()
        pod["metadata"]["deletionTimestamp"] = timestamp(world.now)
        world.wait(31)
        plan = world.step()
        assert (plan.patch, plan.delete) == ((), ())
        assert condition(plan, "Ready")[:2] == ("False", "Ending")


def test_a_sidecar_that_could_be_native_is_said_beforehand() -> None:
    trainer = {"name": "trainer", "image": "t"}
    ordinary = World(template={"spec": {"containers": [trainer, {"name": "log-shipper", "image": "s"}]}})
    status, reason, message = condition(ordinary.decide(), "Accepted")
    assert (status, reason) == ("True", "Accepted")
    assert "container log-shipper may keep the pod" in message
    native = {"name": "log-shipper", "image": "s", "restartPolicy": "Always"}
    world = World(template={"spec": {"initContainers": [native], "containers": [trainer]}})
    assert condition(world.decide(), "Accepted")[2] == "spec accepted"


def test_a_native_sidecar_keeps_no_pod() -> None:
    world = training()
    (pod,) = world.pods.values()
    ended = {"exitCode": 1, "finishedAt": timestamp(world.now)}
    pod["status"] = {
        "phase": "Running",
        "containerStatuses": [{"name": "trainer", "state": {"terminated": ended}}],
        "initContainerStatuses": [{"name": "log-shipper", "state": {"running": {}}}],
    }
    world.wait(60)
    plan = world.step()
    assert (plan.patch, plan.delete, world.status["phase"]) == ((), (), "Running")


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_killed_after_any_write_a_held_pod_ends_the_same(code: int, writes: int) -> None:
    want, world = training(), training()
    for each in (want, world):
        each.ends_beside(code)
        each.step()
        each.wait(30)
    for _ in range(4):
        world.step(writes)
    want.settle(20)
    world.settle(20)
    assert (world.status["phase"], world.made, sorted(world.jobs)) == (
        want.status["phase"],
        want.made,
        sorted(want.jobs),
    )
    assert world.status["failedPods"] == want.status["failedPods"] == (code != 0)
    at_rest(world)


# --- A node that is gone.


def lost(world: World) -> None:
    """The control plane tells the pod to go, and nobody is there to do it."""
    world.node_answers = False
    for pod in world.pods.values():
        pod["metadata"] |= {"deletionTimestamp": timestamp(world.now), "deletionGracePeriodSeconds": 30}
    world.wait(30)
    for pod in world.pods.values():
        pod["metadata"]["deletionTimestamp"] = timestamp(world.now)


def test_a_node_that_is_gone_is_said_with_what_to_do() -> None:
    world = training()
    told = timestamp(world.now)
    lost(world)
    plan = world.step()
    assert condition(plan, "Ready")[:2] == ("False", "Ending")
    assert plan.requeue_after == pytest.approx(60)
    world.wait(61)
    plan = world.settle()
    assert condition(plan, "Stalled")[:2] == ("True", "NodeLost")
    status, reason, message = condition(plan, "Ready")
    assert (status, reason) == ("False", "NodeLost")
    for words in (
        "node n-1",
        "pod r-1-0",
        told,
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        "`kubectl delete node n-1`",
    ):
        assert words in message
    assert len(world.pods) == 1
    at_rest(world)
    assert world.told() == ["AttemptStarted", "NodeLost"]


def unanswered(world: World, status: str = "False") -> None:
    """The node lifecycle controller has missed the node; the pod tolerates that, and nobody tells it to go."""
    world.node_answers = False
    told = [
        {"type": "Ready", "status": status, "lastTransitionTime": timestamp(world.now)},
        {"type": "ContainersReady", "status": "True"},
    ]
    for pod in world.pods.values():
        pod["status"] = {**pod["status"], "conditions": told}


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_that_is_gone_under_a_pod_that_tolerates_it_is_said_too(status: str) -> None:
    world = training()
    since = timestamp(world.now)
    unanswered(world, status)
    plan = world.step()
    assert condition(plan, "Ready")[:2] == ("True", "Running"), "a node may be slow"
    assert plan.requeue_after == pytest.approx(60)
    world.wait(61)
    plan = world.settle()
    assert condition(plan, "Stalled")[:2] == ("True", "NodeLost")
    status_, reason, message = condition(plan, "Ready")
    assert (status_, reason) == ("False", "NodeLost")
    for words in (
        f"node n-1 has not responded since {since}",
        "pod r-1-0",
        "kubectl delete node n-1",
        "out-of-service",
    ):
        assert words in message
    assert (len(world.pods), world.made) == (1, ["r-1"])
    at_rest(world)
    assert world.told() == ["AttemptStarted", "NodeLost"]
    # The node answers again: the pod has never stopped.
    world.node_answers = True
    for pod in world.pods.values():
        pod["status"] = {"phase": "Running"}
    plan = world.settle()
    assert condition(plan, "Ready")[:2] == ("True", "Running")
    assert (len(world.pods), world.made) == (1, ["r-1"])


def test_a_pod_that_is_not_ready_by_its_own_probe_is_on_no_lost_node() -> None:
    world = training()
    unanswered(world)
    for pod in world.pods.values():
        by_kubelet = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
        pod["status"]["conditions"] = [by_kubelet, {"type": "ContainersReady", "status": "False"}]
    world.wait(600)
    assert condition(world.settle(), "Ready")[:2] == ("True", "Running")


def test_of_a_node_with_the_longest_name_it_is_said_as_well() -> None:
    world = training()
    node = ".".join(["n" * 63] * 4)[:253]
    for pod in world.pods.values():
        pod["spec"]["nodeName"] = node
    lost(world)
    world.wait(61)
    _, reason, message = condition(world.settle(), "Stalled")
    assert reason == "NodeLost"
    assert message.startswith("node nnn")
    assert message.endswith(f"if it will not come back: `kubectl delete node {node}`")


@pytest.mark.parametrize(
    "event",
    [
        lambda w: w.edit(suspend=True),
        lambda w: w.edit(ppo={"gamma": 0.5}),
        lambda w: w.jobs.clear(),
        lambda w: w.annotate(restart_from="500", restart_attempt="1"),
    ],
)
def test_whatever_waits_for_the_pod_of_a_lost_node_says_so(event: Any) -> None:
    world = training()
    event(world)
    lost(world)
    world.wait(61)
    world.settle()
    assert condition(world.decide(), "Ready")[:2] == ("False", "NodeLost")
    assert (len(world.pods), world.made) == (1, ["r-1"])
    # The pod is gone by force, or by the taint: what waited for it goes on.
    world.pods.clear()
    world.node_answers = True
    world.settle()
    assert condition(world.decide(), "Ready")[0] == "True"


def test_a_pod_that_never_had_a_node_has_lost_none() -> None:
    world = training()
    (pod,) = world.pods.values()
    pod["spec"] = {}
    lost(world)
    world.wait(600)
    assert condition(world.step(), "Ready")[1] == "Ending"
