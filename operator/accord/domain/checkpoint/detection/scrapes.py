"""What Prometheus holds of a trainer, as lives: one for each pod, cut where the trainer was restarted in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.api.v1alpha1.checkpointpolicy import Detection
from accord.domain.checkpoint.detection.held import reports
from accord.domain.checkpoint.detection.series import Kind, Life, Moment, Name, Report, Segment
from accord.domain.checkpoint.detection.signals import SIGNALS, Signal
from accord.domain.samples import Series

STEP = "ppo_training_step"
SAVED = "ppo_checkpoint_step"
SAVES = "checkpoint_saves_total"
"""Checkpoints that this process has committed: what it went on from is none of them."""
UPDATES = "ppo_updates_total"
_GROWING = (STEP, UPDATES, *(f"{signal.gauge}_count" for signal in SIGNALS))
_OFTEN = 0.2
"""Samples a step, from which on a series is one of steps."""
_Scrape = Mapping[str, float]
"""Values of one scrape by name."""


@dataclass(frozen=True)
class Target:
    """All scrapes of one pod, oldest first."""

    labels: Mapping[str, str]
    scrapes: Sequence[tuple[float, _Scrape]]
    """(Unix time in seconds, values); each has a step."""

    @property
    def newest(self) -> float:
        """Time of the last scrape."""
        return self.scrapes[-1][0]


def names(detection: Detection) -> tuple[str, ...]:
    """What is asked for. The gauges stand in where a trainer has no sums."""
    seen = (signal for signal in SIGNALS if signal.is_seen(detection))
    return STEP, SAVED, SAVES, UPDATES, *(metric for signal in seen for metric in signal.metrics)


def targets(series: Iterable[Series]) -> list[Target]:
    """By target, the one that was scraped last at the end. What has no step is left out."""
    found: dict[tuple[tuple[str, str], ...], dict[float, dict[str, float]]] = {}
    for each in series:
        key = tuple(sorted((label, value) for label, value in each.labels.items() if label != "__name__"))
        scrapes = found.setdefault(key, {})
        for at, value in each.points:
            scrapes.setdefault(at, {})[each.labels.get("__name__", "")] = value
    whole = []
    for key, scrapes in found.items():
        told = [(at, scrapes[at]) for at in sorted(scrapes) if math.isfinite(scrapes[at].get(STEP, math.nan))]
        if told:
            whole.append(Target(dict(key), told))
    return sorted(whole, key=lambda target: (target.newest, len(target.scrapes), sorted(target.labels.items())))


def lives(target: Target, *, each: bool) -> list[Life]:
    """Starts of the trainer in this pod. `each`: every scrape of a gauge is a sample, as `Ratio` takes them."""
    return [_life(part, each) for part in _unbroken(target.scrapes)]


def saved(found: Iterable[Target]) -> list[tuple[int, float, float]]:
    """Checkpoints that the metrics show as committed: (step, time of the first scrape with it, and of the one before).

    Of one that was there in a pod's first scrape, the time before is minus infinity: it may be older.
    """
    seen: dict[int, tuple[int, float, float]] = {}
    for target in found:
        before, at_before = None, -math.inf
        for at, scrape in target.scrapes:
            value = scrape.get(SAVED, math.nan)
            if math.isfinite(value) and value != before:
                seen.setdefault(int(value), (int(value), at, at_before))
                before = value
            at_before = at
    return [seen[step] for step in sorted(seen)]


def numbers(found: Iterable[Target]) -> dict[int, int]:
    """How many checkpoints a trainer had committed when a step was first seen to be the newest; 0 for the one that it
    went on from. Without those of a trainer that does not count.
    """
    seen: dict[int, int] = {}
    for target in found:
        for _, scrape in target.scrapes:
            step, number = scrape.get(SAVED, math.nan), scrape.get(SAVES, math.nan)
            if math.isfinite(step) and math.isfinite(number):
                seen.setdefault(int(step), int(number))
    return seen


def _unbroken(scrapes: Sequence[tuple[float, _Scrape]]) -> Iterator[Sequence[tuple[float, _Scrape]]]:
    begin = 0
    for index in range(1, len(scrapes)):
        if _restarted(scrapes[index - 1][1], scrapes[index][1]):
            yield scrapes[begin:index]
            begin = index
    yield scrapes[begin:]


def _restarted(before: _Scrape, now: _Scrape) -> bool:
    """Steps, counts and counters only grow while a trainer lives."""
    return any(now[name] < before[name] for name in _GROWING if name in now and name in before)


def _life(scrapes: Sequence[tuple[float, _Scrape]], each: bool) -> Life:
    kinds: dict[Name, Kind] = {}
    found: dict[Name, list[Report]] = {}
    for signal in SIGNALS:
        name = signal.series
        if any(f"{signal.gauge}_count" in scrape for _, scrape in scrapes):
            kinds[name], found[name] = _from_sums(signal, [scrape for _, scrape in scrapes])
        elif any(signal.gauge in scrape for _, scrape in scrapes):
            rows = [(int(scrape[STEP]), scrape.get(signal.gauge)) for _, scrape in scrapes]
            kinds[name], found[name] = reports(name, rows, each)
    moments = [
        Moment.of(int(scrape[STEP]), at, {name: every[index] for name, every in found.items()})
        for index, (at, scrape) in enumerate(scrapes)
    ]
    return Life(kinds, moments)


def _from_sums(signal: Signal, scrapes: Sequence[_Scrape]) -> tuple[Kind, list[Report]]:
    """Differences of the sums between each scrape and the one before. The first one only says where they stand.

    Where a series has not begun, its sums are 0: a trainer shows none before the first value.
    """
    found: list[Report] = []
    before: Any = None
    last = int(scrapes[0][STEP])
    for scrape in scrapes:
        now = {part: scrape.get(f"{signal.gauge}_{part}", math.nan) for part in ("sum", "count", "sumsq")}
        now["updates"] = scrape.get(UPDATES, math.nan)
        # A count is never NaN, but some stores return the marker of a series that went stale as one.
        shown = math.isfinite(now["count"])
        report: Report = None
        if shown and not math.isfinite(now["sum"]):
            report = "NotFinite"
        elif shown and before is not None:
            report = _difference(signal, before, now, last, int(scrape[STEP]))
        found.append(report)
        if report is not None:
            last = int(scrape[STEP])
        if shown:
            before = now if math.isfinite(now["sum"]) else before
        elif before is None:
            before = {"sum": 0.0, "count": 0.0, "sumsq": 0.0, "updates": now["updates"]}
    return _kind(signal, found), found


def _difference(
    signal: Signal, before: Mapping[str, float], now: Mapping[str, float], first: int, step: int
) -> Segment | None:
    count = now["count"] - before["count"]
    if not math.isfinite(count) or count <= 0:
        return None
    squares = now["sumsq"] - before["sumsq"]
    updates = now["updates"] - before["updates"]
    of_episodes = signal.unit == "episodes"
    units = int(count) if of_episodes else max(int(updates), 1) if math.isfinite(updates) else 1
    return Segment(
        first, step, int(count), now["sum"] - before["sum"], squares if math.isfinite(squares) else 0.0, units
    )


def _kind(signal: Signal, found: Sequence[Report]) -> Kind:
    segments = [report for report in found if isinstance(report, Segment)]
    steps = segments[-1].last - segments[0].first if segments else 0
    if steps > 0 and sum(segment.units for segment in segments) >= _OFTEN * steps:
        return "steps"
    return signal.unit
