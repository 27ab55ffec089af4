"""A checkpoint is blamed only for what it did: scenarios over hours, with pods that say why they do not come up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, NS, POLICY, RUN, SOURCE, UNTRAINED, World

from accord.cli.approve.approving import ApprovalError, waiting
from accord.domain.checkpoint.views import ClaimView
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey
from accord.domain.training.pauses import Pause
from accord.domain.warned import Warned
from accord.domain.words import MESSAGE_LIMIT
from accord.ports.cluster import ClusterError

FULL = "0/1 nodes are available: 1 Insufficient example.com/gpu. preemption: no victims found for incoming pod."
DEADLINE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}


def trained(**spec: Any) -> World:
    world = World(**spec)
    world.save(500, 1000, 1500, 2000)
    return world


def step(world: World) -> str | None:
    return world.serves[1]


def quarantined(world: World) -> set[int]:
    return {int(name.split("-")[1]) for name in world.quarantined()}


def pause(world: World, *, paused: bool = True) -> None:
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["paused"] = paused
    world.put(DEPLOYMENT, live, changed=True)


def begin_rollback(world: World, kind: str) -> None:
    if kind == "fault":
        world.fail(1600)
    else:
        world.edit(rollbackTo=1500)


@pytest.mark.parametrize("kind", ["fault", "person"])
def test_a_rollback_without_room_waits_and_is_done_as_soon_as_there_is_some(kind: str) -> None:
    world = trained()
    world.no_room = FULL
    world.rollout_conditions = [DEADLINE]
    begin_rollback(world, kind)
    for _ in range(15):
        world.advance(60)
        assert quarantined(world) == set()
        assert world.condition("Reconciling") == ("True", "Unschedulable")
        assert "1 Insufficient example.com/gpu" in world.message("Reconciling")
        assert world.status["serving"]["step"] == 2000
        assert world.status["rollbacks"] == 0
        delay = world.pass_().requeue_after
        assert delay is not None
        assert delay <= 30, "room is noticed soon"
    writes = len(world.writes)
    world.advance(600)
    assert len(world.writes) == writes, "nothing is written while nothing changes"
    assert world.reasons().count("Unschedulable") == 1
    world.no_room = ""
    world.settle()
    assert step(world) == "1500"
    assert quarantined(world) == {2000}
    assert world.status["rollbacks"] == 1
    assert world.objects[ObjectKey("accord.dev/v1alpha1", "TrainingRun", NS, "r")]["status"]["attempt"] == 2
    assert "setback" not in world.status


def pauses(world: World) -> bool:
    """Whether the run rests for the policy, for another reason than an approval."""
    found = Pause.of(world.objects[POLICY])
    return found is not None and not found.needs_approval


def refuse_claims(world: World) -> None:
    world.refuse["PersistentVolumeClaim"] = ClusterError(403, "Forbidden", "exceeded quota: team")


@pytest.mark.parametrize(
    ("hinder", "free"),
    [
        (lambda world: setattr(world, "no_room", FULL), lambda world: setattr(world, "no_room", "")),
        (refuse_claims, lambda world: world.refuse.clear()),
        (pause, lambda world: pause(world, paused=False)),
        (lambda world: world.unready.add(1500), lambda world: world.unready.clear()),
    ],
    ids=["no room", "a quota on claims", "a paused rollout", "pods that are slow"],
)
def test_a_training_that_went_wrong_rests_while_its_rollback_waits(
    hinder: Callable[[World], Any], free: Callable[[World], Any]
) -> None:
    world = trained()
    hinder(world)
    world.fail(1600)
    for _ in range(20):
        world.pass_()
        world.controllers()
        world.now_ += timedelta(seconds=5)
    assert pauses(world)
    since = world.status["rollback"]["waitingSince"]
    free(world)
    rested = []
    for _ in range(30):
        rested.append(pauses(world))
        world.pass_()
        world.controllers()
        world.now_ += timedelta(seconds=30)
        if "rollback" not in world.status:
            break
    assert all(rested), "without a break, until it is told from where to go on"
    assert (world.status["history"][0]["phase"], step(world)) == ("Done", "1500")
    assert world.status["history"][0]["waitingSince"] == since
    assert world.objects[RUN]["status"]["attempt"] == 2
    assert not pauses(world)


def test_a_rollback_that_is_done_at_once_pauses_nothing() -> None:
    world = trained()
    world.fail(1600)
    for _ in range(20):
        world.pass_()
        assert not pauses(world)
        world.controllers()
        world.now_ += timedelta(seconds=1)
    assert "waitingSince" not in world.status["history"][0]


def test_a_policy_that_is_suspended_pauses_no_training() -> None:
    world = trained()
    world.fail(1600)
    world.pass_()
    world.pass_()
    assert "rollback" in world.status
    world.edit(suspend=True)
    world.settle()
    world.advance(600)
    assert not pauses(world)


def test_a_step_that_a_person_named_pauses_no_training() -> None:
    world = trained()
    world.no_room = FULL
    world.edit(rollbackTo=1500)
    world.settle()
    world.advance(600)
    assert world.condition("Reconciling") == ("True", "Unschedulable")
    assert not pauses(world)


def test_pods_that_get_room_late_have_the_whole_time_to_come_up() -> None:
    world = trained()
    world.no_room = FULL
    world.rollout_conditions = [{**DEADLINE, "lastTransitionTime": "2026-01-01T00:05:00Z"}]
    world.fail(1600)
    world.settle()
    world.advance(1800)
    world.no_room = ""
    world.unready.add(1500)
    world.settle()
    world.advance(60)
    assert world.condition("Reconciling") == ("True", "RollingOut"), "the deadline that passed without room is over"
    assert "readiness probe" in world.message("Reconciling")
    world.unready.clear()
    world.settle()
    assert step(world) == "1500"


@pytest.mark.parametrize("hours", [1, 10])
def test_a_promotion_without_room_takes_no_checkpoint_away(hours: int) -> None:
    world = World()
    world.save(500)
    world.no_room = FULL
    for number in range(10):
        world.save(1000 + 500 * number)
        world.advance(360 * hours, checked=True)
    assert quarantined(world) == set()
    assert world.condition("Reconciling") == ("True", "Unschedulable")
    assert world.status["serving"]["step"] == 500
    world.no_room = ""
    world.settle()
    assert step(world) == "5500", "the newest is served in the end"


def test_while_the_rollout_is_paused_nothing_is_timed() -> None:
    world = World()
    world.save(500)
    pause(world)
    world.rollout_conditions = [{**DEADLINE, "lastTransitionTime": "2026-01-01T00:00:30Z"}]
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(3600)
    assert world.condition("Reconciling") == ("True", "RolloutPaused")
    assert "kubectl rollout resume deployment serve" in world.message("Reconciling")
    assert quarantined(world) == set()
    pause(world, paused=False)
    world.settle()
    assert step(world) == "1000"
    assert world.condition("Ready") == ("True", "Serving")
    assert quarantined(world) == set()


def test_a_quota_on_pods_is_waited_for() -> None:
    world = World()
    world.save(500)
    world.no_room = "no pod is made"
    message = 'pods "serve-x" is forbidden: exceeded quota: gpus, requested: 1, used: 1, limited: 1'
    world.rollout_conditions = [DEADLINE, {"type": "ReplicaFailure", "status": "True", "message": message}]
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(1800)
    assert world.condition("Reconciling") == ("True", "QuotaExceeded")
    assert "exceeded quota: gpus" in world.message("Reconciling")
    assert quarantined(world) == set()


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        ({"reason": "ImagePullBackOff", "message": "no such tag"}, "ImagePull"),
        ({"reason": "CreateContainerConfigError", "message": 'secret "key" not found'}, "ContainerConfig"),
    ],
)
def test_what_the_registry_or_a_secret_lacks_is_waited_for(waiting: dict[str, str], reason: str) -> None:
    world = World()
    world.save(500)
    world.waiting = waiting
    world.rollout_conditions = [DEADLINE]
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(1800)
    assert world.condition("Reconciling") == ("True", reason)
    assert quarantined(world) == set()
    world.waiting = {}
    world.settle()
    assert step(world) == "1000"


MULTI_ATTACH = "Multi-Attach error for volume pvc-1: already used by serve-old"
ONE_NODE = (
    "the volume of pod serve-new is ReadWriteOnce and in use on another node: run all 2 pods of Deployment serve on "
    "one node (podAffinity), or use ReadWriteMany, or one replica: "
)


@pytest.mark.parametrize(
    ("replicas", "warned", "words"),
    [
        (2, Warned("FailedMount", "MountVolume.SetUp failed"), "cannot start pod serve-new: MountVolume.SetUp failed"),
        (1, Warned("FailedAttachVolume", MULTI_ATTACH), f"cannot start pod serve-new: {MULTI_ATTACH}"),
        (2, Warned("FailedAttachVolume", MULTI_ATTACH), ONE_NODE + MULTI_ATTACH),
    ],
    ids=["kubelet", "one pod that moved", "several nodes"],
)
def test_why_a_volume_is_not_mounted_is_told_in_the_words_of_kubernetes(
    replicas: int, warned: Warned, words: str
) -> None:
    """They are in the pod's Events alone."""
    world = World()
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["replicas"] = replicas
    world.put(DEPLOYMENT, live, changed=True)
    world.save(500)
    world.waiting, world.warning = {"reason": "ContainerCreating"}, warned
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(60, checked=True)
    assert world.condition("Reconciling") == ("True", warned.reason)
    assert world.message("Reconciling") == f"promotion of step 1000 is waiting: {words}"
    world.waiting, world.warning = {}, None
    world.settle()
    assert world.serves[1] == "1000"
    assert world.quarantined() == set()


def test_a_volume_that_is_not_mounted_is_given_half_an_hour_and_tried_again() -> None:
    world = trained()
    world.waiting = {"reason": "ContainerCreating"}
    world.rollout_conditions = [DEADLINE]
    world.fail(1600)
    world.settle()
    world.advance(1700)
    assert step(world) == "1500", "the pods of before serve: there is time"
    world.advance(200)
    assert step(world) == "2000"
    assert world.condition("Stalled") == ("True", "ContainerCreating")
    assert "spec.rollbackTo" in world.message("Stalled"), "what a person can do is said"
    assert "rejected-rollback" in world.message("Stalled")
    assert world.condition("RolledBack") == ("False", "Retrying")
    assert quarantined(world) == set()
    claim = next(name for name in world.names("PersistentVolumeClaim") if "-1500-" in name)
    world.advance(40)
    assert step(world) == "1500", "it is tried again by itself"
    assert claim in world.names("PersistentVolumeClaim"), "with the same volume, which may be there now"
    assert world.status["setback"]["count"] == 1
    world.advance(1900)
    assert world.status["setback"]["count"] == 2
    world.waiting = {}
    world.advance(70)
    assert step(world) == "1500"
    assert quarantined(world) == {2000}
    assert world.condition("RolledBack") == ("True", "RollbackDone")


def test_where_pods_are_missing_a_volume_is_not_waited_for_so_long() -> None:
    """With maxSurge 0 the pods of before are gone; their volume may be one that works."""
    world = World()
    world.save(500)
    world.waiting = {"reason": "ContainerCreating"}
    world.replaces = True
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(100)
    assert step(world) == "500"
    assert world.condition("Stalled") == ("True", "ContainerCreating")
    assert quarantined(world) == set()
    assert any("-1000-" in name for name in world.names("PersistentVolumeClaim")), "it may be there at the next try"
    world.waiting = {}
    world.save(1500)
    world.advance(60)
    assert step(world) == "1500"
    assert not any("-1000-" in name for name in world.names("PersistentVolumeClaim"))


def test_a_rollback_that_is_tried_again_and_again_ends_when_a_person_says_so() -> None:
    world = trained()
    world.waiting = {"reason": "ContainerCreating"}
    world.fail(1600)
    world.settle()
    world.advance(1900)
    record = world.status["rollback"]
    assert record["phase"] == "Retrying"
    world.annotate(rejected_rollback=record["id"])
    world.settle()
    assert "rollback" not in world.status
    assert world.status["history"][0]["phase"] == "Rejected"
    assert quarantined(world) == set()
    assert step(world) == "2000"


def test_what_stops_such_a_rollback_is_said_however_much_the_scheduler_says() -> None:
    world = trained()
    zones = ", ".join(f"{number} node(s) had volume node affinity conflict of zone {number}" for number in range(20))
    world.no_room = f"0/190 nodes are available: {zones}. preemption: 0/190 nodes are available."
    world.fail(1600)
    world.settle()
    world.advance(1900)
    record = world.status["rollback"]
    assert (record["phase"], world.condition("Stalled")) == ("Retrying", ("True", "VolumePending"))
    message = world.message("Stalled")
    assert len(message) <= MESSAGE_LIMIT
    assert message.startswith("rollback to step 1500 failed: pod serve-new is waiting for its volume: 0/190 nodes")
    assert message.endswith(
        f"accord approve p -n ns --reject, or annotation accord.dev/rejected-rollback={record['id']}"
    )


def test_the_command_rejects_what_waits_for_room_and_approves_it_not() -> None:
    policy = {"metadata": {"name": "p"}, "status": {"rollback": {"id": "x", "phase": "RollingOut"}}}
    assert waiting(policy, reject=True)["id"] == "x"
    with pytest.raises(ApprovalError, match="is not waiting for approval"):
        waiting(policy)
    policy["status"]["rollback"]["phase"] = "Restarting"
    with pytest.raises(ApprovalError, match="is not waiting for approval"):
        waiting(policy, reject=True)


def test_a_rollback_that_waits_for_room_is_taken_back_by_a_person() -> None:
    world = trained()
    world.no_room = FULL
    world.fail(1600)
    world.settle()
    assert step(world) == "1500"
    world.annotate(rejected_rollback=world.status["rollback"]["id"])
    world.settle()
    assert step(world) == "2000", "what serves stays"
    assert world.status["history"][0]["phase"] == "Rejected"
    assert quarantined(world) == set()


def test_a_person_names_another_step_while_a_rollback_waits_for_room() -> None:
    world = trained()
    world.no_room = FULL
    world.fail(1600)
    world.settle()
    world.edit(rollbackTo=500)
    world.settle()
    assert step(world) == "500"
    world.no_room = ""
    world.settle()
    assert step(world) == "500"
    assert [record["phase"] for record in world.status["history"]] == ["Done", "Rejected"]


def test_a_person_names_another_step_while_a_promotion_waits_for_room() -> None:
    world = trained(serving={"follow": "Manual"})
    serving = world.objects[POLICY]["spec"]["serving"]
    world.no_room = FULL
    world.edit(serving={**serving, "step": 1000})
    world.settle()
    assert step(world) == "1000"
    world.edit(serving={**serving, "step": 500})
    world.settle()
    assert step(world) == "500"
    world.no_room = ""
    world.settle()
    assert world.status["serving"]["step"] == 500


def test_one_pod_that_is_not_ready_may_be_chance_a_second_one_is_not() -> None:
    world = World()
    world.save(500)
    world.unready.add(1000)
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(100)
    assert step(world) == "500"
    assert quarantined(world) == set(), "one pod said so"
    assert world.condition("Stalled") == ("True", "PodsNotReady")
    world.advance(60, checked=True)
    assert step(world) == "1000", "it is tried again"
    world.advance(100)
    assert step(world) == "500"
    assert quarantined(world) == {1000}
    assert world.condition("Ready") == ("True", "Serving")


def test_the_next_checkpoint_does_not_wait_for_one_whose_pod_was_not_ready() -> None:
    world = World()
    world.save(500)
    world.unready.add(1000)
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(100)
    assert step(world) == "500"
    world.save(1500)
    assert step(world) == "1500"
    assert "setback" not in world.status


def test_a_checkpoint_is_not_blamed_where_the_one_before_does_not_start_either() -> None:
    """As when a broken image came with it: then all pods crash, whatever they serve."""
    world = trained()
    world.crashing |= {1000, 1500, 2000}
    world.fail(1600)
    world.settle()
    world.up = "the image of before"
    for _ in range(8):
        world.advance(100)
    assert quarantined(world) == set()
    assert world.status["rollback"]["phase"] in ("Retrying", "Restoring", "Switching", "RollingOut", "Reverting")
    world.crashing.clear()
    world.advance(600)
    world.advance(600)
    assert step(world) == "1500"
    assert world.status["history"][0]["phase"] == "Done"


def without_deadline(**spec: Any) -> World:
    world = World(**spec)
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["progressDeadlineSeconds"] = 2**31 - 1
    world.put(DEPLOYMENT, live, changed=True)
    world.save(500, 1000, 1500, 2000)
    return world


def test_a_way_back_is_not_judged_by_the_deadline_of_the_rollout_that_it_ends() -> None:
    world = trained()
    world.crashing.add(2500)
    world.save(2500)
    world.rollout_conditions = [{**DEADLINE, "lastTransitionTime": timestamp(world.now_ + timedelta(seconds=20))}]
    world.lingers = True
    world.advance(30)
    assert (step(world), world.condition("Reconciling")) == ("2000", ("True", "RollingOut"))
    world.lingers = False
    world.settle()
    assert (step(world), quarantined(world)) == ("2000", {2500})
    assert "setback" not in world.status


def test_without_a_deadline_a_checkpoint_that_crashes_is_put_back_all_the_same() -> None:
    world = without_deadline()
    world.crashing.add(2500)
    world.save(2500)
    world.advance(300)
    assert (step(world), quarantined(world)) == ("2500", set())
    world.advance(301)
    assert (step(world), quarantined(world)) == ("2000", {2500})


def test_without_a_deadline_a_volume_that_does_not_come_is_waited_for_as_long_as_with_the_default() -> None:
    for replaces, minutes in ((False, 31), (True, 11)):
        world = without_deadline()
        world.waiting, world.replaces = {"reason": "ContainerCreating"}, replaces
        world.save(2500)
        world.advance(60 * (minutes - 2))
        assert step(world) == "2500"
        world.advance(120)
        assert (step(world), quarantined(world)) == ("2000", set())


def test_without_a_deadline_pods_that_are_slow_have_all_the_time() -> None:
    world = without_deadline()
    world.unready.add(2500)
    world.save(2500)
    world.advance(6 * 3600)
    assert (step(world), quarantined(world)) == ("2500", set())
    world.unready.clear()
    world.settle()
    assert world.status["serving"]["step"] == 2500


def test_a_rollback_whose_target_crashes_goes_on_to_the_one_before() -> None:
    world = trained()
    world.crashing.add(1500)
    world.fail(1600)
    world.settle()
    world.advance(100)
    assert quarantined(world) == {1500, 2000}
    assert step(world) == "1000"
    record = world.status["history"][0]
    assert (record["phase"], record["toStep"]) == ("Done", 1000)
    assert "RollbackReverting" in world.reasons()


def test_a_rollback_that_fails_takes_no_good_checkpoint_away() -> None:
    world = trained()
    world.crashing |= {500, 1000, 1500}
    world.fail(1600)
    for _ in range(6):
        world.advance(100)
    assert quarantined(world) == {500, 1000, 1500}, "only those that did not start"
    assert step(world) == "2000"
    assert world.status["history"][0]["phase"] == "Failed"


@pytest.mark.parametrize("method", ["VolumeSnapshot", "SubPath"])
def test_waiting_leaves_no_mark_with_either_method(method: str) -> None:
    world = World(method=method)
    if method == "SubPath":
        shared = copy.deepcopy(world.objects[SOURCE])
        shared["spec"]["accessModes"] = ["ReadWriteMany"]
        world.put(SOURCE, shared)
        world.deploy(SOURCE.name)
    world.save(500, 1000, 1500, 2000)
    world.no_room = FULL
    world.fail(1600)
    world.settle()
    world.advance(900)
    assert [c["step"] for c in world.status["checkpoints"] if c["quarantined"]] == []
    world.no_room = ""
    world.settle()
    assert [c["step"] for c in world.status["checkpoints"] if c["quarantined"]] == [2000]


def test_pods_that_cannot_be_looked_at_are_evidence_of_nothing() -> None:
    world = World()
    world.save(500)
    world.crashing.add(1000)
    world.unlistable = ClusterError(403, "Forbidden", "pods is forbidden")
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(100)
    assert step(world) == "500"
    assert world.condition("Stalled") == ("True", "RolloutFailed")
    assert quarantined(world) == set()


def with_source(world: World, **spec: Any) -> None:
    source = copy.deepcopy(world.objects[SOURCE])
    source["spec"].update(spec)
    world.put(SOURCE, source)


def test_a_claim_for_one_pod_and_two_replicas_are_refused_before_anything_is_touched() -> None:
    world = World()
    with_source(world, accessModes=["ReadWriteOncePod"])
    world.settle()
    assert world.condition("Accepted") == ("False", "OnePodOnly"), "at once"
    world.save(500, 1000)
    assert world.serves == (UNTRAINED, None)
    assert world.condition("Promoted") == ("False", "OnePodOnly")
    assert "ReadWriteOncePod" in world.message("Stalled")
    assert quarantined(world) == set()
    assert len(world.names("VolumeSnapshot")) == 2, "checkpoints are kept all the same"
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["replicas"] = 1
    world.put(DEPLOYMENT, live, changed=True)
    world.settle()
    assert step(world) == "1000"
    assert world.condition("Accepted") == ("True", "Accepted")


def test_claims_of_one_node_and_two_replicas_are_remarked_upon_and_served() -> None:
    world = trained()
    remark = "ReadWriteOnce, so all 2 pods of Deployment serve must run on one node"
    assert world.condition("Accepted") == ("True", "Accepted")
    assert remark in world.message("Accepted")
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["replicas"] = 1
    world.put(DEPLOYMENT, live, changed=True)
    world.settle()
    assert world.message("Accepted") == "spec accepted"
    shared = trained()
    source = copy.deepcopy(shared.objects[SOURCE])
    source["spec"]["accessModes"] = ["ReadWriteMany"]
    shared.put(SOURCE, source)
    shared.settle()
    assert shared.message("Accepted") == "spec accepted"


def test_a_claim_without_a_class_is_told_at_once_and_a_field_names_one() -> None:
    world = World()
    with_source(world, storageClassName="")
    world.settle()
    assert world.condition("Accepted") == ("False", "NoStorageClass")
    assert "spec.serving.storageClassName" in world.message("Stalled")
    world.save(500)
    assert world.serves == (UNTRAINED, None)
    assert world.names("PersistentVolumeClaim") == set()
    world.edit(serving={**world.objects[POLICY]["spec"]["serving"], "storageClassName": "csi-fast"})
    world.settle()
    assert step(world) == "500"
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert claim["spec"]["storageClassName"] == "csi-fast"


def forget_origin(world: World) -> None:
    """Snapshots as an older version has made them."""
    for key in [key for key in world.objects if key.kind == "VolumeSnapshot"]:
        bare = copy.deepcopy(world.objects[key])
        bare["metadata"]["annotations"].pop("accord.dev/origin", None)
        world.put(key, bare)


@pytest.mark.parametrize("remembered", [True, False], ids=["by the snapshot", "by what is served"])
@pytest.mark.parametrize("by_hand", [True, False], ids=["rollbackTo", "a fault"])
def test_without_the_trainers_claim_a_volume_is_made_like_it(by_hand: bool, remembered: bool) -> None:
    world = trained()
    if not remembered:
        forget_origin(world)
    world.delete_object(SOURCE)
    if by_hand:
        world.edit(rollbackTo=1500)
    else:
        world.fail(1600)
    world.settle()
    assert step(world) == "1500"
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "12Gi"


def test_a_served_volume_that_was_deleted_with_the_trainers_is_made_again_like_it() -> None:
    world = trained()
    before = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]["spec"]
    world.delete_object(SOURCE)
    world.delete_object(ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0]))
    world.settle()
    assert world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]["spec"] == before


def test_a_snapshot_of_an_earlier_volume_is_restored_with_its_own_class() -> None:
    world = trained()
    source = copy.deepcopy(world.objects[SOURCE])
    world.delete_object(SOURCE)
    source["spec"] |= {"storageClassName": "of-another-driver", "resources": {"requests": {"storage": "1Gi"}}}
    del source["metadata"]
    world.put(SOURCE, source)
    world.fail(1600)
    world.settle()
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert (step(world), claim["spec"]["storageClassName"]) == ("1500", "fast")


def test_where_nothing_tells_the_class_a_field_does() -> None:
    world = trained()
    forget_origin(world)
    world.delete_object(SOURCE)
    world.delete_object(ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0]))
    world.settle()
    assert world.condition("Stalled") == ("True", "NoStorageClass")
    assert "set spec.serving.storageClassName" in world.message("Stalled")
    assert world.names("PersistentVolumeClaim") == set(), "none of the default class, perhaps of another driver"
    serving = world.objects[POLICY]["spec"]["serving"]
    world.edit(serving={**serving, "storageClassName": "fast"})
    world.settle()
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert (step(world), claim["spec"]["storageClassName"]) == ("2000", "fast")
    assert world.condition("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"accessModes": []}', '{"accessModes": [1]}', "9" * 5000, "[" * 100_000]
)
def test_a_memory_that_somebody_changed_is_none(text: str) -> None:
    assert ClaimView.remembered("c", text) is None


def test_a_driver_that_does_not_know_the_size_of_a_snapshot() -> None:
    world = World(serving={"storageClassName": "fast"})
    world.restore_size = "0"
    world.save(500, 1000)
    forget_origin(world)
    world.delete_object(SOURCE)
    world.edit(rollbackTo=500)
    world.settle()
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert (step(world), claim["spec"]["resources"]["requests"]["storage"]) == ("500", "10Gi"), "as what was served"
    world.delete_object(ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0]))
    world.settle()
    claim = world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi", "nothing tells more, and 0 is refused"


def strip(world: World, *labels: str, key: ObjectKey | None = None) -> ObjectKey:
    """Take labels from an object, or from the served claim; all of them where none is named."""
    key = key or ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])
    live = copy.deepcopy(world.objects[key])
    left = live["metadata"]["labels"] if labels else {}
    live["metadata"]["labels"] = {name: text for name, text in left.items() if name not in labels}
    world.put(key, live)
    return key


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(
    "labels",
    [(), ("app.kubernetes.io/managed-by",), ("accord.dev/policy",), ("accord.dev/step", "accord.dev/attempt")],
    ids=["all", "managed-by", "policy", "step"],
)
def test_a_served_claim_whose_labels_were_taken_away_gets_them_back(restart: bool, labels: tuple[str, ...]) -> None:
    world = trained()
    before = copy.deepcopy(world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])])
    key = strip(world, *labels)
    if restart:
        world.start()
    world.settle()
    assert world.objects[key]["metadata"]["labels"] == before["metadata"]["labels"]
    assert world.objects[key]["metadata"]["uid"] == before["metadata"]["uid"]
    assert world.objects[key]["spec"] == before["spec"]
    assert world.condition("Ready") == ("True", "Serving")


def snapshot(world: World, step: int) -> ObjectKey:
    return next(key for key in world.objects if key.kind == "VolumeSnapshot" and f"-{step}-" in key.name)


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("step", [2000, 1500, 500])
@pytest.mark.parametrize(
    "labels",
    [(), ("app.kubernetes.io/managed-by",), ("accord.dev/policy",), ("accord.dev/step",), ("accord.dev/training",)],
    ids=["all", "managed-by", "policy", "step", "training"],
)
def test_a_snapshot_whose_labels_were_taken_away_is_known_and_gets_them_back(
    restart: bool, step: int, labels: tuple[str, ...]
) -> None:
    world = trained()
    key = snapshot(world, step)
    before, serves, claims = copy.deepcopy(world.objects[key]), world.serves, world.names("PersistentVolumeClaim")
    known = copy.deepcopy(world.status["checkpoints"])
    world.writes.clear()
    strip(world, *labels, key=key)
    if restart:
        world.start()
    world.settle()
    for name in ("labels", "annotations", "uid"):
        assert world.objects[key]["metadata"].get(name) == before["metadata"].get(name)
    assert world.objects[key]["spec"] == before["spec"]
    assert world.writes == [f"apply VolumeSnapshot {key.name}"], "and nothing else moves"
    assert (world.serves, world.names("PersistentVolumeClaim")) == (serves, claims)
    assert world.status["checkpoints"] == known
    assert world.condition("Ready") == ("True", "Serving")


@pytest.mark.parametrize("label", ["app.kubernetes.io/managed-by", "accord.dev/policy", "accord.dev/step"])
def test_a_label_of_a_snapshot_that_says_something_else_changes_nothing(label: str) -> None:
    world = trained()
    key = snapshot(world, 2000)
    before = world.objects[key]["metadata"]["labels"]
    live = copy.deepcopy(world.objects[key])
    live["metadata"]["labels"][label] = "1"
    world.put(key, live)
    world.settle()
    assert step(world) == "2000"
    assert world.status["latestStep"] == 2000
    assert world.objects[key]["metadata"]["labels"] == before
    world.put(key, live)
    world.fail(1600)
    world.settle()
    assert step(world) == "1500"
    assert world.objects[key]["metadata"]["labels"] == {**before, "accord.dev/quarantined": "true"}


def test_a_rollback_goes_to_its_target_although_that_has_lost_its_labels() -> None:
    world = trained()
    strip(world, key=snapshot(world, 1500))
    world.fail(1600)
    world.settle()
    assert step(world) == "1500"
    assert quarantined(world) == {2000}


def test_a_quarantined_snapshot_without_labels_is_quarantined_still() -> None:
    world = trained()
    world.fail(1600)
    world.settle()
    before = copy.deepcopy(world.objects[snapshot(world, 2000)]["metadata"]["labels"])
    strip(world, key=snapshot(world, 2000))
    world.check("Pass", saved=(1500,))
    world.settle()
    assert world.objects[snapshot(world, 2000)]["metadata"]["labels"] == before
    assert step(world) == "1500"
    # That one label alone is taken away by a person who wants it served.
    strip(world, "accord.dev/quarantined", key=snapshot(world, 2000))
    world.check("Pass", saved=(1500,))
    world.settle()
    assert step(world) == "2000"


def test_a_snapshot_of_somebody_else_is_none_of_ours_whatever_its_name() -> None:
    world = trained()
    ours = snapshot(world, 1500)
    copied = ObjectKey(*ours[:3], ours.name.replace("-1500-", "-9000-"))
    world.put(copied, {"spec": world.objects[ours]["spec"], "status": {"readyToUse": True}})
    world.settle()
    assert step(world) == "2000"
    assert world.objects[copied]["metadata"].get("labels") is None


def test_a_policy_made_anew_knows_what_is_served_without_labels() -> None:
    world = trained()
    world.delete_object(POLICY)
    key = strip(world)
    world.create_policy()
    world.start()
    world.settle()
    assert world.status["serving"]["step"] == 2000
    assert world.objects[key]["metadata"]["labels"]["accord.dev/policy"] == "p"


def test_nothing_advises_to_delete_what_may_be_served() -> None:
    world = World()
    world.check(saved=(500,))
    world.pass_()
    world.pass_()
    snapshot = next(key for key in world.objects if key.kind == "VolumeSnapshot")
    foreign = ObjectKey("v1", "PersistentVolumeClaim", NS, snapshot.name)
    world.put(foreign, {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}})
    for _ in range(6):
        world.pass_()
        world.controllers()
    assert world.condition("Stalled") == ("True", "NameTaken")
    said = world.message("Stalled")
    assert "delete" not in said
    assert f"kubectl label persistentvolumeclaim {foreign.name}" in said


def test_pods_whose_volume_comes_late_have_the_whole_time_to_come_up() -> None:
    world = trained()
    world.waiting = {"reason": "ContainerCreating"}
    world.rollout_conditions = [{**DEADLINE, "lastTransitionTime": "2026-01-01T00:05:00Z"}]
    world.fail(1600)
    world.settle()
    world.advance(1700)
    assert world.condition("Reconciling") == ("True", "ContainerCreating")
    world.waiting = {}
    world.unready.add(1500)
    world.advance(90)
    world.advance(60)
    assert step(world) == "1500"
    assert world.condition("Reconciling") == ("True", "RollingOut")
    world.unready.clear()
    world.settle()
    assert step(world) == "1500"
    assert world.condition("RolledBack") == ("True", "RollbackDone")


def test_no_room_after_a_long_wait_for_the_volume_and_the_other_way_round() -> None:
    """What is waited for changes: neither wait is taken off the other."""
    world = trained()
    world.no_room = FULL
    world.rollout_conditions = [{**DEADLINE, "lastTransitionTime": "2026-01-01T00:05:00Z"}]
    world.fail(1600)
    world.settle()
    world.advance(7200)
    world.no_room, world.waiting = "", {"reason": "ContainerCreating"}
    world.settle()
    world.advance(1700)
    assert world.condition("Reconciling") == ("True", "ContainerCreating"), "half an hour from now, not from then"
    world.no_room = FULL
    world.advance(7200)
    assert world.condition("Reconciling") == ("True", "Unschedulable")
    world.no_room, world.waiting = "", {}
    world.settle()
    assert step(world) == "1500"
    assert quarantined(world) == {2000}
