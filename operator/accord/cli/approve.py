"""`accord approve NAME`: approve a rollback that waits for it, or reject it with `--reject`.

It sets one annotation on the CheckpointPolicy, with the id of the rollback that is waiting: one that comes up later is
not approved by it. `kubectl annotate` can do the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from accord.api.base import Manifest


class ApprovalError(Exception):
    """Nothing was approved; the message says why."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments, and what is run for them."""
    parser = commands.add_parser("approve", help="approve or reject a pending rollback")
    parser.add_argument("name", metavar="NAME", help="name of the CheckpointPolicy")
    parser.add_argument("-n", "--namespace", default="default", help="namespace (default: %(default)s)")
    parser.add_argument("--reject", action="store_true", help="reject the rollback: serving does not change")
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig file (default: $KUBECONFIG, or the service account in a pod)"
    )
    parser.add_argument("--context", metavar="NAME", help="context to use (default: the current context)")
    parser.set_defaults(command=_main)


def _main(parsed: argparse.Namespace) -> int:
    from accord.adapters.kubernetes.connection import ConnectionNotFoundError
    from accord.ports.cluster import ClusterError

    parsed.kubeconfig = parsed.kubeconfig or os.environ.get("KUBECONFIG") or None
    if parsed.context and not parsed.kubeconfig:
        sys.stderr.write("accord approve: --context needs a kubeconfig: use --kubeconfig FILE or set KUBECONFIG\n")
        return 2
    try:
        said = asyncio.run(_approve(parsed))
    except (ApprovalError, ClusterError) as error:
        sys.stderr.write(f"accord approve: {error}\n")
        return 1
    except ConnectionNotFoundError as error:
        sys.stderr.write(f"accord approve: {error}\n")
        return 2
    sys.stdout.write(f"{said}\n")
    return 0


async def _approve(parsed: argparse.Namespace) -> str:
    from accord.adapters.kubernetes.connection import MERGE, Connection
    from accord.adapters.kubernetes.resources import CHECKPOINT_POLICIES
    from accord.domain.checkpoint.names import APPROVED_ANNOTATION, REJECTED_ANNOTATION
    from accord.observability.metrics import OperatorMetrics

    connection = await Connection.open(OperatorMetrics(), parsed.kubeconfig, parsed.context)
    path = CHECKPOINT_POLICIES.path(parsed.namespace, parsed.name)
    try:
        policy = await connection.request("get", "GET", CHECKPOINT_POLICIES, path)
        record = waiting(policy, reject=parsed.reject)
        key = REJECTED_ANNOTATION if parsed.reject else APPROVED_ANNOTATION
        body = {"metadata": {"annotations": {key: record["id"]}}}
        await connection.request("patch", "PATCH", CHECKPOINT_POLICIES, path, body=body, content_type=MERGE)
    finally:
        await connection.close()
    what = f"rollback {record['id']} of {parsed.namespace}/{parsed.name}"
    if parsed.reject:
        return f"{what} rejected: serving does not change"
    return f"{what} approved: rolling back to step {record.get('toStep')}"


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
