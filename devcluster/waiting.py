"""Waiting for a condition with a deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from devcluster.errors import DevclusterError


def patience(seconds: float) -> float:
    """How long is waited for what takes so long at most: ACCORD_PATIENCE times as long, where that is set.

    For a machine that has much else to do. A limit only ends a wait that is in vain.
    """
    return seconds * float(os.environ.get("ACCORD_PATIENCE") or 1)


def wait_for(what: str, condition: Callable[[], bool], seconds: float, every: float = 0.1) -> None:
    """Ask until it is true. An exception of `condition` ends the wait: it knows that waiting is in vain."""
    seconds = patience(seconds)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DevclusterError(f"{what} was not ready within {seconds:g} seconds")
        time.sleep(every)
