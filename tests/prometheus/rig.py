"""A real Prometheus that scrapes a real exporter, and servers that answer wrongly. All on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from tests.ports import free_port
from tools.programs import go_program

STORE = os.environ.get("ACCORD_TEST_STORE", "")
"""Program of a store that is built from its Go module (`make test-stores`); empty: Debian's Prometheus."""
Handler = Callable[["Request"], None]
Request = http.server.BaseHTTPRequestHandler


@contextlib.contextmanager
def serving(handle: Handler) -> Iterator[str]:
    """The URL of a server that handles every request so."""

    class Handling(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                handle(self)

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handling)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def answer(request: Request, body: bytes | str, status: int = 200, kind: str = "application/json", **more: str) -> None:
    """Send a whole response."""
    raw = body.encode() if isinstance(body, str) else body
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(raw)))
    for name, value in more.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(raw)


def vector(*samples: tuple[dict[str, str], str], **more: Any) -> str:
    """An instant vector as Prometheus writes it."""
    result = [{"metric": labels, "value": [time.time(), value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more})


@dataclass
class Exporter:
    """`http_requests_total{mode}` of a service, counted by hand."""

    counts: dict[str, int] = field(default_factory=dict)
    labels: str = ""

    def show(self, request: Request) -> None:
        lines = ["# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{mode="{mode}"{self.labels}}} {count}' for mode, count in self.counts.items()]
        answer(request, "\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


def _command(config: Path, data: Path, address: str) -> list[str]:
    """The store that is tested."""
    if STORE == "victoria-metrics":
        return [
            str(go_program(STORE)),
            f"-promscrape.config={config}",
            f"-storageDataPath={data}",
            f"-httpListenAddr={address}",
            "-loggerLevel=WARN",
        ]
    program = str(go_program(STORE)) if STORE else shutil.which("prometheus")
    assert program, "the program prometheus is not installed: apt-get install prometheus"
    return [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]


class Prometheus:
    """The store that is tested, scraping the exporter once a second unless told otherwise.

    It waits for an answer no longer than until the next one is due; what comes later is as if there were nothing. So
    what many trainings report, in the process of a test with much to do, is asked for less often.
    """

    def __init__(
        self,
        directory: Path,
        target: str,
        port: int | None = None,
        every: str = "1s",
        jobs: Sequence[Mapping[str, Any]] = (),
        **config: Any,
    ) -> None:
        """`jobs` are scraped as well, as often; `config` is what else its file says."""
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "prometheus.yml"
        own = {"job_name": "app", "static_configs": [{"targets": [target]}]}
        scraped = [{"scrape_interval": every, **job} for job in (own, *jobs)]
        file.write_text(yaml.safe_dump({"scrape_configs": scraped, **config}))
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (directory / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            _command(file, directory / "data", f"127.0.0.1:{self.port}"),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )

    def query(self, promql: str) -> list[Any]:
        with requests.Session() as session:
            session.trust_env = False
            try:
                params = {"query": promql, "nocache": "1"}
                body = session.get(f"{self.url}/api/v1/query", params=params, timeout=60).json()
            except (requests.RequestException, ValueError):
                return []
        return list(body.get("data", {}).get("result", []))

    def wait_for(self, promql: str, seconds: float = 120) -> None:
        """Until the query has a result; the limit is for a wait that is in vain."""
        deadline = time.monotonic() + seconds
        while not self.query(promql):
            assert self._process.poll() is None, "prometheus ended"
            assert time.monotonic() < deadline, f"no result of {promql}"
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextlib.contextmanager
def prometheus(directory: Path, exporter: Exporter, every: str = "1s") -> Iterator[Prometheus]:
    """A Prometheus that has scraped the exporter at least twice."""
    with serving(exporter.show) as url:
        started = Prometheus(directory, url.removeprefix("http://"), every=every)
        try:
            started.wait_for("count_over_time(up[1m]) >= 2")
            yield started
        finally:
            started.stop()
