"""What is to be done about a run now: one course out of few, concluded from the facts before anything is said.

Never two attempts at work: a new one starts only when no Job of the run (or what else runs its attempts) is unfinished
and no pod of it is at work, not even one whose Job is gone already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from accord.api.v1alpha1.trainingrun import RestartRecord, TrainingRun
from accord.domain.training import keeping, pauses, queueing, restart, sidecars
from accord.domain.training.inputs import inputs
from accord.domain.training.observed import Observed
from accord.domain.training.pauses import Pause
from accord.domain.training.restart import Asked, Restart
from accord.domain.training.template import trainer_of
from accord.domain.training.views import AttemptView, End, Problem
from accord.domain.training.workload import Workload

Course = Literal["Refused", "Finished", "Keep", "Replace", "Drain", "Rest", "Start"]
"""Refused: the spec cannot be run. Finished: for good. Keep: the Job is right. Replace: the Job must go. Drain: wait
for what is still at work. Rest: suspended without a Job. Start: make the next attempt."""


@dataclass(frozen=True)
class Assessment:
    """One run at one moment."""

    observed: Observed
    workload: Workload
    """What runs its attempts."""
    now: datetime
    course: Course
    attempt: int
    """The newest attempt that is known of; 0 before the first."""
    job: AttemptView | None
    """Its object, if that lives: a Job, or what else the workload makes."""
    stale: tuple[AttemptView, ...]
    """The same of former attempts, which must go."""
    inputs: str
    """What an attempt would be made from now."""
    asked: Asked
    """What a rollback asks of the newest attempt."""
    restart: RestartRecord | None
    """The newest restart that was done."""
    ended: End | None = None
    """How the attempt ended, or the trainer in a pod that sidecars keep."""
    refused: Problem | None = None
    """Why the spec cannot be run."""
    pause: Pause | None = None
    """The CheckpointPolicy for which it rests."""
    gives_up: bool = False
    """With Replace: whether the attempt is made to fail and stays, for the logs of its pod."""
    fault: End | None = None
    """How the newest attempt ended, where another one is to follow."""
    lost: End | None = None
    """How it ended, where its object does not say so."""
    is_suspended: bool = False
    """Whether its own `spec.suspend` says that it rests."""

    @property
    def run(self) -> TrainingRun:
        """The run."""
        return self.observed.run

    @property
    def end(self) -> End | None:
        """How the newest attempt ended, where that is not recorded yet."""
        return self.ended if self.course == "Finished" and not is_finished(self.run) else None

    @property
    def is_changed(self) -> bool:
        """Whether the spec asks for something else than the newest attempt was made from."""
        made_from = self.job.inputs if self.job is not None else self.run.status.inputs
        return made_from is not None and made_from != self.inputs

    @property
    def next_from(self) -> Restart | None:
        """What the next attempt is to go on from after a rollback; None where `spec.resume` says it.

        An attempt that died before its first save left the checkpoints of the one that went wrong as the newest.
        """
        if self.asked.restart is not None:
            return self.asked.restart
        unsaved = self.restart is not None and self.restart.saved_in_attempt is None
        return Restart.of(self.restart) if self.restart is not None and unsaved else None

    @property
    def failed_pods(self) -> int:
        """Pods that failed, over all attempts. Never goes back."""
        here = 0 if self.job is None else _failures(self.job, self.lost)
        return max(here, self.run.status.failed_pods or 0)


def is_finished(run: TrainingRun) -> bool:
    """Whether the status says that the run is over, well or not."""
    return run.status.phase in ("Succeeded", "Failed")


def assess(observed: Observed, workload: Workload, now: datetime) -> Assessment:
    """Everything that can be concluded without a word."""
    run = observed.run
    attempt = max([run.status.attempt or 0, *(job.attempt for job in observed.jobs)])
    job = next((job for job in observed.jobs if job.attempt == attempt), None)
    wanted, asked = inputs(run), restart.asked(run, attempt)
    pause = None if asked.restart is not None else pauses.standing(observed.pauses, run.metadata.uid, attempt)
    if asked.stop or pause is not None:
        observed = replace(observed, run=restart.stopped(run))
    over = job is None or job.given_up
    ended = None if job is None or over else sidecars.finished(observed.pods, attempt, now) or job.end
    lost = None
    if job is not None and job.key.kind == workload.kind and ended is None and not over and not job.deleting:
        seen = (*observed.pods, *observed.departed)
        lost = workload.lost(job, [pod for pod in seen if pod.attempt == attempt], now)
    ended, fault = _fault(run, job, ended, lost)
    # What goes on in another attempt whatever is decided; a stop that a person may take back does not.
    ends = asked.restart is not None or pause is not None
    worth = ends and job is not None and not over and keeping.worth_keeping(run, job, observed.pods)
    is_its_own = job is not None and job.key.kind == workload.kind
    gives_up = worth and fault is None and job is not None and is_its_own and workload.given_up(run, job) is not None
    refused = _refused(run, workload)
    course = _course(observed, job, wanted, asked, ended, refused, gives_up=gives_up, fault=fault)
    return Assessment(
        observed=observed,
        workload=workload,
        now=now,
        course=course,
        attempt=attempt,
        job=job,
        stale=tuple(other for other in observed.jobs if other is not job and other.end is None and not other.deleting),
        inputs=wanted,
        asked=asked,
        restart=_restart(observed, job, attempt),
        ended=ended,
        refused=refused,
        pause=pause,
        gives_up=gives_up and course == "Replace",
        fault=fault,
        lost=lost,
        is_suspended=run.spec.suspend,
    )


def _failures(job: AttemptView, lost: End | None) -> int:
    """Of this attempt and those before."""
    return job.failed_before + job.failed + (1 if lost is not None and lost.counts else 0)


def _fault(
    run: TrainingRun, job: AttemptView | None, ended: End | None, lost: End | None
) -> tuple[End | None, End | None]:
    """How the run ended, and how its attempt did where the run goes on in another one."""
    found = lost if lost is not None else ended
    if job is None or found is None or not found.again:
        return ended, None
    if found.counts and max(_failures(job, lost), run.status.failed_pods or 0) > run.spec.backoff_limit:
        return replace(found, again=False), None
    return None, found


def _restart(observed: Observed, job: AttemptView | None, attempt: int) -> RestartRecord | None:
    """What was recorded, or is read from the attempt: the status may not have been written any more."""
    before, measured = observed.run.status.restart, observed.progress
    recorded = None if before is None else Restart.of(before)
    origin = recorded if job is None else job.restart
    saved = measured.checkpoint_step if measured is not None and measured.attempt == attempt else None
    return restart.record(before, origin, attempt, saved)


def _refused(run: TrainingRun, workload: Workload) -> Problem | None:
    if trainer_of(run) is None:
        return Problem("NoTrainer", "spec.template has no container named trainer: add it")
    return workload.unsupported(run)


def _course(
    observed: Observed,
    job: AttemptView | None,
    wanted: str,
    asked: Asked,
    ended: End | None,
    refused: Problem | None,
    *,
    gives_up: bool,
    fault: End | None,
) -> Course:
    run = observed.run
    if is_finished(run) or ended is not None:
        return "Finished"
    if refused is not None:
        return "Refused"
    if job is not None and fault is not None and job.end is None and not job.deleting:
        return "Replace"
    if job is not None and not job.deleting and not job.given_up and fault is None:
        # Kueue owns the suspension of a Job that it holds, and is told by the Workload. Without one, the Job goes.
        stays = not job.once and (queueing.keeps_place(job) or not queueing.is_held(run, job))
        parked = run.spec.suspend and (not stays or queueing.is_to_move(run, job))
        ends = asked.restart is not None and not asked.stop
        return "Replace" if job.inputs != wanted or parked or ends or gives_up else "Keep"
    if any(other.end is None for other in observed.jobs) or any(pod.at_work for pod in observed.pods):
        return "Drain"
    return "Rest" if run.spec.suspend else "Start"
