"""`accord plan -f FILE…`: what the operator would apply for these manifests, offline.

Nothing printed depends on time, so two runs can be compared.
"""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.filenames(parser, "manifests")
    options.namespace_of_manifests(parser)
    options.output(parser, default="yaml")
    options.config(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli import documents
    from accord.cli.plan import planning

    settings = documents.config(args.config)
    return planning.plan(args.filename, args.namespace, args.output, settings, printer)


COMMAND = Command(
    "plan",
    "print what the operator would apply for these manifests, without a cluster",
    _arguments,
    _run,
    "Print what the operator would apply for these manifests, without a cluster. What can be planned is printed even "
    "if there are problems: exit code 1 if something is missing or cannot work, 2 if a manifest is invalid.",
)
