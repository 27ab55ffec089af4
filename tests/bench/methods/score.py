"""How often a method is wrong, how often it is right, and how soon."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from tests.bench.methods.recorded import HARM, Alarm, Run

from accord.domain.checkpoint.targets import choose

SAVED = 500
"""Steps between two checkpoints."""
SOON = (20, 3)
"""Episodes and updates within which harm is to be seen, whichever is later."""
ALLOWED = 0.01
"""Share of false ones within which a setting is chosen for what it catches."""


class Outcome(NamedTuple):
    """Of one run, by its first alarm."""

    environment: str
    label: str
    false: bool
    """An alarm without a fault, or before it. After one that did no lasting harm it is neither true nor false."""
    caught: bool = False
    episodes: int = 0
    """From the fault to the alarm."""
    updates: int = 0
    soon: bool = False
    soon_fallen: bool = False
    """From when the return began to fall for good, and"""
    soon_halved: bool = False
    """from when half of what was learnt was gone."""
    restored: bool = False
    """To a checkpoint from before the fault, and"""
    restored_fallen: bool = False
    """to one from before the return began to fall."""
    trainer: str = ""


def judged(run: Run, alarm: Alarm | None) -> Outcome:
    """What an alarm is worth, or that there is none."""
    none = Outcome(run.environment, run.label, false=False, trainer=run.trainer)
    if alarm is None:
        return none
    if run.begun is None or alarm.step <= run.begun:
        return none._replace(false=True)
    if not run.is_harmed:
        return none
    episodes, updates = run.lag(alarm, run.begun)
    fell = run.begun if run.fell is None else run.fell
    halved = fell if run.halved is None else run.halved
    saved = ((step, True, False) for step in range(SAVED, alarm.step + 1, SAVED))
    target = choose(saved, alarm.onset, 1)
    return none._replace(
        caught=True,
        episodes=episodes,
        updates=updates,
        soon=_is_soon(episodes, updates),
        soon_fallen=_is_soon(*run.lag(alarm, fell)),
        soon_halved=_is_soon(*run.lag(alarm, halved)),
        restored=target is not None and target <= run.begun,
        restored_fallen=target is not None and target <= fell,
    )


def _is_soon(episodes: int, updates: int) -> bool:
    return episodes <= SOON[0] or updates <= SOON[1]


class Score(NamedTuple):
    """Of many runs."""

    healthy: int
    wrong: int
    """Healthy ones with an alarm."""
    faulty: int
    """With a fault, whatever it did; and those that fell over by themselves."""
    early: int
    """Those with an alarm before."""
    harmed: int
    caught: int
    soon: int
    soon_fallen: int
    soon_halved: int
    restored: int
    restored_fallen: int
    episodes: tuple[int, ...]
    """Lags of those that were caught, in order."""
    updates: tuple[int, ...]

    @property
    def false_share(self) -> float:
        """Of all runs."""
        return (self.wrong + self.early) / max(self.healthy + self.faulty, 1)

    @property
    def caught_share(self) -> float:
        """Of those that are to be caught."""
        return self.caught / max(self.harmed, 1)


def score(outcomes: Iterable[Outcome]) -> Score:
    """All together."""
    found = list(outcomes)
    healthy = [each for each in found if each.label == "healthy"]
    faulty = [each for each in found if each.label != "healthy"]
    caught = [each for each in faulty if each.caught]
    return Score(
        healthy=len(healthy),
        wrong=sum(each.false for each in healthy),
        faulty=len(faulty),
        early=sum(each.false for each in faulty),
        harmed=sum(each.label in HARM for each in faulty),
        caught=len(caught),
        soon=sum(each.soon for each in caught),
        soon_fallen=sum(each.soon_fallen for each in caught),
        soon_halved=sum(each.soon_halved for each in caught),
        restored=sum(each.restored for each in caught),
        restored_fallen=sum(each.restored_fallen for each in caught),
        episodes=tuple(sorted(each.episodes for each in caught)),
        updates=tuple(sorted(each.updates for each in caught)),
    )


def best(scores: Iterable[Score]) -> int:
    """Index of the one that catches most of those with few false ones; where none has few, of the one with fewest."""

    def worth(found: Score) -> tuple[float, ...]:
        lag = statistics.median(found.episodes) if found.episodes else 0
        if found.false_share <= ALLOWED:
            return (1, found.caught, -found.false_share, -lag)
        return (0, -found.false_share, found.caught, -lag)

    every = list(scores)
    return max(range(len(every)), key=lambda index: worth(every[index]))


def percentile(ordered: tuple[int, ...], share: float) -> float:
    """The least value that so many are not above."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
