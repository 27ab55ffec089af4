"""What users think of the answers: the question to Prometheus, and the ratings of one window.

The status keeps when a window began, and Prometheus counts what came since, pod by pod: serving pods are replaced at
each promotion, and with them go their counters. A query of the user's that knows no window returns counters; those at
the begin of the window are kept then, and where they fall nothing is known and a new window begins. A window is judged
twice, when it holds `minRatings` and when it holds `maxRatings`, and then the next one begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from accord.api.v1alpha1.trainingrun import RatingCount, RatingWindow, TrainingRun
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.questions import Ask, Custom, Question, Scope, Shared, filled, matchers, split, uses
from accord.domain.samples import Answer

_MOST_VALUES = 100
_LONGEST = timedelta(days=7)
"""Of a window that lasts longer, the last part counts."""
_BEFORE = "10m"
"""A pod that was scraped within so long before a window was there when it began."""
_NO_WINDOW = "5m"
_SLOWER = ((timedelta(days=1), 20), (timedelta(hours=1), 4))
"""A window that has lasted so long is looked at so much less often: it is read as a whole each time."""


@dataclass(frozen=True)
class Ratings:
    """What Prometheus said last: how often each rating was given."""

    outcome: Literal["Measured", "NoRatings", "QueryFailed"]
    at: datetime
    message: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)
    since: str | None = None
    """When the window began that they are of; None where they are of all time."""


def schedule(run: TrainingRun, now: datetime) -> timedelta | None:
    """Time between two looks; None where nothing follows from ratings."""
    status = run.status
    if run.spec.retuning.mode == "Off" or status.attempt is None or status.completion_time is not None:
        return None
    age = timedelta(0) if status.ratings is None else now - parse_timestamp(status.ratings.since)
    return run.spec.monitoring.interval * next((times for span, times in _SLOWER if age >= span), 1)


@dataclass(frozen=True)
class _Template:
    """The number of ratings in the window, or, before the first one, so far; one series a value."""

    span: str | None
    """How long the window has lasted, as PromQL has it."""

    def promql(self, scopes: Sequence[Scope]) -> str:
        """In these namespaces."""
        by = "rating" if len(scopes) == 1 else "namespace, rating"
        ratings, span = f"user_ratings_total{{{matchers(scopes)}}}", self.span
        if span is None:
            return f"sum by ({by}) ({ratings})"
        # Of a pod that has come since, everything counts, also where it has gone again and was scraped only once.
        # Unless nothing is known of the begin: a Prometheus that has lost its data would take all pods for new ones.
        # Of the others the difference counts, or, where one has begun anew in place, the increase.
        before = f"last_over_time({ratings}[{_BEFORE}] offset {span})"
        return (
            f"sum by ({by}) (max_over_time({ratings}[{span}]) unless {before} and on (namespace) {before}"
            f" or (last_over_time({ratings}[{span}]) - {before} >= 0 and resets({ratings}[{span}]) == 0)"
            f" or increase({ratings}[{span}]))"
        )

    def parts(self, answer: Answer, scopes: Sequence[Scope]) -> Mapping[Scope, Answer]:
        """By namespace."""
        return split(answer, scopes)


def ask(run: TrainingRun, now: datetime) -> Ask:
    """About the ratings in the run's namespace. In the user's own query, `$namespace` and `$window` are filled in."""
    namespace, window, own = run.metadata.namespace, run.status.ratings, run.spec.retuning.query
    span = None if window is None else _span(window, now)
    if own is not None:
        values = {"namespace": namespace, "window": span or _NO_WINDOW}
        return Custom(filled(own, values))
    return Shared(_Template(span), Scope((("namespace", namespace),)))


def query(run: TrainingRun, now: datetime) -> str:
    """PromQL for one run."""
    return ask(run, now).promql


def knows_window(run: TrainingRun) -> bool:
    """Whether the query counts what came in the window, and not of all time."""
    own = run.spec.retuning.query
    return own is None or uses(own, "window")


def _span(window: RatingWindow, now: datetime) -> str:
    lasted = min(max(now - parse_timestamp(window.since), timedelta(seconds=1)), _LONGEST)
    return f"{lasted // timedelta(milliseconds=1)}ms"


def interpret(run: TrainingRun, answer: Answer, now: datetime) -> Ratings:
    """What an answer says. Total."""
    if answer.failure is not None:
        return Ratings("QueryFailed", now, answer.problem)
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
    since = run.status.ratings.since if run.status.ratings is not None and knows_window(run) else None
    if not counts and since is None:
        where = f"in namespace {run.metadata.namespace}" if run.spec.retuning.query is None else "by the query"
        return Ratings("NoRatings", now, f"no ratings found {where}")
    if len(counts) > _MOST_VALUES:
        return Ratings("QueryFailed", now, f"the query returned more than {_MOST_VALUES} different ratings")
    return Ratings("Measured", now, counts=counts, since=since)


def begin(run: TrainingRun, ratings: Ratings) -> RatingWindow:
    """A window that begins with this look."""
    kept = [] if knows_window(run) else sorted(ratings.counts)
    counts = [RatingCount(rating=rating, count=ratings.counts[rating]) for rating in kept]
    return RatingWindow(since=timestamp(ratings.at), counts=counts, ratings=0, judged=0)


def gathered(run: TrainingRun, window: RatingWindow, ratings: Ratings) -> dict[float, float] | None:
    """Ratings since the begin of the window, by value: none where what was read is of an earlier window. None where
    that is not known: counters fell, or those at the begin were not kept.
    """
    before: dict[str, float] = {}
    if knows_window(run):
        if ratings.since != window.since:
            return {}
    else:
        before = {entry.rating: entry.count for entry in window.counts}
        if not before or any(ratings.counts.get(rating, 0.0) < count for rating, count in before.items()):
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
