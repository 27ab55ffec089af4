"""`accord rollback NAME --to STEP`: go back to a checkpoint by hand."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the CheckpointPolicy")
    parser.add_argument(
        "--to", type=options.positive, required=True, metavar="STEP", help="step of the checkpoint to go back to"
    )
    options.dry_run(parser)
    options.namespace(parser)
    options.output(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from functools import partial

    from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
    from accord.cli import acting
    from accord.cli.rollback import choosing

    return acting.change(args, CheckpointPolicy.kind, args.name, partial(choosing.back_to, step=args.to), printer)


COMMAND = Command(
    "rollback",
    "roll back to a checkpoint by hand",
    _arguments,
    _run,
    "Roll back to a checkpoint by hand, without approval and cooldown: serving, and the training as the policy says. "
    "Sets spec.rollbackTo, and prints the kubectl command that does the same. Needs the rights to get and patch "
    "CheckpointPolicies.",
)
