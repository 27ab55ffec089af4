"""`python -m modeservice`: serve one mode until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys

from modeservice.app import Audience, Service, serve
from modeservice.settings import Settings


def _audience(settings: Settings) -> Audience | None:
    if settings.checkpoints is None:
        return None
    # Only here: a mode without a policy goes without NumPy, which takes 16 MiB.
    from modeservice import policy

    return policy.Audience(policy.load(settings.checkpoints, settings.step))


async def _main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = Settings.from_environment()
    await serve(Service(settings, _audience(settings)), stop)


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except (OSError, ValueError) as error:
        sys.exit(f"the example service cannot start: {error}")
