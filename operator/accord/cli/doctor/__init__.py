"""`accord doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="read policies and runs in this namespace only (default: in all)"
    )
    options.output(parser)
    parser.add_argument(
        "--prometheus", metavar="URL", help="Prometheus server, reachable from here (default: metrics are unknown)"
    )
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.doctor import examining

    return examining.examine(args, printer)


COMMAND = Command(
    "doctor",
    "check the installation and say how to repair it",
    _arguments,
    _run,
    "Check the installation: CRDs, the operator and its rights, Prometheus and metrics, snapshots, clocks, images, "
    "network policies. Each check is ok, warning, failed or unknown, and says what to do. Nothing is changed. Exit "
    "code 0: no check failed.",
)
