"""Reads the objects with the user's own rights, and shows them once or until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from accord.adapters.kubernetes.connection import Connection
from accord.api.base import Manifest
from accord.cli import connection
from accord.cli.errors import CommandError
from accord.cli.exits import Exit
from accord.cli.printer import Format, Live, Printer
from accord.cli.selection import Selection
from accord.cli.status.forest import READ, Forest, grow
from accord.cli.trees import Span, node
from accord.kinds import KINDS
from accord.ports.cluster import ClusterError

_EVERY = 2.0
"""Seconds between two looks of --watch."""
_RESOURCES = {resource.kind: resource for resource in (entry.kind.resource for entry in KINDS)}


@dataclass(frozen=True)
class Reading:
    """What was read, and why the rest was not, by kind."""

    objects: Mapping[str, Sequence[Manifest]]
    refused: Mapping[str, ClusterError]


def show(args: argparse.Namespace, selection: Selection, printer: Printer) -> Exit:
    """Show what was asked for. FINDINGS if not all of it is ready, FAILED if some of it cannot be read."""
    target = connection.find(args)
    namespace = None if args.all_namespaces else target.namespace
    if not args.watch:
        return asyncio.run(_once(target, namespace, selection, args.output, printer))
    asyncio.run(_watch(target, namespace, selection, args.output, printer))
    return Exit.OK


async def _once(
    target: connection.Target, namespace: str | None, selection: Selection, form: Format, printer: Printer
) -> Exit:
    async with connection.connected(target) as api:
        reading = await read(api, namespace, selection)
    forest = _forest(reading, namespace, selection)
    if form != "table":
        printer.data(forest.data(), form)
    elif forest.roots:
        printer.trees(forest.trees(datetime.now(UTC)))
    else:
        printer.note(_nothing(namespace, selection))
    for kind, error in reading.refused.items():
        printer.problem(f"cannot list {kind}: {error}")
    if reading.refused:
        return Exit.FAILED
    return Exit.OK if forest.is_ready else Exit.FINDINGS


async def _watch(
    target: connection.Target, namespace: str | None, selection: Selection, form: Format, printer: Printer
) -> None:
    """Until Ctrl-C. An API server that does not answer for a while ends nothing: what was read last stays."""
    async with connection.connected(target) as api:
        with printer.live() as live:
            reading = await read(api, namespace, selection)
            _forest(reading, namespace, selection)
            while True:
                _update(reading, namespace, selection, form, live)
                await asyncio.sleep(_EVERY)
                reading = keep(reading, await read(api, namespace, selection, patient=True))


def _update(reading: Reading, namespace: str | None, selection: Selection, form: Format, live: Live) -> None:
    forest = grow(reading.objects, selection)
    version = [(each.kind, each.manifest["metadata"].get("uid"), _version(each.manifest)) for each in forest.shown]
    refused = [f"cannot list {kind}: {error}" for kind, error in reading.refused.items()]
    if form != "table":
        live.data(forest.data(), form, (version, refused))
        return
    trees = forest.trees(datetime.now(UTC)) or [node(_nothing(namespace, selection))]
    live.trees([*trees, *(node(Span(each, "bad")) for each in refused)], (version, refused))


def _version(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("resourceVersion"))


def keep(before: Reading, after: Reading) -> Reading:
    """What was read now, and where that failed what was read before."""
    kept = {kind: before.objects[kind] for kind in after.refused if kind in before.objects}
    return Reading({**kept, **after.objects}, after.refused)


async def read(api: Connection, namespace: str | None, selection: Selection, *, patient: bool = False) -> Reading:
    """One list for each kind. ClusterError where the API server does not answer, unless `patient`, or refuses all."""
    kinds = READ[selection.kind]
    found = await asyncio.gather(*(_list(api, kind, namespace) for kind in kinds))
    refused = {kind: each for kind, each in zip(kinds, found, strict=True) if isinstance(each, ClusterError)}
    if not patient and (len(refused) == len(kinds) or any(not error.status for error in refused.values())):
        raise next(iter(refused.values()))
    return Reading(
        {kind: each for kind, each in zip(kinds, found, strict=True) if not isinstance(each, ClusterError)}, refused
    )


async def _list(api: Connection, kind: str, namespace: str | None) -> list[Manifest] | ClusterError:
    resource = _RESOURCES[kind]
    try:
        answer = await api.request("list", "GET", resource, resource.path(namespace))
    except ClusterError as error:
        return error
    return list(answer.get("items") or ())


def _forest(reading: Reading, namespace: str | None, selection: Selection) -> Forest:
    """CommandError where the kind or the object that was asked for is not there."""
    if selection.kind is not None and selection.kind in reading.refused:
        raise reading.refused[selection.kind]
    forest = grow(reading.objects, selection)
    if selection.name is not None and not forest.roots:
        raise CommandError(f"{selection.kind} {selection.name} not found in namespace {namespace}")
    return forest


def _nothing(namespace: str | None, selection: Selection) -> str:
    what = selection.kind or "TrafficPolicy, TrainingRun or CheckpointPolicy"
    return f"no {what} in {'any namespace' if namespace is None else f'namespace {namespace}'}"
