"""Starts the operator as `accord run` does, but for what a test changes about it."""

from __future__ import annotations

import argparse
from pathlib import Path

from accord import config
from accord.app import Make, serve
from accord.observability import logs


def parser() -> argparse.ArgumentParser:
    """For the arguments that every such program takes."""
    made = argparse.ArgumentParser()
    made.add_argument("--kubeconfig", type=Path)
    made.add_argument("--config", type=Path)
    return made


async def run(parsed: argparse.Namespace, make: Make) -> None:
    """Until a signal ends it."""
    settings = config.load(parsed.config)
    logs.configure(settings.log.level, settings.log.format)
    await serve(settings, config.Pod.from_environment(), parsed.kubeconfig, None, make)
