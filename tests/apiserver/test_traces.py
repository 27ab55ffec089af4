"""Spans of a real operator, as a receiver of OTLP over HTTP gets them: a pass, and a rollback from signal to end.

With `make test-collector` a real OpenTelemetry Collector takes them, and hands them to the receiver.
"""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.collector import ASKED_FOR, collector
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.prometheus.rig import prometheus

from accord.domain.conditions import parse_timestamp
from devcluster import snapshots as snapshot_kinds


@dataclass(frozen=True)
class Span:
    """One, with what was sent as attributes."""

    trace: bytes
    id: bytes
    parent: bytes
    name: str
    began: int
    ended: int
    facts: dict[str, Any]


class Receiver:
    """As a collector's: takes whatever is sent, and keeps it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        told = self

        class Handling(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                told.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return None

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handling)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for group in request.resource_spans:
            told = {each.key: each.value.string_value for each in group.resource.attributes}
            self.services.add(told["service.name"])
            for scope in group.scope_spans:
                self.spans += [self._read(span) for span in scope.spans]

    @staticmethod
    def _read(span: Any) -> Span:
        facts = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
        times = span.start_time_unix_nano, span.end_time_unix_nano
        return Span(span.trace_id, span.span_id, span.parent_span_id, span.name, *times, facts)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def whole(self, wanted: Callable[[Span], bool]) -> list[Span]:
        """All spans of the trace of the first one that is wanted, once no parent is missing: a part ends, and may be
        sent, before what it is a part of.
        """

        def found() -> list[Span]:
            spans = list(self.spans)
            first = next((span for span in spans if wanted(span)), None)
            if first is None:
                return []
            trace = [span for span in spans if span.trace == first.trace]
            known = {span.id for span in trace} | {b""}
            return trace if all(span.parent in known for span in trace) else []

        return list(wait_until(found, 60, "no whole trace was sent"))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    started = Receiver()
    with contextlib.ExitStack() as until_then:
        until_then.callback(started.close)
        if ASKED_FOR:
            started.url = until_then.enter_context(collector(tmp_path, started.url))
        yield started


def names(spans: list[Span], parent: Span) -> list[str]:
    return [span.name for span in sorted(spans, key=lambda each: each.began) if span.parent == parent.id]


def test_a_pass_and_a_rollback(
    api: Api,
    control_plane: Any,
    namespace: Namespace,
    start_operator: StartOperator,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    snapshot_kinds.install(control_plane.kubectl)
    training = Training()
    cp.serving_deployment(namespace)
    cp.run(namespace)
    with (
        prometheus(tmp_path / "prometheus", Trainers(trainings={namespace.name: training})) as server,
        Cluster(api, namespace),
    ):
        endpoints = {"default": {"url": server.url, "timeout": "30s"}}
        operator = start_operator(prometheus={"endpoints": endpoints}, traces={"endpoint": receiver.url}).ready()
        cp.policy(namespace)
        cp.save(namespace, training, 1000, 1500)
        training.step, training.sick = 1600, True
        cp.finished(namespace)
        record = cp.status(namespace)["history"][0]
        assert operator.terminate() == 0, "what is left is sent before it ends"
    assert receiver.services == {"accord"}

    # A pass that makes something: what was read, what was decided, what was written.
    made = receiver.whole(lambda span: span.name == "apply" and span.facts["accord.kind"] == "VolumeSnapshot")
    [whole] = [span for span in made if not span.parent]
    assert (whole.name, whole.facts["accord.kind"], whole.facts["accord.name"]) == (
        "reconcile",
        "CheckpointPolicy",
        "p",
    )
    assert (whole.facts["k8s.namespace.name"], whole.facts["accord.outcome"]) == (namespace.name, "wrote")
    assert names(made, whole) == ["gather", "decide", "act"]
    [act] = [span for span in made if span.name == "act"]
    assert "apply" in names(made, act)
    assert {"apply status", "record event"} <= {span.name for span in receiver.spans}
    assert all(whole.began <= span.began <= span.ended <= whole.ended for span in made)

    # The rollback: one trace of all its passes, as long as the status says that it took.
    rollback = receiver.whole(lambda span: span.name == "rollback")
    [root] = [span for span in rollback if not span.parent]
    assert root.name == "rollback"
    assert (root.began, root.ended) == tuple(
        int(parse_timestamp(record[at]).timestamp()) * 10**9 for at in ("startedAt", "completedAt")
    )
    told = {name: root.facts[f"accord.rollback.{name}"] for name in ("signal", "phase", "fromStep", "toStep")}
    assert told == {"signal": "NonFinite", "phase": "Done", "fromStep": 1500, "toStep": 1000}
    passes = names(rollback, root)
    assert set(passes) == {"reconcile"}
    assert len(passes) > 1
    written = {span.facts["accord.kind"] for span in rollback if span.name == "apply"}
    assert {"PersistentVolumeClaim", "Deployment", "TrainingRun"} <= written
    assert len([span for span in receiver.spans if span.name == "rollback"]) == 1


def test_a_receiver_that_is_away_stops_nothing(namespace: Namespace, start_operator: StartOperator) -> None:
    operator = start_operator(traces={"endpoint": "http://127.0.0.1:9"}).ready()
    namespace.deployment("a")
    namespace.policy("demo", {"a": 100})
    namespace.settled("demo")
    assert operator.terminate() == 0
    assert "Traceback" not in operator.log()
