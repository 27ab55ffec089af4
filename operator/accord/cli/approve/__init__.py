"""`accord approve NAME`: approve a rollback that waits for it, reject it with `--reject`, or list all with `--list`."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.errors import InputError
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the CheckpointPolicy")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--reject", action="store_true", help="reject the rollback: serving does not change")
    action.add_argument("--list", action="store_true", help="list the rollbacks that are waiting for approval")
    options.dry_run(parser)
    options.namespace(parser, every=True)
    options.output(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    if args.list == (args.name is not None):
        raise InputError("NAME cannot be used with --list" if args.list else "NAME is required, or --list")
    if args.all_namespaces and not args.list:
        raise InputError("--all-namespaces can only be used with --list")
    from accord.cli.approve import approving

    return approving.show(args, printer) if args.list else approving.approve(args, printer)


COMMAND = Command(
    "approve",
    "approve or reject a pending rollback",
    _arguments,
    _run,
    "Approve or reject the rollback of a CheckpointPolicy that is waiting for approval. Prints the kubectl command "
    "that does the same.",
)
