"""Objects that should exist and that no listing by label showed: the API server is asked for each by name.

Somebody may have taken their label away while no operator ran. Until the answer is there nothing is concluded from
their absence, and what depends on them stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.answers import Get, Pause, answer
from accord.runtime.index import controller_of

log = logging.getLogger(__name__)


class Unlisted:
    """Keys that have been asked for and not answered yet."""

    def __init__(
        self,
        get: Get,
        observe: Callable[[Manifest], None],
        answered: Callable[[ObjectKey], None],
        pause: Pause = asyncio.sleep,
    ) -> None:
        """`get` asks the API server for one object; `observe` takes one in that is ours; `answered(owner)` hears of
        each answer, whatever it is; `pause` waits for so many seconds.
        """
        self._get, self._observe, self._answered, self._pause = get, observe, answered, pause
        self._asking: dict[ObjectKey, asyncio.Task[None]] = {}

    def __contains__(self, key: object) -> bool:
        """Whether it is not known if that object exists."""
        return key in self._asking

    def ask(self, keys: Iterable[ObjectKey], owner: ObjectKey, uid: str) -> None:
        """Find out about objects that `owner` (of that uid) controls, if they are there. Returns at once."""
        for key in keys:
            if key not in self._asking:
                self._asking[key] = asyncio.get_running_loop().create_task(
                    self._find(key, owner, uid), name=f"look for {key}"
                )

    async def _find(self, key: ObjectKey, owner: ObjectKey, uid: str) -> None:
        try:
            # A refusal is no answer either: what is not known to be gone keeps its traffic.
            live = await answer(self._get, key, pause=self._pause)
        finally:
            del self._asking[key]
        if live is not None and (controller_of(live) or {}).get("uid") == uid:
            log.info("%s lost its watch label while no operator ran", key)
            self._observe({"apiVersion": key.api_version, "kind": key.kind, **live})
        self._answered(owner)
