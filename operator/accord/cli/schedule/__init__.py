"""`accord schedule -f run.yaml`: the scheduled values of a TrainingRun at each quarter of it, printed and plotted."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.filenames(parser, "the TrainingRun")
    options.name(parser, "TrainingRun")
    options.output(parser)
    options.plot(parser, "the schedules")


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.schedule import milestones

    training = milestones.load(args.filename, args.name)
    if args.plot is not None:
        milestones.draw(training, args.plot)
    if args.output == "table":
        printer.blocks([milestones.as_table(training)])
    else:
        printer.data(milestones.as_data(training), args.output)
    return Exit.OK


COMMAND = Command(
    "schedule",
    "show the hyperparameter schedules of a TrainingRun",
    _arguments,
    _run,
    "Show the scheduled values of a TrainingRun at each quarter of it, or plot them.",
)
