"""Parses, runs one command, and turns its end into an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from accord.cli.command import Command
from accord.cli.commands import COMMANDS
from accord.cli.errors import CommandError
from accord.cli.exits import Exit
from accord.cli.printer import Printer

_AS_PLUGIN = "kubectl-accord"
"""Under this name kubectl starts us for `kubectl accord`."""


def entry(arguments: Sequence[str] | None = None, commands: Sequence[Command] = COMMANDS) -> int:
    """`accord` and `kubectl accord` themselves: no exception leaves here, since Python would exit with 1 for it."""
    try:
        return main(arguments, commands)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception:
        logging.getLogger("accord").exception("unexpected error; please report it")
        return Exit.FAILED


def main(arguments: Sequence[str] | None = None, commands: Sequence[Command] = COMMANDS) -> int:
    """Parse and run; returns the exit code, one of `Exit`. For wrong usage argparse exits with 2, as INVALID."""
    parsed = parser(commands).parse_args(arguments)
    command: Command = parsed.command
    printer = Printer(parsed.program)
    try:
        code = command.run(parsed, printer)
        # Here, not when Python exits: then the code would be 120.
        printer.flush()
        return code
    except CommandError as error:
        printer.problem(str(error))
        return error.exit
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`). What is left in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def parser(commands: Sequence[Command] = COMMANDS) -> argparse.ArgumentParser:
    """Of the whole program."""
    whole = argparse.ArgumentParser(
        prog="kubectl accord" if Path(sys.argv[0]).name == _AS_PLUGIN else "accord",
        description="Kubernetes operator for traffic, training runs and checkpoints.",
        epilog="exit codes: " + "; ".join(f"{code.value} {code.meaning}" for code in Exit),
    )
    below = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        added = below.add_parser(command.name, help=command.summary, description=command.description)
        command.arguments(added)
        added.set_defaults(command=command, program=added.prog)
    return whole
