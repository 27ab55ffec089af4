"""`accord resume KIND/NAME`: end what `accord pause` began."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.pause import suspending

    return suspending.run(args, printer, suspend=False)


COMMAND = Command(
    "resume",
    "resume a suspended run or policy",
    options.one_to_change,
    _run,
    "Resume a run or a policy that spec.suspend holds. One that a rollback holds is not resumed by this; the message "
    "says what it is waiting for. Prints the kubectl command that does the same. Needs the rights to get and patch "
    "objects of that kind.",
)
