"""What a command is. Each has a folder, whose `__init__.py` says COMMAND, and a line in `commands.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from accord.cli.exits import Exit
from accord.cli.printer import Printer


@dataclass(frozen=True)
class Command:
    """One command of `accord`. The folder's `__init__.py` imports what it needs to run only when it runs."""

    name: str
    summary: str
    """For the list of commands; one line."""
    arguments: Callable[[argparse.ArgumentParser], None]
    """Adds the options, those that others have, too, by `options.py`."""
    run: Callable[[argparse.Namespace, Printer], Exit]
    """Does it. Raises CommandError for what cannot be done."""
    more: str = ""
    """What it does, in a few sentences, if one line cannot say it."""

    @property
    def description(self) -> str:
        """What it does, in sentences."""
        return self.more or f"{self.summary[:1].upper()}{self.summary[1:]}."
