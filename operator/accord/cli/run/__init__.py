"""`accord run`: the operator itself."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging

from accord.cli import options
from accord.cli.command import Command
from accord.cli.errors import CommandError, InputError
from accord.cli.exits import Exit
from accord.cli.printer import Printer


def _arguments(parser: argparse.ArgumentParser) -> None:
    options.config(parser)
    options.cluster(parser)


def _run(args: argparse.Namespace, _: Printer) -> Exit:
    # Imported here: the other commands need not load the operator.
    from accord import app, config
    from accord.adapters.kubernetes.connection import ConnectionNotFoundError, read_in_small_pieces
    from accord.cli import connection, documents
    from accord.observability import logs

    settings = documents.config(args.config)
    try:
        pod = config.Pod.from_environment()
    except config.ConfigError as error:
        raise InputError(str(error)) from error
    target = connection.find(args)
    logs.configure(settings.log.level, settings.log.format)
    read_in_small_pieces()
    # What was loaded so far stays for good: the collector need not look at it again.
    gc.freeze()
    try:
        asyncio.run(app.serve(settings, pod, target.kubeconfig, target.context))
    except (ConnectionNotFoundError, config.ConfigError) as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise CommandError(f"cannot start: {error}") from error
    except Exception:
        logging.getLogger("accord").exception("operator stopped by an unexpected error; please report it")
        return Exit.FAILED
    return Exit.OK


COMMAND = Command("run", "run the operator", _arguments, _run)
