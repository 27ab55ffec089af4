"""Lives from rows of step, loss and reward, as a CSV has them: a row a step or any stride, values held in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from accord.domain.checkpoint.detection.held import reports
from accord.domain.checkpoint.detection.series import Life, Moment


class Row(NamedTuple):
    """One row. None: no value; NaN and infinities are values that the trainer reported."""

    step: int
    loss: float | None
    reward: float | None
    at: float | None = None


def lives(rows: Sequence[Row], *, each: bool) -> list[Life]:
    """One for each start of the trainer: where the step goes back, it was restarted. `each`: every row is a sample, as
    the rule `Ratio` takes them.
    """
    return [_life(part, each) for part in _unbroken(rows)]


def _unbroken(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    begin = 0
    for index in range(1, len(rows)):
        if rows[index].step < rows[index - 1].step:
            yield rows[begin:index]
            begin = index
    if rows:
        yield rows[begin:]


def _life(rows: Sequence[Row], each: bool) -> Life:
    loss_kind, losses = reports("loss", [(row.step, row.loss) for row in rows], each)
    reward_kind, rewards = reports("reward", [(row.step, row.reward) for row in rows], each)
    found = zip(rows, losses, rewards, strict=True)
    return Life(
        {"loss": loss_kind, "reward": reward_kind},
        [Moment(row.step, loss, reward, row.at) for row, loss, reward in found],
    )
