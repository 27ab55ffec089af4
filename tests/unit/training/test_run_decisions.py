"""What is decided about a run: tables of accidents, and a world in which the operator dies between any two writes."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.training.world import (
    NOW,
    TRAINER,
    World,
    at_rest,
    comes_to_rest,
    condition,
    job_key,
    killed_in_each,
    manifest,
    run,
    terminated,
    waiting,
)

from accord.adapters.workloads.job.view import JobView
from accord.api.base import Manifest
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey, Refusal
from accord.domain.training import names, resources
from accord.domain.training.inputs import inputs
from accord.domain.training.template import overridden, pod_template
from accord.domain.warned import Warned


def training(**spec: Any) -> World:
    """A world in which attempt 1 trains."""
    world = World(**spec)
    world.settle()
    assert world.status["phase"] == "Running"
    return world


# --- The ordinary course of things.


def test_from_first_step_to_last() -> None:
    world = World()
    plan = world.step()
    assert [m["kind"] for m in plan.apply] == ["PersistentVolumeClaim", "Job"]
    assert condition(plan, "Reconciling")[1] == "Starting"
    world.settle()
    assert (world.status["phase"], world.attempt, world.status["jobRef"]) == ("Running", 1, {"name": "r-1"})
    assert condition(world.decide(), "Ready")[:2] == ("True", "Running")
    at_rest(world)
    world.complete()
    world.settle()
    assert world.status["phase"] == "Succeeded"
    assert "completionTime" in world.status
    assert condition(world.decide(), "Complete")[0] == "True"
    at_rest(world)
    assert world.told() == ["AttemptStarted", "Succeeded"]


def test_a_finished_run_stays_finished() -> None:
    world = training()
    world.complete()
    world.settle()
    world.jobs.clear()
    world.pods.clear()
    world.claim = None
    world.edit(suspend=True)
    world.settle()
    assert (world.status["phase"], world.made) == ("Succeeded", ["r-1"])
    assert condition(world.decide(), "Accepted")[1] == "Accepted"
    world.edit(totalSteps=99)
    world.settle()
    assert condition(world.decide(), "Accepted")[:2] == ("False", "AlreadyFinished")
    assert (world.status["phase"], world.made) == ("Succeeded", ["r-1"])
    assert condition(world.decide(), "Ready")[:2] == ("True", "Succeeded")
    assert world.told() == ["AttemptStarted", "Succeeded", "AlreadyFinished"]


def test_the_time_to_live_ends_with_the_run_and_leaves_the_claim() -> None:
    world = training(ttlAfterFinished="1m")
    world.complete()
    world.step()
    assert world.step().requeue_after == pytest.approx(60)
    world.wait(61)
    plan = world.step()
    assert plan.delete == (ObjectKey("accord.dev/v1alpha1", "TrainingRun", "ns", "r"),)
    assert (plan.apply, plan.status) == ((), None)
    assert world.claim is not None
    assert "ownerReferences" not in world.claim["metadata"]


def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    world = World()
    assert world.run is not None
    world.run["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    plan = world.decide()
    assert (plan.apply, plan.delete, plan.status) == ((), (), None)


# --- Attempts.


def test_a_changed_spec_starts_the_next_attempt_when_the_former_has_ended() -> None:
    world = training()
    seed = env(world.jobs["r-1"])["ACCORD_SEED"]
    world.edit(ppo={"gamma": 0.9})
    plan = world.step()
    assert plan.delete == (job_key(1),)
    assert condition(plan, "Reconciling")[1] == "Restarting"
    world.controllers()
    for _ in range(3):
        # The pod saves; its Job is gone already.
        assert world.step().apply == ()
        assert world.decide().requeue_after == 5
    world.settle()
    assert (world.attempt, world.made, world.status["phase"]) == (2, ["r-1", "r-2"], "Running")
    new = env(world.jobs["r-2"])
    assert (new["ACCORD_ATTEMPT"], new["PPO_GAMMA"], new["RESUME_FROM"]) == ("2", "0.9", "latest")
    assert new["ACCORD_SEED"] != seed
    assert world.told() == ["AttemptStarted", "Restarting", "AttemptStarted"]


def test_what_is_followed_in_place_needs_no_attempt() -> None:
    world = training(activeDeadlineSeconds=60)
    world.edit(backoffLimit=1, retuning={"mode": "Off"}, ttlAfterFinished="1h", activeDeadlineSeconds=None)
    world.settle()
    assert (world.attempt, world.jobs["r-1"]["spec"]["backoffLimit"]) == (1, 1)
    assert "activeDeadlineSeconds" not in world.jobs["r-1"]["spec"]
    assert condition(world.decide(), "Retuning") == ("", "", "")
    at_rest(world)


def test_a_job_deleted_by_hand_is_followed_by_the_next_attempt() -> None:
    world = training()
    del world.jobs["r-1"]
    assert condition(world.step(), "Reconciling")[1] == "Restarting"
    world.settle()
    assert (world.attempt, list(world.jobs)) == (2, ["r-2"])


def test_a_job_on_its_way_out_is_waited_for() -> None:
    world = training()
    world.jobs["r-1"]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    plan = world.step()
    assert (plan.apply, plan.delete) == ((), ())
    assert condition(plan, "Reconciling")[1] == "Restarting"


def test_a_leftover_job_of_a_former_attempt_goes() -> None:
    world = training()
    old = copy.deepcopy(world.jobs["r-1"])
    world.edit(totalSteps=5)
    world.settle()
    world.jobs["r-1"] = old
    assert world.step().delete == (job_key(1),)


def test_pods_of_an_earlier_run_of_this_name_are_waited_for() -> None:
    old = training()
    world = World()
    world.pods = old.pods
    plan = world.step()
    assert [m["kind"] for m in plan.apply] == []
    assert condition(plan, "Reconciling")[1] == "Waiting"
    world.settle()
    assert world.attempt == 1


def test_suspend_and_resume_keep_the_attempt() -> None:
    world = training()
    world.edit(suspend=True)
    assert condition(world.step(), "Reconciling")[1] == "Suspending"
    world.settle()
    assert world.status["phase"] == "Suspended"
    assert condition(world.decide(), "Ready")[:2] == ("True", "Suspended")
    at_rest(world)
    world.edit(suspend=False)
    world.settle()
    assert (world.status["phase"], world.attempt) == ("Running", 1)
    assert world.told() == ["AttemptStarted", "Suspended", "Resumed"]


def test_a_run_suspended_from_the_start_has_no_job() -> None:
    world = World(suspend=True)
    world.settle()
    assert (world.status["phase"], world.jobs, world.claim) == ("Suspended", {}, None)
    at_rest(world)


def test_kueue_owns_the_suspension_of_a_queued_job() -> None:
    world = World(queueName="team")
    world.settle()
    job = world.jobs["r-1"]
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][names.QUEUE_LABEL] == "team"
    assert condition(world.decide(), "Reconciling")[1] == "Queued"
    job["spec"]["suspend"] = False
    world.settle()
    assert world.status["phase"] == "Running"
    at_rest(world)
    world.edit(suspend=True)
    assert condition(world.step(), "Reconciling")[1] == "Suspending"
    world.settle()
    assert (world.status["phase"], world.jobs) == ("Suspended", {})
    world.edit(suspend=False)
    world.settle()
    assert list(world.jobs) == ["r-2"]
    world.edit(backoffLimit=0)
    world.settle()
    assert world.attempt == 3


# --- What goes wrong.

TROUBLE: list[tuple[str, Manifest, str, str, float]] = [
    ("image", waiting("ErrImagePull"), "ImagePull", "example/trainer:1", 300),
    ("image, backing off", waiting("ImagePullBackOff"), "ImagePull", "example/trainer:1", 300),
    ("configuration", waiting("CreateContainerConfigError", "secret x"), "CreateContainerConfigError", "secret x", 600),
    (
        "no node",
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes. " * 60}]},
        "Unschedulable",
        "0/3 nodes",
        600,
    ),
    (
        "no claim",
        {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": 'persistentvolumeclaim "mine" not found'}
            ]
        },
        "ClaimMissing",
        '"mine"',
        60,
    ),
]


@pytest.mark.parametrize(("status", "reason", "words", "patience"), [row[1:] for row in TROUBLE], ids=lambda _: "")
def test_what_keeps_a_pod_from_starting(status: Manifest, reason: str, words: str, patience: float) -> None:
    world = World()
    world.step()
    world.controllers()
    (pod,) = world.pods.values()
    pod["status"] = {"phase": "Pending", **status}
    plan = world.step()
    assert condition(plan, "Reconciling")[1] == reason
    assert words in condition(plan, "Ready")[2]
    assert plan.requeue_after == pytest.approx(patience)
    world.wait(patience)
    assert condition(world.step(), "Stalled")[1] == reason
    assert world.told() == ["AttemptStarted", reason, reason]
    pod["status"] = {"phase": "Running"}
    world.settle()
    assert condition(world.decide(), "Stalled") == ("", "", "")


DEATHS: list[tuple[Manifest, str, str]] = [
    (terminated(137, "OOMKilled"), "OOMKilled", "resources.limits.memory"),
    (terminated(3, message="bad data"), "ExitCode", "exit code 3: bad data; see `kubectl logs"),
    ({"reason": "Evicted", "message": "low on memory."}, "Evicted", "low on memory"),
    (
        {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]},
        "PreemptionByScheduler",
        "no reason given",
    ),
    ({"reason": "UnexpectedAdmissionError", "message": "no gpu"}, "UnexpectedAdmissionError", "no gpu"),
    ({}, "PodFailed", "no reason given"),
]


@pytest.mark.parametrize(("status", "reason", "words"), DEATHS, ids=[row[1] for row in DEATHS])
def test_the_reason_of_a_failed_run_is_the_pods_own(status: Manifest, reason: str, words: str) -> None:
    world = training(backoffLimit=1)
    world.fail_pod(status)
    plan = world.step()
    assert condition(plan, "Reconciling")[1] == "Retrying"
    assert words in condition(plan, "Ready")[2]
    world.settle()
    assert world.status["phase"] == "Running"
    world.fail_pod(status)
    world.settle()
    assert (world.status["phase"], world.status["failedPods"]) == ("Failed", 2)
    assert condition(world.decide(), "Failed")[1] == reason
    assert words in condition(world.decide(), "Stalled")[2]
    world.pods.clear()
    world.jobs.clear()
    at_rest(world)
    assert world.told() == ["AttemptStarted", "PodFailed", reason]


def test_failed_pods_are_counted_over_all_attempts() -> None:
    world = training()
    world.fail_pod()
    world.settle()
    world.edit(totalSteps=5)
    world.settle()
    world.fail_pod()
    world.settle()
    assert world.status["failedPods"] == 2


def test_a_deadline_is_the_reason_even_where_a_pod_had_failed() -> None:
    world = training()
    world.fail_pod()
    world.end_job(world.jobs["r-1"], "Failed", "DeadlineExceeded")
    world.settle()
    assert condition(world.decide(), "Failed")[1] == "DeadlineExceeded"


def test_a_failed_job_without_pods_speaks_for_itself() -> None:
    world = training()
    world.pods.clear()
    world.end_job(world.jobs["r-1"], "Failed", "BackoffLimitExceeded")
    world.settle()
    assert condition(world.decide(), "Failed")[:2] == ("True", "BackoffLimitExceeded")


def test_a_job_that_gets_no_pod_says_where_to_look() -> None:
    world = World()
    world.step()
    assert world.step().requeue_after == pytest.approx(5)
    world.wait(21)
    assert condition(world.step(), "Reconciling")[1] == "PodNotCreated"
    world.wait(60)
    plan = world.step()
    assert condition(plan, "Stalled")[1] == "PodNotCreated"
    assert "kubectl describe job r-1" in condition(plan, "Ready")[2]
    assert plan.requeue_after == pytest.approx(60), "the reason may become another"


def quota(pod: str, prefix: str = "") -> Warned:
    note = f'Error creating: pods "{pod}" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
    return Warned("FailedCreate", prefix + note)


def test_a_job_that_gets_no_pod_says_it_in_the_words_of_its_controller() -> None:
    world = World()
    world.step()
    world.wait(10)
    world.refused_pod = quota("r-1-abcde")
    plan = world.step()
    assert condition(plan, "Ready") == (
        "False",
        "PodNotCreated",
        "Job r-1 cannot create its pod: the pod is forbidden: exceeded quota: gpus, requested: "
        "requests.nvidia.com/gpu=1",
    )
    # Each try has another name, and after some they are told together; that is no news. Nor is that the Event is gone.
    told = world.status["conditions"]
    for again in (quota("r-1-fghij"), quota("r-1-klmno", "(combined from similar events): "), None):
        world.refused_pod = again
        world.wait(3)
        world.step()
        assert world.status["conditions"] == told
    world.controllers()
    world.kubelet()
    assert condition(world.step(), "Ready")[:2] == ("True", "Running")


def test_while_a_pod_is_only_made_anew_nothing_is_wrong() -> None:
    world = training()
    for pod in world.pods.values():
        pod["metadata"]["deletionTimestamp"] = timestamp(world.now)
    world.step()
    world.wait(50)
    assert condition(world.step(), "Ready")[1] == "Ending"
    world.pods.clear()
    world.podless_since = world.now
    for _ in range(3):
        assert condition(world.step(), "Ready")[1] == "Starting"
        world.wait(5)
    # It has lasted.
    world.wait(6)
    assert condition(world.step(), "Ready")[1] == "PodNotCreated"
    # Another operator has not seen for how long.
    world.wait(60)
    world.podless_since = world.now
    assert condition(world.step(), "Stalled")[1] == "PodNotCreated"


REFUSED = [
    (403, 'jobs.batch "r-1" is forbidden: exceeded quota: none', "QuotaExceeded", "True"),
    (403, "a policy forbids it", "Forbidden", "True"),
    (422, "spec.template is invalid" + "!" * 600, "Invalid", "False"),
]


@pytest.mark.parametrize(("code", "words", "reason", "accepted"), REFUSED, ids=[row[2] for row in REFUSED])
def test_a_write_that_is_refused_is_said_and_tried_again(code: int, words: str, reason: str, accepted: str) -> None:
    world = World()
    world.refused[job_key(1)] = Refusal(code, words)
    plan = world.decide()
    assert [m["kind"] for m in plan.apply] == ["PersistentVolumeClaim", "Job"]
    assert condition(plan, "Stalled")[1] == reason
    assert words[:40] in condition(plan, "Ready")[2]
    assert condition(plan, "Accepted")[0] == accepted
    assert plan.status is not None
    assert "attempt" not in plan.status
    world.edit(suspend=True)
    assert condition(world.decide(), "Ready")[1] == "Suspended"


def test_a_name_that_is_taken_stops_everything() -> None:
    world = World()
    world.conflicts[ObjectKey("v1", "PersistentVolumeClaim", "ns", "r-checkpoints")] = "another owner"
    plan = world.decide()
    assert plan.apply == ()
    assert condition(plan, "Stalled")[1] == "NameTaken"
    said = condition(plan, "Ready")[2]
    assert "spec.checkpoints.claimName" in said
    assert "kubectl label pvc r-checkpoints" in said
    assert "delete" not in said, "it may hold checkpoints that exist nowhere else"
    world.conflicts = {job_key(1): "Workflow x"}
    plan = world.decide()
    assert [m["kind"] for m in plan.apply] == ["PersistentVolumeClaim"]
    assert "another name" in condition(plan, "Ready")[2]
    world.conflicts = {job_key(1): "an earlier TrainingRun of the same name, which is being deleted"}
    assert condition(world.decide(), "Reconciling")[1] == "Waiting"


def test_without_a_trainer_nothing_is_made() -> None:
    world = World(template={"spec": {"containers": [{"name": "other"}]}})
    world.settle()
    assert (world.jobs, world.claim) == ({}, None)
    assert condition(world.decide(), "Accepted")[:2] == ("False", "NoTrainer")
    assert condition(world.decide(), "Stalled")[1] == "NoTrainer"
    at_rest(world)


# --- The claim.


def test_the_claim_grows_and_never_shrinks() -> None:
    world = training()
    world.edit(checkpoints={"volumeClaim": {"storage": "20Gi"}})
    world.settle()
    assert world.claim is not None
    assert world.claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    world.edit(checkpoints={"volumeClaim": {"storage": "5Gi"}})
    plan = world.settle()
    assert (plan.apply, world.attempt) == ((), 1)
    assert condition(plan, "Accepted")[:2] == ("True", "Adjusted")
    assert "shrink" in condition(plan, "Accepted")[2]


def test_a_deleted_claim_is_made_anew_and_told() -> None:
    world = training(checkpoints={"volumeClaim": {"storageClassName": "fast", "accessModes": ["ReadWriteMany"]}})
    world.claim = None
    world.settle()
    assert world.claim is not None
    assert world.claim["spec"]["storageClassName"] == "fast"
    assert world.told() == ["AttemptStarted", "ClaimLost"]


def test_a_claim_of_the_users_own_is_only_mounted() -> None:
    world = training(checkpoints={"claimName": "mine"})
    assert (world.claim, world.status["claimName"]) == (None, "mine")
    volumes = world.jobs["r-1"]["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": names.VOLUME, "persistentVolumeClaim": {"claimName": "mine"}}]
    assert not resources.shrinks(run(checkpoints={"claimName": "mine"}), {"spec": {}})


# --- The template.


def env(job: Manifest) -> dict[str, str]:
    (trainer,) = (c for c in job["spec"]["template"]["spec"]["containers"] if c["name"] == "trainer")
    return {entry["name"]: entry.get("value", "") for entry in trainer["env"]}


def test_the_template_is_passed_through_whole() -> None:
    sidecar = {"name": "side", "image": "s", "env": [{"name": "PPO_GAMMA", "value": "mine"}]}
    pod = {
        "containers": [{**TRAINER, "resources": {"limits": {"nvidia.com/gpu": 1}}, "x-new-field": {"a": 1}}, sidecar],
        "nodeSelector": {"gpu": "yes"},
        "securityContext": {"fsGroup": 1000},
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    given = {"metadata": {"labels": {"team": "ml"}, "annotations": {"a": "b"}}, "spec": pod}
    parsed = run(template=given)
    made = pod_template(parsed, 3, "claim")
    assert parsed.spec.template == given
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["metadata"]["labels"] == {"team": "ml", **names.labels("r", 3)}
    assert made["spec"]["containers"][1] == sidecar
    trainer = made["spec"]["containers"][0]
    assert (trainer["resources"], trainer["x-new-field"]) == ({"limits": {"nvidia.com/gpu": 1}}, {"a": 1})
    assert (made["spec"]["nodeSelector"], made["spec"]["securityContext"]) == ({"gpu": "yes"}, {"fsGroup": 1000})
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["data", names.VOLUME]
    assert overridden(parsed) == ()


def test_the_contract_wins_and_says_so() -> None:
    mounts = [{"name": "x", "mountPath": "/checkpoints/"}, {"name": "data", "mountPath": "/data"}]
    ports = [{"name": "metrics", "containerPort": 1}]
    trainer = {**TRAINER, "env": [{"name": "PPO_GAMMA", "value": "0"}, {"name": "A", "value": "b"}]}
    pod = {
        "containers": [{**trainer, "volumeMounts": mounts, "ports": ports}],
        "restartPolicy": "OnFailure",
        "volumes": [{"name": names.VOLUME, "emptyDir": {}}],
    }
    world = World(template={"spec": pod})
    world.settle()
    made = world.jobs["r-1"]["spec"]["template"]["spec"]
    assert (env(world.jobs["r-1"])["PPO_GAMMA"], env(world.jobs["r-1"])["A"]) == ("0.99", "b")
    assert [mount["mountPath"] for mount in made["containers"][0]["volumeMounts"]] == ["/data", "/checkpoints"]
    assert made["containers"][0]["ports"] == [*ports, {"containerPort": 8000, "protocol": "TCP"}]
    assert made["restartPolicy"] == "Never"
    assert len(made["volumes"]) == 1
    status, reason, message = condition(world.decide(), "Accepted")
    assert (status, reason) == ("True", "Adjusted")
    for words in ("PPO_GAMMA", "restartPolicy OnFailure", "/checkpoints", names.VOLUME):
        assert words in message
    assert world.told() == ["AttemptStarted", "Adjusted"]


def test_a_port_of_the_metrics_that_is_there_stays() -> None:
    ports = [{"name": "mine", "containerPort": 8000}]
    made = pod_template(run(template={"spec": {"containers": [{**TRAINER, "ports": ports}]}}), 1, "c")
    assert made["spec"]["containers"][0]["ports"] == ports


def test_nothing_of_the_runs_labels_and_annotations_is_copied() -> None:
    world = World()
    for made in world.step().apply:
        text = str(made)
        assert "argocd" not in text
        assert "tracking" not in text


@pytest.mark.parametrize("name", ["r", "a" * 63, "my.run", "a" * 51 + ".b"])
def test_names_of_jobs_leave_room_for_those_of_pods(name: str) -> None:
    found = {names.job(name, attempt) for attempt in (1, 2, 10, 12345)}
    assert len(found) == 4
    assert all(len(job) <= 52 and "." not in job for job in found)
    assert names.job(name, 7).endswith("-7")


def test_a_default_written_out_is_no_change() -> None:
    assert inputs(run()) == inputs(run(totalSteps=10_000, ppo={"gamma": 0.99}, checkpoints={"keep": 20}))
    assert inputs(run()) != inputs(run(monitoring={"port": 9000}))
    assert inputs(run()) == inputs(run(monitoring={"interval": "30s"}))


def test_a_job_that_somebody_made_strange_is_still_read() -> None:
    world = training()
    job = copy.deepcopy(world.jobs["r-1"])
    job["metadata"] |= {"labels": {names.ATTEMPT_LABEL: "x"}, "annotations": None}
    assert JobView.of(job).attempt == 1, "the label of its pod template cannot be changed"
    job["spec"]["template"]["metadata"]["labels"] = None
    assert JobView.of(job).attempt == 0


def test_stripped_labels_are_put_back_without_touching_the_template() -> None:
    world = training()
    del world.jobs["r-1"]["metadata"]["labels"]["accord.dev/training-run"]
    (kept,) = world.decide().apply
    assert kept["spec"]["template"] == world.jobs["r-1"]["spec"]["template"]
    assert kept["metadata"]["labels"] == names.labels("r", 1)


# --- Killed between any two writes.

STORIES: dict[str, list[Callable[[World], None]]] = {
    "create": [],
    "change": [lambda w: w.edit(ppo={"gamma": 0.5})],
    "suspend": [lambda w: w.edit(suspend=True), lambda w: w.edit(suspend=False)],
    "fail": [lambda w: w.fail_pod(), lambda w: w.edit(totalSteps=7)],
    "delete": [lambda w: w.jobs.clear()],
    "complete": [lambda w: w.complete(), lambda w: w.edit(totalSteps=7)],
}


def end_state(world: World) -> tuple[Any, ...]:
    conditions = [(c["type"], c["status"], c["reason"]) for c in world.status["conditions"]]
    return world.attempt, world.made, world.status["phase"], conditions, sorted(world.jobs)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_killed_after_any_write_it_ends_the_same(story: str, writes: int) -> None:
    want, world = World(), World()
    want.settle()
    world.step(writes)
    world.settle()
    killed_in_each(STORIES[story], want, world, writes)
    assert end_state(world) == end_state(want)
    at_rest(world)


ACCIDENTS: list[Callable[[World], Any]] = [
    lambda w: w.edit(ppo={"gamma": 0.5}),
    lambda w: w.edit(ppo={}),
    lambda w: w.edit(suspend=True),
    lambda w: w.edit(suspend=False),
    lambda w: w.jobs.clear(),
    lambda w: w.fail_pod(),
    lambda w: w.kubelet(),
    lambda w: w.controllers(),
    lambda w: w.wait(30),
    lambda w: w.step(0),
    lambda w: w.step(1),
    lambda w: w.step(2),
    lambda w: w.step(),
]


@settings(max_examples=120)
@given(st.lists(st.sampled_from(range(len(ACCIDENTS))), max_size=25))
def test_whatever_happens_never_two_jobs_at_work_and_rest_in_the_end(order: list[int]) -> None:
    world = World()
    attempts = [0]
    for number in order:
        # The world itself asserts that no second Job is made beside one at work.
        ACCIDENTS[number](world)
        attempts.append(world.attempt or 0)
    assert attempts == sorted(attempts)
    world.edit(suspend=False)
    comes_to_rest(world)


def test_manifests_of_tests_are_what_the_api_takes() -> None:
    assert manifest()["spec"]["template"]["spec"]["containers"] == [TRAINER]
    assert NOW.tzinfo is not None


@pytest.mark.parametrize("name", ["r", "shop.v2", "a" * 50, "a" * 48, f"{'a' * 40}.v2", "x" * 63])
def test_one_pattern_finds_the_jobs_of_all_attempts_and_no_others(name: str) -> None:
    pattern = re.compile(names.jobs(name))
    assert all(pattern.fullmatch(names.job(name, attempt)) for attempt in (1, 9, 10, 99, 100, 12345))
    others = [names.job(f"{name}-2", 1), names.job(f"b{name}"[:63], 1), f"{names.job(name, 1)}-x"]
    assert not any(pattern.fullmatch(other) for other in others)
