"""The status of a CheckpointPolicy: a rendering of the assessment, of the next step and of what was said."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicyStatus, CheckpointStatus
from accord.api.v1alpha1.meta import Condition
from accord.domain.checkpoint import checks, retention
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import value
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.rollbacks import doomed
from accord.domain.checkpoint.snapshots import Capture, passed_over


def full(assessment: Assessment, move: Move, capture: Capture, conditions: list[Manifest]) -> CheckpointPolicyStatus:
    """Everything as of now."""
    before, spec = assessment.status, assessment.policy.spec
    latest, best = assessment.latest, assessment.best
    known = assessment.identity or before.training
    update = {
        "observed_generation": assessment.policy.metadata.generation,
        "conditions": [Condition.model_validate(condition) for condition in conditions],
        "latest_step": latest.step if latest is not None else None,
        "best_step": best.step if best is not None else None,
        "best_value": value(best, spec.best_model.metric) if best is not None else None,
        "rollbacks": assessment.rollbacks,
        "passed_over": passed_over(assessment) or None,
        "checkpoints": _checkpoints(assessment, move),
        "detection": checks.verdict(assessment),
        "hold": assessment.hold,
        "snapshot_failure": capture.failure,
        "training": known or None,
        **_serving(assessment),
        "put_back": before.put_back if before.observed_generation == assessment.policy.metadata.generation else [],
        **({} if spec.rollback_to is not None else {"handled_rollback_to": None}),
        **move.status,
    }
    return before.model_copy(update=update)


def render(status: CheckpointPolicyStatus) -> Manifest:
    """As the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _serving(assessment: Assessment) -> dict[str, object]:
    """What is served, with the training where an older version has not said it: that is known now, and not later."""
    serving = assessment.status.serving
    if serving is None or serving.step is None or serving.training is not None:
        return {}
    return {"serving": serving.model_copy(update={"training": assessment.served_training})}


def _checkpoints(assessment: Assessment, move: Move) -> list[CheckpointStatus]:
    """With method SubPath this is the only record of what is quarantined."""
    condemned: list[tuple[int | None, int | None, str | None]] = []
    if assessment.policy.spec.method == "SubPath":
        record, switch = assessment.status.rollback, assessment.status.switch
        # Only when the target serves: until then a good one must not be lost.
        if record is not None and record.phase == "Restarting":
            condemned = [(c.step, c.attempt, c.training) for c in doomed(assessment, record)]
        returned = move.status.get("switch", switch) is None and move.status.get("setback") is None
        if switch is not None and switch.why == "Revert" and returned:
            condemned.append((switch.failed_step, switch.failed_attempt, switch.failed_training))
    shown: dict[tuple[int, int, str], CheckpointStatus] = {}
    for checkpoint in retention.listed(assessment):
        record_ = checkpoint.record()
        if any(checkpoint.is_named(*each) for each in condemned):
            record_ = record_.model_copy(update={"quarantined": True})
        # Two trainings may have saved the same step in the same attempt.
        shown.setdefault((*checkpoint.identity, checkpoint.training), record_)
    return list(shown.values())
