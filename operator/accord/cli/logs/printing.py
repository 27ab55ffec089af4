"""Finds the pod and passes its log on as it comes."""

from __future__ import annotations

import argparse
import asyncio
import codecs

from accord.adapters.kubernetes.resources import PODS, TRAINING_RUNS
from accord.cli import connection
from accord.cli.exits import Exit
from accord.cli.logs.choosing import attempt_of, chosen, container_of
from accord.cli.printer import Printer
from accord.domain.training.names import RUN_LABEL


def run(args: argparse.Namespace, printer: Printer) -> Exit:
    """Print the log. NegativeError where the run has no such pod."""
    asyncio.run(_run(connection.find(args), args, printer))
    return Exit.OK


async def _run(target: connection.Target, args: argparse.Namespace, printer: Printer) -> None:
    async with connection.connected(target) as api:
        selector = {"labelSelector": f"{RUN_LABEL}={args.name}"}
        pods = (await api.request("list", "GET", PODS, PODS.path(target.namespace), query=selector)).get("items") or []
        if not pods:
            # A name that is not there is a failure, not an answer.
            await api.request("get", "GET", TRAINING_RUNS, TRAINING_RUNS.path(target.namespace, args.name))
        pod = chosen(args.name, pods, attempt=args.attempt, failed=args.failed, container=args.container)
        name, container = pod["metadata"]["name"], args.container or container_of(pod)
        phase = (pod.get("status") or {}).get("phase")
        printer.note(f"attempt {attempt_of(pod)}, {phase}: {_command(args, target, name, container)}")
        query = {
            "container": container,
            **({"follow": "true"} if args.follow else {}),
            **({"tailLines": str(args.tail)} if args.tail is not None else {}),
        }
        # A character may come in two pieces, and a log may hold anything.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async for piece in api.stream("get", PODS, f"{PODS.path(target.namespace, name)}/log", query):
            printer.text(decoder.decode(piece))
            printer.flush()
        printer.text(decoder.decode(b"", final=True))


def _command(args: argparse.Namespace, target: connection.Target, pod: str, container: str) -> str:
    more = [*(["-f"] if args.follow else []), *([f"--tail={args.tail}"] if args.tail is not None else [])]
    return connection.kubectl(args, "logs", pod, "-n", target.namespace, "-c", container, *more)
