"""The reference trainer as a process in its own image, without a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from devcluster.rootfs import RootFilesystem
from tests.ports import free_port

UID = 65532
PATIENCE = 900
"""Seconds for what takes two on an idle machine."""
_ROOT = Path(__file__).parents[2]
_RUNNER = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


@dataclass(frozen=True)
class TrainerImage:
    """Starts programs of the image."""

    root: RootFilesystem
    directory: Path
    """For the logs."""

    def start(self, checkpoints: Path, *arguments: str, **environment: object) -> Attempt:
        """One pod of a run, without the pod."""
        checkpoints.mkdir(exist_ok=True)
        os.chown(checkpoints, UID, UID)
        port = free_port()
        variables = {
            "METRICS_PORT": str(port),
            "CHECKPOINT_DIR": "/checkpoints",
            "CHECKPOINT_KEEP": "100",
            **{name: str(value) for name, value in environment.items()},
        }
        command = self.root.command(
            ["python", "-m", "accord_trainer.sb3", *arguments],
            binds={"/checkpoints": checkpoints},
            environment=variables,
        )
        log = self.directory / f"trainer-{port}-{time.monotonic_ns()}.log"
        with log.open("w") as out:
            return Attempt(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT), port, log)

    def pytest(self, tests: Path, file: str) -> subprocess.CompletedProcess[str]:
        """Runs a file of tests with the image's Python, PyTorch and trainer; only the runner is brought along."""
        runner = self.directory / "runner"
        if not runner.exists():
            _copy_runner(runner)
        command = self.root.command(
            ["python", "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir=/tests", "-p", "no:cacheprovider", file],
            binds={"/tests": tests, "/runner": runner, "/examples": _ROOT / "examples", "/docs": _ROOT / "docs"},
            environment={"PYTHONPATH": "/runner"},
            directory="/tests",
        )
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


class Attempt:
    """A running trainer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self._port, self._log = process, port, log

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def began(self) -> int:
        """The step it started from, as it says."""
        found = re.search(r"from step (\d+)$", self.said, re.MULTILINE)
        assert found, self.said
        return int(found.group(1))

    def series(self) -> dict[str, float]:
        """All series without labels; none while it does not serve them."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines if "{" not in name}

    def wait(self, reached: Callable[[Mapping[str, float]], bool], every: float = 0.005) -> dict[str, float]:
        """Until its series are so; those series."""
        deadline = time.monotonic() + PATIENCE
        while not reached(series := self.series()):
            assert self.process.poll() is None, f"the trainer ended:\n{self.said}"
            assert time.monotonic() < deadline, f"not within {PATIENCE} s:\n{self.said}"
            time.sleep(every)
        return series

    def end(self, signal: int) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(signal)
        return self.process.wait(PATIENCE)

    def finish(self) -> int:
        """Trains to the end; it leaves when its last step was scraped."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"not finished within {PATIENCE} s:\n{self.said}"
            self.series()
            time.sleep(0.1)
        return self.process.returncode


@contextlib.contextmanager
def ended(attempt: Attempt) -> Iterator[Attempt]:
    """The attempt, that is over after the block however that ends."""
    try:
        yield attempt
    finally:
        if attempt.process.poll() is None:
            attempt.process.kill()
            attempt.process.wait()


def learnt(checkpoint: Path) -> dict[str, str]:
    """Hashes of all that an update changes: parameters and the state of the optimizer."""
    with zipfile.ZipFile(checkpoint / "model.zip") as model:
        names = ("policy.pth", "policy.optimizer.pth")
        return {name: hashlib.sha256(model.read(name)).hexdigest() for name in names}


def newest(checkpoints: Path) -> Path:
    """The checkpoint of the last step."""
    return max(checkpoints.glob("step-*"))


def _copy_runner(target: Path) -> None:
    """pytest and what it needs, which is pure Python, without the rest of this environment."""
    for name in _RUNNER:
        for file in distribution(name).files or ():
            if file.parts[0] not in ("..", ".") and file.suffix != ".pyc":
                destination = target / file
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), destination)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
