"""Processes of the example, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "service"


@dataclass
class Process:
    """One process of the service."""

    popen: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def header(self, name: str, path: str = "/") -> str | None:
        """A header of an answer."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as response:
            return response.headers.get(name)

    def counted(self, metric: str = "http_requests_total", label: str = "code") -> dict[str, float]:
        """The series of a metric by one of their labels."""
        lines = self.call("/metrics")[1].splitlines()
        samples = [line for line in lines if line.startswith(f"{metric}{{")]
        return {line.split(f'{label}="')[1].split('"')[0]: float(line.split()[-1]) for line in samples}

    def terminate(self) -> None:
        self.popen.send_signal(signal.SIGTERM)


def environment(**more: str) -> dict[str, str]:
    """What the process has in its image, too: the modules that read checkpoints are beside it."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "trainer"), **more}


@pytest.fixture
def start_service() -> Iterator[Callable[..., Process]]:
    """Starts processes: `start_service(MODE="creative")`; they end with the test."""
    with _processes() as start:
        yield lambda **more: start("modeservice", POD_NAME="pod-1", **{"DRAIN_SECONDS": "0.5", **more})


@pytest.fixture
def start_model() -> Iterator[Callable[[], Process]]:
    """Starts stand-ins for a language model; they end with the test."""
    with _processes() as start:
        yield lambda: start("llm")


@contextmanager
def _processes() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(program: str, **more: str) -> Process:
        port = free_port()
        popen = subprocess.Popen(
            [sys.executable, "-m", program],
            cwd=EXAMPLE,
            env=environment(PORT=str(port), **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        process = Process(popen, port)
        started.append(process)
        deadline = time.monotonic() + 120
        while True:
            try:
                assert process.call("/healthz")[0] == 200
                return process
            except OSError:  # refused, or not yet answered
                assert popen.poll() is None, popen.communicate()[0]
                assert time.monotonic() < deadline, f"{program} did not start within 120 s"
                time.sleep(0.05)

    try:
        yield start
    finally:
        for process in started:
            process.popen.kill()
            process.popen.communicate()


def loadgen(url: str, *arguments: str) -> list[dict[str, Any]]:
    """Runs the load generator to its end; its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", f"--url={url}", *arguments],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
