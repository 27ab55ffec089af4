"""What a rollback asks of a run, by annotations: to go on from an earlier checkpoint, or to stop.

A CheckpointPolicy writes them, or a person. They name the attempt that went wrong, and mean something only as long as
that is the newest one: an annotation that is left behind restarts nothing. What an attempt was started from is on its
Job and in the status, so that it is known whatever becomes of the annotations.
"""

from __future__ import annotations

from dataclasses import dataclass

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import RestartRecord, TrainingRun
from accord.domain.conditions import Wanted
from accord.domain.numbers import whole
from accord.domain.training import names

_TYPE = "RolledBack"


@dataclass(frozen=True)
class Restart:
    """Training goes on from the checkpoint of `step`, because `attempt` went wrong."""

    step: int
    attempt: int

    @property
    def resume_from(self) -> str:
        """Value of RESUME_FROM: the name of the checkpoint, as the SDK names its directory."""
        return f"step-{self.step:08d}"

    @property
    def annotations(self) -> dict[str, str]:
        """The same as annotations, of a run or of a Job."""
        return {
            names.RESTART_FROM_ANNOTATION: str(self.step),
            names.RESTART_ATTEMPT_ANNOTATION: str(self.attempt),
        }

    @classmethod
    def on(cls, manifest: Manifest) -> Restart | None:
        """What a Job was started from; None where that was no rollback, or somebody made the annotations strange."""
        found = manifest["metadata"].get("annotations") or {}
        step, attempt = (whole(found.get(key)) for key in (_STEP, _ATTEMPT))
        return None if step is None or not attempt else cls(step, attempt)

    @classmethod
    def of(cls, record: RestartRecord) -> Restart:
        """What the status has recorded."""
        return cls(record.from_step, record.ended_attempt)


_STEP, _ATTEMPT, _STOP = names.RESTART_FROM_ANNOTATION, names.RESTART_ATTEMPT_ANNOTATION, names.STOP_ATTEMPT_ANNOTATION


@dataclass(frozen=True)
class Asked:
    """What the annotations ask of the newest attempt. `problems` says in words what of them cannot be followed."""

    restart: Restart | None = None
    stop: bool = False
    problems: tuple[str, ...] = ()


def asked(run: TrainingRun, attempt: int) -> Asked:
    """What is asked of `attempt`, the newest of the run. Total: what cannot be read is a problem, never an error.

    With both, the run stops, and restarts once it need not stop any more.
    """
    found = run.metadata.annotations
    problems = [
        f"annotation {key} is ignored: {found[key][:40]!r} is not {what}"
        for key, what in ((_STEP, "a step"), (_ATTEMPT, "an attempt"), (_STOP, "an attempt"))
        if key in found and (whole(found[key]) is None or (key != _STEP and whole(found[key]) == 0))
    ]
    for key, other in ((_STEP, _ATTEMPT), (_ATTEMPT, _STEP)):
        if key in found and other not in found:
            problems.append(f"annotation {key} is ignored without {other}")
    for key in (_ATTEMPT, _STOP):
        named = whole(found.get(key))
        if named is not None and named > attempt:
            problems.append(f"annotation {key} is ignored: there is no attempt {named} yet")
    step, wrong = whole(found.get(_STEP)), whole(found.get(_ATTEMPT))
    restart = Restart(step, attempt) if step is not None and attempt and wrong == attempt else None
    return Asked(restart, bool(attempt) and whole(found.get(_STOP)) == attempt, tuple(problems))


def stopped(run: TrainingRun) -> TrainingRun:
    """The run as one that is suspended."""
    return run.model_copy(update={"spec": run.spec.model_copy(update={"suspend": True})})


def record(
    before: RestartRecord | None, origin: Restart | None, attempt: int, saved: int | None
) -> RestartRecord | None:
    """The newest restart, for the status. `origin` is what the newest attempt was started from, `attempt` its number,
    `saved` the step of the newest checkpoint that it is known to have.
    """
    if origin is None:
        return before
    same = before is not None and Restart.of(before) == origin
    kept = before if same and before is not None else _begun(origin, attempt)
    # At first the trainer reports the checkpoint that it went on from.
    if kept.saved_in_attempt is None and saved is not None and saved > origin.step:
        return kept.model_copy(update={"saved_in_attempt": attempt})
    return kept


def _begun(origin: Restart, attempt: int) -> RestartRecord:
    return RestartRecord(from_step=origin.step, ended_attempt=origin.attempt, attempt=attempt)


def condition(asked: Asked, record: RestartRecord | None, attempt: int, *, finished: bool) -> Wanted | None:
    """`RolledBack`, where there is anything to say about it. `attempt` is the newest."""
    if asked.problems:
        return Wanted(_TYPE, "False", "Ignored", "; ".join(asked.problems))
    if finished and (asked.restart is not None or asked.stop):
        words = f"attempt {attempt} had finished before the rollback; a finished run is not restarted"
        return Wanted(_TYPE, "False", "AlreadyFinished", words)
    if asked.stop:
        return Wanted(_TYPE, "True", "StoppedByRollback", why_stopped(asked, attempt))
    if asked.restart is not None:
        words = f"attempt {attempt} was rolled back; the next one resumes from {asked.restart.resume_from}"
        return Wanted(_TYPE, "True", "Restarting", words)
    if record is not None:
        words = (
            f"attempt {record.ended_attempt} was rolled back; attempt {record.attempt} resumed from "
            f"{Restart.of(record).resume_from}"
        )
        return Wanted(_TYPE, "True", "RestartedFromCheckpoint", words)
    return None


def why_stopped(asked: Asked, attempt: int) -> str:
    """A sentence with what to do."""
    if asked.restart is not None:
        after = f"training resumes from {asked.restart.resume_from}"
    else:
        after = (
            f"training resumes from the newest checkpoint, or from the step in {_STEP} where {_ATTEMPT} is {attempt}"
        )
    return f"a rollback stopped attempt {attempt}: remove annotation {_STOP} from the run, and {after}"
