"""Waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from devcluster.errors import DevclusterError


def wait_for(what: str, condition: Callable[[], bool], seconds: float, every: float = 0.1) -> None:
    """Ask until it is true. An exception of `condition` ends the wait: it knows that waiting is in vain."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DevclusterError(f"{what} was not ready within {seconds:g} seconds")
        time.sleep(every)
