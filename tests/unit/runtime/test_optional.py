"""Kinds that not every cluster has."""

from __future__ import annotations

from typing import Any

from accord.adapters.kubernetes.resources import DEPLOYMENTS, SNAPSHOTS
from accord.ports.cluster import ClusterError
from accord.runtime.optional import Served


class Discovery:
    """An API server's answers to what it serves."""

    def __init__(self) -> None:
        self.answer: Any = ClusterError(404, "NotFound", "")
        self.changes = 0
        self.served = Served(self, (DEPLOYMENTS,), (SNAPSHOTS,), self.changed)  # type: ignore[arg-type]

    def changed(self) -> None:
        self.changes += 1

    async def request(self, *_: Any) -> Any:
        if isinstance(self.answer, ClusterError):
            raise self.answer
        return self.answer


async def test_it_comes_and_goes() -> None:
    discovery = Discovery()
    served = discovery.served
    assert await served.ask()
    assert (served.resources, served.knows(SNAPSHOTS)) == ((DEPLOYMENTS,), False)
    assert not await served.ask()
    discovery.answer = {"resources": [{"name": "volumesnapshotclasses"}]}
    assert not await served.ask(), "another version of the group, without this kind"
    discovery.answer = {"resources": [{"name": "volumesnapshots"}]}
    assert await served.ask()
    assert (served.resources, served.knows(SNAPSHOTS)) == ((DEPLOYMENTS, SNAPSHOTS), True)
    discovery.answer = ClusterError(404, "NotFound", "")
    assert await served.ask()
    assert not served.knows(SNAPSHOTS)
    assert discovery.changes == 3


async def test_no_answer_is_no_news() -> None:
    discovery = Discovery()
    discovery.answer = ClusterError(0, "Unreachable", "")
    assert not await discovery.served.ask()
    assert discovery.changes == 0, "nothing is known yet"
    discovery.answer = {"resources": [{"name": "volumesnapshots"}]}
    await discovery.served.refresh()
    discovery.answer = ClusterError(503, "Unavailable", "")
    assert not await discovery.served.ask()
    assert discovery.served.knows(SNAPSHOTS)
