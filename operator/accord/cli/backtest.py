"""`accord backtest -f policy.yaml (--csv run.csv | --prometheus URL --range 2h)`: what a policy would have done.

A recorded run is replayed through the same judgement that the operator makes live. Exit code 0: replayed, whatever came
of it. 2: an input cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `backtest` to the commands of `accord`."""
    parser = subparsers.add_parser(
        "backtest", help="show when a CheckpointPolicy would have rolled a recorded run back", description=__doc__
    )
    parser.add_argument(
        *("-f", "--filename"),
        action="append",
        required=True,
        type=Path,
        metavar="FILE",
        help="the policy, and the TrainingRun for its saveFrequency, if wanted; - for stdin; may be repeated",
    )
    parser.add_argument("--name", help="which CheckpointPolicy, if the file holds several")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="columns step, loss, reward; a row a step or any stride, values held in between, empty where there is "
        "none, nan where that was reported; .gz and - (stdin) are read too",
    )
    source.add_argument("--prometheus", metavar="URL", help="a Prometheus that has scraped the training")
    parser.add_argument("--range", metavar="TIME", help="how far back to look there, as 90m or 1d")
    parser.add_argument("--end", metavar="TIME", help="until when (2026-05-01T12:00:00Z); now without")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=_svg_file, metavar="FILE.svg", help="draw the run and the rollbacks")
    parser.add_argument(
        "--every", type=_positive, metavar="STEPS", help="steps between two checks of a CSV; a tenth of window without"
    )
    parser.add_argument(
        "--save-frequency",
        type=_positive,
        metavar="STEPS",
        help="steps between two checkpoints, where the metrics do not show them; that of the TrainingRun in FILE, or "
        "500, without",
    )
    parser.add_argument(
        "--speed", type=_speed, default=10.0, metavar="STEPS", help="steps a second in a CSV, for the cooldown; 10"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from accord.cli import backtest_input, backtest_output  # here, so that the other commands need not load them
    from accord.cli.documents import InputError
    from accord.domain.checkpoint.detection.replay import replay

    try:
        given = backtest_input.read(args)
        result = replay(given.policy.spec, given.lives, given.pace)
        if args.plot is not None:
            backtest_output.draw(given, result, args.plot)
    except InputError as error:
        sys.stderr.write(f"accord backtest: {error}\n")
        return 2
    for note in backtest_output.notes(given):
        sys.stderr.write(f"accord backtest: {note}\n")
    sys.stdout.write(backtest_output.as_json(result) if args.json else backtest_output.as_table(given, result))
    return 0


def _svg_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text!r} must end in .svg, the one format there is")
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
