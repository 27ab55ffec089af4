"""Advice on hyperparameters from ratings: three rules, each with its evidence.

| rule | speaks when | suggests | never beyond |
| --- | --- | --- | --- |
| LowMean | the mean is below 3.0 | explore more: entropy coefficient 0.02, constant | 0.02 |
| WideSpread | the standard deviation is above 1.5 | learn more carefully: learning rate 1e-4, constant | 1e-4 |
| HighMean | the mean is at least 4.0 | move the policy less: clip range three quarters of what it is | 0.1 |

Every change goes one way and has an end, so that mode Auto makes at most five attempts of its own from one spec.

A rule speaks when the whole confidence interval of what it judges lies on that side. With z = 3.3 one side of it is
missed with probability 5e-4, so that three rules judged twice a window suggest something by chance in less than one
window of a hundred, even where the truth lies exactly on a limit; tests/unit/training/test_run_retuning.py counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from accord.api.v1alpha1.trainingrun import RatingWindow, Suggestion, TrainingRun
from accord.domain import age
from accord.domain.conditions import Wanted, find, timestamp
from accord.domain.training.inputs import hyperparameters
from accord.domain.training.ratings import Ratings, begin, gathered, schedule
from accord.domain.training.schedule import value_at

Rule = Literal["LowMean", "WideSpread", "HighMean"]
LOW_MEAN, HIGH_MEAN, WIDE_SPREAD = 3.0, 4.0, 1.5
ENTROPY, LEARNING_RATE, LEAST_CLIP_RANGE, CLIP_FACTOR = 0.02, 1e-4, 0.1, 0.75
Z = 3.3
_DOUBT = 4.0
"""Square of how far one rating more might lie from the mean: a few equal ratings are no certainty."""
_TYPE = "Retuning"


@dataclass(frozen=True)
class Evidence:
    """Count, mean and standard deviation of ratings, and the confidence intervals of both."""

    count: int
    mean: float
    std: float
    mean_interval: tuple[float, float]
    std_interval: tuple[float, float]


@dataclass(frozen=True)
class Advice:
    """What goes into the status."""

    window: RatingWindow | None
    suggestions: tuple[Suggestion, ...]
    condition: Wanted | None


def weigh(ratings: Mapping[float, float]) -> Evidence:
    """The evidence of ratings, given as counts by value. At least two ratings.

    Intervals are normal approximations; that of the variance uses the fourth moment (the delta method), as ratings are
    not normal. Both are widened by what one rating more could do.
    """
    count = sum(ratings.values())
    mean = sum(value * times for value, times in ratings.items()) / count
    second = sum((value - mean) ** 2 * times for value, times in ratings.items()) / count
    fourth = sum((value - mean) ** 4 * times for value, times in ratings.items()) / count
    variance = second * count / (count - 1)
    reach = Z * math.sqrt((variance + _DOUBT / count) / count)
    spread = Z * math.sqrt((max(fourth - second**2, 0.0) + _DOUBT**2 / count) / count)
    return Evidence(
        round(count),
        mean,
        math.sqrt(variance),
        (mean - reach, mean + reach),
        (math.sqrt(max(variance - spread, 0.0)), math.sqrt(variance + spread)),
    )


def effective(run: TrainingRun) -> TrainingRun:
    """The run as it is to be trained: in mode Auto, with what was applied in the place of what the spec says."""
    base, spec = hyperparameters(run), run.spec
    for suggestion in run.status.suggestions:
        if not _in_force(run, suggestion, base):
            continue
        if suggestion.rule == "HighMean":
            spec = spec.model_copy(update={"ppo": spec.ppo.model_copy(update={"clip_range": suggestion.suggested})})
            continue
        name = "entropy_coef" if suggestion.rule == "LowMean" else "learning_rate"
        constant = {"initial": suggestion.suggested, "decay_strategy": "Constant"}
        schedule = getattr(spec.schedules, name).model_copy(update=constant)
        spec = spec.model_copy(update={"schedules": spec.schedules.model_copy(update={name: schedule})})
    return run.model_copy(update={"spec": spec})


def advise(run: TrainingRun, ratings: Ratings | None, now: datetime, *, base: str, applies_in: int | None) -> Advice:
    """The window as it is now, the suggestions that stand, and condition `Retuning`.

    `Suggest` is the default, so a run of a service without ratings has no condition: nobody asked for it.

    `run` is the effective one, `base` the hash of the hyperparameters in its spec. `applies_in` is the attempt that
    would be next, None while mode Auto must not start one.
    """
    status = run.status
    if run.spec.retuning.mode == "Off":
        return Advice(None, (), None)
    standing = tuple(each for each in status.suggestions if _in_force(run, each, base) or _stands(run, each))
    window = status.ratings
    if status.completion_time is not None:
        return Advice(window, standing, _finished(run))
    if ratings is None or age.is_old(ratings.at, schedule(run, now) or run.spec.monitoring.interval, now):
        told = find(status.conditions, _TYPE)
        if told is not None:
            return Advice(window, standing, Wanted(_TYPE, told.status, told.reason, told.message))
        unread = Wanted(_TYPE, "Unknown", "NotMeasured", "ratings have not been read yet")
        return Advice(window, standing, unread if _is_asked_for(run) else None)
    if ratings.outcome != "Measured":
        unknown = Wanted(_TYPE, "Unknown", ratings.outcome, ratings.message)
        return Advice(window, standing, unknown if _is_asked_for(run) else None)
    found = None if window is None else gathered(run, window, ratings)
    if window is None or found is None:
        # The first look, or counters that began anew: what was gathered is not known any more.
        fresh = begin(run, ratings)
        return Advice(fresh, standing, _condition(run, standing, fresh))
    total = round(sum(found.values()))
    # Prometheus may lose sight of some again.
    window = window.model_copy(update={"ratings": max(total, window.ratings)})
    is_full = total >= run.spec.retuning.max_ratings
    is_due = is_full or (total >= run.spec.retuning.min_ratings and not _is_judged(run, window))
    if not is_due or (run.spec.retuning.mode == "Auto" and applies_in is None):
        return Advice(window, standing, _condition(run, standing, window))
    judged = _judge(run, found, now)
    if run.spec.retuning.mode == "Auto" and applies_in is not None:
        applied = {"applied_in_attempt": applies_in, "based_on": base}
        judged = tuple(each.model_copy(update=applied) for each in judged)
        # Later ratings are of another attempt: they make a window of their own.
        is_full = is_full or bool(judged)
    anew = {each.rule for each in judged}
    kept = tuple(each for each in standing if _in_force(run, each, base) and each.rule not in anew)
    window = (begin(run, ratings) if is_full else window).model_copy(update={"judged": total})
    return Advice(window, (*kept, *judged), _condition(run, (*kept, *judged), window))


def _in_force(run: TrainingRun, suggestion: Suggestion, base: str) -> bool:
    """Whether it was applied to the hyperparameters that the spec still has."""
    return (
        run.spec.retuning.mode == "Auto" and suggestion.applied_in_attempt is not None and suggestion.based_on == base
    )


def _stands(run: TrainingRun, suggestion: Suggestion) -> bool:
    """Whether the spec has not come to it yet, by somebody's hand or by its schedule."""
    change = _change(run, suggestion.rule)
    is_open = suggestion.applied_in_attempt is None
    return is_open and change is not None and change.suggested == suggestion.suggested


def _is_judged(run: TrainingRun, window: RatingWindow) -> bool:
    """Whether this window has had its first judgement; one that has just begun remembers that of the last."""
    return run.spec.retuning.min_ratings <= window.judged <= window.ratings


def _judge(run: TrainingRun, ratings: Mapping[float, float], now: datetime) -> tuple[Suggestion, ...]:
    evidence = weigh(ratings)
    low, high = evidence.mean_interval
    spoken: list[tuple[Rule, tuple[float, float]]] = []
    if high < LOW_MEAN:
        spoken.append(("LowMean", evidence.mean_interval))
    if evidence.std_interval[0] > WIDE_SPREAD:
        spoken.append(("WideSpread", evidence.std_interval))
    if low >= HIGH_MEAN:
        spoken.append(("HighMean", evidence.mean_interval))
    return tuple(
        Suggestion(
            rule=rule,
            ratings=evidence.count,
            mean=round(evidence.mean, 3),
            std=round(evidence.std, 3),
            low=round(interval[0], 3),
            high=round(interval[1], 3),
            field=change.field,
            current=change.current,
            suggested=change.suggested,
            patch=json.dumps({"spec": change.patch}, separators=(",", ":")),
            at=timestamp(now),
        )
        for rule, interval in spoken
        if (change := _change(run, rule)) is not None
    )


@dataclass(frozen=True)
class _Change:
    field: str
    current: float
    suggested: float
    patch: dict[str, Any]


def _change(run: TrainingRun, rule: Rule) -> _Change | None:
    """What a rule would change; None where the bound is reached."""
    spec, step = run.spec, run.status.step or 0
    if rule == "LowMean":
        entropy = float(f"{value_at(spec.schedules.entropy_coef, step):.6g}")
        patch: dict[str, Any] = {"schedules": {"entropyCoef": {"initial": ENTROPY, "decayStrategy": "Constant"}}}
        change = _Change("spec.schedules.entropyCoef", entropy, ENTROPY, patch)
        return change if entropy < ENTROPY else None
    if rule == "WideSpread":
        rate = float(f"{value_at(spec.schedules.learning_rate, step):.6g}")
        patch = {"schedules": {"learningRate": {"initial": LEARNING_RATE, "decayStrategy": "Constant"}}}
        change = _Change("spec.schedules.learningRate", rate, LEARNING_RATE, patch)
        return change if rate > LEARNING_RATE else None
    clip = spec.ppo.clip_range
    less = max(round(clip * CLIP_FACTOR, 6), LEAST_CLIP_RANGE)
    return _Change("spec.ppo.clipRange", clip, less, {"ppo": {"clipRange": less}}) if clip > less else None


def _condition(run: TrainingRun, standing: tuple[Suggestion, ...], window: RatingWindow) -> Wanted:
    least = run.spec.retuning.min_ratings
    if standing:
        is_open = any(each.applied_in_attempt is None for each in standing)
        reason, message = "Suggested" if is_open else "Applied", "; ".join(in_words(each) for each in standing)
    elif window.judged:
        reason, message = "NothingToSuggest", f"no change suggested; next evaluation after {least} more ratings"
    else:
        reason, message = "Collecting", f"waiting for {least} new ratings"
    return Wanted(_TYPE, "True", reason, message)


def _finished(run: TrainingRun) -> Wanted | None:
    told = find(run.status.conditions, _TYPE)
    if told is not None:
        return Wanted(_TYPE, told.status, told.reason, told.message)
    unread = Wanted(_TYPE, "Unknown", "NotMeasured", "the run finished before ratings were read")
    return unread if _is_asked_for(run) else None


def _is_asked_for(run: TrainingRun) -> bool:
    """Whether somebody counts on ratings: says what to do with them or how to query them, or has had some."""
    return run.spec.retuning.mode == "Auto" or run.spec.retuning.query is not None or run.status.ratings is not None


def in_words(suggestion: Suggestion) -> str:
    """A suggestion and its evidence in a sentence."""
    judged = {
        "LowMean": f"mean {suggestion.mean:g}, below {LOW_MEAN:g}",
        "WideSpread": f"standard deviation {suggestion.std:g}, above {WIDE_SPREAD:g}",
        "HighMean": f"mean {suggestion.mean:g}, at least {HIGH_MEAN:g}",
    }[suggestion.rule]
    attempt = suggestion.applied_in_attempt
    applied = "" if attempt is None else f", in force from attempt {attempt} on"
    return (
        f"{suggestion.ratings} ratings have a {judged} (interval {suggestion.low:g} to {suggestion.high:g}): change "
        f"{suggestion.field} from {suggestion.current:g} to {suggestion.suggested:g}{applied}"
    )
