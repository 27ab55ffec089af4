"""The rule for returns: has the training lost, for now and not by chance, a share of what it had learnt?

Each sample is judged once, in order, by what came before it: how often one looks changes nothing.

- **Level**: the mean of a window of the newest episodes, at least `episodes` of them, over at least `updates` updates
  of the policy. The *best* level is the highest of any window before, less the error that picking the highest makes.
- **Learnt**: the best level minus the level at the start. It has no sign, no unit and no zero, so a share of it means
  the same for Pendulum (-1,600 to -150) as for CartPole (20 to 500).
- **Fail**: the newest window has lost `share` of what was learnt; that is no chance, by the spread of single episodes;
  its last third is no better; and it is deeper or longer than every dip that this training has come out of by itself.
- A **deep** fall is seen sooner: half of the episodes are enough where three quarters are lost, and a quarter of them
  where nothing is left (`Proof.of_part`).
- **Suspect**: the same of a few episodes, with less proof.

A verdict stands until the level has come half of the way back, so that noise around the limit does not make it flap.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from accord.domain.checkpoint.detection.finding import Finding, Outcome
from accord.domain.checkpoint.detection.series import Kind, Segment

Sensitivity = Literal["Low", "Medium", "High"]


@dataclass(frozen=True)
class Proof:
    """How much is asked for."""

    episodes: int
    """Of a window, at least."""
    updates: int
    """Of the policy within a window, at least, where they are known."""
    chance: float
    """That noise alone looks like that in a whole training."""
    deeper: float
    """Than a dip that ended by itself, as a factor; where no return is reported, the same of the highest loss;"""
    longer: float
    """or longer, likewise in steps."""

    def of_part(self, part: float) -> Proof:
        """Of that part of a window, for what is lost nearly all.

        The episodes that a change needs to be told from noise are inverse to its divergence, for a jump of a mean to
        the square of its size (Lorden, Annals of Mathematical Statistics 42, 1971): all instead of half needs a
        quarter. Half of the updates, whatever the part: what one did, the next often takes back. The same chance is
        asked for as of a whole window, and again that no dip of this training that ended by itself was like it.
        """
        return replace(self, episodes=math.ceil(self.episodes * part), updates=math.ceil(self.updates / 2))


PROOF: dict[Sensitivity, Proof] = {
    "Low": Proof(episodes=30, updates=4, chance=0.001, deeper=1.5, longer=3.0),
    "Medium": Proof(episodes=20, updates=3, chance=0.01, deeper=1.25, longer=2.0),
    "High": Proof(episodes=12, updates=2, chance=0.05, deeper=1.1, longer=1.5),
}
_SUSPICION = Proof(episodes=8, updates=1, chance=0.3, deeper=0.0, longer=0.0)
_START = 20
"""Episodes that tell the level at the start."""
_LENGTHS = (1, 4)
"""Windows that the best level is looked for with, in windows: a level that lasts is known better."""
_LUCK = 0.8
"""The best of many levels of noise is above the true one by less than theory's bound, as windows overlap."""
_PLACES = 3
"""Of a window that slides, within its own length, those that count as different ones: about what the range of a moving
average of noise asks for where five standard errors are (Leadbetter, Lindgren and Rootzén, 1983, chapter 12)."""
_SPREADS_KEPT = 8
"""Stretches of `_START` episodes that tell how much single episodes differ lately."""
_SOMETHING = 2.0
"""Standard errors by which the best must be above the start to have been learnt at all."""
_GRAIN = 1e-6
"""Levels that differ by less of themselves are the same: they are differences of running sums, which are rounded."""
_SPREADS = 4.0
"""Standard deviations of an episode that stand in for what was learnt where that is nothing, and there is no level to
take a share of. Where there is a value a step they are the most, however much was learnt."""
_SCALE = 2.0
"""Standard deviations of a value that a positive level must be, to be one to take a share of where there is a value a
step: less is noise around zero."""
_SKEWED = 1.0
"""Standard deviation as a part of the level, up to which positive returns are many sizes and not mostly nothing."""
_DEEP = {0.5: 0.5, 0.25: 1.0}
"""Parts of a window that are enough, each with how far from the share to all that was learnt the level has fallen."""
_TAIL = 0.5
"""Of the share, what the last third of a window must have lost by itself: less is a dip that is over."""
_BACK = 0.5
"""Of the share: a verdict stands until less than that is lost."""
_INNOCENT = 8
"""Good episodes after an update that clear it of having done the harm. The first ones were begun before it."""
_BEGUN = 0.5
"""Of the loss: from there on it has begun."""
_UNSURE = 3.0
"""Log-likelihood by which a place may be worse than the likeliest one and still be where it began."""
_CLEAR = 0.1
"""Of the loss: a window that has lost no more is from before it."""


class Level(NamedTuple):
    """Of the episodes of a stretch."""

    episodes: int
    mean: float
    variance: float
    """Of a single episode."""

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance / self.episodes)


class Best(NamedTuple):
    """The best level that lasted for a window."""

    sure: float
    """Its mean, less the luck that the best of many has had."""
    level: Level
    end: int
    """Segments until its end."""
    begun: int
    """Step after which it began."""


class Loss(NamedTuple):
    """The newest window against the best one."""

    best: float
    recent: Level
    limit: float
    """Level from which on it is a fault."""
    share: float
    """Of what was learnt, lost now; below 0 where more is learnt."""
    tail: float
    """The same share, of the window's last third."""
    since: int
    """Segments until the best one's end."""


class _Dip(NamedTuple):
    """A time in which part of what was learnt was lost."""

    begin: int
    end: int
    depth: float

    @property
    def length(self) -> int:
        return self.end - self.begin


class Returns:
    """Fed with segments in order; judged whenever wanted."""

    def __init__(self, kind: Kind, share: float, window: int, baseline_window: int, sensitivity: Sensitivity) -> None:
        """`share` of what was learnt is a fault; `window` and `baseline_window` are least steps."""
        self._sums = _Sums(dense=kind == "steps")
        self._window, self._least = window, window + baseline_window
        proof = PROOF[sensitivity]
        whole = _Watch(proof, share, window)
        # The onset stays that of whole windows at the level: a part of one is sooner back there by chance.
        deep = (
            _Watch(proof.of_part(part), share + way * (1 - share), window, whole.size) for part, way in _DEEP.items()
        )
        self._fails = whole, *deep
        self._fail = whole
        """The one that found something, until that is over; otherwise the first."""
        self._suspect = _Watch(_SUSPICION, share, window)
        self._start: Level | None = None

    def add(self, segment: Segment, updates: int | None) -> None:
        """One more. `updates` are those of the policy so far; None where they are not known."""
        sums = self._sums
        sums.add(segment, updates)
        if self._start is None and sums.covers(0, len(sums), _START, 0, self._window):
            self._start = sums.level(0, len(sums))
        if self._start is None:
            return
        for watch in (*self._fails, self._suspect):
            watch.see(sums, self._start)
        if self._fail.onset is None:
            self._fail = next((watch for watch in self._fails if watch.onset is not None), self._fails[0])
            if self._fail.onset is not None:
                # Where either sees it begin first: rather too early than after it.
                begun = [self._fail.onset, *(watch.began(sums) for watch in self._fails)]
                self._fail.onset = min(each for each in begun if each is not None)

    @property
    def reached(self) -> int | None:
        """Step after which the level was reached that is lost now; None where none is."""
        return None if self._fail.onset is None else self._fail.reached

    def judge(self) -> Finding:
        """As of the newest segment."""
        sums, loss = self._sums, self._fail.loss
        steps = sums.lasts[-1] - sums.firsts[0] if len(sums) else 0
        if steps < self._least:
            return Finding("Inconclusive", f"has {steps} of {self._least} steps")
        if loss is None or self._start is None:
            return Finding("Inconclusive", self._lacking())
        if self._fail.onset is not None:
            # The figures of the whole window say more, as soon as it agrees.
            told = self._fails[0] if self._fails[0].onset is not None else self._fail
            return self._finding("Fail", told.loss or loss, self._fail.onset)
        if self._suspect.onset is not None and self._suspect.loss is not None:
            return self._finding("Suspect", self._suspect.loss, None)
        return self._finding("Pass", loss, None)

    def _finding(self, outcome: Outcome, loss: Loss, onset: int | None) -> Finding:
        return Finding(
            outcome,
            baseline=loss.best,
            recent=loss.recent.mean,
            limit=loss.limit,
            share=loss.share,
            samples=loss.recent.episodes,
            onset=onset,
        )

    def _lacking(self) -> str:
        proof, sums = self._fail.proof, self._sums
        if sums.units[-1] < 2 * proof.episodes:
            return f"has {sums.units[-1]} of {2 * proof.episodes} episodes"
        return f"has {sums.updates[-1]} of {2 * proof.updates} updates"


class _Sums:
    """Running sums over segments: the level of any stretch without going through it."""

    def __init__(self, dense: bool) -> None:
        self.dense = dense
        """Whether there is a value a step, and not one an episode."""
        self.firsts: list[int] = []
        self.lasts: list[int] = []
        self.units, self.updates = [0], [0]
        self.counts_updates = False
        self.positive = True
        self._totals, self._squares = [0.0], [0.0]
        self._origin = 0.0
        self._spreads: deque[Level] = deque(maxlen=_SPREADS_KEPT)
        """Of the newest stretches of `_START` episodes."""
        self._usual = 0.0
        """Variance of a single episode in all of these; asked for several times a segment."""
        self._spread_from = 0

    def __len__(self) -> int:
        return len(self.lasts)

    def add(self, segment: Segment, updates: int | None) -> None:
        if not self.lasts:
            # Values are taken from the first one, so that the squares of large ones do not swallow what differs.
            self._origin = segment.mean
            self.updates[0] = updates or 0
        # Of segments without squares, the means stand for all their values.
        squares = segment.squares or segment.total * segment.mean
        count, total = segment.values, segment.total
        self.firsts.append(segment.first)
        self.lasts.append(segment.last)
        self.units.append(self.units[-1] + count)
        self.updates.append(self.updates[-1] if updates is None else updates)
        self.counts_updates = self.counts_updates or updates is not None
        self.positive = self.positive and total >= 0
        self._totals.append(self._totals[-1] + total - count * self._origin)
        self._squares.append(self._squares[-1] + squares - 2 * self._origin * total + count * self._origin**2)
        if self.units[-1] - self.units[self._spread_from] >= _START:
            self._spreads.append(self._level(self._spread_from, len(self)))
            self._spread_from = len(self)
            count = sum(each.episodes for each in self._spreads)
            self._usual = sum(each.episodes * each.variance for each in self._spreads) / count

    def width(self, begin: int, end: int) -> float | None:
        """Standard deviation of an episode as a part of the level, of late; None where that says nothing.

        Of positive returns that are as wide as they are high at most, also now. In a game that is rarely won they are
        wider, the more so the less it is won.
        """
        now = self._level(begin, end)
        lately = [now, *self._spreads]
        if not self.positive or min(each.mean for each in lately) <= 0 or now.variance > now.mean**2:
            return None
        return math.sqrt(sum(each.variance / each.mean**2 for each in lately) / len(lately))

    def covers(self, begin: int, end: int, units: int, updates: int, steps: int) -> bool:
        """Whether the segments `begin`, …, `end - 1` hold as much."""
        return (
            self.units[end] - self.units[begin] >= units
            and (not self.counts_updates or self.updates[end] - self.updates[begin] >= updates)
            and self.lasts[end - 1] - self.firsts[begin] >= steps
        )

    def level(self, begin: int, end: int) -> Level:
        """Its variance is no less than is usual lately: the best of many windows is one whose episodes were alike."""
        found = self._level(begin, end)
        return found._replace(variance=self._usual) if found.variance < self._usual else found

    def _level(self, begin: int, end: int) -> Level:
        count = self.units[end] - self.units[begin]
        mean = (self._totals[end] - self._totals[begin]) / count
        spread = max((self._squares[end] - self._squares[begin]) / count - mean * mean, 0.0)
        return Level(count, self._origin + mean, spread * count / max(count - 1, 1))


class _Window:
    """The level of the newest episodes, and the best that it ever had."""

    def __init__(self, episodes: int, updates: int, steps: int) -> None:
        self.size = episodes, updates, steps
        self._levels: list[tuple[Level, int] | None] = []
        """Of the window that ends with each segment, and the step after which it begins."""
        self._known = 0
        self.begin = 0
        self.best: Best | None = None

    def see(self, sums: _Sums) -> Level | None:
        """The level with the newest segment; None where the window is not full."""
        end = len(sums)
        self._levels += [None] * (end - 1 - len(self._levels))
        while self.begin + 1 < end and sums.covers(self.begin + 1, end, *self.size):
            self.begin += 1
        level = sums.level(self.begin, end) if sums.covers(self.begin, end, *self.size) else None
        self._levels.append(None if level is None else (level, sums.firsts[self.begin]))
        return level

    def learn(self, sums: _Sums, end: int) -> None:
        """The best of all windows that ended by then."""
        for index in range(self._known, end):
            found = self._levels[index]
            if found is None:
                continue
            level, begun = found
            sure = level.mean - luck(sums.units[index + 1] / level.episodes) * level.error
            if self.best is None or sure > self.best.sure:
                self.best = Best(sure, level, index + 1, begun)
        self._known = max(self._known, end)


def luck(windows: float) -> float:
    """Standard errors by which the best of so many levels is above the true one, about: sqrt(2 ln n)."""
    return _LUCK * math.sqrt(2 * math.log(max(windows, 1.0)))


def doubt(pairs: float, chance: float) -> float:
    """Standard errors that no two levels of so many pairs differ by, but for this chance: Chernoff's bound for each."""
    return math.sqrt(2 * math.log(max(pairs, 1.0) / chance))


class _Watch:
    """Looks for a loss with so much proof."""

    def __init__(self, proof: Proof, share: float, window: int, clear: tuple[int, int, int] | None = None) -> None:
        """`clear` is the least window that shows that nothing had begun; None: as the others."""
        self.proof = proof
        self.size = clear or (proof.episodes, proof.updates, window)
        self.loss: Loss | None = None
        self.onset: int | None = None
        """Step from before which a checkpoint must be; None while nothing is found."""
        self.reached = 0
        """Step after which the level that was lost by then had been reached."""
        self._share, self._steps = share, window
        self._newest, *_ = self._windows = [
            _Window(factor * proof.episodes, factor * proof.updates, factor * window) for factor in _LENGTHS
        ]
        self._dip: _Dip | None = None
        """The one that goes on."""
        self._dips: list[_Dip] = []
        """Those that ended by themselves; none that was both less deep and less long than another."""

    def see(self, sums: _Sums, start: Level) -> None:
        """The newest segment."""
        recent, *_ = [window.see(sums) for window in self._windows]
        if recent is None:
            return
        for window in self._windows:
            window.learn(sums, self._newest.begin)
        found = [window.best for window in self._windows if window.best is not None]
        if not found:
            return
        best = max(found)
        loss = self.loss = self._compare(sums, start, recent, best)
        self._follow(loss, sums.lasts[-1])
        if self.onset is not None:
            if loss.share < _BACK * self._share:
                self.onset = None
        elif self._is_wrong(loss) and self._is_sure_of_any(sums, recent, found):
            self.reached = best.begun
            self.onset = _onset(sums, loss, self._steps, self.size)

    def began(self, sums: _Sums) -> int | None:
        """As `onset`, of what is lost now, proven or not; None where that is little."""
        if self.loss is None or self.loss.share < _BACK * self._share:
            return None
        return _onset(sums, self.loss, self._steps, self.size)

    def _compare(self, sums: _Sums, start: Level, recent: Level, best: Best) -> Loss:
        level, single = best.level, math.sqrt(max(best.level.variance, recent.variance))
        learnt = best.sure - start.mean
        if learnt < _SOMETHING * math.hypot(level.error, start.error) or learnt <= 0:
            learnt = best.sure if sums.positive else _SPREADS * single
        elif sums.dense:
            learnt = min(learnt, _SPREADS * single)
            if best.sure >= _SCALE * single:
                learnt = min(learnt, best.sure)
        end = len(sums)
        tail = sums.level(end - max((end - self._newest.begin) // 3, 1), end)
        lost = best.sure - recent.mean
        if abs(lost) <= _GRAIN * max(abs(best.sure), abs(recent.mean)):
            lost = 0.0
        return Loss(
            best=best.sure,
            recent=recent,
            limit=best.sure - self._share * learnt,
            share=lost / learnt if learnt > 0 else 0.0,
            tail=(best.sure - tail.mean) / learnt if learnt > 0 else 0.0,
            since=best.end,
        )

    def _follow(self, loss: Loss, step: int) -> None:
        """Where less than `_BACK` of the share is lost a dip has ended by itself."""
        if loss.share >= _BACK * self._share:
            depth = max(loss.best - loss.recent.mean, self._dip.depth if self._dip else 0.0)
            self._dip = _Dip(self._dip.begin if self._dip else step, step, depth)
        elif self._dip is not None:
            gone = self._dip
            self._dips = [dip for dip in self._dips if dip.depth > gone.depth or dip.length > gone.length] + [gone]
            self._dip = None

    def _is_sure_of_any(self, sums: _Sums, recent: Level, found: list[Best]) -> bool:
        width = sums.width(self._newest.begin, len(sums))
        return any(self._is_sure(sums, recent, best.level, width) for best in found)

    def _is_sure(self, sums: _Sums, recent: Level, best: Level, width: float | None) -> bool:
        """Whether noise alone would not make any two levels of this training differ like that, but for the chance.

        Where the spread grows with the level, so do the errors of means, but not those of their cube roots (Wilson and
        Hilferty, Proceedings of the National Academy of Sciences 17, 1931): a low mean of few says more than a
        high one.
        """
        episodes = sums.units[-1]
        pairs = (_PLACES * episodes / recent.episodes) * (_PLACES * episodes / best.episodes) / 2
        limit = doubt(pairs, self.proof.chance)
        apart = math.sqrt(1 / recent.episodes + 1 / best.episodes)
        both = (recent.episodes * recent.variance + best.episodes * best.variance) / (recent.episodes + best.episodes)
        if best.mean - recent.mean >= limit * max(math.hypot(recent.error, best.error), math.sqrt(both) * apart):
            return best.mean > recent.mean
        return width is not None and 3 * (1 - math.cbrt(recent.mean / best.mean)) >= limit * width * apart

    def _is_wrong(self, loss: Loss) -> bool:
        return loss.share >= self._share and loss.tail >= _TAIL * self._share and self._is_unusual()

    def _is_unusual(self) -> bool:
        """Whether it is deeper or longer than each dip before."""
        now, proof = self._dip, self.proof
        return now is not None and all(
            now.depth >= proof.deeper * dip.depth or now.length >= proof.longer * dip.length for dip in self._dips
        )


def _onset(sums: _Sums, loss: Loss, window: int, size: tuple[int, int, int]) -> int:
    """A step from before which the newest good checkpoint is.

    Where the episodes change from the best level to the newest one is the place of the highest likelihood, both sides
    normal with one variance (Hinkley, Biometrika 57, 1970); taken is the first that is not much less likely. A policy
    changes at its updates: the last one before it may have done the harm, and what was saved at that one is not good.
    """
    end = len(sums)
    # The first part of the way down counts: harm often comes by and by.
    distance = _BEGUN * (loss.best - loss.recent.mean)
    middle, unit = loss.best - distance / 2, distance / max(loss.recent.variance, distance * distance / 16)
    place, likeliest, grown = end, -math.inf, 0.0
    found: list[tuple[float, int]] = []
    for index in range(end - 1, loss.since - 1, -1):
        level = sums.level(index, index + 1)
        grown += level.episodes * (middle - level.mean) * unit
        found.append((grown, index))
        likeliest = max(likeliest, grown)
    place = min(index for grown, index in found if grown >= likeliest - _UNSURE)
    place = _cleared(sums, loss, place, size)
    if not sums.counts_updates:
        return max(sums.firsts[place] - window, 0)
    before = bisect_left(sums.updates, sums.updates[place], 0, place + 1)
    if sums.units[place] - sums.units[before] >= _INNOCENT:
        return sums.firsts[place]
    return sums.lasts[before - 2] if before >= 2 else sums.firsts[0]


def _cleared(sums: _Sums, loss: Loss, place: int, size: tuple[int, int, int]) -> int:
    """The newest place until then that comes after a whole window at the level.

    A jump has one before it. Of harm that comes by and by the likeliest place is on the way down.
    """
    limit = loss.best - _CLEAR * (loss.best - loss.recent.mean)
    begin = place
    for end in range(place, loss.since, -1):
        begin = min(begin, end - 1)
        while begin > 0 and not sums.covers(begin, end, *size):
            begin -= 1
        if sums.level(begin, end).mean >= limit:
            return end
    return loss.since
