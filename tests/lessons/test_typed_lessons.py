"""Both lessons of docs/tutorial, typed as they stand, one after the other on the local cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.waiting import patience
from tests.lessons.reading import Step, steps

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ("first-split", "learn-and-roll-back")
PICTURE = "run.svg"  # what a lesson makes in the checkout
_READS = ("get ", "events ", "logs ")


class Shell:
    """A terminal in the checkout: what is exported or an alias stays so."""

    def __init__(self) -> None:
        self._settings = ["shopt -s expand_aliases"]
        self._behind: list[subprocess.Popen[str]] = []

    def type(self, step: Step) -> None:
        """Until the command has ended well, or as the lesson says, and shown what it says."""
        if step.command.startswith(("export ", "alias ")):
            self._settings.append(step.command)
            return
        if step.behind:
            self._behind.append(self._start(step.command.rstrip("& ")))
            time.sleep(2)
            return
        deadline = time.monotonic() + patience(60)
        while True:
            code, output = self._watch(step) if step.stays else self._run(step.command)
            assert (code != 0) == step.fails, f"$ {step.command}\n{output}\nexit code {code}"
            if step.seen_in(output):
                print(output, end="", flush=True)
                return
            may_come = any(word in step.command for word in _READS) and time.monotonic() < deadline
            assert may_come, f"$ {step.command}\n{output}\nand not {step.shown}"
            time.sleep(1)

    def close(self) -> None:
        """End what runs behind."""
        for process in self._behind:
            _end(process)

    def _start(self, command: str) -> subprocess.Popen[str]:
        script = "\n".join([*self._settings, command])
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(self, command: str) -> tuple[int, str]:
        process = self._start(command)
        try:
            output, _ = process.communicate(timeout=patience(600))
        finally:
            _end(process)
        return process.returncode, output

    def _watch(self, step: Step) -> tuple[int, str]:
        """Read it as long as it takes, then end it as a reader does."""
        process, output = self._start(step.command), ""
        assert process.stdout is not None
        try:
            with contextlib.suppress(StopIteration):
                while not step.seen_in(output):
                    output += next(process.stdout)
        finally:
            _end(process)
        return 0, output


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """On a machine without the cluster, before and after."""
    opened = Shell()
    down = Step("python3 -m devcluster down", ())
    opened.type(down)
    try:
        yield opened
    finally:
        opened.close()
        opened.type(down)
        (ROOT / PICTURE).unlink(missing_ok=True)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson(shell: Shell, lesson: str) -> None:
    for step in steps((ROOT / "docs" / "tutorial" / f"{lesson}.md").read_text(encoding="utf-8")):
        print(f"$ {step.command}", flush=True)
        shell.type(step)
