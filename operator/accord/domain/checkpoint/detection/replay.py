"""What a policy would have done over a recorded run: the same judgement as live, one look after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec, Signal
from accord.domain.checkpoint.detection.history import History, Judgement
from accord.domain.checkpoint.detection.series import Life, Moment
from accord.domain.checkpoint.targets import Candidate, choose


@dataclass(frozen=True)
class Rollback:
    """One that would have been."""

    step: int
    signal: Signal
    target: int | None
    """Step of the checkpoint; None where none qualifies."""
    judgement: Judgement


@dataclass
class Replayed:
    """What a whole run would have come to."""

    checks: int = 0
    inconclusive: int = 0
    rollbacks: list[Rollback] = field(default_factory=list)
    last: Judgement | None = None


@dataclass(frozen=True)
class Pace:
    """When there is a look, and what is saved."""

    every: int
    """Steps between two looks."""
    steps_a_second: float
    """For moments without a time: the cooldown is one."""
    saved: Sequence[int]
    """Steps of the checkpoints, in order."""


def replay(spec: CheckpointPolicySpec, lives: Iterable[Life], pace: Pace) -> Replayed:
    """Go through all lives, and note each rollback. After one, nothing before it is judged, and the run goes on as it
    was recorded.
    """
    player = _Player(spec, pace)
    for life in lives:
        player.play(life)
    return player.result


class _Player:
    def __init__(self, spec: CheckpointPolicySpec, pace: Pace) -> None:
        self._spec, self._pace = spec, pace
        self._quiet_until = float("-inf")
        self._quarantined: set[int] = set()
        self.result = Replayed()

    def play(self, life: Life) -> None:
        history = History(self._spec.detection, life.kinds)
        every = self._pace.every
        due: int | None = None
        for moment in life.moments:
            history.add(moment)
            if due is not None and moment.step < due:
                continue
            due = moment.step - moment.step % every + every
            if self._look(history.judge(), moment):
                history = History(self._spec.detection, life.kinds, history.sick)

    def _look(self, judgement: Judgement, moment: Moment) -> bool:
        """Count a look; whether it leads to a rollback."""
        result, rollback = self.result, self._spec.rollback
        result.checks += 1
        result.last = judgement
        result.inconclusive += judgement.outcome == "Inconclusive"
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
