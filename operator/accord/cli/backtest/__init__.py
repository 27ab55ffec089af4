"""`accord backtest -f policy.yaml (--csv run.csv | --prometheus URL --range 2h | --runs DIR)`: show when a
CheckpointPolicy would have rolled back.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accord.cli import options
from accord.cli.command import Command
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.filenames(parser, "the CheckpointPolicy and, optionally, its TrainingRun (for saveFrequency)")
    options.name(parser, "CheckpointPolicy")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="recorded run: columns step, loss, reward and, optionally, approx_kl, explained_variance and time in "
        "seconds; an empty cell is no value, nan is a reported NaN. "
        "Or a progress.csv or monitor.csv of stable-baselines3. May be gzipped; - for stdin",
    )
    source.add_argument("--prometheus", metavar="URL", help="Prometheus server that scraped the training")
    source.add_argument(
        "--runs",
        type=Path,
        metavar="DIR",
        help="replay every .csv and .csv.gz under DIR at each sensitivity. DIR/index.csv (columns file, fault_step, "
        "label) lists the runs with a fault and its first step (default: all runs are healthy)",
    )
    parser.add_argument("--range", metavar="TIME", help="how far back to read from Prometheus, for example 90m or 1d")
    parser.add_argument(
        "--end", metavar="TIME", help="end of the range, for example 2026-05-01T12:00:00Z (default: now)"
    )
    options.output(parser)
    parser.add_argument("--json", action="store_const", dest="output", const="json", help="same as -o json")
    options.plot(parser, "the run and its checks")
    parser.add_argument(
        "--every",
        type=options.positive,
        metavar="STEPS",
        help="steps between checks of a CSV (default: the steps in detection.interval)",
    )
    parser.add_argument(
        "--save-frequency",
        type=options.positive,
        metavar="STEPS",
        help="steps between checkpoints, if the metrics do not show them (default: saveFrequency of the TrainingRun in "
        "FILE, or 500)",
    )
    parser.add_argument(
        "--speed",
        type=options.speed,
        metavar="STEPS",
        help="steps per second of a CSV, for checks and cooldown (default: from its time column, or 10)",
    )


def _run(args: argparse.Namespace, printer: Printer) -> Exit:
    notes, printed = _runs(args, printer) if args.runs is not None else _one(args)
    for note in notes:
        printer.note(note)
    if args.output == "table":
        printer.blocks(printed)
    else:
        printer.data(printed, args.output)
    return Exit.OK


def _one(args: argparse.Namespace) -> tuple[Iterable[str], Any]:
    """Notes on one run, and what is printed of it."""
    from accord.cli.backtest import input as given_input
    from accord.cli.backtest import output, picture
    from accord.domain.checkpoint.detection.replay import replay

    given = given_input.read(args)
    result = replay(given.policy.spec, given.lives, given.pace, trace=args.plot is not None)
    if args.plot is not None:
        picture.draw(given, result, args.plot)
    return output.notes(given), output.as_table(given, result) if args.output == "table" else output.as_data(result)


def _runs(args: argparse.Namespace, printer: Printer) -> tuple[Iterable[str], Any]:
    """The same of a directory."""
    from accord.cli.backtest import rates, runs

    judged = runs.judge(args, printer)
    return rates.notes(judged), rates.as_table(judged) if args.output == "table" else rates.as_data(judged)


COMMAND = Command(
    "backtest",
    "show when a CheckpointPolicy would have rolled back a recorded run",
    _arguments,
    _run,
    "Show when a CheckpointPolicy would have rolled back a recorded run. Runs are replayed through the checks that the "
    "operator runs live, at the same interval. Exit code 0: the replay ran, with or without rollbacks.",
)
