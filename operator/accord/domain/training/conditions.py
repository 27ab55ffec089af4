"""What is said about a run: its conditions, out of the verdict."""

from __future__ import annotations

from dataclasses import replace

from accord.domain.conditions import Wanted
from accord.domain.training import queueing, restart
from accord.domain.training.assessment import Assessment
from accord.domain.training.verdict import Verdict, where_to_look


def conditions(
    assessment: Assessment, verdict: Verdict, notes: tuple[str, ...], remarks: tuple[str, ...] = ()
) -> tuple[Wanted, ...]:
    """All conditions, kstatus first. `notes` say what of the spec is not followed to the letter; `remarks` how the
    rest is understood.
    """
    told = (verdict.reason, verdict.message)
    ready = Wanted("Ready", "True" if verdict.state == "Ready" else "False", *told)
    finished = assessment.course == "Finished"
    rolled_back = _rolled_back(assessment, finished=finished)
    kstatus = (ready,) if verdict.state == "Ready" else (ready, Wanted(verdict.state, "True", *told))
    return (
        *kstatus,
        _accepted(assessment, verdict, notes, remarks),
        Wanted("Complete", "True" if verdict.phase == "Succeeded" else "False", *told),
        *((Wanted("Failed", "True", *told),) if verdict.phase == "Failed" else ()),
        Wanted("Suspended", "True" if verdict.phase == "Suspended" else "False", *told),
        *((rolled_back,) if rolled_back is not None else ()),
    )


def _rolled_back(assessment: Assessment, *, finished: bool) -> Wanted | None:
    """What a rollback has done, and where the logs are of the attempt that it gave up."""
    said = restart.condition(assessment.asked, assessment.restart, assessment.attempt, finished=finished)
    if said is None or said.reason != "RestartedFromCheckpoint" or assessment.restart is None:
        return said
    job, done = assessment.job, assessment.restart
    if job is not None and job.suspended and queueing.is_held(assessment.run, job) and done.saved_in_attempt is None:
        message = (
            f"attempt {done.ended_attempt} was rolled back; attempt {assessment.attempt} is queued and resumes from "
            f"{restart.Restart.of(done).resume_from} when it is admitted"
        )
        said = replace(said, message=message)
    return replace(said, message=f"{said.message}{where_to_look(assessment, assessment.restart.ended_attempt)}")


def _accepted(assessment: Assessment, verdict: Verdict, notes: tuple[str, ...], remarks: tuple[str, ...]) -> Wanted:
    if assessment.course == "Refused" or verdict.reason == "Invalid":
        return Wanted("Accepted", "False", verdict.reason, verdict.message)
    if assessment.course == "Finished" and assessment.is_changed:
        return Wanted(
            "Accepted",
            "False",
            "AlreadyFinished",
            "the spec changed after the run finished, and a finished run is not restarted: create a TrainingRun with "
            "another name, or delete and recreate this one",
        )
    if notes:
        return Wanted("Accepted", "True", "Adjusted", "; ".join((*notes, *remarks)))
    return Wanted("Accepted", "True", "Accepted", "; ".join(("spec accepted", *remarks)))
