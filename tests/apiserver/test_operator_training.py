"""TrainingRuns against a real API server and its Job controller. No kubelet: the test plays the part of the pods."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until

RUNS, JOBS, CLAIMS = "trainingruns", "batch/v1/jobs", "persistentvolumeclaims"
TRAINER = {"name": "trainer", "image": "example/trainer:1"}


def create(namespace: Namespace, name: str = "r", trainer: dict[str, Any] | None = None, **spec: Any) -> Any:
    template = {"metadata": {"labels": {"team": "ml"}}, "spec": {"containers": [{**TRAINER, **(trainer or {})}]}}
    meta = {"name": name, "labels": {"argocd.argoproj.io/instance": "x"}, "annotations": {"tracking": "y"}}
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": meta}
    # What a rollback gives up goes at once, unless a test says otherwise.
    return namespace.create(RUNS, {**body, "spec": {"template": template, "ttlAfterGivenUp": "0s", **spec}})


def edit(namespace: Namespace, **spec: Any) -> Any:
    return namespace.patch(RUNS, "r", {"spec": spec})


def ready(namespace: Namespace) -> tuple[str, str]:
    found = namespace.condition("r", "Ready", RUNS)
    return found.get("status", ""), found.get("reason", "")


def until_ready(namespace: Namespace, status: str, reason: str, seconds: float = 15) -> dict[str, Any]:
    def answer() -> bool:
        live = namespace.get(RUNS, "r")
        observed = live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
        return observed and ready(namespace) == (status, reason)

    try:
        wait_until(answer, seconds, "")
    except AssertionError:
        found = {name: job.get("status") for name, job in jobs(namespace).items()}
        told = namespace.condition("r", "Ready", RUNS)
        raise AssertionError(f"Ready is {told}, not {status} {reason}; Jobs: {found}") from None
    return dict(namespace.get(RUNS, "r")["status"])


def jobs(namespace: Namespace) -> dict[str, Any]:
    return {job["metadata"]["name"]: job for job in namespace.api.items(namespace.path(JOBS))}


def pods(namespace: Namespace) -> list[Any]:
    return namespace.api.items(namespace.path("pods"), "accord.dev/training-run=r")


def pod_of(namespace: Namespace, attempt: int) -> Any:
    """The pod that the Job controller has made for an attempt."""

    def found() -> Any:
        return next(iter(namespace.api.items(namespace.path("pods"), f"accord.dev/attempt={attempt}")), None)

    return wait_until(found, 10, f"attempt {attempt} has no pod")


def set_status(namespace: Namespace, pod: Any, **status: Any) -> None:
    path = namespace.path("pods", pod["metadata"]["name"]) + "/status"
    namespace.api.patch(path, {"status": status})


def end(namespace: Namespace, pod: Any, code: int, reason: str = "Error") -> None:
    """As kubelet reports it: the container is gone, and with it the pod."""
    state = {"terminated": {"exitCode": code, "reason": reason if code else "Completed"}}
    container = {"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    set_status(namespace, pod, phase="Failed" if code else "Succeeded", containerStatuses=[container])


def kubelet(namespace: Namespace) -> None:
    """Pods that are told to go are gone: what kubelet does once their containers have ended."""
    for pod in pods(namespace):
        if pod["metadata"].get("deletionTimestamp"):
            namespace.api.call("DELETE", namespace.path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})


def running(namespace: Namespace, attempt: int = 1) -> Any:
    pod = pod_of(namespace, attempt)
    set_status(namespace, pod, phase="Running")
    until_ready(namespace, "True", "Running")
    return pod


def reasons(namespace: Namespace) -> Iterator[str]:
    for event in namespace.api.items(namespace.path("events.k8s.io/v1/events")):
        if event["regarding"]["kind"] == "TrainingRun":
            yield event["reason"]


def until_told(namespace: Namespace, *wanted: str) -> None:
    """Until there are events with these reasons: they are written after the status."""
    wait_until(lambda: set(wanted) <= set(reasons(namespace)), 10, f"events of {wanted}")


def test_a_run_gets_a_claim_and_a_job_with_the_contract(namespace: Namespace, operator: OperatorProcess) -> None:
    user = {"env": [{"name": "PPO_GAMMA", "value": "0.1"}, {"name": "MINE", "value": "1"}]}
    began = time.monotonic()
    create(namespace, trainer=user, schedules={"entropyCoef": {"initial": 0.03}})
    job = wait_until(lambda: namespace.get(JOBS, "r-1"), 10, "no Job")
    print(f"applied: its Job is there after {(time.monotonic() - began) * 1000:.0f} ms")
    pod = running(namespace)
    env = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
    assert (env["PPO_GAMMA"], env["MINE"], env["PPO_ENTROPY_COEF_INITIAL"]) == ("0.99", "1", "0.03")
    assert (env["ACCORD_ATTEMPT"], env["CHECKPOINT_DIR"], env["METRICS_PORT"]) == ("1", "/checkpoints", "8000")
    assert pod["metadata"]["labels"]["team"] == "ml"
    assert pod["spec"]["restartPolicy"] == "Never"
    claim = namespace.get(CLAIMS, "r-checkpoints")
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    for made in (job, claim):
        assert not any(
            "argocd" in key or "tracking" in key
            for key in [*made["metadata"]["labels"], *made["metadata"].get("annotations", {})]
        )
    accepted = namespace.condition("r", "Accepted", RUNS)
    assert (accepted["status"], accepted["reason"]) == ("True", "Adjusted")
    assert "PPO_GAMMA" in accepted["message"]
    status = namespace.get(RUNS, "r")["status"]
    assert (status["phase"], status["attempt"], status["jobRef"]) == ("Running", 1, {"name": "r-1"})
    end(namespace, pod, 0)
    status = until_ready(namespace, "True", "Succeeded")
    assert status["phase"] == "Succeeded"
    assert "completionTime" in status
    assert namespace.condition("r", "Complete", RUNS)["status"] == "True"
    edit(namespace, totalSteps=20_000)
    wait_until(
        lambda: namespace.condition("r", "Accepted", RUNS).get("reason") == "AlreadyFinished",
        10,
        "a change was ignored",
    )
    namespace.delete(JOBS, "r-1")
    time.sleep(1)
    assert list(jobs(namespace)) == []
    assert namespace.get(RUNS, "r")["status"]["phase"] == "Succeeded"
    told = {"AttemptStarted", "Adjusted", "Succeeded", "AlreadyFinished"}
    until_told(namespace, *told)
    assert set(reasons(namespace)) == told


def test_at_rest_nothing_is_written(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace)
    running(namespace)
    operator.until_at_rest()
    before = operator.writes()
    namespace.patch(JOBS, "r-1", {"metadata": {"labels": {"touched": "yes"}}})
    time.sleep(3)
    assert operator.writes() == before


def test_a_pod_that_was_killed_is_replaced_and_the_last_reason_is_the_runs(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace, backoffLimit=1)
    first = running(namespace)
    end(namespace, first, 137, "OOMKilled")
    wait_until(lambda: ready(namespace)[1] in ("Retrying", "Starting"), 10, "the failure is not told")

    def second() -> Any:
        return next((pod for pod in pods(namespace) if pod["metadata"]["name"] != first["metadata"]["name"]), None)

    end(namespace, wait_until(second, 30, "no second pod"), 137, "OOMKilled")
    status = until_ready(namespace, "False", "OOMKilled")
    assert (status["phase"], status["failedPods"], status["attempt"]) == ("Failed", 2, 1)
    assert namespace.condition("r", "Stalled", RUNS)["status"] == "True"
    assert "resources.limits.memory" in namespace.condition("r", "Failed", RUNS)["message"]
    until_told(namespace, "PodFailed", "OOMKilled")


def test_a_job_deleted_by_hand_is_followed_by_the_next_attempt_once_its_pod_is_gone(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    running(namespace)
    # The pod outlives its Job: only the Job goes.
    namespace.api.call("DELETE", namespace.path(JOBS, "r-1"), {"propagationPolicy": "Orphan"})
    until_ready(namespace, "False", "Restarting")
    time.sleep(1)
    assert "r-2" not in jobs(namespace)
    for pod in pods(namespace):
        namespace.api.call("DELETE", namespace.path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
    wait_until(lambda: list(jobs(namespace)) == ["r-2"], 10, "no next attempt")
    env = {
        e["name"]: e.get("value") for e in jobs(namespace)["r-2"]["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert (env["ACCORD_ATTEMPT"], env["RESUME_FROM"]) == ("2", "latest")


def test_a_changed_spec_starts_the_next_attempt_and_never_two_at_once(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    before = running(namespace)
    # kubelet takes its time: the pod is told to go, and saves.
    namespace.patch("pods", before["metadata"]["name"], {"metadata": {"finalizers": ["test/saves"]}})
    edit(namespace, schedules={"learningRate": {"final": 0.00005}})
    until_ready(namespace, "False", "Restarting")
    time.sleep(1)
    assert "r-2" not in jobs(namespace)
    namespace.patch("pods", before["metadata"]["name"], {"metadata": {"finalizers": None}})
    wait_until(lambda: kubelet(namespace) or list(jobs(namespace)) == ["r-2"], 60, "no next attempt")
    running(namespace, 2)
    status = namespace.get(RUNS, "r")["status"]
    assert (status["attempt"], status["jobRef"]["name"]) == (2, "r-2")
    until_told(namespace, "AttemptStarted")
    assert list(reasons(namespace)).count("AttemptStarted") == 2


def test_limits_are_followed_in_place(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace, activeDeadlineSeconds=600)
    running(namespace)
    edit(namespace, backoffLimit=2, activeDeadlineSeconds=None)
    wait_until(lambda: jobs(namespace)["r-1"]["spec"]["backoffLimit"] == 2, 10, "backoffLimit is not followed")
    assert "activeDeadlineSeconds" not in jobs(namespace)["r-1"]["spec"]
    assert namespace.get(RUNS, "r")["status"]["attempt"] == 1


def test_suspend_and_resume(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace)
    running(namespace)
    edit(namespace, suspend=True)
    wait_until(lambda: jobs(namespace)["r-1"]["spec"]["suspend"], 10, "the Job is not suspended")
    wait_until(lambda: kubelet(namespace) or ready(namespace) == ("True", "Suspended"), 30, "not suspended")
    assert namespace.condition("r", "Suspended", RUNS)["status"] == "True"
    edit(namespace, suspend=False)
    wait_until(lambda: jobs(namespace)["r-1"]["spec"]["suspend"] is False, 10, "the Job is not resumed")
    running(namespace)
    assert namespace.get(RUNS, "r")["status"]["attempt"] == 1
    until_told(namespace, "Suspended", "Resumed")


def test_a_queued_run_is_left_to_kueue(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace, queueName="team")
    job = wait_until(lambda: jobs(namespace).get("r-1"), 10, "no Job")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    until_ready(namespace, "False", "Queued")
    namespace.patch(JOBS, "r-1", {"spec": {"suspend": False}})
    running(namespace)
    time.sleep(1)
    assert jobs(namespace)["r-1"]["spec"]["suspend"] is False


def test_a_quota_that_is_exceeded_is_said_and_waited_for(namespace: Namespace, operator: OperatorProcess) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    namespace.create("resourcequotas", quota)
    wait_until(lambda: namespace.get("resourcequotas", "none").get("status", {}).get("hard"), 20, "no quota")
    create(namespace)
    status = until_ready(namespace, "False", "QuotaExceeded")
    assert status["phase"] == "Pending"
    assert "exceeded quota: none" in namespace.condition("r", "Stalled", RUNS)["message"]
    assert not jobs(namespace)
    namespace.delete("resourcequotas", "none")
    wait_until(lambda: list(jobs(namespace)) == ["r-1"], 70, "not tried again")
    running(namespace)


def test_a_quota_that_forbids_the_pod_is_said_in_the_words_of_the_job_controller(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.create("resourcequotas", {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    wait_until(lambda: namespace.get("resourcequotas", "none").get("status", {}).get("hard"), 20, "no quota")
    create(namespace)
    status = until_ready(namespace, "False", "PodNotCreated", 40)
    assert status["phase"] == "Pending"

    def message() -> str:
        return str(namespace.condition("r", "Ready", RUNS)["message"])

    wait_until(lambda: "exceeded quota: none" in message(), 60, message())
    assert message().startswith("Job r-1 cannot create its pod: the pod is forbidden: exceeded quota: none")


def test_a_template_that_the_api_server_refuses_is_said(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace, trainer={"imagePullPolicy": "Sometimes"})
    until_ready(namespace, "False", "Invalid")
    assert "imagePullPolicy" in namespace.condition("r", "Accepted", RUNS)["message"]
    container = {**TRAINER, "imagePullPolicy": "Always"}
    edit(namespace, template={"spec": {"containers": [container]}})
    running(namespace)
    assert list(jobs(namespace)) == ["r-1"]


def test_what_keeps_a_pod_from_starting_is_the_reason(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace, checkpoints={"claimName": "mine"})
    pod = pod_of(namespace, 1)
    assert namespace.get(CLAIMS, "r-checkpoints") is None
    words = 'persistentvolumeclaim "mine" not found'
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    set_status(namespace, pod, conditions=[said])
    until_ready(namespace, "False", "ClaimMissing")
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    container = {"name": "trainer", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    set_status(namespace, pod, conditions=[], containerStatuses=[container])
    until_ready(namespace, "False", "ImagePull")


def test_the_ttl_deletes_the_run_and_its_job_but_not_the_checkpoints(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace, ttlAfterFinished="2s")
    pod = running(namespace)
    end(namespace, pod, 0)
    wait_until(lambda: namespace.get(RUNS, "r") is None, 20, "the run is still there")
    wait_until(lambda: not jobs(namespace), 90, "its Job is still there")
    assert namespace.get(CLAIMS, "r-checkpoints") is not None
    create(namespace)
    wait_until(lambda: kubelet(namespace) or "r-1" in jobs(namespace), 60, "a run of that name cannot be made again")


def test_a_claim_of_somebody_else_is_not_taken_over(namespace: Namespace, operator: OperatorProcess) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    namespace.create(CLAIMS, {"metadata": {"name": "r-checkpoints"}, "spec": spec})
    create(namespace)
    until_ready(namespace, "False", "NameTaken")
    assert not jobs(namespace)
    assert "labels" not in namespace.get(CLAIMS, "r-checkpoints")["metadata"]


def test_a_deleted_claim_is_made_anew(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace, suspend=True)
    until_ready(namespace, "True", "Suspended")
    edit(namespace, suspend=False)
    running(namespace)
    namespace.patch(CLAIMS, "r-checkpoints", {"metadata": {"finalizers": None}})
    namespace.delete(CLAIMS, "r-checkpoints")
    wait_until(lambda: "ClaimLost" in reasons(namespace), 10, "the loss is not told")
    assert namespace.get(CLAIMS, "r-checkpoints") is not None


def test_a_job_and_a_claim_that_lost_their_labels_get_them_back(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    running(namespace)
    known = {where: namespace.get(*where)["metadata"] for where in ((JOBS, "r-1"), (CLAIMS, "r-checkpoints"))}
    for where, meta in known.items():
        # A Job without any label is given those of its pod template by the API server.
        labels = {**dict.fromkeys(meta["labels"]), "somebodys": "own"}
        namespace.patch(*where, {"metadata": {"labels": labels}})
        wait_until(
            lambda: meta["labels"].items() <= namespace.get(*where)["metadata"]["labels"].items(),  # noqa: B023
            10,
            f"{where[1]} has not its labels again",
        )
        assert namespace.get(*where)["metadata"]["uid"] == meta["uid"]
    assert list(jobs(namespace)) == ["r-1"], "the run takes its Job for gone"
    assert ready(namespace) == ("True", "Running")
    assert "ClaimLost" not in reasons(namespace)


@pytest.mark.parametrize("lost", ["label", "owner"])
def test_a_job_that_became_unknown_while_no_operator_ran_has_no_second_beside_it(
    namespace: Namespace, operator: OperatorProcess, start_operator: StartOperator, lost: str
) -> None:
    create(namespace)
    pod = running(namespace)
    operator.terminate()
    nothing = {"labels": {"app.kubernetes.io/managed-by": None}} if lost == "label" else {"ownerReferences": None}
    namespace.patch(JOBS, "r-1", {"metadata": nothing})
    # Between two pods of the Job there is nothing else that would tell of it.
    end(namespace, pod, 1)
    wait_until(lambda: len(pods(namespace)) == 2, 60, "the Job made no other pod")
    for each in pods(namespace):
        set_status(namespace, each, phase="Failed")
    start_operator().ready()
    wait_until(lambda: not missing(namespace.get(JOBS, "r-1")), 15, "the Job is not known again")
    assert list(jobs(namespace)) == ["r-1"]
    assert namespace.get(RUNS, "r")["status"]["attempt"] == 1


def missing(job: Any) -> set[str]:
    """What a Job is known by and has not."""
    meta = job["metadata"]
    labelled = (meta.get("labels") or {}).get("app.kubernetes.io/managed-by") == "accord"
    return {what for what, there in (("label", labelled), ("owner", meta.get("ownerReferences"))) if not there}


def test_the_second_replica_takes_over_without_a_second_job(
    namespace: Namespace, start_operator: StartOperator
) -> None:
    one = start_operator(name="one", leaderElection={"enabled": True}).ready()
    wait_until(lambda: one.leads, 15, "nobody leads")
    two = start_operator(name="two", leaderElection={"enabled": True}).ready()
    create(namespace)
    running(namespace)
    one.kill()
    edit(namespace, ppo={"gamma": 0.9})
    wait_until(lambda: kubelet(namespace) or list(jobs(namespace)) == ["r-2"], 60, "nobody took over")
    assert two.leads


@pytest.mark.parametrize("first", ["create", "change"])
def test_killed_after_any_write_it_ends_the_same(
    namespace: Namespace, start_operator: StartOperator, first: str
) -> None:
    from tests.apiserver.test_operator_crash import DYING

    if first == "change":
        create(namespace)
        with start_operator().ready():
            running(namespace)
        edit(namespace, ppo={"gamma": 0.9})
    else:
        create(namespace)
    want = 2 if first == "change" else 1
    seen: set[str] = set()
    for _ in range(12):
        # Each dies after its first write; the next one goes on from there, until one finds nothing to do.
        dying = start_operator(program=(DYING, "1"))
        quiet: float | None = None
        while dying.process.poll() is None and (quiet is None or time.monotonic() < quiet):
            answer = dying.fetch("/readyz") if quiet is None else None
            arrived = (
                list(jobs(namespace)) == [f"r-{want}"]
                and namespace.get(RUNS, "r").get("status", {}).get("attempt") == want
            )
            if arrived and answer is not None and answer.status_code == 200:
                quiet = time.monotonic() + 8
            kubelet(namespace)
            at_work = [name for name, job in jobs(namespace).items() if not job["metadata"].get("deletionTimestamp")]
            assert len(at_work) <= 1
            seen.update(at_work)
            time.sleep(0.05)
        if dying.process.poll() is None:
            dying.kill()
            break
        assert dying.process.returncode == 137, dying.log()
    assert list(jobs(namespace)) == [f"r-{want}"]
    assert seen == {f"r-{number}" for number in range(1, want + 1)}
    assert namespace.get(RUNS, "r")["status"]["attempt"] == want
