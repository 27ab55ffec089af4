"""A run on Ray: what KubeRay is given, and what its answers and the pods of its clusters mean."""

from __future__ import annotations

import copy
import itertools
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.training.world import NOW, condition, manifest

from accord import kinds
from accord.adapters.workloads.job import JobWorkload
from accord.adapters.workloads.rayjob import RayJobWorkload
from accord.adapters.workloads.rayjob.objects import to_apply
from accord.adapters.workloads.rayjob.view import RayJobView, pod_of
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.api.validation import validate
from accord.domain import podnames
from accord.domain.conditions import timestamp
from accord.domain.plan import Plan
from accord.domain.training import progress
from accord.domain.training.decide import decide
from accord.domain.training.observed import Observed
from accord.runtime.slim import slim

TRAINER: Manifest = {"name": "trainer", "image": "example/ray:1", "command": ["python", "train.py"], "args": ["a b"]}
WORKER: Manifest = {"spec": {"containers": [{"name": "ray", "image": "example/ray:1"}]}}
ENGINE: Manifest = {
    "type": "RayJob",
    "ray": {"version": "2.60.0", "workers": [{"name": "rollout", "replicas": 2, "template": WORKER}]},
}


def spec(trainer: Manifest | None = None, pod: Manifest | None = None, **more: Any) -> Manifest:
    template = {"spec": {"containers": [{"name": "log", "image": "l"}, trainer or TRAINER], **(pod or {})}}
    return {"template": template, "engine": ENGINE, **more}


class Rays:
    """A run on Ray, with a KubeRay that does what a test says, and an operator that writes."""

    def __init__(self, *, installed: bool = True, name: str = "r", **more: Any) -> None:
        self.now, self.installed = NOW, installed
        self.run = manifest(name=name, **spec(**more))
        self.jobs: dict[str, Manifest] = {}
        self.pods: dict[str, Manifest] = {}
        self.claim: Manifest | None = None
        self._uids = itertools.count(1)

    def decide(self) -> Plan:
        return decide(self.observed(), RayJobWorkload(lambda: self.installed), self.now)

    def observed(self) -> Observed:
        workload = RayJobWorkload(lambda: self.installed)
        return Observed(
            run=TrainingRun.model_validate(copy.deepcopy(self.run)),
            jobs=tuple(workload.view(slim({**job, "kind": "RayJob"})) for job in self.jobs.values()),
            pods=tuple(workload.pod(pod) for pod in self.pods.values()),
            claim=self.claim,
        )

    def step(self) -> Plan:
        """One pass. What is deleted stays, as KubeRay's finalizer keeps it."""
        plan = self.decide()
        for wanted in plan.apply:
            if wanted["kind"] == "PersistentVolumeClaim":
                self.claim = wanted
            if wanted["kind"] == "RayJob":
                born = {"uid": f"u-{next(self._uids)}", "creationTimestamp": timestamp(self.now), "generation": 1}
                assert not any(pod_of(pod).at_work for pod in self.pods.values()), "two attempts at work"
                self.jobs[wanted["metadata"]["name"]] = {**wanted, "metadata": born | wanted["metadata"]}
        for key in plan.delete:
            self.jobs[key.name]["metadata"]["deletionTimestamp"] = timestamp(self.now)
        self.run = {**self.run, "status": plan.status}
        return plan

    def says(self, name: str = "r-1", **status: Any) -> None:
        """KubeRay writes the status of a RayJob."""
        self.jobs[name]["status"] = {**self.jobs[name].get("status", {}), **status}

    def pod(self, name: str, role: str = "head", phase: str = "Running", **status: Any) -> Manifest:
        template = next(iter(self.jobs.values()))["spec"]["submitterPodTemplate"]
        labels = {**template["metadata"]["labels"], **({"ray.io/node-type": role} if role else {})}
        meta = {
            "name": name,
            "namespace": "ns",
            "uid": name,
            "labels": labels,
            "creationTimestamp": timestamp(self.now),
        }
        self.pods[name] = {"metadata": meta, "spec": {"nodeName": "n-1"}, "status": {"phase": phase, **status}}
        return self.pods[name]

    def gone(self, name: str = "r-1") -> None:
        """The RayJob is gone, and its pods have ended."""
        self.jobs.pop(name)
        self.pods.clear()

    def ready(self) -> tuple[str, str]:
        return condition(self.step(), "Ready")[1:]


def training(**more: Any) -> Rays:
    rays = Rays(**more)
    rays.step()
    rays.says(jobDeploymentStatus="Initializing", startTime=timestamp(NOW))
    rays.pod("h-1")
    rays.pod("w-1", "worker")
    rays.pod("s-1", "")
    cluster = {"head": {"podName": "h-1"}}
    info = {"startTime": timestamp(NOW)}
    rays.says(jobDeploymentStatus="Running", jobStatus="RUNNING", rayClusterStatus=cluster, rayJobInfo=info)
    rays.step()
    return rays


def ended(pod: Manifest, code: int = 137, **status: Any) -> None:
    state = {"terminated": {"exitCode": code, "reason": "Error"}}
    container = {"name": "trainer", "image": "example/ray:1", "state": state}
    pod["status"] = {"phase": "Failed", "containerStatuses": [container], **status}


def ray_job(**more: Any) -> Manifest:
    rays = Rays(**more)
    rays.step()
    return dict(rays.jobs["r-1"]["spec"])


def env(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def test_the_trainer_is_the_head_and_its_command_is_the_job() -> None:
    found = ray_job(pod={"terminationGracePeriodSeconds": 60})
    assert shlex.split(found["entrypoint"]) == ["python", "train.py", "a b"]
    head = found["rayClusterSpec"]["headGroupSpec"]["template"]
    trainer, log = head["spec"]["containers"]
    assert (trainer["name"], log["name"]) == ("trainer", "log"), "KubeRay takes the first one for Ray's"
    assert not {"command", "args"} & trainer.keys()
    assert env(trainer)["ACCORD_ATTEMPT"] == "1"
    assert env(trainer)["RAY_JOB_STOP_WAIT_TIME_S"] == "55"
    assert trainer["lifecycle"]["preStop"]["exec"]["command"][-1] == found["jobId"] == "r-1"
    ports = {port["name"]: port["containerPort"] for port in trainer["ports"]}
    assert ports == {"metrics": 8000, "gcs-server": 6379, "dashboard": 8265, "client": 10001}
    assert any(volume.get("persistentVolumeClaim") for volume in head["spec"]["volumes"])


def test_kuberay_tries_nothing_again_by_itself() -> None:
    found = ray_job(backoffLimit=3, activeDeadlineSeconds=60)
    assert (found["backoffLimit"], found["submitterConfig"], found["submissionMode"]) == (
        0,
        {"backoffLimit": 0},
        "K8sJobMode",
    )
    assert (found["shutdownAfterJobFinishes"], found["activeDeadlineSeconds"]) == (True, 60)


def test_all_its_pods_are_known_by_the_labels_of_the_attempt_and_workers_have_no_volume() -> None:
    found = ray_job()
    (group,) = found["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (2, 2, 2)
    head, worker = found["rayClusterSpec"]["headGroupSpec"]["template"], group["template"]
    for template in (head, worker, found["submitterPodTemplate"]):
        assert template["metadata"]["labels"]["accord.dev/training-run"] == "r"
        assert template["metadata"]["labels"]["accord.dev/attempt"] == "1"
    assert "volumes" not in worker["spec"]
    for container in (head["spec"]["containers"][0], worker["spec"]["containers"][0]):
        assert (env(container)["RAY_AUTH_MODE"], env(container)["RAY_USAGE_STATS_ENABLED"]) == ("disabled", "0")


def test_the_name_fits_kuberay_and_leads_from_a_metric_to_the_run() -> None:
    name = "n" * 60
    rays = Rays(name=name)
    rays.step()
    (made,) = rays.jobs
    assert len(made) == 47
    assert podnames.job_of(f"{made}-a1b2c-head-x9y8z") == made
    run = TrainingRun.model_validate(rays.run)
    assert f'pod=~"{podnames.of_job(made)}"' in progress.query(run)


REFUSED = [
    (spec(monitoring={"port": 18080}), "spec.monitoring.port 18080"),
    (spec(monitoring={"port": 8265}), "Ray's dashboard"),
    (spec(queueName="main"), "spec.queueName"),
    (spec({"name": "trainer", "image": "x"}), "needs a command"),
    (spec({**TRAINER, "args": ["$(METRICS_PORT)"]}), "$(METRICS_PORT)"),
    (spec({**TRAINER, "ports": [{"name": "dashboard", "containerPort": 9000}]}), "port dashboard 9000"),
    (spec({**TRAINER, "ports": [{"containerPort": 6379}]}), "port 6379"),
    (spec({**TRAINER, "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}), "lifecycle.preStop"),
    (
        spec(engine={**ENGINE, "ray": {"version": "2.60.0", "startParams": {"dashboard-port": "1"}}}),
        "spec.engine.ray.startParams.dashboard-port",
    ),
]


@pytest.mark.parametrize(("wanted", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_ray_cannot_do_is_refused_with_the_field(wanted: Manifest, words: str) -> None:
    rays = Rays()
    rays.run["spec"] = {**wanted, "ttlAfterGivenUp": "0s"}
    plan = rays.step()
    assert (plan.apply, condition(plan, "Accepted")[:2]) == ((), ("False", "NotSupported"))
    assert words in condition(plan, "Stalled")[2]


def test_a_name_that_begins_with_a_digit_is_refused() -> None:
    assert "must start with a letter" in condition(Rays(name="1r").step(), "Accepted")[2]


def test_without_kuberay_it_says_so_and_starts_when_that_comes() -> None:
    rays = Rays(installed=False)
    plan = rays.step()
    assert (plan.apply, condition(plan, "Stalled")[1]) == ((), "KubeRayNotInstalled")
    rays.installed = True
    assert [wanted["kind"] for wanted in rays.step().apply] == ["PersistentVolumeClaim", "RayJob"]


def test_it_is_running_once_its_job_is_on_the_head() -> None:
    rays = Rays()
    rays.step()
    rays.says(jobDeploymentStatus="Initializing", startTime=timestamp(NOW))
    rays.pod("h-1")
    rays.pod("w-1", "worker", "Pending")
    assert rays.ready() == ("Starting", "RayJob r-1 is starting: 1 of its 2 pods running")
    rays = training()
    assert rays.ready() == ("Running", "attempt 1 is training, 1 of 2 workers running")
    assert rays.run["status"]["phase"] == "Running"
    assert rays.decide().apply == rays.decide().delete == ()


def test_it_succeeds_with_its_job_and_not_with_its_pods() -> None:
    rays = training()
    ended(rays.pod("s-1", ""), 0)
    assert rays.ready()[0] == "Running"
    rays.says(jobDeploymentStatus="Complete", jobStatus="SUCCEEDED", endTime=timestamp(NOW))
    assert rays.ready()[0] == "Succeeded"


FAILED = {"jobDeploymentStatus": "Failed", "reason": "AppFailed", "message": "exit code 1", "endTime": timestamp(NOW)}


def test_a_failed_job_is_followed_when_all_its_pods_have_ended() -> None:
    rays = training()
    rays.says(**FAILED, jobStatus="FAILED")
    reason, words = rays.ready()
    assert (reason, rays.run["status"]["failedPods"]) == ("Retrying", 1)
    assert words.startswith("the Ray job failed (AppFailed): exit code 1; attempt 2 resumes from the newest checkpoint")
    rays.pods.pop("h-1")
    assert rays.step().apply == (), "a worker is still at work"
    rays.pods.clear()
    (made,) = rays.step().apply
    assert made["metadata"]["name"] == "r-2"
    assert made["metadata"]["annotations"]["accord.dev/failed-pods-before"] == "1"


def test_failures_of_all_attempts_are_counted() -> None:
    rays = training(backoffLimit=1)
    rays.says(**FAILED)
    rays.pods.clear()
    rays.step()
    rays.says("r-2", **{**FAILED, "reason": "SubmissionFailed"})
    assert rays.ready()[0] == "SubmissionFailed"
    assert (rays.run["status"]["phase"], rays.run["status"]["failedPods"]) == ("Failed", 2)
    assert rays.step().apply == ()


def test_one_that_took_too_long_ends_the_run() -> None:
    rays = training()
    rays.says(**{**FAILED, "reason": "DeadlineExceeded"})
    assert rays.ready()[0] == "DeadlineExceeded"
    assert rays.run["status"]["phase"] == "Failed"


def lost(rays: Rays, failures: int = 1) -> None:
    """The RayJob is deleted; the next attempt comes once it is gone with its pods.

    A failure is in the status before that: the RayJob knows nothing of it, and would take it along.
    """
    if failures:
        assert rays.step().delete == ()
        assert rays.run["status"]["failedPods"] == failures
    assert [key.name for key in rays.step().delete] == ["r-1"]
    assert rays.step().delete == ()
    rays.jobs.pop("r-1")
    assert rays.step().apply == (), "a pod is still at work"
    reason, words = rays.ready()
    assert reason == "Retrying"
    assert "attempt 2 resumes from the newest checkpoint when all pods of attempt 1 have ended" in words
    rays.pods.clear()
    (made,) = rays.step().apply
    assert made["metadata"]["name"] == "r-2"


def test_a_job_that_runs_for_ever_on_a_head_that_has_failed_is_over() -> None:
    rays = training()
    ended(rays.pods["h-1"])
    lost(rays)
    assert rays.run["status"]["failedPods"] == 1
    assert rays.jobs["r-2"]["metadata"]["annotations"]["accord.dev/failed-pods-before"] == "1"


def test_a_head_that_was_replaced_has_no_trainer() -> None:
    rays = training()
    rays.pods.pop("h-1")
    rays.pod("h-2")
    assert "pod h-1, the head of the Ray cluster, is gone" in condition(rays.decide(), "Ready")[2]
    lost(rays)
    assert rays.run["status"]["failedPods"] == 1


def test_a_head_that_kuberay_has_forgotten_is_lost_all_the_same() -> None:
    """It takes for Ray's word what the API server says of a head that does not answer."""
    rays = training()
    rays.pods.pop("h-1")
    rays.says(jobStatus="Failure", rayClusterStatus={"head": {}})
    assert rays.decide().delete == (), "it may not be seen yet"
    rays.now = NOW + timedelta(minutes=2)
    assert "the head of the Ray cluster is gone" in condition(rays.decide(), "Ready")[2]
    lost(rays)


def test_a_head_that_does_not_answer_for_a_while_is_not_lost() -> None:
    rays = training()
    rays.says(jobStatus="Failure", rayClusterStatus={"head": {}})
    rays.now = NOW + timedelta(minutes=2)
    assert rays.ready()[0] == "Running"
    assert rays.decide().delete == ()


def test_a_head_that_was_told_to_end_or_evicted_is_no_failure() -> None:
    rays = training()
    rays.pods["h-1"]["metadata"] |= {"deletionTimestamp": timestamp(NOW), "deletionGracePeriodSeconds": 30}
    lost(rays, 0)
    assert rays.run["status"]["failedPods"] == 0
    rays = training()
    ended(rays.pods["h-1"], reason="Evicted", message="The node was low on resource: memory")
    assert "was evicted" in condition(rays.decide(), "Ready")[2]
    lost(rays, 0)
    assert rays.run["status"]["failedPods"] == 0


def test_heads_that_cannot_be_seen_yet_are_no_loss() -> None:
    rays = training()
    rays.pods.pop("h-1")
    assert rays.decide().delete == ()


def test_a_head_that_fails_for_the_last_time_fails_the_run_and_then_goes() -> None:
    rays = training(backoffLimit=0)
    ended(rays.pods["h-1"])
    assert rays.ready()[0] == "ExitCode"
    assert rays.run["status"]["phase"] == "Failed"
    assert [key.name for key in rays.step().delete] == ["r-1"]


def test_a_lost_worker_is_rays_business() -> None:
    rays = training()
    ended(rays.pods["w-1"])
    assert rays.ready() == ("Running", "attempt 1 is training, 0 of 2 workers running")


def test_a_job_that_was_stopped_goes_on_and_is_no_failure() -> None:
    rays = training(backoffLimit=0)
    rays.says(jobDeploymentStatus="Complete", jobStatus="STOPPED")
    rays.pods.clear()
    assert [made["metadata"]["name"] for made in rays.step().apply] == ["r-2"]
    assert rays.run["status"]["failedPods"] == 0


def test_suspended_it_goes_and_resumes_in_another_attempt() -> None:
    rays = training()
    rays.run["spec"]["suspend"] = True
    assert [key.name for key in rays.step().delete] == ["r-1"]
    assert rays.ready()[0] == "Suspending"
    rays.gone()
    assert rays.ready()[0] == "Suspended"
    rays.run["spec"]["suspend"] = False
    assert [made["metadata"]["name"] for made in rays.step().apply] == ["r-2"]


def test_a_worker_on_a_node_that_is_lost_is_rays_business_until_another_attempt_waits_for_it() -> None:
    rays = training()
    gone = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": timestamp(NOW)}]
    worker = rays.pods["w-1"]
    worker["metadata"] |= {"deletionTimestamp": timestamp(NOW), "deletionGracePeriodSeconds": 0}
    worker["status"]["conditions"] = gone
    rays.now = NOW + timedelta(minutes=2)
    assert rays.ready()[0] == "Running"
    rays.run["spec"]["suspend"] = True
    assert rays.ready()[0] == "NodeLost"


def test_a_ray_job_that_kuberay_does_not_let_go_is_said() -> None:
    rays = training()
    rays.run["spec"]["suspend"] = True
    assert rays.ready()[0] == "Suspending"
    rays.now = NOW + timedelta(minutes=2)
    plan = rays.step()
    assert condition(plan, "Stalled")[1] == "KubeRayNotResponding"
    assert "kubectl patch rayjob r-1 -n ns" in condition(plan, "Ready")[2]
    rays.gone()
    assert rays.ready()[0] == "Suspended"


def test_from_a_job_to_ray_and_back_each_goes_before_the_other_comes() -> None:
    rays = training()
    rays.run["spec"] = {**rays.run["spec"], "engine": {"type": "Job"}}
    rays.run["metadata"]["annotations"] = {"accord.dev/restart-from": "500", "accord.dev/restart-attempt": "1"}
    observed = replace(rays.observed(), pods=tuple(map(JobWorkload().pod, rays.pods.values())))
    plan = decide(observed, JobWorkload(), rays.now)
    assert [(key.kind, key.name) for key in plan.delete] == [("RayJob", "r-1")]
    assert (plan.apply, plan.patch) == ((), ()), "it is not kept as a Job is"


def test_what_kuberay_refuses_and_a_kuberay_that_is_silent_are_said() -> None:
    rays = Rays()
    rays.step()
    assert rays.ready()[0] == "Starting", "it has had no time to answer"
    rays.now = NOW + timedelta(seconds=15)
    assert rays.ready()[0] == "KubeRayNotResponding"
    assert condition(rays.decide(), "Stalled")[0] != "True", "it may just be starting"
    rays.says(jobDeploymentStatus="ValidationFailed", message="redis")
    assert condition(rays.step(), "Stalled")[1:] == ("ValidationFailed", "KubeRay refuses RayJob r-1: redis")


def test_a_limit_of_time_changes_in_place_and_a_lost_label_comes_back() -> None:
    rays = training()
    run = TrainingRun.model_validate({**rays.run, "spec": {**rays.run["spec"], "activeDeadlineSeconds": 60}})
    changed = to_apply(run, RayJobView.of(rays.jobs["r-1"]))
    assert changed is not None
    assert changed["spec"] == {**rays.jobs["r-1"]["spec"], "activeDeadlineSeconds": 60}
    rays.jobs["r-1"]["metadata"]["labels"] = {}
    (again,) = rays.decide().apply
    assert again["metadata"]["labels"]["accord.dev/attempt"] == "1"


def test_the_schema_wants_ray_with_its_type_alone() -> None:
    whole = {**manifest(**spec()), "metadata": {"name": "r", "namespace": "ns"}}
    assert validate(whole) == []
    for engine in ({"type": "RayJob"}, {"type": "Job", "ray": ENGINE["ray"]}):
        (error,) = validate({**whole, "spec": {**whole["spec"], "engine": engine}})
        assert str(error).startswith("spec.engine.ray")


def test_a_plan_shows_the_ray_job() -> None:
    (entry,) = (each for each in kinds.KINDS if each.model is TrainingRun)
    outcome = entry.rehearse(manifest(**spec()), {}, None)  # type: ignore[arg-type]
    assert [key.kind for key in outcome.applied] == ["PersistentVolumeClaim", "RayJob"]
