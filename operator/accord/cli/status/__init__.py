"""`accord status [KIND[/NAME]]`: policies, runs and checkpoints as a tree, once or live."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.errors import InputError
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="KIND[/NAME]",
        nargs="?",
        help="a kind as for kubectl (tp, tr, cp), or one object, such as tp/reply (default: all)",
    )
    parser.add_argument("-w", "--watch", action="store_true", help="stay and show changes until Ctrl-C")
    options.namespace(parser, every=True)
    options.output(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli import selection

    chosen = selection.parse(args.what)
    if args.all_namespaces and chosen.name is not None:
        raise InputError("an object cannot be named with --all-namespaces: use --namespace NAME")
    from accord.cli.status import showing

    return showing.show(args, chosen, printer)


COMMAND = Command(
    "status",
    "show policies, runs and checkpoints as a tree",
    _arguments,
    _run,
    "Show TrafficPolicies, and TrainingRuns with their CheckpointPolicies, as a tree: shares, progress, checkpoints, "
    "rollbacks, and every condition that is not as it should be. Exit code 0 if all that is shown is Ready, 1 if not. "
    "Needs the right to list these kinds and nothing else, and reads each kind once; with --watch every two seconds.",
)
