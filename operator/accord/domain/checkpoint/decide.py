"""The decision about one CheckpointPolicy: a pure function of what is observed and the time."""

from __future__ import annotations

from datetime import datetime

from accord.api.base import Manifest
from accord.domain import refusals
from accord.domain.checkpoint import events, names, retention, rollbacks, serving, status
from accord.domain.checkpoint.assessment import Assessment, assess
from accord.domain.checkpoint.conditions import conditions
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.snapshots import Capture, capture, unused_claims
from accord.domain.checkpoint.store import Problem, Store
from accord.domain.checkpoint.unchecked import unchecked
from accord.domain.checks import first
from accord.domain.conditions import merge
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL

_IN_USE = 15.0


def decide(observed: Observed, store: Store, now: datetime) -> Plan:
    """What to write, and when to look again. Nothing of what exists goes with the policy."""
    policy = observed.policy
    if policy.metadata.deletion_timestamp is not None:
        return Plan()
    assessment = assess(observed, store, now)
    refused = _refused(assessment)
    stands_still = refused is not None or policy.spec.suspend
    move = Move("Ready", "Suspended", "") if stands_still else serving.advance(assessment)
    kept = Capture(failure=policy.status.snapshot_failure) if stands_still else capture(assessment)
    # A switch goes before all else: a snapshot that is refused must not keep it waiting. A switch that is left alone,
    # because somebody changes it back, keeps no snapshot waiting.
    waiting = move.apply or (move.patch and not _is_contested(assessment, move))
    made = () if waiting else (*kept.apply, *(() if stands_still else _relabelled(assessment)))
    unused = () if stands_still or move.status else unused_claims(assessment)
    gone = () if stands_still or move.status else (*kept.delete, *retention.outdated(assessment), *unused)
    refusal = _refusal(assessment, move) if not stands_still else None
    if refusal is not None:
        # A change back that was refused was not made: who is to blame for that has undone nothing.
        recorded = {name: value for name, value in move.status.items() if name != "put_back"}
        move = Move("Stalled", *refusal, recorded, move.apply, move.patch, move.look_again)
    unseen, due = (None, None) if stands_still else unchecked(assessment)
    said, missed = conditions(assessment, move, kept, refused, unseen)
    merged = merge(policy.status.conditions, said, generation=policy.metadata.generation, now=now)
    after = rollbacks.noted(assessment, move, status.full(assessment, move, kept, merged))
    # A claim that a pod still mounts is not deleted; that it is free then is told by nobody.
    wanted = (move.look_again, kept.look_again, due, missed, _IN_USE if unused else None)
    waits = [delay for delay in wanted if delay is not None]
    return Plan(
        apply=(*move.apply, *made),
        patch=move.patch,
        counts_reverts="put_back" in move.status,
        delete=tuple(dict.fromkeys(gone)),
        status=status.render(after),
        events=events.transitions(policy.status, after),
        requeue_after=min(waits, default=None),
    )


def _relabelled(assessment: Assessment) -> tuple[Manifest, ...]:
    """Checkpoints whose labels somebody has taken: they are known all the same, and get them back. Where that is
    refused, nothing that is under way waits for it.
    """
    if assessment.status.switch is not None or assessment.status.rollback is not None:
        return ()
    each = (assessment.store.relabel(assessment.observed, c, assessment.training) for c in assessment.checkpoints)
    return tuple(manifest for manifest in each if manifest is not None)


def _refused(assessment: Assessment) -> Problem | None:
    """Why nothing at all can be done for this policy."""
    return first(assessment, (_unsupported, _run_not_found))


def _unsupported(assessment: Assessment) -> Problem | None:
    return assessment.store.problem(assessment.observed)


def _run_not_found(assessment: Assessment) -> Problem | None:
    observed, spec = assessment.observed, assessment.policy.spec
    if spec.training_run_ref is not None and observed.run is None and assessment.status.training is None:
        return Problem("TrainingRunNotFound", f"TrainingRun {spec.training_run_ref.name} not found in this namespace")
    return None


def _refusal(assessment: Assessment, move: Move) -> Problem | None:
    """What the API server did not take, or what somebody else has under a name that is needed."""
    return None if move.state == "Stalled" else first((assessment, move), (_name_needed, _write_refused))


def _name_needed(about: tuple[Assessment, Move]) -> Problem | None:
    assessment, move = about
    for key, holder in assessment.observed.conflicts.items() if move.state == "Reconciling" else ():
        return Problem("NameTaken", _name_taken(assessment, key, holder))
    return None


def _write_refused(about: tuple[Assessment, Move]) -> Problem | None:
    assessment, _ = about
    for key, refusal in assessment.observed.refusals.items():
        if key.kind == "VolumeSnapshot" and assessment.status.switch is None and assessment.status.rollback is None:
            continue
        return Problem(refusals.reason(refusal), refusals.sentence(key, refusal))
    return None


def _is_contested(assessment: Assessment, move: Move) -> bool:
    """Whether what is to be patched is left alone for now."""
    told = (assessment.observed.refusals.get(ObjectKey.of(part)) for part in move.patch)
    return any(refusal is not None and refusals.reason(refusal) == refusals.CONTESTED for refusal in told)


def _name_taken(assessment: Assessment, key: ObjectKey, holder: str) -> str:
    """It may be what is served, or the only copy of a checkpoint: deleting it is never the advice."""
    labels = f"{MANAGED_BY_LABEL}={MANAGED_BY} {names.POLICY_LABEL}={assessment.policy.metadata.name}"
    return (
        f"{key.kind} {key.name} already exists and belongs to {holder}. If Accord created it, restore its labels: "
        f"kubectl label {key.kind.lower()} {key.name} {labels}; otherwise recreate this policy under another name "
        "(serving does not change)"
    )
