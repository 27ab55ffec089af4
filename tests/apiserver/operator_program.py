"""Starts the operator as `accord run` does, but for what a test changes about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from accord import config
from accord.adapters.kubernetes.connection import Connection
from accord.app import Operator, run_until_signal
from accord.config import Config, Pod
from accord.observability import logs
from accord.observability.metrics import OperatorMetrics

Make = Callable[[Config, Pod, Connection, OperatorMetrics], Operator]


def parser() -> argparse.ArgumentParser:
    """For the arguments that every such program takes."""
    made = argparse.ArgumentParser()
    made.add_argument("--kubeconfig", type=Path)
    made.add_argument("--config", type=Path)
    return made


async def run(parsed: argparse.Namespace, make: Make) -> None:
    """Until a signal ends it."""
    settings, metrics = config.load(parsed.config), OperatorMetrics()
    logs.configure(settings.log.level, settings.log.format)
    connection = await Connection.open(metrics, parsed.kubeconfig, None)
    await run_until_signal(make(settings, config.Pod.from_environment(), connection, metrics))
