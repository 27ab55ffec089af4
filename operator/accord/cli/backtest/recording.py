"""A recorded run in a CSV file: our own columns, or a log of stable-baselines3.

- `step`, `loss`, `reward`, and, if wanted, `approx_kl`, `explained_variance`, `time` in seconds: looks at a trainer, or
  events.
- `progress.csv` of its logger: `time/total_timesteps`, `rollout/ep_rew_mean`, `train/loss`, `train/approx_kl`,
  `train/explained_variance`, `time/time_elapsed`.
- `monitor.csv` of its Monitor: a comment line, then `r`, `l`, `t` of each episode.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.cli.documents import content, place_of
from accord.cli.errors import InputError
from accord.domain.checkpoint.detection.rows import Row
from accord.domain.checkpoint.detection.series import Name
from accord.domain.checkpoint.detection.signals import OF_SERIES

_MEANS = "its rewards are means of the last 100 episodes, so drops show late; use the run's monitor.csv if there is one"


@dataclass(frozen=True)
class Recording:
    """A run, as its file has it."""

    rows: Sequence[Row]
    events: bool | None
    """Whether each row is an event; None where that is to be told from the rows."""
    note: str | None = None
    """What a reader of the figures should know of it."""

    @property
    def has_times(self) -> bool:
        """Whether the file says when each row was."""
        return self.rows[0].at is not None


@dataclass(frozen=True)
class _Form:
    """Where a kind of file has what."""

    step: str
    time: str
    series: Mapping[Name, str]
    events: bool | None = None
    note: str | None = None

    @property
    def columns(self) -> list[str]:
        return [self.step, *self.series.values(), self.time]

    @property
    def proofs(self) -> set[str]:
        """Columns of which there must be one: nothing is judged by the others alone."""
        return {column for name, column in self.series.items() if OF_SERIES[name].is_proof}


_OWN = _Form("step", "time", {name: name for name in OF_SERIES})
_PROGRESS = _Form(
    "time/total_timesteps",
    "time/time_elapsed",
    {
        "loss": "train/loss",
        "reward": "rollout/ep_rew_mean",
        "approx_kl": "train/approx_kl",
        "explained_variance": "train/explained_variance",
    },
    events=True,
    note=_MEANS,
)
_MONITOR = _Form("l", "t", {"reward": "r"}, events=True)
"""Its steps are the lengths of the episodes, one after the other."""


def read(path: Path) -> Recording:
    """The whole run. InputError that names line and column of what cannot be read."""
    name = place_of(path)
    text, skipped = _without_comment(_text(path, name))
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip() for cell in next(reader, [])]
        form = _form(header, f"{name}: line {skipped + 1}")
        take = _monitored() if form is _MONITOR else _row
        rows = [
            take(_cells(header, cells, place, skipped + 1), form, place)
            for cells, place in _lines(reader, name, skipped)
        ]
    except csv.Error as error:
        raise InputError(f"{name}: line {skipped + reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{name}: no rows")
    return Recording(rows, form.events, f"{name}: {form.note}" if form.note else None)


def _lines(reader: Any, name: str, skipped: int) -> Iterator[tuple[list[str], str]]:
    """The fields of each line of a `csv.reader`, and its place. `skipped` lines stand before the header."""
    for cells in reader:
        if cells:
            yield cells, f"{name}: line {skipped + reader.line_num}"


def _text(path: Path, name: str) -> str:
    try:
        raw = content(path)
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: invalid UTF-8: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: truncated: {error}") from error


def _without_comment(text: str) -> tuple[str, int]:
    """The text from its header on, and the number of lines before it."""
    if not text.startswith("#"):
        return text, 0
    return text.partition("\n")[2], 1


def _form(header: Sequence[str], place: str) -> _Form:
    names = set(header)
    if _PROGRESS.step in names and names & _PROGRESS.proofs:
        form = _PROGRESS
    elif {"r", "l"} <= names:
        form = _MONITOR
    elif "step" in names and names & _OWN.proofs:
        form = _OWN
    else:
        raise InputError(
            f"{place}: unknown header: expected columns step and loss or reward (for example `step,loss,reward`), or a "
            "progress.csv or monitor.csv of stable-baselines3"
        )
    for column in form.columns:
        if header.count(column) > 1:
            raise InputError(f"{place}: duplicate column {column}")
    return form


def _cells(header: Sequence[str], cells: Sequence[str], place: str, line: int) -> Mapping[str, str]:
    if len(cells) != len(header):
        raise InputError(f"{place}: {len(cells)} fields, but line {line} has {len(header)} columns")
    return dict(zip(header, cells, strict=True))


def _row(found: Mapping[str, str], form: _Form, place: str) -> Row:
    values = {name: _optional(found, column, place) for name, column in form.series.items()}
    return Row.of(_step(found, form.step, place), _time(found, form.time, place), values)


def _monitored() -> Callable[[Mapping[str, str], _Form, str], Row]:
    step = 0

    def take(found: Mapping[str, str], form: _Form, place: str) -> Row:
        nonlocal step
        row = _row(found, form, place)
        step += row.step
        return row._replace(step=step)

    return take


def _step(found: Mapping[str, str], column: str, place: str) -> int:
    text = found[column]
    step = _number(text, f"{place}, column {column}")
    if step is None or not 0 <= step < 2**53 or step != int(step):
        raise InputError(f"{place}, column {column}: {text!r} must be a whole number, 0 or more")
    return int(step)


def _time(found: Mapping[str, str], column: str, place: str) -> float | None:
    if column not in found:
        return None
    seconds = _number(found[column], f"{place}, column {column}")
    if seconds is None or not math.isfinite(seconds):
        raise InputError(f"{place}, column {column}: {found[column]!r} must be a time in seconds")
    return seconds


def _optional(found: Mapping[str, str], column: str, place: str) -> float | None:
    return _number(found.get(column, ""), f"{place}, column {column}")


def _number(text: str, place: str) -> float | None:
    """None where the field is empty; NaN and infinities are numbers here."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{place}: {text!r} must be a number") from None
