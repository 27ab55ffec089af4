"""What users think of the answers: the question to Prometheus, and the ratings of one window.

Ratings are counters, so a window is a difference: the counts now less those at its begin, which the status keeps. A
window is judged twice, when it holds `minRatings` and when it holds `maxRatings`, and then the next one begins.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from accord.api.v1alpha1.trainingrun import RatingCount, RatingWindow, TrainingRun
from accord.domain.conditions import timestamp
from accord.domain.questions import Ask, Custom, Question, Scope, Shared, matchers, split
from accord.domain.samples import Answer

_MOST_VALUES = 100


@dataclass(frozen=True)
class Ratings:
    """What Prometheus said last: how often each rating was given so far."""

    outcome: Literal["Measured", "NoRatings", "QueryFailed"]
    at: datetime
    message: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)


def schedule(run: TrainingRun, _: datetime) -> timedelta | None:
    """Time between two looks; None where nothing follows from ratings."""
    status = run.status
    if run.spec.retuning.mode == "Off" or status.attempt is None or status.completion_time is not None:
        return None
    return run.spec.monitoring.interval


@dataclass(frozen=True)
class _Template:
    """The number of ratings so far, one series a value."""

    def promql(self, scopes: Sequence[Scope]) -> str:
        """In these namespaces."""
        by = "rating" if len(scopes) == 1 else "namespace, rating"
        return f"sum by ({by}) (user_ratings_total{{{matchers(scopes)}}})"

    def parts(self, answer: Answer, scopes: Sequence[Scope]) -> Mapping[Scope, Answer]:
        """By namespace."""
        return split(answer, scopes)


def ask(run: TrainingRun, _: datetime) -> Ask:
    """About the ratings in the run's namespace. In the user's own query, `$namespace` is filled in."""
    own, namespace = run.spec.retuning.query, run.metadata.namespace
    if own is not None:
        return Custom(re.sub(r"\$(?:namespace\b|\{namespace\})", namespace, own))
    return Shared(_Template(), Scope((("namespace", namespace),)))


def query(run: TrainingRun) -> str:
    """PromQL for one run."""
    return ask(run, datetime.min).promql


def interpret(run: TrainingRun, answer: Answer, now: datetime) -> Ratings:
    """What an answer says. Total."""
    if answer.failure is not None:
        return Ratings("QueryFailed", now, answer.message or f"the query failed: {answer.failure}")
    counts: dict[str, float] = {}
    for sample in answer.samples:
        rating = sample.labels.get("rating")
        if rating is None or _number(rating) is None:
            return Ratings("QueryFailed", now, "the query returned a series whose label rating is not a number")
        if rating in counts:
            words = f"the query returned more than one series for rating {rating}; use `sum by (rating) (…)`"
            return Ratings("QueryFailed", now, words)
        if not math.isfinite(sample.value) or sample.value < 0:
            return Ratings("QueryFailed", now, f"the query returned {sample.value} for rating {rating}")
        counts[rating] = sample.value
    if not counts:
        where = f"in namespace {run.metadata.namespace}" if run.spec.retuning.query is None else "by the query"
        return Ratings("NoRatings", now, f"no ratings found {where}")
    if len(counts) > _MOST_VALUES:
        return Ratings("QueryFailed", now, f"the query returned more than {_MOST_VALUES} different ratings")
    return Ratings("Measured", now, counts=counts)


def begin(ratings: Ratings) -> RatingWindow:
    """A window that begins with these counts."""
    counts = [RatingCount(rating=rating, count=ratings.counts[rating]) for rating in sorted(ratings.counts)]
    return RatingWindow(since=timestamp(ratings.at), counts=counts, ratings=0, judged=0)


def gathered(window: RatingWindow, ratings: Ratings) -> dict[float, float] | None:
    """Ratings since the begin of the window, by value; None where counters fell, so that nothing is known."""
    before = {entry.rating: entry.count for entry in window.counts}
    if any(ratings.counts.get(rating, 0.0) < count for rating, count in before.items()):
        return None
    found: dict[float, float] = {}
    for rating, count in ratings.counts.items():
        found[float(rating)] = found.get(float(rating), 0.0) + count - before.get(rating, 0.0)
    return {value: count for value, count in found.items() if count > 0}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


QUESTION = Question(ask, interpret, schedule)
