"""`accord retune NAME`: apply what the ratings suggest."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer

_RULES = ("LowMean", "WideSpread", "HighMean")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the TrainingRun")
    parser.add_argument("--rule", choices=_RULES, help="apply the suggestion of this rule only (default: all)")
    options.dry_run(parser)
    options.namespace(parser)
    options.output(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from functools import partial

    from accord.api.v1alpha1.trainingrun import TrainingRun
    from accord.cli import acting
    from accord.cli.retune import suggested

    return acting.change(args, TrainingRun.kind, args.name, partial(suggested.applied, rule=args.rule), printer)


COMMAND = Command(
    "retune",
    "apply suggested hyperparameters to a TrainingRun",
    _arguments,
    _run,
    "Apply the suggestions in the status of a TrainingRun to its spec. A new attempt starts from the latest "
    "checkpoint. Prints the kubectl command that does the same. Needs the rights to get and patch TrainingRuns.",
)
