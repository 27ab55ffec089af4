"""The load generator against the service, and against addresses that fail."""

from __future__ import annotations

import http.server
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.example.conftest import Process, free_port, loadgen

Start = Callable[..., Process]


class _Unfaithful(http.server.BaseHTTPRequestHandler):
    """Sets a cookie, and answers from another mode at every request."""

    protocol_version = "HTTP/1.1"
    cookies: Counter[str] = Counter()
    wishes: Counter[str] = Counter()
    turn = 0

    def do_GET(self) -> None:
        kind = type(self)
        kind.turn += 1
        kind.cookies[self.headers.get("cookie", "")] += 1
        kind.wishes[self.headers.get("x-wish", "")] += 1
        body = json.dumps({"mode": ("fast", "creative")[kind.turn % 2]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("set-cookie", "accord-mode=fast; Path=/; Max-Age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def unfaithful() -> Iterator[int]:
    _Unfaithful.cookies, _Unfaithful.wishes, _Unfaithful.turn = Counter(), Counter(), 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Unfaithful)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_every_request_is_counted_once_on_both_sides(start_service: Start) -> None:
    service = start_service(MODE="fast")
    *progress, report = loadgen(f"http://127.0.0.1:{service.port}/", "--requests=500", "--users=7", "--progress=0.05")
    assert report["event"] == "report"
    assert report["answered"] == 500
    assert report["failed"] == 0
    assert report["modes"] == {"fast": 500}
    assert report["shares"] == {"fast": 100.0}
    assert service.counted() == {"200": 500}
    assert 2 <= report["latencyMs"]["p50"] <= report["latencyMs"]["p99"] <= report["latencyMs"]["max"]
    assert progress
    assert all(line["event"] == "progress" for line in progress)


def test_the_rate_is_kept_and_the_duration_ends_the_run(start_service: Start) -> None:
    service = start_service()
    report = loadgen(f"http://127.0.0.1:{service.port}/", "--rate=100", "--duration=2", "--progress=0")[-1]
    # No request before its turn, and none after the end. A busy machine may not come to all of them.
    assert 10 <= report["answered"] <= 200
    assert report["elapsed"] >= 1.98, "the last turn is 10 ms before the end"


def test_failures_are_told_apart_by_kind_with_examples(start_service: Start) -> None:
    service = start_service(FAULT_CODE="503")
    report = loadgen(f"http://127.0.0.1:{service.port}/", "--requests=20", "--progress=0")[-1]
    assert report["failures"] == {"http_503": 20}
    assert len(report["examples"]) == 10
    assert "POST /fault" in report["examples"][0]["detail"]

    report = loadgen(f"http://127.0.0.1:{free_port()}/", "--requests=5", "--users=1", "--progress=0")[-1]
    assert report["failures"] == {"connect": 5}
    assert report["shares"] == {}

    service = start_service(LATENCY_MS="1000")
    report = loadgen(f"http://127.0.0.1:{service.port}/", "--requests=2", "--timeout=0.2", "--progress=0")[-1]
    assert report["failures"] == {"timeout": 2}


def test_a_session_that_changes_its_mode_is_a_violation(unfaithful: int) -> None:
    url = f"http://127.0.0.1:{unfaithful}/"
    report = loadgen(url, "--cookies", "--users=1", "--requests=10", "--visits=5", "--progress=0")[-1]
    # Answers 1, 3, 5 of each session of five agree; 2 and 4 stray.
    assert report["stickyViolations"] == 4
    assert report["sessions"] == 2
    assert "answered" in report["examples"][0]["detail"]
    assert _Unfaithful.cookies == {"": 2, "accord-mode=fast": 8}


def test_without_cookies_nothing_is_kept_and_nothing_strays(unfaithful: int) -> None:
    report = loadgen(f"http://127.0.0.1:{unfaithful}/", "--users=1", "--requests=10", "--progress=0", "--switches")[-1]
    assert report["stickyViolations"] == 0
    assert _Unfaithful.cookies == {"": 10}


def test_a_user_with_a_header_stays_one_user_over_its_sessions(unfaithful: int) -> None:
    arguments = ("--user-header=x-user-id", "--users=1", "--requests=10", "--visits=5", "--progress=0")
    report = loadgen(f"http://127.0.0.1:{unfaithful}/", *arguments)[-1]
    assert report["stickyViolations"] == 5


def test_switches_are_told_with_their_time(unfaithful: int) -> None:
    arguments = ("--users=1", "--requests=4", "--switches", "--progress=0")
    lines = loadgen(f"http://127.0.0.1:{unfaithful}/", *arguments)
    switches = [line for line in lines if line["event"] == "switch"]
    assert [line["mode"] for line in switches] == ["creative", "fast", "creative", "fast"]
    assert all(earlier["at"] <= later["at"] for earlier, later in itertools.pairwise(switches))


def test_headers_go_with_every_request(unfaithful: int) -> None:
    loadgen(f"http://127.0.0.1:{unfaithful}/", "--requests=10", "--header=x-wish=fast=1", "--progress=0")
    assert _Unfaithful.wishes == {"fast=1": 10}
