"""A recorded run in a CSV file."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

from accord.cli.documents import InputError
from accord.domain.checkpoint.detection.rows import Row

_SERIES = ("loss", "reward")


def read(path: Path) -> list[Row]:
    """All rows. InputError that names line and column of what cannot be read."""
    name = "stdin" if str(path) == "-" else str(path)
    reader = csv.reader(io.StringIO(_text(path, name), newline=""))
    header = [cell.strip() for cell in next(reader, [])]
    if "step" not in header or not set(_SERIES) & set(header):
        raise InputError(f"{name}: line 1: must name the columns step and loss or reward, as `step,loss,reward`")
    for column in ("step", *_SERIES):
        if header.count(column) > 1:
            raise InputError(f"{name}: line 1: column {column} stands there twice")
    try:
        rows = [_row(header, cells, f"{name}: line {reader.line_num}") for cells in reader if cells]
    except csv.Error as error:
        raise InputError(f"{name}: line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{name}: holds no row")
    return rows


def _text(path: Path, name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "stdin" else path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is not UTF-8 text: {error}") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{name}: is not whole: {error}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error


def _row(header: list[str], cells: list[str], place: str) -> Row:
    if len(cells) != len(header):
        raise InputError(f"{place}: has {len(cells)} fields where line 1 names {len(header)}")
    found = dict(zip(header, cells, strict=True))
    step = _number(found["step"], f"{place}, column step")
    if step is None or not 0 <= step < 2**53 or step != int(step):
        raise InputError(f"{place}, column step: {found['step']!r} is not a whole number of 0 or more")
    loss, reward = (_number(found.get(name, ""), f"{place}, column {name}") for name in _SERIES)
    return Row(int(step), loss, reward)


def _number(text: str, place: str) -> float | None:
    """None where the field is empty; NaN and infinities are numbers here."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{place}: {text!r} is not a number") from None
