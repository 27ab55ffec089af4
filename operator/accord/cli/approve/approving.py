"""Sets one annotation on a CheckpointPolicy, with the id of the rollback that is waiting: one that comes up later is
not approved by it. `kubectl annotate` can do the same.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from typing import Any

from accord.adapters.kubernetes.resources import CHECKPOINT_POLICIES
from accord.api.base import Manifest
from accord.cli import acting, connection
from accord.cli.acting import Change
from accord.cli.errors import NegativeError
from accord.cli.exits import Exit
from accord.cli.printer import Printer, Table
from accord.domain.checkpoint.names import APPROVED_ANNOTATION, REJECTED_ANNOTATION

_HEADINGS = ("NAMESPACE", "NAME", "ROLLBACK", "TO STEP", "REASON")


class ApprovalError(NegativeError):
    """Nothing was approved; the message says why."""


def approve(args: argparse.Namespace, printer: Printer) -> Exit:
    """Approve or reject one rollback. ApprovalError where none is waiting."""
    return acting.change(args, CHECKPOINT_POLICIES.kind, args.name, partial(answered, reject=args.reject), printer)


def answered(policy: Manifest, *, reject: bool) -> Change:
    """The annotation, with the id of the rollback that is waiting. ApprovalError where there is none."""
    record = waiting(policy, reject=reject)
    key = REJECTED_ANNOTATION if reject else APPROVED_ANNOTATION
    done = "rejected: serving does not change" if reject else f"approved: rolling back to step {record.get('toStep')}"
    return Change(f"rollback {record['id']} {done}", {"metadata": {"annotations": {key: record["id"]}}}, None)


def show(args: argparse.Namespace, printer: Printer) -> Exit:
    """List the rollbacks that are waiting."""
    target = connection.find(args)
    found = asyncio.run(_list(target, None if args.all_namespaces else target.namespace))
    pending = [_entry(policy) for policy in found if _phase(policy) == "AwaitingApproval"]
    if args.output != "table":
        printer.data({"rollbacks": pending}, args.output)
    elif pending:
        printer.blocks([Table([_HEADINGS, *(tuple(map(str, each.values())) for each in pending)])])
    else:
        where = "any namespace" if args.all_namespaces else f"namespace {target.namespace}"
        printer.note(f"no rollback is waiting for approval in {where}")
    return Exit.OK


async def _list(target: connection.Target, namespace: str | None) -> list[Manifest]:
    async with connection.connected(target) as api:
        answer = await api.request("list", "GET", CHECKPOINT_POLICIES, CHECKPOINT_POLICIES.path(namespace))
    return list(answer.get("items") or ())


def _phase(policy: Manifest) -> str | None:
    record = (policy.get("status") or {}).get("rollback")
    return record.get("phase") if isinstance(record, dict) else None


def _entry(policy: Manifest) -> dict[str, Any]:
    record, meta = policy["status"]["rollback"], policy["metadata"]
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "rollback": record["id"],
        "toStep": record.get("toStep"),
        "reason": record.get("message", ""),
    }


def waiting(policy: Manifest, *, reject: bool = False) -> Manifest:
    """The rollback that can be approved; to reject, also one that waits for room. Raises ApprovalError where there is
    none.
    """
    record = (policy.get("status") or {}).get("rollback")
    if not isinstance(record, dict):
        raise ApprovalError(f"no rollback of {policy['metadata']['name']} is in progress")
    if record["phase"] != "AwaitingApproval" and not (reject and record["phase"] != "Restarting"):
        raise ApprovalError(f"rollback {record['id']} is not waiting for approval: its phase is {record['phase']}")
    return record
