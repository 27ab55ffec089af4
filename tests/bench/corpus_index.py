"""What became of each run of the corpus, judged from its recording alone: writes `tests/bench/corpus/index.csv`.

    python -m tests.bench.corpus_index [--counts]

Needs nothing but Python. A run is labelled by its outcome and never by what was intended:

| label | meaning |
| --- | --- |
| healthy | no fault, and no lasting collapse |
| harmed | a fault was put in, and the return stays down after it |
| harmless | a fault was put in, and the return did not stay down |
| collapsed | it fell by itself and stayed down, without a fault or before it |

How levels are measured, and when a run counts as down, is told at `judge`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from tests.bench.corpus_fall import Fall, fall

CORPUS = Path(__file__).parent / "corpus"
SIGNIFICANT = 3.0
"""Standard errors that two levels must be apart to count as different."""


@dataclass(frozen=True)
class Recording:
    """The events of a run."""

    steps: list[int]
    """Where each episode ended."""
    returns: list[float]
    updates: list[int]
    end: int
    lost: int | None = None
    """The last update but those whose losses are no numbers any more, until the end; None where there are none such."""

    def until(self, step: int) -> Recording:
        """What had been reported when it was at a step."""
        count = sum(each <= step for each in self.steps)
        return Recording(
            self.steps[:count], self.returns[:count], [each for each in self.updates if each <= step], step
        )


def read(path: Path) -> Recording:
    """A recording."""
    steps, returns, updates, end, lost = [], [], [], 0, None
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            end = int(row["step"])
            if row["reward"]:
                steps.append(end)
                returns.append(float(row["reward"]))
                continue
            if math.isfinite(float(row["loss"])):
                lost = None
            elif lost is None:
                lost = updates[-1] if updates else 0
            updates.append(end)
    return Recording(steps, returns, updates, end, lost)


@dataclass(frozen=True)
class Level:
    """A mean return, and how well it is known."""

    mean: float
    variance: float
    count: int

    @staticmethod
    def of(returns: list[float]) -> Level:
        """The level of these episodes; not a number if there are none."""
        if not returns:
            return Level(math.nan, 0.0, 0)
        mean = math.fsum(returns) / len(returns)
        return Level(mean, math.fsum((each - mean) ** 2 for each in returns) / len(returns), len(returns))

    def clearly_above(self, other: Level, errors: float = SIGNIFICANT) -> bool:
        """Whether the two differ by more than chance explains, so many standard errors."""
        if not self.count or not other.count:
            return False
        error = math.sqrt(self.variance / self.count + other.variance / other.count)
        return self.mean - other.mean > errors * error


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    label: str
    start: float
    before: float
    after: float
    stays_down: bool
    flat: bool
    onset: int | None
    """Where a collapse by itself began."""
    fall: Fall | None = None
    """When the return began to fall for good, in episodes of the run; None where it did not."""
    half: int = 0
    """Episode by which it was at the floor, on the way down."""

    @property
    def lost_level(self) -> float:
        """The loss as a share of the level."""
        return (self.before - self.after) / abs(self.before) if self.before else math.nan

    @property
    def lost_share(self) -> float:
        """The loss as a share of what had been learnt; not a number where nothing had."""
        return math.nan if self.flat else (self.before - self.after) / (self.before - self.start)


def judge(recording: Recording, fault_step: int | None) -> Outcome:
    """What became of a run.

    - The *level before* a fault is the mean return of the last 20 to 500 episodes before it, 5 % of the run's: those
      of one step each need more to be told from chance. Without a fault it is the best level of as many episodes in a
      row. The *start* is the mean of the first 10 to 200, 1 % of the run's but 20 where there are. *After* is the mean
      of the last third of what follows the fault, or without one of the last episodes.
    - *Learnt* is what the level before is above the start, if by more than 3 standard errors and 5 % of the larger of
      the two; otherwise the run is flat.
    - The *floor* is half of what was learnt above the start, or half of the level where that is positive and more;
      for a flat run half of a positive level, and two standard deviations of an episode below another one, as a
      multiple of a level below zero depends on where zero is.
    - A run *stays down* where the mean of a few episodes (a quarter of the window above, 5 to 100) is below the floor
      until the end (for at least 5 episodes and 5 % of the run), or for at least 20 episodes and 5 updates and 10 %
      of the run, and what was reported in that time is below the level before by more than 3 standard errors; and
      where *after* is below the floor, too: a dip that mends itself has not come to stay.
    - Without a fault (or before it, until it) the floor is that of the best level so far, a run that is flat cannot
      fall, until the end means 10 episodes and 10 % of the run, and as the best of many levels is a lucky one, more
      standard errors are asked for: sqrt(2 ln n) for n windows.
    - A run whose losses are no numbers any more until its end is harmed, whatever its returns are: its weights are
      gone, and nothing more is learnt.
    """
    outcome = _by_returns(recording, fault_step)
    if recording.lost is None or fault_step is None or outcome.label == "collapsed":
        return outcome
    return replace(outcome, label="harmed", stays_down=True, fall=None)


def _by_returns(recording: Recording, fault_step: int | None) -> Outcome:
    window = _clamp(len(recording.returns) // 20, 20, 500)
    few = _clamp(window // 4, 5, 100)
    if fault_step is None:
        return _alone(recording, window, few)
    earlier = recording.until(fault_step)
    fallen = _alone(earlier, window, few)
    if fallen.stays_down and earlier.returns[-few:] and Level.of(earlier.returns[-few:]).mean < _floor_of(fallen):
        return fallen
    count = len(earlier.returns)
    start = _start(recording, count)
    before = Level.of(earlier.returns[-window:])
    steps, returns = recording.steps[count:], recording.returns[count:]
    last_third = recording.end - (recording.end - fault_step) / 3
    after = [each for step, each in zip(steps, returns, strict=True) if step > last_third] or returns[-1:]
    learnt = _learnt(before, start)
    floor = _floor(before, start)
    levels = _rolling(returns, min(few, len(returns)))
    below = [level < floor for level in levels]
    later = Recording(steps, returns, recording.updates, recording.end)
    low = [
        last
        for first, last in _stretches(below, min(few, len(returns)))
        if _lasts(later, first, last, min_episodes=5, min_share=0.05)
        and before.clearly_above(Level.of(returns[first:last]))
        and Level.of(after).mean < floor
    ]
    outcome = Outcome(
        "harmed" if low else "harmless", start.mean, before.mean, Level.of(after).mean, bool(low), not learnt, None
    )
    return _with_fall(outcome, recording, floor, count - window, count, count + low[0]) if low else outcome


def _alone(recording: Recording, window: int, few: int) -> Outcome:
    """What became of a run of itself."""
    returns = recording.returns
    start = _start(recording, len(returns))
    window = min(window, max(len(returns), 1))
    after = Level.of(returns[-window:])
    bests = _best_so_far(returns, window)
    if not bests:
        return Outcome("healthy", start.mean, after.mean, after.mean, stays_down=False, flat=True, onset=None)
    levels = _rolling(returns, few)
    # A level of few episodes is held against the best of those before them.
    below = [
        index >= window and _learnt(bests[index - window], start) and level < _floor(bests[index - window], start)
        for index, level in enumerate(levels)
    ]
    for first, last in _stretches(below, few):
        best = bests[max(first - window, 0)]
        rest = returns[first:]
        if (
            _lasts(recording, first, last, min_episodes=10, min_share=0.1)
            and best.clearly_above(Level.of(returns[first:last]), _unlikely(first / window))
            and Level.of(rest[-max(len(rest) // 3, 1) :]).mean < _floor(best, start)
        ):
            outcome = Outcome(
                "collapsed",
                start.mean,
                best.mean,
                after.mean,
                stays_down=True,
                flat=False,
                onset=recording.steps[first],
            )
            begin, earliest = first - window, max(first - window // 2, 0)
            return _with_fall(outcome, recording, _floor(best, start), begin, earliest, last)
    best = bests[-1]
    flat = not _learnt(best, start)
    return Outcome("healthy", start.mean, best.mean, after.mean, stays_down=False, flat=flat, onset=None)


def _with_fall(outcome: Outcome, recording: Recording, floor: float, begin: int, earliest: int, end: int) -> Outcome:
    """With the fall within these episodes, not before `earliest`."""
    begin = max(begin, 0)
    found = fall(recording.returns[begin:end], earliest - begin)
    fallen = Fall(begin + found.begin, found.length)
    lowest = Level.of(recording.returns[min(fallen.begin + fallen.length, end - 1) : end]).mean
    part = (outcome.before - floor) / (outcome.before - lowest) if lowest < floor else 1.0
    return replace(outcome, fall=fallen, half=fallen.begin + math.ceil(min(max(part, 0.0), 1.0) * fallen.length))


def _start(recording: Recording, episodes: int) -> Level:
    count = _clamp(len(recording.returns) // 100, 20, 200)
    return Level.of(recording.returns[: max(min(count, episodes // 3), min(10, episodes))])


def _learnt(level: Level, start: Level) -> bool:
    large_enough = level.mean - start.mean > 0.05 * max(abs(level.mean), abs(start.mean))
    return large_enough and level.clearly_above(start)


def _unlikely(windows: float) -> float:
    """Standard errors, where the level before is the best of so many."""
    return SIGNIFICANT + math.sqrt(2 * math.log(max(windows, 1.0)))


def _floor(level: Level, start: Level) -> float:
    if _learnt(level, start):
        share = (level.mean + start.mean) / 2
        return max(share, level.mean / 2) if level.mean > 0 else share
    return level.mean / 2 if level.mean > 0 else level.mean - 2 * math.sqrt(level.variance)


def _floor_of(outcome: Outcome) -> float:
    share = (outcome.before + outcome.start) / 2
    return max(share, outcome.before / 2) if outcome.before > 0 else share


def _rolling(returns: list[float], count: int) -> list[float]:
    """The means of so many episodes in a row."""
    if not count:
        return []
    sums = [0.0, *accumulate(returns)]
    return [(sums[index + count] - sums[index]) / count for index in range(len(returns) - count + 1)]


def _best_so_far(returns: list[float], count: int) -> list[Level]:
    """For each stretch of so many episodes, the best level of those up to it."""
    means = _rolling(returns, count)
    squares = _rolling([each * each for each in returns], count)
    levels = [Level(mean, max(square - mean * mean, 0.0), count) for mean, square in zip(means, squares, strict=True)]
    return list(accumulate(levels, lambda best, level: level if level.mean > best.mean else best))


def _stretches(below: list[bool], few: int) -> list[tuple[int, int]]:
    """From the first episode to behind the last one, where the mean of a few is below."""
    stretches = []
    index = 0
    for down, group in groupby(below):
        count = len(list(group))
        if down:
            stretches.append((index, index + count + few - 1))
        index += count
    return stretches


def _lasts(recording: Recording, first: int, last: int, *, min_episodes: int, min_share: float) -> bool:
    """Whether these episodes are many enough to count, by the rule for until the end or the one for meanwhile."""
    episodes = last - first
    at_end = last == len(recording.steps)
    begins, ends = recording.steps[first], recording.end if at_end else recording.steps[last - 1]
    share = (ends - begins) / recording.end
    updates = sum(begins < each <= ends for each in recording.updates)
    if at_end and share >= min_share and episodes >= min_episodes:
        return True
    return episodes >= 20 and updates >= 5 and share >= 0.1


def _clamp(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)


COLUMNS = (
    *("file", "environment", "rewards", "trainer", "algorithm", "environments", "steps", "update_steps"),
    *("learning_rate", "seed", "fault", "fault_how", "fault_strength", "fault_step", "half", "label", "flat"),
    *("harm_step", "harm_episode", "harm_update", "half_lost_step"),
    *("start", "before", "after", "lost_level", "lost_share", "stays_down", "injected_step", "ended"),
    "steps_per_second",
)


def row(known: dict[str, Any], corpus: Path) -> dict[str, Any]:
    """The row of one run: what is known of it, and what became of it."""
    injected = known["fault_step"]
    recording = read(corpus / known["file"])
    outcome = judge(recording, injected)
    fault = known["fault"] if injected is not None else None
    settings = known["settings"]
    environment, rewards = known["environment"], ""
    for variant in ("small", "heavy"):
        if environment.endswith(f"/{variant}"):
            environment, rewards = environment.removesuffix(f"/{variant}"), variant
    return {
        **{key: known[key] for key in ("file", "trainer", "algorithm", "seed", "half", "ended", "steps_per_second")},
        "environment": environment,
        "rewards": rewards,
        "environments": settings["environments"],
        "steps": known["last_step"],
        "update_steps": settings["n_steps"] * settings["environments"],
        "learning_rate": settings["learning_rate"],
        "fault": fault["kind"] if fault else "",
        "fault_how": fault["how"] if fault else "",
        "fault_strength": fault["strength"] if fault else "",
        "injected_step": injected if fault else "",
        "fault_step": next((each for each in (outcome.onset, injected) if each is not None), ""),
        **_harm(recording, outcome, None if outcome.label == "collapsed" else injected),
        "label": outcome.label,
        "flat": int(outcome.flat),
        "stays_down": int(outcome.stays_down),
        **{key: _number(getattr(outcome, key)) for key in ("start", "before", "after", "lost_level", "lost_share")},
    }


def _harm(recording: Recording, outcome: Outcome, injected: int | None) -> dict[str, Any]:
    """When it began: at the last episode before the first of the fall, so that all of the fall is after it."""
    if not outcome.stays_down:
        return dict.fromkeys(("harm_step", "harm_episode", "harm_update", "half_lost_step"), "")
    if outcome.fall is None:
        step = half = recording.lost or 0
    else:
        step, half = (recording.steps[max(index - 1, 0)] for index in (outcome.fall.begin, outcome.half))
        step, half = max(step, injected or 0), max(half, injected or 0)
    return {
        "harm_step": step,
        "harm_episode": sum(each <= step for each in recording.steps),
        "harm_update": sum(each <= step for each in recording.updates),
        "half_lost_step": half,
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.5g}"


def known_runs(corpus: Path = CORPUS) -> list[dict[str, Any]]:
    """What is known of each run that is there; of one that was recorded twice, what was said last."""
    lines = [json.loads(line) for line in (corpus / "recorded.jsonl").read_text().splitlines()]
    latest = {line["file"]: line for line in lines}
    return [latest[file] for file in sorted(latest) if (corpus / file).exists()]


def counts(rows: list[dict[str, Any]]) -> str:
    """Tables of how many runs there are, in Markdown."""
    labels = ("healthy", "harmed", "harmless", "collapsed")
    lines = []
    for title, key in (("half", "half"), ("trainer", "trainer"), ("environment", "environment"), ("fault", "fault")):
        lines += [f"| {title} | runs | {' | '.join(labels)} | flat |", f"| --- |{' ---: |' * (len(labels) + 2)}"]
        for half, value in sorted({(each["half"], each[key]) for each in rows}):
            group = [each for each in rows if (each["half"], each[key]) == (half, value)]
            by_label = Counter(each["label"] for each in group)
            name = half if key == "half" else f"{half}: {value or 'none'}"
            numbers = [len(group), *(by_label[label] for label in labels), sum(each["flat"] for each in group)]
            lines.append(f"| {name} | {' | '.join(str(each) for each in numbers)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", action="store_true", help="also print how many runs there are")
    parsed = parser.parse_args()
    rows = [row(known, CORPUS) for known in known_runs()]
    with (CORPUS / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if parsed.counts:
        print(counts(rows))


if __name__ == "__main__":
    main()
