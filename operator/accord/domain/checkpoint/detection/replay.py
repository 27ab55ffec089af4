"""What a policy would have done over a recorded run: the same judgement as live, one look after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec, Signal
from accord.domain.checkpoint.detection.history import History, Judgement
from accord.domain.checkpoint.detection.series import Life, Moment, Name
from accord.domain.checkpoint.detection.signals import SIGNALS
from accord.domain.checkpoint.targets import Candidate, choose


@dataclass(frozen=True)
class Rollback:
    """One that would have been."""

    step: int
    signal: Signal
    target: int | None
    """Step of the checkpoint; None where none qualifies."""
    judgement: Judgement


@dataclass(frozen=True)
class Pause:
    """A time in which promotion would have been paused."""

    begin: int
    """Step of the look that began it."""
    judgement: Judgement
    """What that look said."""
    end: int | None = None
    """Step of the look that ended it; None where none did."""
    rolled_back: bool = False
    """Whether a rollback ended it, and not a check that passed."""


@dataclass(frozen=True)
class Look:
    """One look, and what each signal by itself would have said then."""

    step: int
    judgement: Judgement
    signals: Mapping[Name, Judgement]


@dataclass
class Replayed:
    """What a whole run would have come to."""

    checks: int = 0
    inconclusive: int = 0
    paused: int = 0
    """Checks after which promotion was paused."""
    rollbacks: list[Rollback] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    last: Judgement | None = None
    looks: list[Look] = field(default_factory=list)
    """Each of them; only where that is asked for."""


@dataclass(frozen=True)
class Pace:
    """When there is a look, and what is saved."""

    every: float
    """Steps between two looks."""
    steps_a_second: float
    """For moments without a time: the cooldown is one."""
    saved: Sequence[int]
    """Steps of the checkpoints, in order."""
    seconds: float | None = None
    """Time between two looks at moments that have one; None: `every` says."""


def replay(spec: CheckpointPolicySpec, lives: Iterable[Life], pace: Pace, trace: bool = False) -> Replayed:
    """Go through all lives, and note each rollback. After one, nothing before it is judged, and the run goes on as it
    was recorded. `trace`: note each look, too.
    """
    player = _Player(spec, pace, trace)
    for life in lives:
        player.play(life)
    return player.result


class _Player:
    def __init__(self, spec: CheckpointPolicySpec, pace: Pace, trace: bool) -> None:
        self._spec, self._pace = spec, pace
        # What one signal says is not in the judgement where another one has more to say.
        self._alone = {
            each.series: each.alone(spec.detection) for each in SIGNALS if trace and each.is_seen(spec.detection)
        }
        self._quiet_until = float("-inf")
        self._quarantined: set[int] = set()
        self._is_paused = False
        self.result = Replayed()

    def play(self, life: Life) -> None:
        """One life. The operator looks on for a while after the end of one, so there is a look at its last moment."""
        history, signals = self._begin(life, frozenset())
        seen: float | None = None
        begun = life.moments[0].at if life.moments else None
        for index, moment in enumerate(life.moments):
            for each in (history, *signals.values()):
                each.add(moment)
            following = life.moments[index + 1] if index + 1 < len(life.moments) else None
            if following is not None and (following.step, following.at) == (moment.step, moment.at):
                # Episodes that end at the same step are seen at the same look.
                continue
            turn = self._turn(moment, begun)
            if turn == seen and following is not None:
                continue
            seen = turn
            judgement = history.judge()
            if signals:
                told = {name: each.judge() for name, each in signals.items()}
                self.result.looks.append(Look(moment.step, judgement, told))
            if self._look(judgement, moment):
                history, signals = self._begin(life, history.sick)

    def _begin(self, life: Life, sick: frozenset[Name]) -> tuple[History, dict[Name, History]]:
        signals = {name: History(detection, life.kinds, sick) for name, detection in self._alone.items()}
        return History(self._spec.detection, life.kinds, sick), signals

    def _turn(self, moment: Moment, begun: float | None) -> float:
        """Number of the look that shows a moment, if no earlier moment has the same."""
        pace = self._pace
        if pace.seconds is None or moment.at is None or begun is None:
            return moment.step // pace.every
        return (moment.at - begun) // pace.seconds

    def _look(self, judgement: Judgement, moment: Moment) -> bool:
        """Count a look; whether it leads to a rollback."""
        result = self.result
        result.checks += 1
        result.last = judgement
        result.inconclusive += judgement.outcome == "Inconclusive"
        rolled_back = self._answer(judgement, moment)
        self._hold(judgement, moment.step, rolled_back)
        result.paused += self._is_paused
        return rolled_back

    def _answer(self, judgement: Judgement, moment: Moment) -> bool:
        result, rollback = self.result, self._spec.rollback
        now = moment.step / self._pace.steps_a_second if moment.at is None else moment.at
        if judgement.signal is None or judgement.onset is None or now < self._quiet_until:
            return False
        if not rollback.enabled or len(result.rollbacks) >= rollback.max:
            return False
        saved = self._pace.saved[: bisect_right(self._pace.saved, moment.step)]
        candidates = [Candidate(step, quarantined=step in self._quarantined) for step in saved]
        target = choose(candidates, judgement.onset, rollback.steps)
        result.rollbacks.append(Rollback(moment.step, judgement.signal, target, judgement))
        self._quarantined.update(step for step in saved if step >= judgement.onset)
        self._quiet_until = now + rollback.cooldown.total_seconds()
        return True

    def _hold(self, judgement: Judgement, step: int, rolled_back: bool) -> None:
        """Begin or end a pause, as `holds` does: what cannot be said ends none."""
        pauses = self.result.pauses
        if self._is_paused and (rolled_back or judgement.outcome == "Pass"):
            pauses[-1] = replace(pauses[-1], end=step, rolled_back=rolled_back)
            self._is_paused = False
        elif not self._is_paused and not rolled_back and judgement.signal is not None:
            pauses.append(Pause(step, judgement))
            self._is_paused = True
