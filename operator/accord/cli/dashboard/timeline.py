"""Checkpoints on a time line: what was saved, what was served when, and where rollbacks were. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy, CheckpointStatus, RollbackRecord
from accord.cli.dashboard.curves import Spell, Spells
from accord.cli.status import wording
from accord.domain.conditions import parse_timestamp

_MOST = 40
"""Checkpoints that are listed, the newest first; the best and the served one in any case."""
_LEAST = timedelta(minutes=5)
_ROOM = 0.03
"""Of the whole line, before its first and behind its last thing."""


def kept(policy: CheckpointPolicy) -> list[dict[str, Any]]:
    """The checkpoints that are listed, newest first."""
    found = sorted(policy.status.checkpoints, key=lambda each: (each.attempt, each.step), reverse=True)
    return [
        {
            "step": each.step,
            "attempt": each.attempt,
            "at": each.created_at,
            "state": _state(each),
            "best": _is_best(policy, each),
            "served": _is_served(policy, each),
            "reward": None if each.reward is None else wording.figure(each.reward),
            "loss": None if each.loss is None else wording.figure(each.loss),
        }
        for index, each in enumerate(found)
        if index < _MOST or _is_best(policy, each) or _is_served(policy, each)
    ]


def _state(each: CheckpointStatus) -> str:
    if each.quarantined:
        return "quarantined"
    return "usable" if each.ready and each.verified else "pending"


def _is_best(policy: CheckpointPolicy, each: CheckpointStatus) -> bool:
    return each.step == policy.status.best_step and not each.quarantined


def _is_served(policy: CheckpointPolicy, each: CheckpointStatus) -> bool:
    served = policy.status.serving
    if served is None or served.step != each.step or served.attempt not in (None, each.attempt):
        return False
    return not served.training or not each.training or served.training == each.training


def drawn(policy: CheckpointPolicy, spells: Spells | None, reach: timedelta, now: datetime) -> dict[str, Any] | None:
    """The time line, in Unix times; None where there is nothing to draw."""
    end = now.timestamp()
    served = _served(policy, spells, end)
    marks = [
        {
            "at": parse_timestamp(each.created_at).timestamp(),
            "step": each.step,
            "state": _state(each),
            "best": _is_best(policy, each),
            "served": _is_served(policy, each),
        }
        for each in policy.status.checkpoints
        if each.created_at is not None
    ]
    records = [*([policy.status.rollback] if policy.status.rollback is not None else ()), *policy.status.history]
    rollbacks = [_rollback(each) for each in records]
    begins = [each["at"] for each in (*marks, *rollbacks)] + [each.begin for each in served]
    if not begins:
        return None
    # One old checkpoint that is kept must not press all others into a corner.
    begin = max(min(begins), end - max(reach.total_seconds(), _LEAST.total_seconds()))
    begin = min(begin, end - _LEAST.total_seconds())
    margin = (end - begin) * _ROOM
    return {
        "begin": begin - margin,
        "end": end + margin,
        "now": end,
        "checkpoints": [each for each in marks if each["at"] >= begin],
        "served": [
            {"step": each.step, "begin": max(each.begin, begin), "end": each.end} for each in served if each.end > begin
        ],
        "rollbacks": [each for each in rollbacks if each["at"] >= begin],
        "earlier": sum(each["at"] < begin for each in marks),
        "known": bool(spells and spells.spells),
        "said": _said(policy, len(marks), len(rollbacks)),
    }


def _served(policy: CheckpointPolicy, spells: Spells | None, end: float) -> Sequence[Spell]:
    """From the metrics where there are some, the last of them up to now; else what the status knows."""
    serving = policy.status.serving
    if spells is not None and spells.spells:
        found = list(spells.spells)
        if serving is not None and serving.step == found[-1].step:
            found[-1] = Spell(found[-1].step, found[-1].begin, end)
        return found
    return list(_recorded(policy, end))


def _recorded(policy: CheckpointPolicy, end: float) -> Iterator[Spell]:
    """What rollbacks tell: a checkpoint up to its begin, nothing of before; and what is served now, since when."""
    serving = policy.status.serving
    if serving is not None and serving.step is not None and serving.since is not None:
        yield Spell(serving.step, parse_timestamp(serving.since).timestamp(), end)


def _rollback(record: RollbackRecord) -> dict[str, Any]:
    return {
        "at": parse_timestamp(record.completed_at or record.started_at).timestamp(),
        "from": record.from_step,
        "to": record.to_step,
        "label": _told(record),
    }


def _told(record: RollbackRecord) -> str:
    if record.phase == "Done":
        return f"rolled back to {record.to_step}"
    if record.phase == "AwaitingApproval":
        return f"back to {record.to_step}?"
    return "rejected" if record.phase == "Rejected" else f"{record.phase.lower()}: {record.to_step}"


def _said(policy: CheckpointPolicy, count: int, rollbacks: int) -> str:
    """The line in a sentence, for who cannot see it."""
    serving = policy.status.serving
    served = (
        f"step {serving.step} is served" if serving is not None and serving.step is not None else "nothing is served"
    )
    return f"{wording.count(count, 'checkpoint')}, {wording.count(rollbacks, 'rollback')}; {served}"
