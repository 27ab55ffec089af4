"""The commands of a lesson, and what its reader is told to see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}(?=$|[^\w-])")


@dataclass(frozen=True)
class Step:
    """A command as it is typed, and the lines that it prints."""

    command: str
    shown: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the lesson shows how it is refused."""
        return any(" is invalid: " in line for line in self.shown)

    @property
    def stays(self) -> bool:
        """Whether it goes on until its reader ends it."""
        return self.command.endswith(" -w")

    @property
    def behind(self) -> bool:
        """Whether it goes on while others are typed."""
        return self.command.endswith("&")

    def seen_in(self, output: str) -> bool:
        """Whether that is what the lesson shows: its first line, and half of all that differ.

        Figures, ages and names that are drawn differ from run to run, and so does what happens between two commands. Of
        JSON, only that it is JSON.
        """
        if not self.shown:
            return True
        if self.shown[0][:1] in "{[":
            return output.lstrip()[:1] == self.shown[0][0]
        lines = [line.strip() for line in output.splitlines()]
        shapes = list(dict.fromkeys(map(shape, self.shown)))
        found = [any(re.fullmatch(each, line) for line in lines) for each in shapes]
        return found[0] and 2 * sum(found) >= len(found)


def shape(line: str) -> str:
    """A regular expression for a line that says the same of another run."""
    return r"\s+".join(_token(token) for token in line.split())


def _token(token: str) -> str:
    if token == "…":
        return ".*"
    if re.search(r"\d|[░█]|<none>", token):
        return r"\S+"
    return r"-\w{5}".join(re.escape(part) for part in _SUFFIX.split(token)).replace("…", ".*")


def steps(lesson: str) -> Iterator[Step]:
    """Those before the sections for other clusters, in their order."""
    ours = re.split(r"^## A cluster of your own$", lesson, flags=re.MULTILINE)[0]
    for block in _BLOCK.findall(ours):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            yield _step(part.splitlines())


def _step(lines: list[str]) -> Step:
    """A command goes on in the next line after a backslash, or until its quotes are closed."""
    command = lines.pop(0)
    while lines and (command.endswith("\\") or command.count("'") % 2):
        command += "\n" + lines.pop(0)
    return Step(re.sub(r"\s+# .*$", "", command), tuple(line.strip() for line in lines if line.strip()))
