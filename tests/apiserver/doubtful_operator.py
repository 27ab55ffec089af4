"""The operator with a wrong idea of the world: `python doubtful_operator.py --clock SECONDS --late SECONDS …`.

`--clock` is how far its clock is ahead (negative: behind). `--late` is by how much its watches are behind: what it has
read in the first listing, or in the answers to its own writes, it knows at once.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from tests.apiserver import operator_program

from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.app import Operator
from accord.ports.clock import SystemClock


class WrongClock(SystemClock):
    """So many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        self._ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        return super().now() + self._ahead


class LateOperator(Operator):
    """Hears of each change so many seconds after it was made."""

    def __init__(self, late: float, *parts: Any, **more: Any) -> None:
        self._late = late
        super().__init__(*parts, **more)

    def _on_event(self, resource: Resource, type_: str | None, manifest: Manifest) -> None:
        hear = super()._on_event
        if type_ is None or not self._late:
            hear(resource, type_, manifest)
        else:
            asyncio.get_running_loop().call_later(self._late, hear, resource, type_, manifest)


async def main() -> None:
    parser = operator_program.parser()
    parser.add_argument("--clock", type=float, default=0.0)
    parser.add_argument("--late", type=float, default=0.0)
    parsed = parser.parse_args()
    await operator_program.run(parsed, lambda *parts: LateOperator(parsed.late, *parts, clock=WrongClock(parsed.clock)))


if __name__ == "__main__":
    asyncio.run(main())
