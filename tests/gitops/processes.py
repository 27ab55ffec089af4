"""Programs that a rig runs beside a control plane."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster import tied


class Processes:
    """Each has a folder and a log of its own below `directory`; none outlives the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Begin it, with its folder as `HOME` and a place for what is temporary."""
        folder = self._directory / name
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        whole = {**environment, "HOME": str(folder), "TMPDIR": str(temporary)}
        self._running[name] = tied.start(command, self._log_file(name), cwd=folder, env=whole)

    def alive(self) -> None:
        """AssertionError with the end of its log where one of them has ended."""
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} has ended: {self.log(name)[-3000:]}"

    def log(self, name: str) -> str:
        return self._log_file(name).read_text(errors="replace")

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()

    def _log_file(self, name: str) -> Path:
        return self._directory / f"{name}.log"
