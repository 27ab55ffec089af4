"""The tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.bench.methods.score import SOON, Outcome, Score, percentile, score
from tests.bench.methods.settings import Setting

_IN_THE_NAME = ("sensitivity", "method", "loss_alone")
WHOSE = {"build": "The half to build on", "judge": "The held-out half"}


def tables(half: str, scores: Mapping[str, Score], settings: Mapping[str, Setting], own: Sequence[Outcome]) -> str:
    """By method, and of the operator's own rule by trainer and by environment."""
    any_score = next(iter(scores.values()))
    return "\n".join(
        [
            f"{WHOSE[half]}: {any_score.healthy} healthy runs, {any_score.harmed} that were harmed, "
            f"and {any_score.faulty - any_score.harmed} with a fault that did no lasting harm.",
            "",
            "| method | setting | healthy runs rolled back | before the fault | caught "
            f"| within {SOON[0]} episodes or {SOON[1]} updates of the fault; of the fall; of half lost "
            "| lag in episodes: median, 90 % | in updates | target from before the fault; the fall |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_line(name, settings[name], found) for name, found in scores.items()),
            "",
            *by("trainer", own, lambda outcome: outcome.trainer),
            "",
            *by("environment", own, lambda outcome: outcome.environment),
            "",
        ]
    )


def _line(name: str, setting: Setting, found: Score) -> str:
    chosen = ", ".join(f"{key} {value}" for key, value in setting.items() if key not in _IN_THE_NAME)
    return (
        f"| {name} | {chosen or '–'} | {found.wrong} of {found.healthy} | {found.early} of {found.faulty} "
        f"| {found.caught} of {found.harmed} "
        f"| {found.soon}; {found.soon_fallen}; {found.soon_halved} of {found.harmed} | {_lags(found.episodes)} "
        f"| {_lags(found.updates)} | {found.restored}; {found.restored_fallen} of {found.caught} |"
    )


def _lags(ordered: tuple[int, ...]) -> str:
    return f"{statistics.median(ordered):g}, {percentile(ordered, 0.9):g}" if ordered else "–"


def by(what: str, outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> list[str]:
    """A table of the operator's own rule, with a line for each."""
    lines = [
        f"| `Adaptive`, Medium, by {what} | healthy runs rolled back | before the fault | caught "
        "| in time, from half lost | target from before the fall |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in sorted({key(each) for each in outcomes}):
        found = score(each for each in outcomes if key(each) == name)
        lines.append(
            f"| {name} | {found.wrong} of {found.healthy} | {found.early} of {found.faulty} "
            f"| {found.caught} of {found.harmed} | {found.soon_halved} of {found.harmed} "
            f"| {found.restored_fallen} of {found.caught} |"
        )
    return lines


def short(name: str, found: Score) -> str:
    """On one line."""
    return (
        f"{name}: false {found.wrong}/{found.healthy} and {found.early}/{found.faulty}, caught "
        f"{found.caught}/{found.harmed}, soon {found.soon} after the fault, {found.soon_fallen} after the fall, "
        f"{found.soon_halved} after half was lost, lag {_lags(found.episodes)} episodes, target from before the fault "
        f"{found.restored}/{found.caught}, before the fall {found.restored_fallen}/{found.caught}"
    )
