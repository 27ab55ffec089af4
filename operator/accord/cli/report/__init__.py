"""`accord report [-n NAMESPACE]`: the checklist of the first 48 hours, each line with its figure."""

from __future__ import annotations

import argparse
from pathlib import Path

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.namespace(parser)
    options.output(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report with pictures to FILE, one page")
    parser.add_argument("--strict", action="store_true", help="exit 1 also for lines that are warn or unknown")
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        help="Prometheus server, reachable from here (default: lines that need it are unknown)",
    )
    parser.add_argument(
        "--range",
        type=options.duration,
        default="48h",
        metavar="TIME",
        help="how far back to read from Prometheus, for example 90m or 48h (default: %(default)s)",
    )
    for flag, default, meaning in (
        ("--share-within", 2.0, "a mode passes within this many percentage points of its weight"),
        ("--share-limit", 5.0, "a mode fails beyond this many percentage points of its weight"),
        ("--max-errors", 0.5, "requests that may fail, in percent"),
        ("--max-latency", 1.0, "95th percentile of the latency, in seconds"),
        ("--min-cache-hits", 70.0, "requests that the cache must answer, in percent"),
    ):
        parser.add_argument(
            flag, type=options.not_negative, default=default, metavar="N", help=f"{meaning} (default: %(default)s)"
        )
    parser.add_argument(
        "--max-rollbacks",
        type=options.count,
        default=1,
        metavar="N",
        help="completed rollbacks that pass (default: %(default)s)",
    )
    for flag, what in (
        ("--errors-query", "percentage of failed requests (default: from http_requests_total with label code)"),
        ("--latency-query", "latency in seconds (default: from the histogram http_request_duration_seconds)"),
        ("--cache-query", "percentage of cache hits (default: from cache_hits_total and cache_misses_total)"),
    ):
        parser.add_argument(
            flag,
            metavar="PROMQL",
            help=f"query for the {what}; $namespace, $modes and $window are substituted",
        )
    options.cluster(parser)


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    from accord.cli.report import reporting

    return reporting.report(args, printer)


COMMAND = Command(
    "report",
    "check the first 48 hours: traffic, training, checkpoints, stability",
    _arguments,
    _run,
    "Check what is running in a namespace against what its policies ask for: traffic, schedules, reward normalization, "
    "checkpoints, rollbacks and stability. Each line is pass, warn, fail or unknown. What cannot be known is unknown, "
    "never pass. Exit code 0: no line failed.",
)
