"""TrainingRun in the runtime: gathers what a decision needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import ValidationError

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import CHECKPOINT_POLICIES, CLAIMS, PODS, TRAINING_RUNS, WORKLOADS
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey, Plan
from accord.domain.training import progress as measuring
from accord.domain.training import ratings as rating
from accord.domain.training import resources
from accord.domain.training.admission import Admission
from accord.domain.training.assessment import is_finished
from accord.domain.training.names import INPUTS_ANNOTATION, RUN_LABEL
from accord.domain.training.observed import Observed
from accord.domain.training.pauses import Pause
from accord.domain.training.progress import Progress
from accord.domain.training.ratings import Ratings
from accord.domain.training.views import AttemptView, PodView
from accord.domain.training.workload import chosen
from accord.domain.warned import Warned
from accord.ports.workload import Workload
from accord.runtime.book import AnyInquiry, Book, Inquiry
from accord.runtime.index import Change, Index, controller_of, is_ours, version
from accord.runtime.kinds import Traits
from accord.runtime.parsed import Parsed
from accord.runtime.refusals import Refusals
from accord.runtime.slim import is_made_by_us

Decide = Callable[[Observed, Workload, datetime], Plan]
_POD_DUE = timedelta(seconds=5)
"""The Job controller makes a pod within a second."""
_DEPARTED = 4
"""An attempt on Ray has one head, or one after another where that is lost before it trains."""


class _Podless(NamedTuple):
    """A Job that is to have a pod and has none."""

    uid: str
    since: datetime
    is_overdue: bool
    """Whether that has lasted for longer than it takes to make a pod, so that its Events are worth a question."""


class TrainingRuns:
    """The kind TrainingRun. Implements `accord.runtime.kinds.Kind`."""

    resource = TRAINING_RUNS
    traits = Traits(
        RUN_LABEL,
        Needs(
            watches=(CLAIMS, PODS, CHECKPOINT_POLICIES),
            permissions=(
                Permission(TRAINING_RUNS, ("delete",), "Clean up a finished run when its `ttlAfterFinished` is over."),
                Permission(
                    CLAIMS,
                    OWN,
                    "The volume of a TrainingRun's checkpoints, which the operator never deletes.",
                ),
                Permission(
                    PODS,
                    ("list", "watch", "patch"),
                    "Watch the pods of TrainingRuns, by their label, and end one whose trainer has failed while a "
                    "sidecar keeps it, or whose attempt a rollback gave up (one field, `spec.activeDeadlineSeconds`).",
                ),
            ),
        ),
    )

    def __init__(
        self,
        index: Index,
        workloads: Mapping[str, Workload],
        decide: Decide,
        progress: Book[Progress],
        ratings: Book[Ratings],
    ) -> None:
        """`workloads` run the attempts; `progress` and `ratings` are what samplers write in."""
        self._index, self._workloads, self._decide = index, workloads, decide
        self._by_kind = {workload.kind: workload for workload in workloads.values()}
        self._progress, self._ratings = progress, ratings
        self._parsed = Parsed(TrainingRun)
        self._pods = index.index_by("trainingrun-pod", _pod_of)
        self._pausing = index.index_by("trainingrun-pause", _paused_by)
        """By run, the CheckpointPolicies that want it to rest."""
        self._warned: dict[ObjectKey, tuple[str, Warned | None]] = {}
        """By run: what does not start, a pod or the pod of a Job, by its uid, and what Kubernetes last warned of it."""
        self._podless: dict[ObjectKey, _Podless] = {}
        """By run, as of its last pass."""
        self._gone: dict[ObjectKey, str] = {}
        """By run, the Job of its newest attempt where that does not exist any more. There is no way back for it."""
        self._departed: dict[ObjectKey, tuple[PodView, ...]] = {}
        """By run, pods that are gone, as they were last seen: why is written nowhere else."""
        self.refusals = Refusals()
        self.inquiries: Sequence[AnyInquiry] = (
            Inquiry(measuring.QUESTION, self.read, progress),
            Inquiry(rating.QUESTION, self.read, ratings),
        )

    def read(self, key: ObjectKey) -> TrainingRun | None:
        """The run as it is known, or None. Raises pydantic.ValidationError where it cannot be read."""
        manifest = self._index.get(key)
        return None if manifest is None else self._parsed.of(manifest)

    def on_change(self, change: Change) -> Iterable[ObjectKey]:
        """Say which runs are concerned."""
        key = change.key
        if key.kind == self.resource.kind:
            return () if change.new is None else (key,)
        if key.kind == CHECKPOINT_POLICIES.kind:
            return self._paused(change)
        if key.kind == WORKLOADS.kind:
            return self._queued(change)
        if key.kind not in (*self._by_kind, PODS.kind, CLAIMS.kind):
            return ()
        runs = {run for run in map(_run_of, (change.old, change.new)) if run is not None}
        if key.kind == PODS.kind and change.new is None and change.old is not None:
            for run in runs:
                self._see_off(run, change.old)
        return runs

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        """Gather and decide. A refusal counts only as long as that object is wanted."""
        key, run = ObjectKey.of(manifest), self._parsed.of(manifest)
        workload = chosen(self._workloads, run)
        return self.refusals.decide(
            key, lambda: self._decide(self._gather(key, run, workload, conflicts, now), workload, now)
        )

    def unexplained(self, manifest: Manifest) -> str | None:
        """A pod of the run that has a node and no container yet, or a Job that makes no pod. Implements `AsksWhy`."""
        key = ObjectKey.of(manifest)
        self._warned.pop(key, None)
        podless = self._podless.get(key)
        if podless is not None and podless.is_overdue:
            return podless.uid
        try:
            workload = chosen(self._workloads, self._parsed.of(manifest))
        except ValidationError:
            return None
        pods = map(workload.pod, self._pods(key).values())
        return next((pod.uid for pod in pods if pod.created_nothing and not pod.deleting and pod.uid), None)

    def explained(self, manifest: Manifest, uid: str, warned: Warned | None) -> None:
        """Keep it for the next decision."""
        self._warned[ObjectKey.of(manifest)] = uid, warned

    def unseen(self, manifest: Manifest) -> ObjectKey | None:
        """The Job of the newest attempt, where no watch shows it. Implements `LooksForOwn`."""
        key = ObjectKey.of(manifest)
        try:
            run = self._parsed.of(manifest)
        except ValidationError:
            return None
        attempt = run.status.attempt or 0
        if attempt < 1 or is_finished(run):
            return None
        job = chosen(self._workloads, run).key(run, attempt)
        if self._gone.get(key) == job.name or any(view.attempt >= attempt for view in self._jobs(run)):
            return None
        return job

    def found(self, manifest: Manifest, key: ObjectKey, live: Manifest | None) -> Manifest | None:
        """Remember that it is gone, or return it where it is ours."""
        if live is not None and _is_job_of(manifest, live):
            return live
        self._gone[ObjectKey.of(manifest)] = key.name
        return None

    def forget(self, key: ObjectKey) -> None:
        """The run is gone."""
        self._parsed.forget(key)
        self._warned.pop(key, None)
        self._gone.pop(key, None)
        self._podless.pop(key, None)
        self._departed.pop(key, None)
        self.refusals.forget(key)

    def _follow_podless(
        self, key: ObjectKey, jobs: Iterable[AttemptView], pods: Iterable[PodView], now: datetime
    ) -> _Podless | None:
        """Since when the newest Job has been without a pod; None where it has one, or is to have none."""
        before = self._podless.pop(key, None)
        job = max(jobs, key=lambda job: job.attempt, default=None)
        if job is None or job.suspended or job.deleting or job.end or job.given_up or any(pod.at_work for pod in pods):
            return None
        uid = str(job.manifest["metadata"]["uid"])
        since = before.since if before is not None and before.uid == uid else now
        self._podless[key] = podless = _Podless(uid, since, now - since >= _POD_DUE)
        return podless

    def _see_off(self, key: ObjectKey, pod: Manifest) -> None:
        """Keep how a pod that trained has ended, or that it was told to: the last few of an attempt.

        A replica that does not lead remembers, too, and for as long as it lives.
        """
        try:
            run = self.read(key)
        except ValidationError:
            return
        if run is None:
            return
        view = chosen(self._workloads, run).pod(pod)
        if not view.role and (view.deleting or not view.at_work):
            before = (each for each in self._departed.get(key, ()) if each.attempt == view.attempt)
            self._departed[key] = (*before, view)[-_DEPARTED:]

    def _paused(self, change: Change) -> Iterable[ObjectKey]:
        """The runs that a policy pauses from now on, or does not pause any more."""
        (before, old), (after, new) = ((Pause.of(each), _referred(each)) for each in (change.old, change.new))
        if before == after and (old == new or after is None):
            return ()
        concerned = [run for pause, run in ((before, old), (after, new)) if pause is not None and run is not None]
        return [run for run in concerned if self._index.get(run) is not None]

    def _queued(self, change: Change) -> Iterable[ObjectKey]:
        """The run of the Job that a Workload of Kueue was made for. That of a Job not seen yet is found with it."""
        owner = controller_of(change.new or change.old or {"metadata": {}})
        if owner is None or owner["kind"] not in self._by_kind:
            return ()
        job = self._index.get(ObjectKey(owner["apiVersion"], owner["kind"], change.key.namespace, owner["name"]))
        run = _run_of(job)
        return () if run is None else (run,)

    def _admission(self, job: AttemptView) -> Admission | None:
        """What Kueue says of a Job: in its Workload, or the newest of several."""
        children = self._index.children(job.manifest["metadata"]["uid"]).values()
        found = [child for child in children if child["kind"] == WORKLOADS.kind]
        return Admission.of(max(found, key=version)) if found else None

    def _gather(
        self,
        key: ObjectKey,
        run: TrainingRun,
        workload: Workload,
        conflicts: Mapping[ObjectKey, str],
        now: datetime,
    ) -> Observed:
        jobs, pods = self._jobs(run), tuple(map(workload.pod, self._pods(key).values()))
        podless = self._follow_podless(key, jobs, pods, now)
        uid, warned = self._warned.get(key, ("", None))
        return Observed(
            run=run,
            jobs=jobs,
            departed=self._departed.get(key, ()),
            podless_since=None if podless is None else podless.since,
            refused=warned if podless is not None and podless.uid == uid else None,
            pods=tuple(pod.explained(warned) if pod.uid == uid else pod for pod in pods),
            claim=_ours(self._index.get(resources.claim_key(run)), key.name),
            conflicts=conflicts,
            refusals=self.refusals.of(key),
            pauses=tuple(pause for pause in map(Pause.of, self._pausing(key).values()) if pause is not None),
            progress=self._progress.get(key),
            ratings=self._ratings.get(key),
        )

    def _jobs(self, run: TrainingRun) -> tuple[AttemptView, ...]:
        """The Jobs of a run, also one of its newest attempt from which somebody took the owner reference."""
        children = self._index.children(run.metadata.uid)
        found = [child for child in children.values() if child["kind"] in self._by_kind]
        newest = self._index.get(chosen(self._workloads, run).key(run, run.status.attempt or 1))
        if newest is not None and controller_of(newest) is None and _is_made_for(run.metadata.name, newest):
            found.append(newest)
        views = (self._by_kind[each["kind"]].view(each) for each in found)
        return tuple(replace(view, admission=self._admission(view)) for view in views)


def _ours(manifest: Manifest | None, run: str) -> Manifest | None:
    """The user's claims are in the index, too; and ours may have lost their labels."""
    if manifest is None or is_ours(manifest):
        return manifest
    label = (manifest["metadata"].get("labels") or {}).get(RUN_LABEL, run)
    return manifest if label == run and is_made_by_us(manifest) else None


def _is_job_of(run: Manifest, live: Manifest) -> bool:
    """Whether a Job belongs to a run: by its controller, or, where somebody took that away, by what else it carries."""
    controller = controller_of(live)
    if controller is not None:
        return bool(controller["uid"] == run["metadata"]["uid"])
    return _is_made_for(run["metadata"]["name"], live)


def _is_made_for(run: str, job: Manifest) -> bool:
    meta = job["metadata"]
    return (meta.get("labels") or {}).get(RUN_LABEL) == run and INPUTS_ANNOTATION in (meta.get("annotations") or {})


def _referred(policy: Manifest | None) -> ObjectKey | None:
    """The run that a CheckpointPolicy is about."""
    name = (((policy or {}).get("spec") or {}).get("trainingRunRef") or {}).get("name")
    if policy is None or not name:
        return None
    return ObjectKey(TRAINING_RUNS.api_version, TRAINING_RUNS.kind, policy["metadata"]["namespace"], name)


def _paused_by(manifest: Manifest) -> tuple[ObjectKey, ...]:
    """The run that a CheckpointPolicy wants to rest."""
    if manifest["kind"] != CHECKPOINT_POLICIES.kind or Pause.of(manifest) is None:
        return ()
    run = _referred(manifest)
    return () if run is None else (run,)


def _pod_of(manifest: Manifest) -> tuple[ObjectKey, ...]:
    """The run that a pod belongs to."""
    run = _run_of(manifest) if manifest["kind"] == PODS.kind else None
    return () if run is None else (run,)


def _run_of(manifest: Manifest | None) -> ObjectKey | None:
    """The run that an object belongs to: by its controller, or else by its label."""
    if manifest is None:
        return None
    meta = manifest["metadata"]
    controller = controller_of(manifest)
    if controller is not None and controller["kind"] == TRAINING_RUNS.kind:
        name = controller["name"]
    else:
        name = (meta.get("labels") or {}).get(RUN_LABEL)
    if not name:
        return None
    return ObjectKey(TRAINING_RUNS.api_version, TRAINING_RUNS.kind, meta["namespace"], name)
