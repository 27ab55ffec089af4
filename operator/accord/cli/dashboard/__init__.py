"""`accord dashboard`: a page to leave open, served on loopback with the user's own rights."""

from __future__ import annotations

import argparse

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.namespace(parser, every=True)
    parser.add_argument(
        "--port", type=options.count, default=0, metavar="N", help="port on 127.0.0.1 (default: any that is free)"
    )
    metrics = parser.add_mutually_exclusive_group()
    metrics.add_argument(
        "--prometheus",
        metavar="URL",
        help="Prometheus server, reachable from here (default: charts show only what the statuses say)",
    )
    metrics.add_argument(
        "--prometheus-service",
        metavar="NAMESPACE/SERVICE:PORT",
        help="Prometheus server, reached through the API server (needs the right to get services/proxy there)",
    )
    parser.add_argument(
        "--range",
        type=options.duration,
        default="6h",
        metavar="TIME",
        help="how far back the charts reach, for example 90m or 48h (default: %(default)s)",
    )
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.dashboard import serving

    return serving.run(args, printer)


COMMAND = Command(
    "dashboard",
    "serve a live page on 127.0.0.1",
    _arguments,
    _run,
    "Serve a page on 127.0.0.1 and print its URL: shares against targets, training curves beside their schedules, "
    "checkpoints on a time line, alarms with what they compared, and buttons for what you may do, each with its "
    "kubectl command. It uses your kubeconfig and your rights; nothing is installed or exposed in the cluster. Needs "
    "the right to list the three kinds, and to get and patch what you want to change. Ends with Ctrl-C.",
)
