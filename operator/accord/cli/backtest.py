"""`accord backtest -f policy.yaml (--csv run.csv | --prometheus URL --range 2h | --runs DIR)`: what a policy would have
done.

Recorded runs are replayed through the same judgement that the operator makes live, as often as it would. Exit code 0:
replayed, whatever came of it. 2: an input cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
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
        "none, nan where that was reported, and time (seconds) if wanted; or a progress.csv or monitor.csv of "
        "stable-baselines3; .gz and - (stdin) are read too",
    )
    source.add_argument("--prometheus", metavar="URL", help="a Prometheus that has scraped the training")
    source.add_argument(
        "--runs",
        type=Path,
        metavar="DIR",
        help="judge every .csv and .csv.gz below DIR at each sensitivity. DIR/index.csv (columns file, fault_step, "
        "label) says which have a fault, and from which step on; without it all of them count as healthy",
    )
    parser.add_argument("--range", metavar="TIME", help="how far back to look there, as 90m or 1d")
    parser.add_argument("--end", metavar="TIME", help="until when (2026-05-01T12:00:00Z); now without")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--plot", type=_svg_file, metavar="FILE.svg", help="draw the run, what was compared, and what came of it"
    )
    parser.add_argument(
        "--every",
        type=_positive,
        metavar="STEPS",
        help="steps between two checks of a CSV; without, those that take detection.interval",
    )
    parser.add_argument(
        "--save-frequency",
        type=_positive,
        metavar="STEPS",
        help="steps between two checkpoints, where the metrics do not show them; that of the TrainingRun in FILE, or "
        "500, without",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="STEPS",
        help="steps a second in a CSV, for checks and cooldown; without, as its times say, or 10",
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
