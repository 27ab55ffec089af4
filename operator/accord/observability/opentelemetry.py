"""Spans, sent to a receiver of OTLP over HTTP. The one module that imports OpenTelemetry; loaded only where it is on.

The spans of a rollback are one trace: its identity is a digest of the rollback's, so that all passes of it, in
whichever replica, find it without having seen each other. The span of the whole is sent when its end is in the status.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.observability import episodes
from accord.observability.episodes import Episode
from accord.observability.traces import Span

_SCOPE = "accord"
_WAIT = 5
"""Seconds that a receiver may take."""
_UNDONE = frozenset({"Failed"})


class OpenTelemetryTraces:
    """Implements `accord.observability.traces.Traces`."""

    on = True

    def __init__(self, endpoint: str, ratio: float, instance: str, namespace: str) -> None:
        """`endpoint` is the base URL of a receiver; `ratio` is the part of the passes that is told, 0 to 1. Of a
        rollback everything is told.
        """
        resource = Resource.create(
            {
                "service.name": "accord",
                "service.namespace": namespace,
                "service.instance.id": instance,
            }
        )
        self._resource = resource
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)), shutdown_on_exit=False
        )
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_WAIT)
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer(_SCOPE)

    def span(self, name: str, about: ObjectKey | None = None) -> AbstractContextManager[Span]:
        """See `Traces`."""
        return self._begin(name, about)

    def passing(self, key: ObjectKey, manifest: Manifest | None) -> AbstractContextManager[Span]:
        """See `Traces`."""
        episode = None if manifest is None else episodes.going_on(manifest)
        within = None if episode is None else trace.set_span_in_context(NonRecordingSpan(_root(episode)))
        return self._begin("reconcile", key, within)

    def told(self, manifest: Manifest) -> None:
        """See `Traces`."""
        episode = episodes.ended(manifest)
        if episode is None or episode.ended is None:
            return
        root = _root(episode)
        if trace.get_current_span().get_span_context().trace_id != root.trace_id:
            # It ended before this pass began.
            return
        failed = episode.facts.get("phase") in _UNDONE
        whole = ReadableSpan(
            name="rollback",
            context=root,
            resource=self._resource,
            attributes={
                **_attributes(ObjectKey.of(manifest)),
                **{f"accord.rollback.{name}": value for name, value in episode.facts.items()},
            },
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if failed else StatusCode.OK),
            start_time=_nanoseconds(episode.began),
            end_time=_nanoseconds(episode.ended),
            instrumentation_scope=InstrumentationScope(_SCOPE),
        )
        self._processor.on_end(whole)

    def close(self) -> None:
        """See `Traces`."""
        self._provider.shutdown()

    @contextmanager
    def _begin(self, name: str, about: ObjectKey | None, within: Context | None = None) -> Iterator[Span]:
        attributes = {} if about is None else _attributes(about)
        with self._tracer.start_as_current_span(name, within, attributes=attributes) as span:
            yield _Noting(span)


class _Noting:
    """Implements `accord.observability.traces.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, name: str, value: str | int | float) -> None:
        self._span.set_attribute(f"accord.{name}", value)


def _root(episode: Episode) -> SpanContext:
    """The span that all passes of a rollback are parts of."""
    digest = hashlib.sha256(episode.seed.encode()).digest()
    identity, span = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")
    return SpanContext(identity, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _attributes(key: ObjectKey) -> dict[str, str]:
    """In the words of the semantic conventions of OpenTelemetry, as far as they have any."""
    return {"k8s.namespace.name": key.namespace, "accord.kind": key.kind, "accord.name": key.name}


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000_000
