"""`accord pause KIND/NAME`: suspend a run or a policy."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.pause import suspending

    return suspending.run(args, printer, suspend=True)


COMMAND = Command(
    "pause",
    "suspend a run or a policy",
    options.one_to_change,
    _run,
    "Suspend a run or a policy: a TrainingRun saves a checkpoint and ends its pod, a TrafficPolicy keeps its routing "
    "as it is, a CheckpointPolicy what it serves. Sets spec.suspend, and prints the kubectl command that does the "
    "same. Needs the rights to get and patch objects of that kind.",
)
