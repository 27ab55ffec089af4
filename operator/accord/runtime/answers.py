"""Asks the API server for one object until it answers: silence says nothing about whether the object exists."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.ports.cluster import ClusterError

log = logging.getLogger(__name__)

Get = Callable[[ObjectKey], Awaitable[Manifest | None]]
Pause = Callable[[float], Awaitable[object]]

_ASK_AGAIN = 0.5
_LONGEST_PAUSE = 15.0
"""Seconds between two requests that got no answer; the first of them, doubled each time."""


async def answer(
    get: Get,
    key: ObjectKey,
    *,
    needed: Callable[[], bool] = lambda: True,
    means_absence: Callable[[ClusterError], bool] = lambda _: False,
    pause: Pause = asyncio.sleep,
) -> Manifest | None:
    """The object as it lives; None where it does not, or is `needed` no more.

    `means_absence` says which failures are taken for an answer. `pause` waits for so many seconds.
    """
    delay = _ASK_AGAIN
    while needed():
        try:
            return await get(key)
        except ClusterError as error:
            if means_absence(error):
                log.debug("assuming that %s was deleted: %s", key, error)
                return None
            log.debug("whether %s exists is not known yet: %s", key, error)
        await pause(delay)
        delay = min(2 * delay, _LONGEST_PAUSE)
    return None
