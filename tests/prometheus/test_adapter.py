"""Every answer that a Prometheus, or something in its place, may give."""

from __future__ import annotations

import asyncio
import gzip
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.prometheus.rig import STORE, Exporter, Prometheus, Request, answer, prometheus, serving, vector

from accord.adapters.prometheus.endpoint import Endpoint
from accord.adapters.prometheus.metrics import PrometheusMetrics
from accord.domain.samples import Answer
from accord.observability.metrics import OperatorMetrics


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    exporter = Exporter({"fast": 60, "creative": 40})
    with prometheus(tmp_path_factory.mktemp("prometheus"), exporter) as started:
        started.wait_for("http_requests_total")
        yield started


async def ask(url: str, promql: str = "up", within: float = 60.0, **more: Any) -> Answer:
    metrics = PrometheusMetrics({"default": Endpoint(url, within, **more)}, OperatorMetrics())
    try:
        return await metrics.query("default", promql)
    finally:
        metrics.close()


async def test_a_real_vector(real: Prometheus) -> None:
    got = await ask(real.url, "sum by (mode) (http_requests_total)")
    assert got.failure is None
    assert {sample.labels["mode"]: sample.value for sample in got.samples} == {"fast": 60, "creative": 40}
    assert all(abs(sample.at.timestamp() - time.time()) < 30 for sample in got.samples)


async def test_no_series_is_an_answer(real: Prometheus) -> None:
    assert await ask(real.url, "nothing_of_that_name") == Answer()


async def test_nan_and_infinity_pass_through(real: Prometheus) -> None:
    got = await ask(real.url, "http_requests_total{mode='fast'} * NaN or http_requests_total{mode='creative'} * Inf")
    values = {sample.labels["mode"]: sample.value for sample in got.samples}
    # In MetricsQL a NaN is no sample.
    assert "fast" not in values if STORE == "victoria-metrics" else math.isnan(values["fast"])
    assert math.isinf(values["creative"])


async def test_a_query_that_does_not_parse_is_refused_with_the_words_of_prometheus(real: Prometheus) -> None:
    got = await ask(real.url, "sum by (")
    assert got.failure == "Refused"
    assert ("unexpected token" if STORE == "victoria-metrics" else "parse error") in got.message


async def test_a_scalar_or_a_matrix_is_not_what_was_asked_for(real: Prometheus) -> None:
    # In MetricsQL a number is a vector of one sample.
    for promql in ("up[1m]",) if STORE == "victoria-metrics" else ("1", "up[1m]"):
        got = await ask(real.url, promql)
        assert got.failure == "Malformed"
        assert got.message.endswith(": the query must return an instant vector")


async def test_nobody_listens() -> None:
    got = await ask("http://127.0.0.1:1")
    assert (got.failure, got.message) == (
        "Unreachable",
        "Prometheus endpoint default (127.0.0.1:1): Connection refused",
    )


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:1/path?token=secret", "http://me:se@cret@127.0.0.1:1"])
async def test_the_endpoint_is_named_without_what_may_be_secret(url: str) -> None:
    got = await ask(url)
    assert got.message.startswith("Prometheus endpoint default (127.0.0.1:1): ")
    assert "cret" not in got.message


@pytest.mark.parametrize(
    "breaks",
    [
        lambda request: answer(request, "boom", 500),
        lambda request: answer(request, "<html>"),
        lambda request: answer(request, vector(("{}", "1"), warnings=["a store is down"])),
    ],
    ids=["500", "no JSON", "partial"],
)
async def test_every_failure_names_the_endpoint(breaks: Any) -> None:
    with serving(breaks) as url:
        got = await ask(url)
    assert got.failure is not None
    assert got.message.startswith(f"Prometheus endpoint default ({url.removeprefix('http://')}): ")


async def test_a_name_that_is_none() -> None:
    got = await ask("http://no-such-host.invalid")
    assert got.failure == "Unreachable"
    assert "HTTPConnection" not in got.message


async def test_an_unknown_endpoint_names_those_that_exist() -> None:
    metrics = PrometheusMetrics({"default": Endpoint("http://127.0.0.1:1")}, OperatorMetrics())
    got = await metrics.query("other", "up")
    assert got.failure == "UnknownEndpoint"
    assert "'other'" in got.message
    assert "default" in got.message


async def test_slow_is_a_timeout() -> None:
    release = threading.Event()
    with serving(lambda request: (release.wait(60), answer(request, vector()))[0]) as url:
        got = await ask(url, within=0.5)
        release.set()
    assert got.failure == "Timeout"
    assert got.message.endswith(": no response within 0.5 s")


async def test_a_question_never_holds_up_the_loop() -> None:
    """It is answered only once the loop has gone on: a call that blocks it would never be."""
    asked, gone_on = threading.Event(), threading.Event()

    def handle(request: Request) -> None:
        asked.set()
        answer(request, vector() if gone_on.wait(30) else "the loop stands still")

    async def go_on() -> None:
        while not asked.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)
        gone_on.set()

    with serving(handle) as url:
        going = asyncio.create_task(go_on())
        got = await ask(url)
        await going
    assert got == Answer()


async def test_an_answer_in_drops_is_a_timeout_too() -> None:
    """Each byte comes in time, the whole does not."""
    stop = threading.Event()

    def drip(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        while not stop.wait(0.1):
            request.wfile.write(b" ")

    with serving(drip) as url:
        got = await ask(url, within=0.5)
        stop.set()
    assert got.failure == "Timeout"


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("status line", ""),
        ("headers", ""),
        ("body", ""),
        ("chunks", ""),
        # Paths that requests spells otherwise.
        ("body", "/a|b"),
        ("body", "/%7Etenant"),
        ("body", "/a/../b"),
    ],
)
async def test_a_server_that_drips_holds_no_slot(where: str, path: str) -> None:
    """As many questions as go at once never get their answer; the next one finds room all the same."""
    stop, dripping = threading.Event(), True
    begin = {
        "status line": b"HTTP/1.1 200 ",
        "headers": b"HTTP/1.1 200 OK\r\nX-Filler: ",
        "body": b"HTTP/1.1 200 OK\r\n\r\n",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    }[where]

    def handle(request: Request) -> None:
        if not dripping:
            return answer(request, vector())
        request.wfile.write(begin)
        while not stop.wait(0.05):
            request.wfile.write(b"1\r\n \r\n" if where == "chunks" else b" ")
        request.close_connection = True
        return None

    with serving(handle) as url:
        metrics = PrometheusMetrics({"default": Endpoint(url + path, 1.0)}, OperatorMetrics())
        answers = await asyncio.gather(*(metrics.query("default", "up") for _ in range(4)))
        dripping = False
        # The old ones go on dripping. On a busy machine the new one may take longer than it may, but not each time.
        for _ in range(30):
            if (after := await metrics.query("default", "up")).failure != "Timeout":
                break
        stop.set()
        metrics.close()
    assert [got.failure for got in answers] == ["Timeout"] * 4
    assert after == Answer()


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_has_a_largest_size_also_when_it_is_packed(packed: bool) -> None:
    whole = b" " * 3 * 1024 * 1024 + vector().encode()
    sent = gzip.compress(whole) if packed else whole
    more = {"Content-Encoding": "gzip"} if packed else {}

    def handle(request: Request) -> None:
        answer(request, sent, 200, "application/json", **more)

    with serving(handle) as url:
        small = await ask(url, within=30, most_mib=2)
        large = await ask(url, within=30, most_mib=4)
    assert small.failure == "TooLarge"
    assert small.message.endswith(": response larger than 2 MiB")
    assert large == Answer()


async def test_an_endpoint_that_hangs_delays_no_other(real: Prometheus) -> None:
    release = threading.Event()
    with serving(lambda request: (release.wait(60), answer(request, vector()))[0]) as url:
        both = {"slow": Endpoint(url, 60.0), "good": Endpoint(real.url, 60.0)}
        metrics = PrometheusMetrics(both, OperatorMetrics())
        slow = [asyncio.create_task(metrics.query("slow", "up")) for _ in range(20)]
        await asyncio.sleep(0)
        got = await metrics.query("good", "up")
        waiting = [task for task in slow if not task.done()]
        release.set()
        answers = await asyncio.gather(*slow)
        metrics.close()
    assert got.failure is None
    assert len(waiting) == len(slow)
    assert answers == [Answer()] * len(slow)


@pytest.mark.parametrize(
    ("status", "body", "failure", "says"),
    [
        (500, "boom", "Refused", "500"),
        (503, '{"status":"error","error":"query queue is full"}', "Refused", "query queue is full"),
        (401, "", "Refused", "401"),
        (200, "<html>login</html>", "Malformed", "invalid JSON"),
        (200, "", "Malformed", "invalid JSON"),
        (200, "[1, 2]", "Malformed", "invalid response"),
        (200, '{"status":"success"}', "Malformed", "invalid response"),
        (200, '{"status":"success","data":{"resultType":"vector","result":[{}]}}', "Malformed", "invalid"),
        (200, '{"status":"success","data":{"resultType":"vector","result":null}}', "Malformed", "invalid"),
        (200, vector(({"mode": "a"}, "many")), "Malformed", "invalid"),
        (200, vector(({"mode": "a"}, "1"), warnings=["store gateway timed out"]), "Partial", "store gateway timed out"),
    ],
)
async def test_wrong_answers(status: int, body: str, failure: str, says: str) -> None:
    with serving(lambda request: answer(request, body, status)) as url:
        got = await ask(url)
    assert got.failure == failure
    assert says in got.message
    assert got.samples == ()
    assert len(got.message) <= 300


@pytest.mark.parametrize(
    "more",
    [
        {"warnings": ["PromQL info: metric might not be a counter"]},
        {"infos": ["PromQL info: metric might not be a counter"]},
        {"warnings": [], "infos": None},
    ],
)
async def test_a_hint_about_the_query_is_no_partial_answer(more: dict[str, Any]) -> None:
    with serving(lambda request: answer(request, vector(({"mode": "a"}, "1"), **more))) as url:
        got = await ask(url)
    assert got.failure is None
    assert [sample.value for sample in got.samples] == [1.0]


async def test_a_warning_beside_a_hint_is_a_partial_answer() -> None:
    told = ["PromQL info: metric might not be a counter", "store gateway timed out"]
    with serving(lambda request: answer(request, vector(warnings=told))) as url:
        got = await ask(url)
    assert got.failure == "Partial"
    assert got.message.endswith(": store gateway timed out")


async def test_a_custom_query_that_draws_a_hint_is_answered(real: Prometheus) -> None:
    """`up` is no counter by its name, and Prometheus says so."""
    got = await ask(real.url, "increase(up[1m])")
    assert got.failure is None
    assert got.samples


async def test_an_answer_that_breaks_off() -> None:
    def break_off(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"{")
        request.close_connection = True

    with serving(break_off) as url:
        got = await ask(url)
    assert got.failure == "Unreachable"
    assert "Error(" not in got.message


async def test_a_redirect_is_not_followed() -> None:
    reached = threading.Event()

    def elsewhere(request: Request) -> None:
        reached.set()
        answer(request, vector())

    with serving(elsewhere) as other, serving(lambda r: answer(r, "", 302, Location=f"{other}/api/v1/query")) as url:
        got = await ask(url)
    assert got.failure == "Refused"
    assert "redirect" in got.message
    assert not reached.is_set()


async def test_the_bearer_token_is_read_for_each_query(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def note(request: Request) -> None:
        seen.append(request.headers.get("Authorization"))
        answer(request, vector())

    token = tmp_path / "token"
    with serving(note) as url:
        for content in ("first\n", "second"):
            token.write_text(content)
            assert (await ask(url, bearer_token_file=token)).failure is None
        missing = await ask(url, bearer_token_file=tmp_path / "none")
    assert seen == ["Bearer first", "Bearer second"]
    assert missing.failure == "Unreachable"
    assert "No such file" in missing.message


async def test_a_store_is_asked_for_what_it_knows_now() -> None:
    """VictoriaMetrics leaves out the newest 30 s unless told otherwise."""
    paths: list[str] = []

    def note(request: Request) -> None:
        paths.append(request.path)
        answer(request, vector())

    with serving(note) as url:
        assert await ask(url) == Answer()
    assert all("nocache=1" in path for path in paths)
    assert len(paths) == 1


async def test_headers_of_an_endpoint_go_with_each_question(tmp_path: Path) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def note(request: Request) -> None:
        seen.append((request.headers.get("X-Scope-OrgID"), request.headers.get("X-Api-Key")))
        answer(request, vector())

    key = tmp_path / "key"
    with serving(note) as url:
        for content in ("first\n", "second"):
            key.write_text(content)
            got = await ask(url, headers={"X-Scope-OrgID": "shop"}, header_files={"X-Api-Key": key})
            assert got == Answer()
    assert seen == [("shop", "first"), ("shop", "second")]


@pytest.mark.parametrize("content", [b"se\ncret", b"se\x00cret", b"\xffsecret", b"\n"])
async def test_a_secret_that_can_be_no_header_is_named_by_its_file_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    for more in ({"bearer_token_file": file}, {"header_files": {"X-Api-Key": file}}):
        got = await ask("http://127.0.0.1:1", **more)
        assert got.failure == "Unreachable"
        assert got.message.endswith(f": {file}: is not one line of printable ASCII")


async def test_custom_queries_are_asked_for_allowed_namespaces_alone() -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.path)
        answer(request, vector())

    with serving(note) as url:
        metrics = PrometheusMetrics({"default": Endpoint(url, custom_from=frozenset({"shop"}))}, OperatorMetrics())
        refused = await metrics.query("default", "up", author="chat")
        assert not asked
        allowed = [await metrics.query("default", "up", author=author) for author in ("shop", None)]
        metrics.close()
    assert refused.failure == "NotAllowed"
    assert "does not allow custom queries from namespace chat" in refused.message
    assert allowed == [Answer(), Answer()]


async def test_queries_are_counted_by_outcome(real: Prometheus) -> None:
    counted = OperatorMetrics()
    metrics = PrometheusMetrics({"default": Endpoint(real.url)}, counted)
    await metrics.query("default", "up")
    await metrics.query("default", "sum by (")
    await metrics.query("made-up", "up")
    text = counted.render().decode()
    assert 'accord_prometheus_queries_total{endpoint="default",outcome="Success"} 1.0' in text
    assert 'accord_prometheus_queries_total{endpoint="default",outcome="Refused"} 1.0' in text
    assert 'accord_prometheus_queries_total{endpoint="",outcome="UnknownEndpoint"} 1.0' in text
