"""A command: all that has to be written for one, and nothing of it is in the operator."""

from __future__ import annotations

import argparse

from accord.cli import connection, options
from accord.cli.command import Command
from accord.cli.errors import NegativeError
from accord.cli.exits import Exit
from accord.cli.printer import Printer, Table


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="whom to greet")
    options.namespace(parser, every=True)
    options.output(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    target = connection.find(args)
    if args.name == "nobody":
        raise NegativeError("nobody is there")
    if args.name == "crash":
        raise RuntimeError(args.name)
    if args.name == "stop":
        raise KeyboardInterrupt
    if args.output != "table":
        printer.data({"name": args.name, "namespace": target.namespace, "everywhere": args.all_namespaces}, args.output)
    else:
        printer.blocks(["Hello:", Table([("NAME", "CONTEXT"), (args.name, str(target.context))])])
    printer.note("this is a toy")
    return Exit.OK


COMMAND = Command("greet", "greet someone", _arguments, _run)
