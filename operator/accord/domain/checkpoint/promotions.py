"""Which checkpoint should be served by `serving.follow`, and whether now."""

from __future__ import annotations

from accord.api.v1alpha1.checkpointpolicy import Switch
from accord.domain.checkpoint import holds, switching
from accord.domain.checkpoint.assessment import Assessment, last_rollback
from accord.domain.checkpoint.checkpoint import Checkpoint, newest_first, value
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.patches import impossible
from accord.domain.checkpoint.reading import UNANSWERED
from accord.domain.checkpoint.store import Problem
from accord.domain.conditions import find, parse_timestamp


def wanted(assessment: Assessment) -> Checkpoint | Problem | None:
    """The checkpoint that `follow` asks for; a Problem where it can never be served, None where there is none yet."""
    serving = assessment.policy.spec.serving
    if serving is None:
        return None
    if serving.follow == "Latest":
        return assessment.latest
    if serving.follow == "Best":
        return assessment.best
    if serving.step is None:
        return None
    found = newest_first(checkpoint for checkpoint in assessment.checkpoints if checkpoint.step == serving.step)
    current = assessment.served
    if current is not None and current.is_good and current.step == serving.step and serving.new_run != "Immediately":
        # Another attempt or another run may have come to that step since.
        return current
    good = next((checkpoint for checkpoint in found if checkpoint.is_good), None)
    if good is not None:
        return good
    if found and found[0].quarantined:
        return Problem("Quarantined", f"step {serving.step} is quarantined: set spec.serving.step to another step")
    return Problem("NoSuchCheckpoint", f"no usable checkpoint of step {serving.step}")


def held(assessment: Assessment) -> Problem | None:
    """Why nothing may be promoted now. A step that a person names waits for nothing."""
    serving = assessment.policy.spec.serving
    if serving is not None and serving.follow == "Manual":
        return None
    reading, hold = assessment.reading, assessment.hold
    if hold is not None:
        return Problem("Held", f"promotion is paused until a check passes: {hold.message}")
    last = last_rollback(assessment)
    if last is None or last.attempt != assessment.attempt:
        return None
    ended = parse_timestamp(last.completed_at or last.started_at)
    passed = reading is not None and reading.outcome == "Pass" and reading.at > ended
    if passed or last.signal == "Manual":
        return None
    return Problem("Held", "promotion is paused after the rollback until a check passes")


def unknown(assessment: Assessment) -> Problem | None:
    """Why no promotion begins: nobody can say how the training is doing that has saved the checkpoint. What is missing
    in the answer of Prometheus is no reason, as a training may have no metrics by design; that there is no answer is.
    One that has begun goes on, and the first of all does not wait: nothing that was checked is served yet.
    """
    serving, current, target = assessment.policy.spec.serving, assessment.status.serving, wanted(assessment)
    if serving is None or serving.follow == "Manual" or current is None or current.step is None:
        return None
    if not isinstance(target, Checkpoint) or is_served(assessment, target):
        return None
    detection, reading = assessment.policy.spec.detection, assessment.reading
    if not holds.is_watched(detection):
        return None
    to_serve = f"To serve step {target.step} anyway: spec.serving.follow Manual, step {target.step}"
    told = find(assessment.status.conditions, "Healthy")
    if reading is not None:
        no_answer = Problem(reading.reason or "QueryFailed", reading.message)
        if reading.outcome != "QueryFailed":
            return None
    elif told is not None and told.reason in UNANSWERED and assessment.is_checked:
        no_answer = Problem(told.reason, told.message)
    elif assessment.is_at_work:
        return Problem("NotChecked", f"promotion waits for the next check of the training. {to_serve}")
    else:
        return None
    words = f"promotion waits until the training can be checked. {to_serve}. {no_answer.message}"
    return Problem(no_answer.reason, words)


def gate(assessment: Assessment) -> Problem | None:
    """Why no checkpoint of this training takes the place of an earlier one's. A step that a person names does."""
    serving, target = assessment.policy.spec.serving, wanted(assessment)
    earlier = assessment.served_training != assessment.training
    if serving is None or not earlier or serving.follow == "Manual" or not isinstance(target, Checkpoint):
        return None
    if serving.new_run == "Immediately":
        return None
    if serving.new_run == "Never":
        message = (
            f"{assessment.what_is_served} stays served: spec.serving.newRun is Never. To serve a step of this "
            "training: spec.serving.follow Manual, and that step"
        )
        return Problem("EarlierTraining", message)
    waits_for = _not_as_good(assessment, target)
    if waits_for is None:
        return None
    message = f"{assessment.what_is_served} is served {waits_for}. To serve it now: spec.serving.newRun Immediately"
    return Problem("EarlierTraining", message)


def kept(assessment: Assessment) -> Problem | None:
    """Why what is served stays, although there may be a checkpoint to be promoted."""
    return held(assessment) or unknown(assessment) or gate(assessment)


def _not_as_good(assessment: Assessment, target: Checkpoint) -> str | None:
    """What is missing, in words; None where it is as good as what is served. Without figures steps are compared."""
    metric, current = assessment.policy.spec.best_model.metric, assessment.served
    before = value(current, metric) if current is not None else None
    now = value(target, metric)
    if before is None or now is None:
        step = assessment.status.serving.step if assessment.status.serving is not None else None
        if target.step >= (step or 0):
            return None
        return f"until this training reaches that step; its newest checkpoint is step {target.step}"
    if (now >= before) if metric == "Reward" else (now <= before):
        return None
    return (
        f"until a checkpoint of this training is as good: {metric.lower()} {before:.6g}, compared with {now:.6g} of "
        f"step {target.step}"
    )


def promote(assessment: Assessment) -> Move | None:
    """Begin a promotion; None where nothing is to be promoted now."""
    serving, current, target = assessment.policy.spec.serving, assessment.status.serving, wanted(assessment)
    if serving is None or current is None or not isinstance(target, Checkpoint):
        return None
    if kept(assessment) is not None:
        return None
    place = assessment.store.place(assessment.observed, target)
    if is_served(assessment, target) or assessment.seconds_until(_since(assessment), serving.min_interval) > 0:
        return None
    if impossible(assessment, target) is not None or is_set_back(assessment, target):
        return None
    switch = switching.begin(assessment, "Promotion", target, place)
    return Move("Reconciling", "Promoting", f"promoting step {target.step}", {"switch": switch})


def chosen_instead(assessment: Assessment, switch: Switch) -> Move | None:
    """A person has named another checkpoint while this one waits for room, which may be for long."""
    serving, target = assessment.policy.spec.serving, wanted(assessment)
    if serving is None or serving.follow != "Manual" or switch.why != "Promotion" or switch.waiting is None:
        return None
    if not isinstance(target, Checkpoint) or target.is_named(switch.step, switch.attempt, switch.training):
        return None
    switch = switching.begin(assessment, "Promotion", target, assessment.store.place(assessment.observed, target))
    return Move("Reconciling", "Promoting", f"promoting step {target.step}", {"switch": switch})


def is_set_back(assessment: Assessment, target: Checkpoint) -> bool:
    """Whether it is too early to try again. Where only the pods of another checkpoint were not ready, nothing waits."""
    setback = assessment.status.setback
    if setback is None:
        return False
    if setback.unready and not target.is_named(setback.step, setback.attempt, setback.training):
        return False
    return not is_served(assessment, target) and switching.seconds_to_retry(assessment) > 0


def is_served(assessment: Assessment, target: Checkpoint) -> bool:
    """Whether that very checkpoint is served."""
    current = assessment.status.serving
    place = assessment.store.place(assessment.observed, target)
    if current is None or (current.claim_name, current.sub_path) != (place.claim_name, place.sub_path):
        return False
    return (current.step, current.attempt) == target.identity


def seconds_left(assessment: Assessment) -> float | None:
    """Seconds until `minInterval` lets the next promotion through; None where it does, or nothing is to be promoted."""
    serving, target = assessment.policy.spec.serving, wanted(assessment)
    if serving is None or not isinstance(target, Checkpoint) or is_served(assessment, target):
        return None
    return assessment.seconds_until(_since(assessment), serving.min_interval) or None


def _since(assessment: Assessment) -> str | None:
    """When the last promotion was; what was found there at first was none."""
    current = assessment.status.serving
    return current.since if current is not None and current.step is not None else None
