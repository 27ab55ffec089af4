"""How a command ends when it cannot do what it was asked for. `program.main` prints the message and exits."""

from __future__ import annotations

from pathlib import Path

from accord.cli.exits import Exit


class CommandError(Exception):
    """It could not be done. A line of the message for each reason."""

    exit = Exit.FAILED


class InputError(CommandError):
    """An input cannot be used; the text names file, document, field and problem."""

    exit = Exit.INVALID


class NegativeError(CommandError):
    """The answer is no."""

    exit = Exit.FINDINGS


def unreadable(name: Path | str, error: OSError) -> InputError:
    """For a file that is missing, or may not be read."""
    return InputError(f"{name}: cannot read: {error.strerror}")


def unwritable(name: Path | str, error: OSError) -> CommandError:
    """For a file that cannot be written."""
    return CommandError(f"{name}: cannot write: {error.strerror}")
