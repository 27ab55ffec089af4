"""Options that several commands have, so that one thing is called and behaves the same in all of them."""

from __future__ import annotations

import argparse
import math
from datetime import timedelta
from pathlib import Path

from accord.cli.printer import Format

_FORMATS: tuple[Format, ...] = ("table", "json", "yaml")


def filenames(parser: argparse.ArgumentParser, what: str) -> None:
    """`-f`: manifests to read; sets `filename`, a list of paths."""
    parser.add_argument(
        *("-f", "--filename"),
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help=f"file or directory with {what}, or - for stdin (repeatable)",
    )


def name(parser: argparse.ArgumentParser, kind: str) -> None:
    """`--name`: which object of the files is meant; sets `name`."""
    parser.add_argument("--name", metavar="NAME", help=f"name of the {kind}, if the files have more than one")


def output(parser: argparse.ArgumentParser, default: Format = "table") -> None:
    """`-o`: the form of what is printed; sets `output`."""
    parser.add_argument(
        "-o", "--output", choices=_FORMATS, default=default, help="output format (default: %(default)s)"
    )


def cluster(parser: argparse.ArgumentParser) -> None:
    """Which cluster, as for kubectl; sets `kubeconfig` and `context`. `connection.find` reads them."""
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="kubeconfig file (default: the files in $KUBECONFIG, ~/.kube/config, or the service account in a pod)",
    )
    parser.add_argument("--context", metavar="NAME", help="context to use (default: the current context)")


def namespace(parser: argparse.ArgumentParser, *, every: bool = False) -> None:
    """Which namespace, as for kubectl; sets `namespace` and, with `every`, `all_namespaces`."""
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="namespace (default: the one of the context, or default)"
    )
    if every:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="in all namespaces")


def dry_run(parser: argparse.ArgumentParser) -> None:
    """`--dry-run`: the API server checks the change and does not make it; sets `dry_run`."""
    parser.add_argument("--dry-run", action="store_true", help="only check and print what would be done")


def one_to_change(parser: argparse.ArgumentParser) -> None:
    """An object that a command changes, and everything else about that; sets `what` beside the others."""
    parser.add_argument("what", metavar="KIND/NAME", help="the object, such as tr/ppo, tp/reply or cp/ppo")
    dry_run(parser)
    namespace(parser)
    output(parser)
    cluster(parser)


def namespace_of_manifests(parser: argparse.ArgumentParser) -> None:
    """The namespace of objects that name none, where no cluster is asked: the same on every machine."""
    parser.add_argument("-n", "--namespace", metavar="NAME", help="namespace of objects without one (default: default)")


def config(parser: argparse.ArgumentParser) -> None:
    """`--config`: the operator's configuration; sets `config`. `documents.config` reads it."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="operator configuration in YAML (default: built-in defaults)"
    )


def plot(parser: argparse.ArgumentParser, what: str) -> None:
    """`--plot`: a picture beside what is printed; sets `plot`."""
    parser.add_argument("--plot", type=_svg_file, metavar="FILE.svg", help=f"write a plot of {what} to FILE.svg")


def positive(text: str) -> int:
    """A type of argparse: a whole number, 1 or more."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)


def count(text: str) -> int:
    """A type of argparse: a whole number, 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def not_negative(text: str) -> float:
    """A type of argparse: a number, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number, 0 or more")
    return value


def duration(text: str) -> timedelta:
    """A type of argparse: a time such as 90m, more than none."""
    from accord.api.base import parse_duration  # here, so that help need not load it

    try:
        value = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0s")
    return value


def speed(text: str) -> float:
    """A type of argparse: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number greater than 0")
    return value


def _svg_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text!r} is not a .svg file: only SVG is supported")
    return path
