"""`accord backtest -f policy.yaml (--csv run.csv | --prometheus URL --range 2h | --runs DIR)`: show when a
CheckpointPolicy would have rolled back.

Recorded runs are replayed through the same checks that the operator runs live, at the same interval. Exit code 0: the
replay ran, with or without rollbacks. 2: an input is invalid.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `backtest` to the commands of `accord`."""
    parser = subparsers.add_parser(
        "backtest", help="show when a CheckpointPolicy would have rolled back a recorded run", description=__doc__
    )
    parser.add_argument(
        *("-f", "--filename"),
        action="append",
        required=True,
        type=Path,
        metavar="FILE",
        help="file with the CheckpointPolicy and, optionally, its TrainingRun (for saveFrequency), or - for stdin "
        "(repeatable)",
    )
    parser.add_argument("--name", help="name of the CheckpointPolicy, if the file has more than one")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="recorded run: columns step, loss, reward and, optionally, time in seconds; an empty cell is no value, "
        "nan is a reported NaN. Or a progress.csv or monitor.csv of stable-baselines3. May be gzipped; - for stdin",
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
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--plot", type=_svg_file, metavar="FILE.svg", help="write a plot of the run and its checks to FILE.svg"
    )
    parser.add_argument(
        "--every",
        type=_positive,
        metavar="STEPS",
        help="steps between checks of a CSV (default: the steps in detection.interval)",
    )
    parser.add_argument(
        "--save-frequency",
        type=_positive,
        metavar="STEPS",
        help="steps between checkpoints, if the metrics do not show them (default: saveFrequency of the TrainingRun in "
        "FILE, or 500)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="STEPS",
        help="steps per second of a CSV, for checks and cooldown (default: from its time column, or 10)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from accord.cli.documents import InputError  # here, so that the other commands need not load them

    try:
        notes, printed = _runs(args) if args.runs is not None else _one(args)
    except InputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"accord backtest: {line}\n")
        return 2
    for note in notes:
        sys.stderr.write(f"accord backtest: {note}\n")
    sys.stdout.write(printed)
    return 0


def _one(args: argparse.Namespace) -> tuple[Iterable[str], str]:
    """Notes on one run, and what is printed of it."""
    from accord.cli import backtest_input, backtest_output, backtest_picture
    from accord.domain.checkpoint.detection.replay import replay

    given = backtest_input.read(args)
    result = replay(given.policy.spec, given.lives, given.pace, trace=args.plot is not None)
    if args.plot is not None:
        backtest_picture.draw(given, result, args.plot)
    printed = backtest_output.as_json(result) if args.json else backtest_output.as_table(given, result)
    return backtest_output.notes(given), printed


def _runs(args: argparse.Namespace) -> tuple[Iterable[str], str]:
    """The same of a directory."""
    from accord.cli import backtest_rates, backtest_runs

    judged = backtest_runs.judge(args)
    return backtest_rates.notes(judged), backtest_rates.as_json(judged) if args.json else backtest_rates.as_table(
        judged
    )


def _svg_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text!r} is not a .svg file: only SVG is supported")
    return path


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 or more")
    return value


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be greater than 0")
    return value
