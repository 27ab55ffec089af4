"""`accord schedule -f run.yaml`: print the scheduled values of a TrainingRun at each quarter of it, or plot them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `schedule` to the commands of `accord`."""
    parser = subparsers.add_parser(
        "schedule", help="show the hyperparameter schedules of a TrainingRun", description=__doc__
    )
    parser.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="file with the TrainingRun, or - for stdin"
    )
    parser.add_argument("--name", help="name of the TrainingRun, if the file has more than one")
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="output format (default: %(default)s)"
    )
    parser.add_argument("--plot", metavar="FILE.svg", type=_svg_file, help="write a plot of the schedules to FILE.svg")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0 if all went well, 1 with a message on stderr if the input or the plot file cannot be used."""
    from accord.cli import milestones  # here, so that the other commands need not load it

    try:
        training = milestones.load(args.filename, args.name)
        if args.plot is not None:
            milestones.draw(training, args.plot)
    except milestones.InputError as error:
        sys.stderr.write(f"accord schedule: {error}\n")
        return 1
    sys.stdout.write(milestones.as_json(training) if args.output == "json" else milestones.as_table(training))
    return 0


def _svg_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text!r} is not a .svg file: only SVG is supported")
    return path
