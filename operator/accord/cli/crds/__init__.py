"""`accord crds`: the CustomResourceDefinitions, printed, written to a directory, or compared with one."""

from __future__ import annotations

import argparse
from pathlib import Path

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--write", type=Path, metavar="DIR", help="write one file per kind to DIR instead")
    target.add_argument(
        "--check",
        type=Path,
        metavar="DIR",
        help="compare with the files in DIR: print a diff and exit 1 if they differ",
    )
    options.output(parser, default="yaml")


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.crds import files

    if args.check:
        difference = files.check_crds(args.check)
        printer.text(difference)
        return Exit.FINDINGS if difference else Exit.OK
    if args.write:
        for path in files.write_crds(args.write):
            printer.text(f"{path}\n")
    else:
        files.print_crds(printer, args.output)
    return Exit.OK


COMMAND = Command("crds", "print the CustomResourceDefinitions", _arguments, _run)
