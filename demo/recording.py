"""A command on a terminal, as a picture that moves: an SVG that repeats what was seen, on light and dark pages."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

COLUMNS, ROWS = 110, 60
WIDE, HIGH, MARGIN, HEAD = 8.4, 18, 16, 34
"""Pixels of a character, of a line, around the text, and above it."""
_HOLD = 3.0
"""Seconds for which the last frame stays before it begins anew."""
_PAUSE = 0.05
"""Seconds without another byte after which a picture is whole."""
_CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
_CLASSES = {"1": "b", "2": "d", "31": "r", "32": "g", "33": "y"}
_STYLE = """text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;fill:#1f2328}
.p{fill:#f6f8fa;stroke:#d0d7de}.t,.d{fill:#656d76}.b{font-weight:bold}.g{fill:#1a7f37}.y{fill:#9a6700}.r{fill:#cf222e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.p{fill:#0d1117;stroke:#30363d}.t,.d{fill:#8b949e}.g{fill:#3fb950}
.y{fill:#d29922}.r{fill:#f85149}}"""


@dataclass(frozen=True)
class Span:
    """Characters that look the same; `look` are classes of the picture, such as `b g`."""

    text: str
    look: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Frame:
    """What the terminal showed from `at` on, in seconds."""

    at: float
    lines: tuple[Line, ...]


class Terminal:
    """As much of one as a command needs that draws over its own lines: colours, line feeds, and the way up."""

    def __init__(self) -> None:
        self._lines: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._look = ""
        self._rest = ""

    def feed(self, text: str) -> None:
        """What a command wrote; a control sequence that is not whole yet waits for the rest."""
        text, self._rest = self._rest + text, ""
        cut = text.rfind("\x1b")
        if cut >= 0 and not re.match(r"\x1b\[[?\d;]*[A-Za-z]", text[cut:]):
            text, self._rest = text[:cut], text[cut:]
        for arguments, verb, feed, plain in _CONTROL.findall(text):
            if verb == "m":
                self._turn(arguments)
            elif verb == "A":
                self._row = max(self._row - int(arguments or 1), 0)
            elif verb == "K":
                self._lines[self._row] = []
            elif feed == "\r":
                self._column = 0
            elif feed == "\n":
                self._row, self._column = self._row + 1, 0
                self._lines += [[] for _ in range(self._row + 1 - len(self._lines))]
            elif plain:
                self._write(plain)

    def shown(self) -> tuple[Line, ...]:
        """All lines, without empty ones at the end."""
        lines = [tuple(_spans(line)) for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines)

    def _turn(self, arguments: str) -> None:
        for code in arguments.split(";"):
            known = _CLASSES.get(code)
            self._look = f"{self._look} {known}".strip() if known else ""

    def _write(self, text: str) -> None:
        line = self._lines[self._row]
        line += [(" ", "")] * (self._column - len(line))
        line[self._column : self._column + len(text)] = [(character, self._look) for character in text]
        self._column += len(text)


class Recording:
    """Runs a command on a terminal of its own, from `start` to `stop`, and keeps what that shows."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command, self._environment = list(command), dict(environment or {})
        self._terminal = Terminal()
        self.frames: list[Frame] = []
        self._reader: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The command runs."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS), "LINES": str(ROWS), **self._environment}
        environment.pop("NO_COLOR", None)
        self._process = subprocess.Popen(
            self._command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
        )
        os.close(inner)
        self._reader = threading.Thread(target=self._read, args=(outer,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """The command ends, as by Ctrl-C."""
        if self._process is None or self._reader is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _read(self, outer: int) -> None:
        began, decoder = time.monotonic(), codecs.getincrementaldecoder("utf-8")("replace")
        with os.fdopen(outer, "rb", buffering=0) as stream:
            while True:
                try:
                    read = stream.read(65536)
                except OSError:  # the command has ended
                    return
                if not read:
                    return
                self._terminal.feed(decoder.decode(read))
                if select.select([stream], [], [], _PAUSE)[0]:
                    continue  # it is not yet all of a picture
                self.frames.append(Frame(time.monotonic() - began, self._terminal.shown()))


def draw(title: str, frames: Sequence[Frame], *, every: float = 4.0, speed: float = 4.0) -> str:
    """The SVG: a frame for each `every` seconds of what was seen, played so many times as fast, again and again."""
    kept = _thinned(frames, every)
    end = ((kept[-1].at - kept[0].at) / speed + _HOLD) if kept else _HOLD
    starts = [(frame.at - kept[0].at) / speed / end for frame in kept]
    rows = max((len(frame.lines) for frame in kept), default=1)
    width, height = round(2 * MARGIN + COLUMNS * WIDE), 2 * MARGIN + HEAD + rows * HIGH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        f'<rect class="p" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="t" x="{MARGIN}" y="{MARGIN + 10}">$ {escape(title)}</text>',
    ]
    for row in range(rows):
        y = MARGIN + HEAD + row * HIGH + 10
        for line, begin, until in _runs([frame.lines[row] if row < len(frame.lines) else () for frame in kept]):
            if line:
                whole = begin == 0 and until == len(kept)
                shown = "" if whole else _shown(starts[begin], starts[until] if until < len(kept) else 1.0, end)
                length = round(sum(len(span.text) for span in line) * WIDE)
                hidden = "" if whole or until == len(kept) else ' opacity="0"'
                text = "".join(map(_tspan, line))
                parts.append(f'<text x="{MARGIN}" y="{y}" textLength="{length}"{hidden}>{text}{shown}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(path: Path, title: str, frames: Sequence[Frame]) -> None:
    """Writes the picture where there is something to show."""
    if frames:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(title, frames))


def _thinned(frames: Sequence[Frame], every: float) -> list[Frame]:
    """Of each stretch the last, which is whole; and only those that differ."""
    kept: list[Frame] = []
    for index, frame in enumerate(frames):
        last = index + 1 == len(frames)
        if (last or int(frames[index + 1].at / every) > int(frame.at / every)) and (
            not kept or kept[-1].lines != frame.lines
        ):
            kept.append(frame)
    return kept


def _runs(lines: Sequence[Line]) -> Iterator[tuple[Line, int, int]]:
    """What stays the same from one frame to before another."""
    begin = 0
    for index in range(1, len(lines) + 1):
        if index == len(lines) or lines[index] != lines[begin]:
            yield lines[begin], begin, index
            begin = index


def _shown(begin: float, until: float, seconds: float) -> str:
    """Visible in that part of the time, which lasts so many seconds in all."""
    times = [(0.0, int(begin == 0)), *([(begin, 1)] if begin else []), *([(until, 0)] if until < 1 else [])]
    values, keys = ";".join(str(value) for _, value in times), ";".join(f"{at:.4f}" for at, _ in times)
    return (
        f'<animate attributeName="opacity" calcMode="discrete" dur="{seconds:.1f}s" repeatCount="indefinite" '
        f'values="{values}" keyTimes="{keys}"/>'
    )


def _spans(line: Sequence[tuple[str, str]]) -> Iterator[Span]:
    text, look = "", ""
    for character, its in [*line, ("", "\0")]:
        if its != look and text:
            yield Span(text, look)
            text = ""
        look = its
        text += character


def _tspan(span: Span) -> str:
    text = escape(span.text)
    return f'<tspan class="{span.look}">{text}</tspan>' if span.look else text
