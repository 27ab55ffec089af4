"""The table of commands, in the order of the help."""

from __future__ import annotations

from importlib import import_module

from accord.cli.command import Command

_FOLDERS = (
    "run",
    "crds",
    "plan",
    "schedule",
    "backtest",
    "status",
    "approve",
    "rollback",
    "pause",
    "resume",
    "retune",
    "logs",
    "report",
    "dashboard",
    "doctor",
)
COMMANDS: tuple[Command, ...] = tuple(import_module(f"accord.cli.{folder}").COMMAND for folder in _FOLDERS)
