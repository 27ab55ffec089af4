"""An OpenTelemetry Collector as a process, which passes on what it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml
from devcluster.progress import Progress
from tests.apiserver.rig import wait_until
from tests.ports import free_port

from devcluster import programs, tied

ASKED_FOR = bool(os.environ.get("ACCORD_TEST_COLLECTOR"))
"""Whether spans go through one, as with `make test-collector`."""


@contextmanager
def collector(directory: Path, to: str) -> Iterator[str]:
    """Where it takes OTLP over HTTP; `to` is the base URL of who gets it then."""
    programs.ensure(programs.OF_COLLECTORS, Progress())
    here = f"127.0.0.1:{free_port()}"
    pipeline = {"receivers": ["otlp"], "exporters": ["otlphttp"]}
    configuration = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": here}}}},
        "exporters": {"otlphttp": {"endpoint": to, "compression": "none"}},
        "service": {"pipelines": {"traces": pipeline}, "telemetry": {"metrics": {"level": "none"}}},
    }
    file, log = directory / "collector.yaml", directory / "collector.log"
    file.write_text(yaml.safe_dump(configuration))
    process = tied.start([programs.path("otel-collector"), "--config", file], log, cwd=directory)

    def answers() -> bool:
        assert process.poll() is None, f"it has ended: {log.read_text()[-3000:]}"
        try:
            return requests.get(f"http://{here}/", timeout=10).status_code == 404
        except requests.RequestException:
            return False

    try:
        wait_until(answers, 60, "the collector does not answer")
        yield f"http://{here}"
    finally:
        process.terminate()
        process.wait()
