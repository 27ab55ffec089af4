"""The operator, killed by itself right after its n-th write: `python dying_operator.py N --kubeconfig F --config F`.

N = 0 never dies. It ends with exit code 137, as by SIGKILL: nothing is closed, nothing is handed over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import TypeVar

from tests.apiserver import operator_program

from accord.api.base import Manifest
from accord.app import Operator
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned
from accord.ports.cluster import Cluster

T = TypeVar("T")


class DyingCluster:
    """Passes everything on, and ends the process once `writes` writes are done."""

    def __init__(self, cluster: Cluster, writes: int) -> None:
        self._cluster, self._left = cluster, writes

    async def get(self, key: ObjectKey) -> Manifest | None:
        return await self._cluster.get(key)

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        return await self._cluster.claims_in_use(namespace)

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        return await self._cluster.pods(namespace, selector)

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        return await self._cluster.warned(namespace, uid)

    async def apply(self, manifest: Manifest) -> Manifest:
        return await self._write(self._cluster.apply(manifest))

    async def apply_status(self, manifest: Manifest) -> Manifest:
        return await self._write(self._cluster.apply_status(manifest))

    async def delete(self, key: ObjectKey, uid: str) -> None:
        await self._write(self._cluster.delete(key, uid))

    async def record(self, regarding: Manifest, event: Event) -> None:
        await self._write(self._cluster.record(regarding, event))

    async def _write(self, write: Awaitable[T]) -> T:
        result = await write
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
