"""Facts about runs in few words, and a small world: an API server, a Job controller, pods, an operator that dies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from accord.adapters.workloads.job import JobWorkload
from accord.adapters.workloads.job.view import JobView
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import timestamp
from accord.domain.plan import Event, ObjectKey, Plan, Refusal
from accord.domain.training import names
from accord.domain.training.decide import decide
from accord.domain.training.observed import Observed
from accord.domain.training.pauses import Pause
from accord.domain.training.progress import Progress
from accord.domain.training.views import PodView
from accord.domain.warned import Warned

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TRAINER = {"name": "trainer", "image": "example/trainer:1"}


def manifest(*, status: Manifest | None = None, name: str = "r", **spec: Any) -> Manifest:
    return {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": "u-1",
            "generation": 1,
            "labels": {"argocd.argoproj.io/instance": "app"},
            "annotations": {"tracking": "id"},
        },
        # What a rollback gives up goes at once, unless a test says otherwise.
        "spec": {"template": {"spec": {"containers": [TRAINER]}}, "ttlAfterGivenUp": "0s", **spec},
        **({"status": status} if status else {}),
    }


def run(**spec: Any) -> TrainingRun:
    return TrainingRun.model_validate(manifest(**spec))


def terminated(code: int, reason: str = "Error", message: str = "") -> Manifest:
    state = {"terminated": {"exitCode": code, "reason": reason, **({"message": message} if message else {})}}
    return {"containerStatuses": [{"name": "trainer", "image": "example/trainer:1", "state": state}]}


def waiting(reason: str, message: str = "words") -> Manifest:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "trainer", "image": "example/trainer:1", "state": state}]}


def condition(plan: Plan, type_: str) -> tuple[str, str, str]:
    assert plan.status is not None
    for found in plan.status["conditions"]:
        if found["type"] == type_:
            return found["status"], found["reason"], found["message"]
    return "", "", ""


class World:
    """Everything around one run. Pods take their time to end, and Jobs may vanish before them."""

    def __init__(self, **spec: Any) -> None:
        self.now = NOW
        self.run: Manifest | None = manifest(**spec)
        self.jobs: dict[str, Manifest] = {}
        self.pods: dict[str, Manifest] = {}
        self.claim: Manifest | None = None
        self.refused: dict[ObjectKey, Refusal] = {}
        self.conflicts: dict[ObjectKey, str] = {}
        self.pauses: tuple[Pause, ...] = ()
        self.podless_since: datetime | None = None
        self.refused_pod: Warned | None = None
        """What the Job controller warns of where it makes no pod."""
        self.progress: Progress | None = None
        self.events: list[Event] = []
        self.made: list[str] = []
        self.status_writes = 0
        self.node_answers = True

    # What users, the Job controller and pods do.

    def edit(self, **spec: Any) -> None:
        assert self.run is not None
        self.run = copy.deepcopy(self.run)
        self.run["spec"] |= spec
        self.run["metadata"]["generation"] += 1

    def annotate(self, **annotations: str | None) -> None:
        """`restart_from="500"` sets `accord.dev/restart-from`; None removes it. The generation stays."""
        assert self.run is not None
        self.run = copy.deepcopy(self.run)
        for name, value in annotations.items():
            key = f"accord.dev/{name.replace('_', '-')}"
            if value is None:
                self.run["metadata"]["annotations"].pop(key, None)
            else:
                self.run["metadata"]["annotations"][key] = value

    def saves(self, step: int) -> None:
        """Prometheus shows that the newest attempt has a checkpoint of that step."""
        self.progress = Progress("Measured", self.now, step=step, checkpoint_step=step, attempt=self.attempt)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def controllers(self) -> None:
        """The Job controller makes pods, stops those of suspended Jobs, and the garbage collector those without one."""
        for name, job in self.jobs.items():
            mine = [pod for pod in self.pods.values() if pod["job"] == name]
            if job["spec"]["suspend"]:
                for pod in mine:
                    pod["metadata"].setdefault("deletionTimestamp", timestamp(self.now))
            elif not ended(job) and not any(PodView.of(pod).at_work for pod in mine):
                self.add_pod(name, job)
        for pod in self.pods.values():
            if pod["job"] not in self.jobs:
                pod["metadata"].setdefault("deletionTimestamp", timestamp(self.now))

    def add_pod(self, name: str, job: Manifest) -> None:
        job["status"].setdefault("startTime", timestamp(self.now))
        pod = f"{name}-{len(self.pods)}"
        labels = job["spec"]["template"]["metadata"]["labels"]
        meta = {"name": pod, "uid": f"uid-{pod}", "labels": labels, "creationTimestamp": timestamp(self.now)}
        self.pods[pod] = {"metadata": meta, "job": name, "spec": {"nodeName": "n-1"}, "status": {"phase": "Pending"}}

    def kubelet(self) -> None:
        """Pods start; those that were told to go are gone, and those past their deadline have failed."""
        if not self.node_answers:
            return
        self.pods = {name: pod for name, pod in self.pods.items() if "deletionTimestamp" not in pod["metadata"]}
        for pod in self.pods.values():
            if pod["status"]["phase"] == "Pending":
                pod["status"] = {"phase": "Running"}
            if pod["spec"].get("activeDeadlineSeconds") and PodView.of(pod).at_work:
                self.fail_pod({**pod["status"], "reason": "DeadlineExceeded"})

    def ends_beside(self, code: int, others: Manifest | None = None, phase: str = "Running") -> None:
        """The trainer's container ends, and the log shipper does not; `others` is the state of that."""
        (pod,) = (pod for pod in self.pods.values() if PodView.of(pod).at_work)
        side = {"name": "log-shipper", "image": "s", "state": others or {"running": {}}}
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": timestamp(self.now)}
        trainer = {"name": "trainer", "image": TRAINER["image"], "state": {"terminated": ended}}
        pod["status"] = {"phase": phase, "containerStatuses": [side, trainer]}

    def fail_pod(self, status: Manifest | None = None) -> None:
        for pod in self.pods.values():
            if PodView.of(pod).at_work and pod["job"] in self.jobs:
                pod["status"] = {**(terminated(1) if status is None else status), "phase": "Failed"}
                job = self.jobs[pod["job"]]
                job["status"]["failed"] = job["status"].get("failed", 0) + 1
                if job["status"]["failed"] > job["spec"]["backoffLimit"]:
                    self.end_job(job, "Failed", "BackoffLimitExceeded")

    def complete(self) -> None:
        for pod in self.pods.values():
            if pod["status"]["phase"] == "Running" and pod["job"] in self.jobs:
                pod["status"] = {"phase": "Succeeded"}
                self.end_job(self.jobs[pod["job"]], "Complete", "CompletionsReached")

    def end_job(self, job: Manifest, type_: str, reason: str) -> None:
        at = timestamp(self.now)
        said = {"type": type_, "status": "True", "reason": reason, "message": "", "lastTransitionTime": at}
        job["status"].setdefault("conditions", []).append(said)

    # What the operator does.

    def gather(self) -> Observed:
        return Observed(
            run=TrainingRun.model_validate(copy.deepcopy(self.run)),
            jobs=tuple(JobView.of(copy.deepcopy(job)) for job in self.jobs.values()),
            pods=tuple(PodView.of(copy.deepcopy(pod)) for pod in self.pods.values()),
            claim=copy.deepcopy(self.claim),
            conflicts=dict(self.conflicts),
            refusals=dict(self.refused),
            pauses=self.pauses,
            podless_since=self.podless_since,
            refused=self.refused_pod,
            progress=self.progress,
        )

    def decide(self) -> Plan:
        return decide(self.gather(), JobWorkload(), self.now)

    def step(self, writes: int = 1_000) -> Plan:
        """One pass; killed after that many writes, if given."""
        if self.run is None:
            return Plan()
        plan = self.decide()
        left = writes
        for write, wanted in (*((self.patch_pod, part) for part in plan.patch), *((self.apply, m) for m in plan.apply)):
            if left <= 0:
                return plan
            write(wanted)
            left -= 1
        for key in plan.delete:
            if left <= 0:
                return plan
            if key.kind == "TrainingRun":
                self.run = None
                return plan
            self.jobs.pop(key.name)
            left -= 1
        if left > 0 and plan.status is not None and plan.status != self.run.get("status"):
            self.run = {**self.run, "status": plan.status}
            self.status_writes += 1
            left -= 1
        if left > 0:
            self.events.extend(plan.events)
        return plan

    def patch_pod(self, part: Manifest) -> None:
        (pod,) = (pod for pod in self.pods.values() if pod["metadata"]["uid"] == part["metadata"]["uid"])
        pod["spec"] = pod["spec"] | part["spec"]

    def apply(self, wanted: Manifest) -> None:
        if wanted["kind"] == "PersistentVolumeClaim":
            self.claim = copy.deepcopy(wanted)
            return
        name = wanted["metadata"]["name"]
        old = self.jobs.get(name)
        if old is None:
            self.made.append(name)
            assert not any(not ended(job) for job in self.jobs.values()), "two Jobs at work"
            assert not any(PodView.of(pod).at_work for pod in self.pods.values()), "a pod is still at work"
            meta = {**wanted["metadata"], "creationTimestamp": timestamp(self.now), "uid": f"job-{len(self.made)}"}
            self.jobs[name] = {**copy.deepcopy(wanted), "metadata": meta, "status": {}}
            return
        assert wanted["spec"]["template"] == old["spec"]["template"], "a Job's template cannot change"
        annotations = {**old["metadata"].get("annotations", {}), **wanted["metadata"].get("annotations", {})}
        labels = {**old["metadata"].get("labels", {}), **wanted["metadata"].get("labels", {})}
        meta = {**old["metadata"], "annotations": annotations, "labels": labels}
        self.jobs[name] = {
            **old,
            "metadata": meta,
            "spec": {"suspend": old["spec"]["suspend"], **copy.deepcopy(wanted["spec"])},
        }

    def settle(self, rounds: int = 12) -> Plan:
        """Everybody does their part until nothing moves."""
        for _ in range(rounds):
            self.step()
            self.controllers()
            self.kubelet()
            self.wait(1)
        return self.step()

    @property
    def status(self) -> Manifest:
        assert self.run is not None
        return dict(self.run.get("status") or {})

    @property
    def attempt(self) -> Any:
        return self.status.get("attempt")

    def told(self) -> list[str]:
        return [event.reason for event in self.events]


def ended(job: Manifest) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job["status"].get("conditions", ()))


def job_key(attempt: int) -> ObjectKey:
    return ObjectKey("batch/v1", "Job", "ns", names.job("r", attempt))


def at_rest(world: World) -> None:
    """There is nothing to do, and nothing to say."""
    plan = world.decide()
    assert (plan.patch, plan.apply, plan.delete, plan.events) == ((), (), (), ())
    assert plan.status == world.status


def killed_in_each(events: Iterable[Callable[[World], Any]], want: World, world: World, writes: int) -> None:
    """The same happens to both; the operator of `world` is killed after so many writes, again and again."""
    for event in events:
        event(want)
        want.settle()
        event(world)
        for _ in range(4):
            world.step(writes)
            world.controllers()
        world.settle()


def comes_to_rest(world: World) -> None:
    """Whatever was: at work with one Job, or failed with none."""
    world.settle(20)
    at_rest(world)
    assert world.status["phase"] in ("Running", "Failed")
    assert sum(not ended(job) for job in world.jobs.values()) == (world.status["phase"] == "Running")
