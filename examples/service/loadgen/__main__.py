"""`python -m loadgen --url http://router/generate`: load, and one JSON object a line about it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from typing import Any

from loadgen.users import Crowd, Run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadgen", description=__doc__)
    add = parser.add_argument
    add("--url", required=True, help="what to ask, for instance http://example-router/generate")
    add("--users", type=int, default=10, help="virtual users, each with one request under way at most")
    add("--requests", type=int, default=0, help="end after so many requests")
    add("--duration", type=float, default=0, metavar="SECONDS", help="end after so long")
    add("--rate", type=float, default=0, help="requests a second of all users together; 0: as fast as they can")
    add("--cookies", action="store_true", help="users keep cookies and expect to stay with one mode")
    add("--visits", type=int, default=0, help="requests after which a user comes back as a new one")
    add("--user-header", default="", metavar="NAME", help="header in which a user says who it is")
    add("--header", action="append", type=_header, default=[], metavar="NAME=VALUE", help="a header of every request")
    add("--method", choices=("GET", "POST"), default="GET")
    add("--prompts", type=int, default=0, help="ask so many different prompts in turn; 0: always the same")
    add("--timeout", type=float, default=10, metavar="SECONDS", help="a request without an answer so long has failed")
    add("--progress", type=float, default=1, metavar="SECONDS", help="time between progress lines; 0: none")
    add("--switches", action="store_true", help="print a line whenever another mode answers than before")
    return parser.parse_args()


def _header(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found):
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=VALUE")
    return name, value


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


async def _report_progress(crowd: Crowd, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        _print(crowd.ledger.progress(crowd.elapsed, time.time()))


async def _main(arguments: argparse.Namespace) -> int:
    fields = {name: value for name, value in vars(arguments).items() if name not in ("progress", "switches")}

    fields["header"] = tuple(fields["header"])

    def on_switch(mode: str, at: float) -> None:
        _print({"event": "switch", "at": round(at, 6), "mode": mode})

    crowd = Crowd(Run(**fields), on_switch if arguments.switches else None)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, crowd.stop)
    progress = asyncio.create_task(_report_progress(crowd, arguments.progress)) if arguments.progress else None
    await crowd.work()
    if progress:
        progress.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await progress
    _print(crowd.ledger.report(crowd.elapsed, time.time()))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_arguments())))
