"""What is said about a policy: its conditions, each by a list of checks."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from accord.api.v1alpha1.checkpointpolicy import Serving
from accord.domain.checkpoint import checks, promotions
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move, State
from accord.domain.checkpoint.patches import remark
from accord.domain.checkpoint.snapshots import Capture
from accord.domain.checkpoint.store import Problem
from accord.domain.checks import judged
from accord.domain.conditions import Wanted, find, parse_timestamp

_UNWORKABLE = frozenset({"SnapshotsUnavailable", "VolumeNotShared", "DeploymentTaken", "NoStorageClass", "OnePodOnly"})
"""Reasons that a spec cannot be followed, whatever happens."""
_ARRIVES = timedelta(minutes=1)
"""Objects of one `kubectl apply` arrive in any order; who waits for health, such as Flux, gives up at `Stalled`."""
_MAY_ARRIVE = frozenset({"TrainingRunNotFound", "DeploymentNotFound"})


class _About(NamedTuple):
    """What a pass has found."""

    assessment: Assessment
    move: Move
    capture: Capture
    refused: Problem | None
    """Why nothing is done."""
    unchecked: Problem | None
    """Why nothing can be protected."""


class _Verdict(NamedTuple):
    """One reason for everything that kstatus asks."""

    state: State
    reason: str
    message: str


def conditions(
    assessment: Assessment, move: Move, capture: Capture, refused: Problem | None, unchecked: Problem | None = None
) -> tuple[tuple[Wanted, ...], float | None]:
    """All conditions, kstatus first, and after how many seconds they will be others, should all stay as it is.

    `refused` is why nothing is done, `unchecked` why nothing can be protected.
    """
    about = _About(assessment, move, capture, refused, unchecked)
    verdict = judged(about, (_refused, _suspended, _no_snapshot, _unprotected), _moved)
    left = _time_to_arrive(assessment, verdict)
    state, reason, message = verdict if left is None else verdict._replace(state="Reconciling")
    ready = Wanted("Ready", "True" if state == "Ready" else "False", reason, message)
    kstatus = (ready,) if state == "Ready" else (ready, Wanted(state, "True", reason, message))
    said = (
        _accepted(assessment, refused or _unworkable(move)),
        checks.healthy(assessment),
        _promoted(assessment, move),
        capture.told if refused is None else None,
        _rolled_back(assessment, move),
    )
    return (*kstatus, *(condition for condition in said if condition is not None)), left


def _time_to_arrive(assessment: Assessment, verdict: _Verdict) -> float | None:
    """Seconds that what is missing is still waited for; None where nothing is."""
    if verdict.reason not in _MAY_ARRIVE:
        return None
    told = find(assessment.status.conditions, "Ready")
    since = assessment.now
    if told is not None and (told.status, told.reason) == ("False", verdict.reason):
        since = parse_timestamp(told.last_transition_time)
    left = (since + _ARRIVES - assessment.now).total_seconds()
    return left if left > 0 else None


def _refused(about: _About) -> _Verdict | None:
    return None if about.refused is None else _Verdict("Stalled", *about.refused)


def _suspended(about: _About) -> _Verdict | None:
    if not about.assessment.policy.spec.suspend:
        return None
    return _Verdict("Ready", "Suspended", "spec.suspend is true: nothing changes")


def _no_snapshot(about: _About) -> _Verdict | None:
    """What is served is as it should be, but checkpoints cannot be kept."""
    told = about.capture.told
    if about.move.state != "Ready" or told is None or told.status != "False" or about.capture.slow:
        return None
    return _Verdict("Stalled", told.reason, told.message)


def _unprotected(about: _About) -> _Verdict | None:
    """What is served is as it should be, but nobody would know of a fault."""
    if about.move.state != "Ready" or about.unchecked is None:
        return None
    return _Verdict("Stalled", *about.unchecked)


def _moved(about: _About) -> _Verdict:
    return _Verdict(about.move.state, about.move.reason, about.move.message)


def _unworkable(move: Move) -> Problem | None:
    return Problem(move.reason, move.message) if move.state == "Stalled" else None


def _accepted(assessment: Assessment, refused: Problem | None) -> Wanted:
    if refused is not None and refused.reason in _UNWORKABLE:
        return Wanted("Accepted", "False", *refused)
    said = remark(assessment)
    return Wanted("Accepted", "True", "Accepted", "spec accepted" if said is None else f"spec accepted; {said}")


def _promoted(assessment: Assessment, move: Move) -> Wanted | None:
    """None where nothing is served."""
    serving = assessment.policy.spec.serving
    if serving is None:
        return None
    about = _Promotion(assessment, move, serving)
    return judged(about, (_under_way, _unservable, _no_target, _served, _kept, _stuck), _waiting)


class _Promotion(NamedTuple):
    """What is to be served, and what is done about it."""

    assessment: Assessment
    move: Move
    serving: Serving

    @property
    def target(self) -> Checkpoint | Problem | None:
        """As `follow` says."""
        return promotions.wanted(self.assessment)


def _under_way(about: _Promotion) -> Wanted | None:
    move = about.move
    return Wanted("Promoted", "False", move.reason, move.message) if move.state == "Reconciling" else None


def _unservable(about: _Promotion) -> Wanted | None:
    target = about.target
    return Wanted("Promoted", "False", *target) if isinstance(target, Problem) else None


def _no_target(about: _Promotion) -> Wanted | None:
    """Nothing is to be promoted: no checkpoint of this training, or no step that a person has named."""
    if about.target is not None:
        return None
    assessment, served = about.assessment, about.assessment.status.serving
    if served is None or served.step is None:
        return Wanted("Promoted", "False", "NoCheckpoint", "no checkpoint yet")
    if about.serving.follow == "Manual":
        return Wanted("Promoted", "True", "Kept", f"{assessment.what_is_served} is served")
    words = f"{assessment.what_is_served} is served; this training has no checkpoint yet"
    return Wanted("Promoted", "False", "NoCheckpoint", words)


def _served(about: _Promotion) -> Wanted | None:
    assessment, target = about.assessment, about.target
    if not isinstance(target, Checkpoint) or not promotions.is_served(assessment, target):
        return None
    return Wanted("Promoted", "True", "Served", f"{assessment.what_is_served} is served: follow {about.serving.follow}")


def _kept(about: _Promotion) -> Wanted | None:
    """What is served stays, although there is another one."""
    kept = promotions.kept(about.assessment)
    return None if kept is None else Wanted("Promoted", "False", *kept)


def _stuck(about: _Promotion) -> Wanted | None:
    move = about.move
    return Wanted("Promoted", "False", move.reason, move.message) if move.state == "Stalled" else None


def _waiting(about: _Promotion) -> Wanted:
    step = about.target.step if isinstance(about.target, Checkpoint) else None
    return Wanted("Promoted", "False", "Waiting", f"step {step} follows after spec.serving.minInterval")


def _rolled_back(assessment: Assessment, move: Move) -> Wanted | None:
    """Whether a rollback is the last thing that happened to this training, with this move."""
    record = move.status.get("rollback", assessment.status.rollback)
    if record is not None:
        reason = record.phase if record.phase in ("AwaitingApproval", "Retrying") else "RollingBack"
        return Wanted("RolledBack", "False", reason, f"{record.signal}: rolling back to step {record.to_step}")
    last = next(iter(move.status.get("history", assessment.status.history)), None)
    if last is None:
        return None
    return Wanted(
        "RolledBack", "True" if last.phase == "Done" else "False", f"Rollback{last.phase}", last.message or ""
    )
