"""The program `accord`, also `kubectl accord`.

`run` the operator, print its `crds`, `plan` what it would apply, show a `schedule`, `approve` a rollback.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from accord.cli import approve, backtest, schedule


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; returns the exit code. 2 stands for wrong usage, 1 for everything else that failed."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`). What is left in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="accord", description="Kubernetes operator for traffic, training runs and checkpoints."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the operator")
    run.add_argument(
        "--config", type=Path, metavar="FILE", help="operator configuration in YAML (default: built-in defaults)"
    )
    run.add_argument("--kubeconfig", type=Path, metavar="FILE", help="kubeconfig file, to run outside a cluster")
    run.add_argument("--context", metavar="NAME", help="context to use (default: the current context)")
    run.set_defaults(command=_run)

    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions")
    target = crds.add_mutually_exclusive_group()
    target.add_argument("--write", type=Path, metavar="DIR", help="write one file per kind to DIR instead")
    target.add_argument(
        "--check",
        type=Path,
        metavar="DIR",
        help="compare with the files in DIR: print a diff and exit 1 if they differ",
    )
    crds.set_defaults(command=_crds)

    plan = commands.add_parser(
        "plan", help="print what the operator would apply for these manifests, without a cluster"
    )
    plan.add_argument(
        *("-f", "--filename"),
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="file or directory with manifests, or - for stdin (repeatable)",
    )
    plan.add_argument("-n", "--namespace", help="namespace of objects without one (default: default)")
    plan.add_argument(
        "-o", "--output", choices=("yaml", "json"), default="yaml", help="output format (default: %(default)s)"
    )
    plan.add_argument(
        "--config", type=Path, metavar="FILE", help="operator configuration in YAML (default: built-in defaults)"
    )
    plan.set_defaults(command=_plan)

    schedule.add_parser(commands)
    backtest.add_parser(commands)
    approve.add_parser(commands)
    return parser


def _run(parsed: argparse.Namespace) -> int:
    # Imported here: `accord crds` need not load the operator.
    from accord import app, config
    from accord.adapters.kubernetes.connection import ConnectionNotFoundError
    from accord.observability import logs

    if parsed.context and not parsed.kubeconfig:
        return _fail("--context needs --kubeconfig FILE", 2)
    try:
        settings, pod = config.load(parsed.config), config.Pod.from_environment()
    except config.ConfigError as error:
        return _fail(str(error), 2)
    logs.configure(settings.log.level, settings.log.format)
    # What was loaded so far stays for good: the collector need not look at it again.
    gc.freeze()
    try:
        asyncio.run(app.serve(settings, pod, parsed.kubeconfig, parsed.context))
    except ConnectionNotFoundError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"cannot start: {error}")
    except Exception:
        logging.getLogger("accord").exception("operator stopped by an unexpected error; please report it")
        return 1
    return 0


def _crds(parsed: argparse.Namespace) -> int:
    from accord.cli import crds

    if parsed.check:
        difference = crds.check_crds(parsed.check)
        sys.stdout.write(difference)
        return 1 if difference else 0
    if parsed.write:
        for path in crds.write_crds(parsed.write):
            sys.stdout.write(f"{path}\n")
    else:
        crds.print_crds(sys.stdout)
    return 0


def _plan(parsed: argparse.Namespace) -> int:
    from accord import config
    from accord.cli import plan

    try:
        settings = config.load(parsed.config)
    except config.ConfigError as error:
        return _fail(str(error), 2)
    return plan.main(parsed.filename, parsed.namespace, parsed.output, settings)


def _fail(message: str, code: int = 1) -> int:
    sys.stderr.write(f"accord: {message}\n")
    return code
