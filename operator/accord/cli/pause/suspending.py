"""Sets `spec.suspend`, where that changes anything."""

from __future__ import annotations

import argparse
from functools import partial

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import acting, selection
from accord.cli.acting import Change
from accord.cli.errors import InputError, NegativeError
from accord.cli.exits import Exit
from accord.cli.printer import Printer

MEANS = {
    TrafficPolicy.kind: "routing stays as it is",
    TrainingRun.kind: "the pod saves a checkpoint and ends",
    CheckpointPolicy.kind: "no snapshot, promotion, rollback or deletion",
}
"""What suspended means, by kind."""


def run(args: argparse.Namespace, printer: Printer, *, suspend: bool) -> Exit:
    """Suspend one object, or resume it. InputError where none is named."""
    chosen = selection.parse(args.what)
    if chosen.kind is None or chosen.name is None:
        raise InputError(f"{args.what!r} is not KIND/NAME, such as tr/{args.what}")
    return acting.change(args, chosen.kind, chosen.name, partial(suspended, suspend=suspend), printer)


def suspended(manifest: Manifest, *, suspend: bool) -> Change:
    """NegativeError for a run that rests for another reason than `spec.suspend`, or that has finished."""
    kind, is_so = manifest["kind"], bool(manifest["spec"].get("suspend"))
    status = manifest.get("status") or {}
    if kind == TrainingRun.kind and status.get("phase") in ("Succeeded", "Failed"):
        raise NegativeError(f"TrainingRun {manifest['metadata']['name']} has finished ({status['phase']})")
    if suspend:
        return Change("is suspended already", None) if is_so else _set(kind, suspend=True)
    if is_so:
        return _set(kind, suspend=False)
    told = next((each for each in status.get("conditions") or () if each["type"] == "Suspended"), None)
    if told is not None and told["status"] == "True":
        raise NegativeError(f"spec.suspend is false already. {told['reason']}: {told.get('message', '')}")
    return Change("is not suspended", None)


def _set(kind: str, *, suspend: bool) -> Change:
    said = f"suspended: {MEANS[kind]}" if suspend else "resumed"
    return Change(said, {"spec": {"suspend": suspend}}, "spec.suspend")
