"""The operator, killed by itself right after its n-th write: `python dying_operator.py N --kubeconfig F --config F`.

N = 0 never dies. It ends with exit code 137, as by SIGKILL: nothing is closed, nothing is handed over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.apiserver import operator_program

from accord.app import Operator
from accord.domain.plan import ObjectKey
from accord.ports.cluster import Cluster
from accord.runtime.wrapped import WrappedCluster

T = TypeVar("T")


class DyingCluster(WrappedCluster):
    """Passes everything on, and ends the process once `writes` writes are done."""

    def __init__(self, cluster: Cluster, writes: int) -> None:
        super().__init__(cluster)
        self._left = writes

    async def _write(self, verb: str, about: ObjectKey, write: Callable[[], Awaitable[T]]) -> T:
        result = await write()
        self._left -= 1
        if self._left == 0:
            os._exit(137)
        return result


async def main() -> None:
    parser = operator_program.parser()
    parser.add_argument("writes", type=int)
    parsed = parser.parse_args()
    await operator_program.run(
        parsed,
        lambda *parts: Operator(*parts, wrap_cluster=lambda cluster: DyingCluster(cluster, parsed.writes)),
    )


if __name__ == "__main__":
    asyncio.run(main())
