"""The rule `Adaptive`: have the newest blocks left what those before them, and their trend, let expect?

Compared are a few newest blocks, of several lengths, with a baseline before them. Something is wrong when

- they are worse than the baseline by the least effect that the policy names, also where the baseline's trend goes on;
- that is no chance: Student's t of the difference, with the spread of the baseline's blocks around their line, is as
  unlikely as a false alarm in `_STEPS_A_FALSE_ALARM` training steps of looking. Where all values are positive, also on
  a logarithmic scale, on which noise in percent of the level looks the same on both sides;
- nearly all of them say so, each by itself: one outlier is no fault.

As the looks overlap, and the three demands are met together, the real rate is far less (tests/bench).

That is a suspicion: a value loss jumps in the best of health, as when a training first reaches its goal. It is proof
where it lasts at a height that this training never had (`_proof`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from accord.domain.checkpoint.detection.finding import Finding, Outcome
from accord.domain.checkpoint.detection.series import Block, Blocks, Kind, Segment, Sums
from accord.domain.checkpoint.detection.trend import Line, Stretch

_LEAST_BASELINE: dict[Kind, int] = {"steps": 8, "updates": 6, "episodes": 10}
"""Blocks that a baseline holds at least."""
_LEAST_SAMPLES: dict[Kind, int] = {"steps": 8, "updates": 6, "episodes": 30}
"""Samples in them: a scrape may have seen one episode, or fifty."""
_GOOD_BASELINE: dict[Kind, int] = {"steps": 20, "updates": 20, "episodes": 30}
"""Blocks that it may reach back for: with more of them, less of a difference is needed."""
_GOOD_SAMPLES: dict[Kind, int] = {"steps": 20, "updates": 20, "episodes": 90}
"""Samples in them."""
_LENGTHS: dict[Kind, tuple[int, ...]] = {
    "steps": (3, 4, 8),
    "updates": (2, 3, 4, 6),
    "episodes": (3, 4, 5, 7, 10, 14, 20, 28, 40),
}
"""Newest blocks that are looked at together. Of updates no more than six: a healthy loss may double over more."""
_LEAST_REWARDS = 3
"""Least of them for rewards: two bad ones are no rarity where the return of an episode is a block."""
_GAPS = {1: (0, 1), -1: (0, 1, 2, 4)}
"""A slow fault is in the baseline by the time it is seen: it is also compared with one that ends so many
`baselineWindow` before. Losses (1) may rise slowly in the best of health, returns (-1) should not fall."""
_STEPS_A_FALSE_ALARM: dict[Kind, float] = {"steps": 4e6, "updates": 3e6, "episodes": 5e6}
"""A look may be wrong with the chance that goes with the steps until the next one: few updates, few looks. One look
compares up to 36 stretches, which differ most from each other for episodes. The bench found these."""
_AROUND_ZERO = 2.0
"""A level that is less than so many standard deviations of a sample is no scale; these are."""
_FAR = 4.0
"""Of a level below zero, so many standard deviations of a sample count."""
_LENIENT = 0.03
"""Chance that is small enough on the scale of the values, where their logarithms decide."""
_MOST = 4.0
"""On the logarithmic scale, blocks of the baseline count as at most so many times, or that part of, its level."""
_LEAST_LOSS = 0.4
"""Losses of updates as at least this part of it: noise in percent reaches further down there than up."""
_LASTING = 6
"""Newest blocks that prove a fault, and updates that a level before is the mean of. Healthy losses fall back sooner."""
_LOWER = 1
"""Of these, so many may be lower: noise reaches down that far."""
_CROSSING = 4.0
"""Where losses were not all above zero, a factor of their level says nothing: the limit is so many times what they
span, zero included, above the highest level. What explodes is soon beyond; a value function that learns is not."""
_ONSET = 0.5
"""A block that is off by less, in standard deviations, speaks for a time before the fault."""


@dataclass(frozen=True)
class Question:
    """What is asked of one series."""

    kind: Kind
    bad: Literal[1, -1]
    """1 where high values are bad, -1 where low ones are."""
    effect: float
    """Least distance from the level that counts, as a part of the level."""
    window: int
    baseline_window: int
    scale: float | None = None
    """What the effect is a part of instead of the level, where the series has a scale of its own."""
    limit: float | None = None
    """A recent level that is no worse than this is not wrong, whatever was before; None: there is no such."""
    beyond: float | None = None
    """Factor of the highest level that this training ever had, above which values that last are proof; None: nothing
    is."""

    def is_allowed(self, recent: float) -> bool:
        """Whether that is a good level by itself."""
        return self.limit is not None and self.bad * (recent - self.limit) <= 0


class Watch:
    """One series, fed in order. It is judged anew only where a block more is closed."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._blocks = Blocks.of(question.window)
        self._found: Finding | None = None

    def add(self, segment: Segment) -> None:
        """One more."""
        if self._blocks.add(segment):
            self._found = None

    def judge(self) -> Finding:
        """As of the newest block."""
        if self._found is None:
            self._found = judge(self._blocks, self._question)
        return self._found

    def first_onset(self, after: int) -> int | None:
        """See `first_onset`."""
        return first_onset(self._blocks, self._question, after)


def judge(blocks: Blocks, question: Question) -> Finding:
    """Judge the newest blocks."""
    stretches = list(_stretches(blocks, question))
    if not stretches:
        return Finding("Inconclusive", _lacking(blocks.closed, question))
    for stretch in stretches:
        if _is_wrong(blocks, stretch, question):
            return _proof(blocks, question) or _finding("Suspect", blocks, stretch, question)
    return _finding("Pass", blocks, stretches[0], question)


def first_onset(blocks: Blocks, question: Question, after: int) -> int | None:
    """Of the first time after that step that something was wrong which was not before; None where nothing was."""
    was_good = False
    for count in range(bisect_right(blocks.lasts, after), len(blocks.closed) + 1):
        onset = judge(blocks.first(count), question).onset
        if onset is not None and was_good:
            return onset
        was_good = onset is None
    return None


def _proof(blocks: Blocks, question: Question) -> Finding | None:
    """A Fail, where the newest blocks are beyond all that this training ever had."""
    late = len(blocks.closed) - _LASTING
    begin = _begin(blocks, late, question) if late > 0 else None
    if question.beyond is None or begin is None or blocks.units[late] < _LASTING:
        return None
    stretch = Stretch(begin, late, late)
    level = _line(blocks, stretch, question).level
    least = question.effect * abs(level)
    limit = max(_beyond(blocks, late, question.beyond), level + least / 2)
    if sum(block.value <= limit for block in blocks.closed[late:]) > _LOWER:
        return None
    n = len(blocks.closed)
    if blocks.sums.mean(n - _LASTING // 3, n) < level + least:
        # It is over: what is there of noise may still be above the highest level.
        return None
    return replace(_finding("Fail", blocks, stretch, question), limit=limit)


def _beyond(blocks: Blocks, late: int, factor: float) -> float:
    """What is out of reach of the highest level before `late`, of so many updates each."""
    highest, begin = -math.inf, 0
    for end in range(1, late + 1):
        while blocks.units[end] - blocks.units[begin + 1] >= _LASTING:
            begin += 1
        if blocks.units[end] - blocks.units[begin] >= _LASTING:
            highest = max(highest, blocks.sums.mean(begin, end))
    lowest = min(block.value for block in blocks.closed[:late])
    return factor * highest if lowest > 0 else highest + _CROSSING * (max(highest, 0.0) - lowest)


def _finding(outcome: Outcome, blocks: Blocks, stretch: Stretch, question: Question) -> Finding:
    begin, end, late = stretch
    n = len(blocks.closed)
    return Finding(
        outcome,
        baseline=blocks.sums.mean(begin, end),
        recent=blocks.sums.mean(late, n),
        samples=sum(block.units for block in blocks.closed[late:]),
        onset=_onset(blocks, stretch, question) if outcome != "Pass" else None,
    )


def _stretches(blocks: Blocks, question: Question) -> Iterator[Stretch]:
    """What is compared with what; first the one that a Pass reports."""
    closed, lasts = blocks.closed, blocks.lasts
    for length in _lengths(question):
        late = len(closed) - length
        # Three quarters of the window, so that a jump within it is seen before the window is over.
        if late <= 0 or 4 * (lasts[-1] - closed[late].first) < 3 * question.window:
            continue
        for gap in _GAPS[question.bad]:
            end = bisect_right(lasts, closed[late].first - gap * question.baseline_window, 0, late)
            begin = _begin(blocks, end, question)
            if begin is None:
                break
            yield Stretch(begin, end, late)


def _lengths(question: Question) -> tuple[int, ...]:
    lengths = _LENGTHS[question.kind]
    return tuple(length for length in lengths if question.bad == 1 or length >= _LEAST_REWARDS)


def _begin(blocks: Blocks, end: int, question: Question) -> int | None:
    """Where a baseline that ends there begins; None where there is not enough before."""
    kind, lasts, units = question.kind, blocks.lasts, blocks.units
    if end < _LEAST_BASELINE[kind] or units[end] < _LEAST_SAMPLES[kind]:
        return None
    if lasts[end - 1] - blocks.closed[0].first < question.baseline_window:
        return None
    within = bisect_right(lasts, lasts[end - 1] - question.baseline_window, 0, end)
    # Where the window holds few, it may be longer, but not by so much that it is another time.
    enough = bisect_right(units, units[end] - _GOOD_SAMPLES[kind], 0, end + 1) - 1
    return max(min(within, end - _GOOD_BASELINE[kind], enough), 0)


def _is_wrong(blocks: Blocks, stretch: Stretch, question: Question) -> bool:
    begin, end, late = stretch
    recent = blocks.sums.mean(late, len(blocks.closed))
    if question.is_allowed(recent) or _is_plain(blocks.sums, stretch, recent, question):
        return False
    baseline, newest = blocks.closed[begin:end], blocks.closed[late:]
    line = _line(blocks, stretch, question)
    positive = line.mean > 0 and min(block.value for block in baseline) > 0
    single = line.sigma * math.sqrt(sum(block.units for block in baseline) / len(baseline))
    # Returns with heavy tails may be as wide as they are high, and still are all above zero.
    if question.scale is not None:
        least = question.effect * question.scale
    else:
        least = question.effect * (line.level if positive and _is_skewed(question) else _scale(line.level, single))
    # All zeros say nothing of what would be much.
    if least <= 0 or question.bad * (recent - line.level) < least:
        return False
    agreeing = sum(question.bad * (block.value - line.level) >= least / 2 for block in newest)
    if 4 * agreeing < 3 * len(newest):
        return False
    allowed = (baseline[-1].last - baseline[0].first) / len(baseline) / _STEPS_A_FALSE_ALARM[question.kind]
    if question.scale is not None or not positive:
        return line.chance(recent) <= allowed
    if line.chance(recent) > _lenient(question, allowed):
        return False
    return _in_logarithms(baseline, newest, late - end, question, line) <= allowed


def _is_plain(sums: Sums, stretch: Stretch, recent: float, question: Question) -> bool:
    """Whether it is not even half as bad as it would have to be, by the better of the baseline's mean and its end.

    Only saves time: nearly all looks end here.
    """
    begin, end, _ = stretch
    bad = question.bad
    better = bad * min(bad * sums.mean(begin, end), bad * sums.mean(end - (end - begin) // 4 - 1, end))
    scale = better if question.scale is None else question.scale
    return bad * (recent - better) <= max(question.effect * scale / 2, 0.0)


def _line(blocks: Blocks, stretch: Stretch, question: Question) -> Line:
    # Few blocks may lie close to each other by chance, but no closer than the values within them let expect.
    baseline = blocks.closed[stretch.begin : stretch.end]
    floor = sum(block.spread for block in baseline) / len(baseline)
    return Line.of(blocks.sums, stretch, len(blocks.closed), question.bad, floor)


def _scale(level: float, single: float) -> float:
    """What the least effect is a part of: the level, where it is one and not noise around zero.

    Half of -10 is no drop and twice -10 no spike: below zero the level counts only as far as the noise is no less.
    """
    scale = level if level > 0 else min(-level, _FAR * single)
    return max(scale, _AROUND_ZERO * single)


def _lenient(question: Question, allowed: float) -> float:
    """Where single samples have skewed tails, on the side of the fault, their logarithms decide."""
    return _LENIENT if _is_skewed(question) else allowed


def _is_skewed(question: Question) -> bool:
    return question.kind == "episodes" or (question.kind == "updates" and question.bad == 1)


def _in_logarithms(
    baseline: Sequence[Block], newest: Sequence[Block], gap: int, question: Question, line: Line
) -> float:
    """Chance of the newest blocks, where noise is in percent of the level.

    The trend is that of `line`: carried on in logarithms it would be a growth that excuses everything.
    """
    is_loss = question.kind == "updates"
    low = line.mean * (_LEAST_LOSS if is_loss else 1 / _MOST)
    least = line.mean / _MOST**2
    base, recent = Sums(), Sums()
    for block in baseline:
        base.add(math.log(min(max(block.value, low), line.mean * _MOST)))
    for block in newest:
        recent.add(math.log(max(block.value, least)))
    count, late = len(base), len(base) + gap
    line_of = Line.of_losses if is_loss else Line.of
    curve = line_of(base, Stretch(0, count, late), late + len(recent), question.bad)
    led = curve.mean + math.log(max(line.level, least) / line.mean)
    return curve._replace(led=led).chance(recent.mean(0, len(recent)))


def _onset(blocks: Blocks, stretch: Stretch, question: Question) -> int:
    """Where a running sum of what is worse than the baseline last began to grow, less a window.

    With a small reference value, so that what only looks like the fault is counted to it.
    """
    begin, end, _ = stretch
    closed, bad = blocks.closed, question.bad
    line = _line(blocks, stretch, question)
    # What gets better by itself is held against its trend, as far as that is sure: its mean is that of a worse time.
    lead = bad * min(bad * (line.level - line.mean), 0.0)
    middle = (end - begin - 1) / 2
    grown, onset = 0.0, closed[begin].first
    # Half of the baseline too: its end may hold the first of the fault.
    for place in range((begin + end) // 2, len(closed)):
        expected = line.mean + lead * min((place - begin) / middle - 1, 1.0)
        grown += bad * (closed[place].value - expected) - _ONSET * line.sigma
        if grown <= 0:
            grown, onset = 0.0, closed[place].last
    return max(onset - question.window, 0)


def _lacking(closed: Sequence[Block], question: Question) -> str:
    """What there is, of what there must be."""
    have = closed[-1].last - closed[0].first if closed else 0
    units = sum(block.units for block in closed)
    steps = question.window + question.baseline_window
    if have < steps:
        return f"has {have} of {steps} steps"
    per_block = units / len(closed)
    recent = _lengths(question)[0] * per_block
    least = max(_LEAST_BASELINE[question.kind] * per_block, _LEAST_SAMPLES[question.kind]) + recent
    return f"has {units} of {math.ceil(least)} {'values' if question.kind == 'steps' else question.kind}"
