"""What the commands have in common that change one object: look first, patch its spec, and say what was done.

A change is a JSON merge patch with the user's own rights, and the command of kubectl that it stands for is printed
with it. Where GitOps looks after the object, it is said that the change belongs in Git.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from accord.adapters.kubernetes.connection import MERGE, Connection
from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.cli import connection
from accord.cli.exits import Exit
from accord.cli.printer import Printer
from accord.kinds import KINDS, Entry

_TRACKING = "argocd.argoproj.io/tracking-id"
"""Annotation by which Argo CD knows what it applied (`application.resourceTrackingMethod: annotation`)."""
_FLUX = {"kustomize.toolkit.fluxcd.io/name": "Kustomization", "helm.toolkit.fluxcd.io/name": "HelmRelease"}
"""Labels that Flux sets on what it applies, and the kind of what they name."""
_MANAGERS = {"argocd": "Argo CD", "kustomize-controller": "Flux", "helm-controller": "Flux"}
"""Beginnings of field managers in managedFields."""


@dataclass(frozen=True)
class Change:
    """What is to be done to an object. Without `patch` all is as it was asked for already."""

    said: str
    """What was done, for people."""
    patch: Mapping[str, Any] | None
    """JSON merge patch."""
    field: str | None = "spec"
    """The field that it sets, for people. None for an annotation, which nobody has in Git."""


Decide = Callable[[Manifest], Change]
"""From the live object to the change; raises NegativeError where there is nothing to do or it would be of no use."""


def change(args: argparse.Namespace, kind: str, name: str, decide: Decide, printer: Printer) -> Exit:
    """Do it, or with `args.dry_run` only say what would be done."""
    target = connection.find(args)
    resource = resource_of(kind)
    before, decided, after = asyncio.run(_change(target, resource, name, decide, is_dry=args.dry_run))
    told = warning(before, decided)
    if told is not None:
        printer.note(f"warning: {kind} {name} {told}")
    if args.output != "table":
        printer.data(after, args.output)
        return Exit.OK
    prefix = f"{kind} {target.namespace}/{name}"
    dry = " (dry run)" if args.dry_run and decided.patch is not None else ""
    printer.text(f"{prefix}: {decided.said}{dry}\n")
    if decided.patch is not None:
        printer.text(f"  {command(args, resource, target.namespace, name, decided.patch)}\n")
    return Exit.OK


def command(args: argparse.Namespace, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> str:
    """The command of kubectl that does the same."""
    short, body = _entry(resource.kind).model.short_names[0], json.dumps(patch, separators=(",", ":"))
    return connection.kubectl(args, "patch", short, name, "-n", namespace, "--type", "merge", "-p", body)


def resource_of(kind: str) -> Resource:
    """Where the API server keeps a kind of ours."""
    return _entry(kind).kind.resource


def _entry(kind: str) -> Entry:
    return next(entry for entry in KINDS if entry.model.kind == kind)


def warning(manifest: Manifest, decided: Change) -> str | None:
    """What is to be known before the object is changed, in words that follow its name; None where there is nothing."""
    tool = gitops(manifest)
    if decided.patch is None or decided.field is None or tool is None:
        return None
    return f"is managed by {tool}: if Git sets {decided.field}, it will be set back, so change it in Git, too"


def gitops(manifest: Manifest) -> str | None:
    """What applies the object from Git, as `Argo CD (shop)`; None where nothing says so."""
    meta = manifest["metadata"]
    tracking = (meta.get("annotations") or {}).get(_TRACKING)
    if tracking:
        return f"Argo CD (Application {tracking.partition(':')[0]})"
    labels = meta.get("labels") or {}
    for label, kind in _FLUX.items():
        if labels.get(label):
            namespace = labels.get(label.replace("/name", "/namespace"))
            return f"Flux ({kind} {namespace}/{labels[label]})" if namespace else f"Flux ({kind} {labels[label]})"
    managers = [str(entry.get("manager") or "") for entry in meta.get("managedFields") or ()]
    return next((tool for start, tool in _MANAGERS.items() if any(each.startswith(start) for each in managers)), None)


async def carry_out(
    api: Connection, resource: Resource, namespace: str, name: str, decide: Decide, *, is_dry: bool = False
) -> tuple[Manifest, Change, Manifest]:
    """The object as it was, what was decided, and the object after it. Raises ClusterError, and what `decide` does."""
    path = resource.path(namespace, name)
    before = await api.request("get", "GET", resource, path)
    decided = decide(before)
    if decided.patch is None:
        return before, decided, before
    query = {"dryRun": "All"} if is_dry else None
    after = await api.request("patch", "PATCH", resource, path, query=query, body=decided.patch, content_type=MERGE)
    return before, decided, after


async def _change(
    target: connection.Target, resource: Resource, name: str, decide: Decide, *, is_dry: bool
) -> tuple[Manifest, Change, Manifest]:
    async with connection.connected(target) as api:
        return await carry_out(api, resource, target.namespace, name, decide, is_dry=is_dry)
