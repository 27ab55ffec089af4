"""Reads the cluster and Prometheus, and prints what the lines say. Changes nothing."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import CHECKPOINT_POLICIES, LEASES, TRAFFIC_POLICIES, TRAINING_RUNS, Resource
from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.base import Manifest, format_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import Resource as Kind
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import connection, pictures
from accord.cli.errors import CommandError, NegativeError
from accord.cli.exits import Exit
from accord.cli.printer import Block, Printer, Table
from accord.cli.report import questions
from accord.cli.report.facts import Asked, Facts, Limits, Line, Queries
from accord.cli.report.lines import lines, summary
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.samples import Answer
from accord.ports.cluster import ClusterError
from accord.runtime.lease import last_renewed

K = TypeVar("K", bound=Kind)
_HEADINGS = ("RESULT", "OBJECT", "CHECK", "FIGURE", "EXPECTED", "FROM")
_TIMEOUT = 30.0  # seconds that a query over two days may take


def report(args: argparse.Namespace, printer: Printer) -> Exit:
    """Print the checklist. NegativeError where the namespace has nothing to report on."""
    target = connection.find(args)
    facts = asyncio.run(_read(target, args))
    if not (facts.policies or facts.runs or facts.checkpoints):
        raise NegativeError(f"no TrafficPolicy, TrainingRun or CheckpointPolicy in namespace {target.namespace}")
    limits = Limits(
        args.share_within,
        args.share_limit,
        args.max_errors,
        args.max_latency,
        args.min_cache_hits,
        args.max_rollbacks,
    )
    found = lines(facts, limits)
    if args.html is not None:
        from accord.cli.report import page

        pictures.write(args.html, page.render(facts, found, limits))
    if args.output == "table":
        printer.blocks(as_table(facts, found))
    else:
        printer.data(as_data(facts, found), args.output)
    return verdict(found, strict=args.strict)


def verdict(found: list[Line], *, strict: bool) -> Exit:
    """FINDINGS where a line failed, or is anything but pass where that is asked for."""
    bad = {"fail", "warn", "unknown"} if strict else {"fail"}
    return Exit.FINDINGS if any(line.outcome in bad for line in found) else Exit.OK


def as_table(facts: Facts, found: list[Line]) -> Iterator[Block]:
    """For people."""
    rows = [(line.outcome, line.object, line.check, line.figure, line.expected, _origin(line)) for line in found]
    yield Table([_HEADINGS, *rows])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary(found).items())
    yield f"\nNamespace {facts.namespace}, {timestamp(facts.now)}, the last {format_duration(facts.range)}: {counts}"


def _origin(line: Line) -> str:
    return f"{line.source}: {line.note}" if line.note else line.source


def as_data(facts: Facts, found: list[Line]) -> Manifest:
    """For programs."""
    return {
        "namespace": facts.namespace,
        "at": timestamp(facts.now),
        "range": format_duration(facts.range),
        "summary": dict(summary(found)),
        "lines": [
            {
                "result": line.outcome,
                "object": line.object,
                "check": line.check,
                "figure": line.figure,
                "expected": line.expected,
                "source": line.source,
                "note": line.note,
            }
            for line in found
        ],
    }


async def _read(target: connection.Target, args: argparse.Namespace) -> Facts:
    queries = Queries(args.errors_query, args.latency_query, args.cache_query)
    async with connection.connected(target) as api:
        policies = await _list(api, TRAFFIC_POLICIES, TrafficPolicy, target.namespace)
        runs = await _list(api, TRAINING_RUNS, TrainingRun, target.namespace)
        checkpoints = await _list(api, CHECKPOINT_POLICIES, CheckpointPolicy, target.namespace)
        renewed = await _renewed(api, target.namespace)
    answers = None
    if args.prometheus is not None:
        answers = ask(args.prometheus, wanted(policies, runs, args.range, queries))
    return Facts(
        target.namespace,
        datetime.now(UTC),
        policies,
        runs,
        checkpoints,
        renewed=renewed,
        answers=answers,
        range=args.range,
        queries=queries,
    )


def wanted(
    policies: list[TrafficPolicy], runs: list[TrainingRun], range_: timedelta, queries: Queries
) -> dict[tuple[str, Asked], str]:
    """All questions."""
    found: dict[tuple[str, Asked], str] = {}
    for policy in policies:
        for asked, query in questions.of_policy(policy, range_, queries):
            found[policy.metadata.name, asked] = query
    for run in runs:
        for asked, query in questions.of_run(run, range_):
            found[run.metadata.name, asked] = query
    return found


def ask(url: str, asked: dict[tuple[str, Asked], str]) -> dict[tuple[str, Asked], Answer]:
    """One after the other; once the server is unreachable the rest is not asked for."""
    client = PrometheusEndpoint(Endpoint(url, timeout=_TIMEOUT))
    found: dict[tuple[str, Asked], Answer] = {}
    gone: Answer | None = None
    try:
        for key, query in asked.items():
            found[key] = gone or client.query(query)
            if found[key].failure in ("Unreachable", "Timeout"):
                gone = found[key]
    finally:
        client.close()
    return found


async def _list(api: Connection, resource: Resource, kind: type[K], namespace: str) -> list[K]:
    answer = await api.request("list", "GET", resource, resource.path(namespace))
    return [_model(kind, item) for item in answer.get("items") or ()]


def _model(kind: type[K], item: Manifest) -> K:
    """CommandError for an object that this version does not understand."""
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        name = item["metadata"]["name"]
        raise CommandError(
            f"{kind.kind} {name} does not fit this version of accord ({error.error_count()} errors): run accord doctor"
        ) from error


async def _renewed(api: Connection, namespace: str) -> datetime | None:
    """When the namespace's operator last renewed its Lease; None where there is none, or the user may not read it."""
    try:
        answer = await api.request("list", "GET", LEASES, LEASES.path(None))
    except ClusterError as error:
        if error.status != 403:
            raise
        return None
    renewed = last_renewed(answer.get("items") or (), namespace)
    return None if renewed is None else parse_timestamp(renewed)
