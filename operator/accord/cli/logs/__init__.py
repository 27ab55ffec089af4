"""`accord logs NAME`: the log of the attempt that runs, or failed."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the TrainingRun")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--failed", action="store_true", help="of the newest pod that failed, even if another one runs")
    which.add_argument("--attempt", type=options.positive, metavar="NUMBER", help="of the newest pod of this attempt")
    parser.add_argument("-f", "--follow", action="store_true", help="stay and print what is written until Ctrl-C")
    parser.add_argument("--tail", type=options.positive, metavar="LINES", help="print the last lines only")
    parser.add_argument(
        "-c",
        "--container",
        metavar="NAME",
        help="container (default: trainer; with engine type RayJob, that of the pod that submits the Ray job)",
    )
    options.namespace(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.logs import printing

    return printing.run(args, printer)


COMMAND = Command(
    "logs",
    "print the log of a TrainingRun's attempt",
    _arguments,
    _run,
    "Print the log of a TrainingRun: of the pod that runs, else of the newest one that failed, else of the newest. "
    "With engine type RayJob it is that of the pod that submits the Ray job, and until there is one, of the head. "
    "stderr names the pod and the kubectl command that does the same. Needs the rights to list pods and to get "
    "pods/log, which the built-in role view has.",
)
