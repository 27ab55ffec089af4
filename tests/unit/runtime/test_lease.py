"""Leader election against a Lease in memory, with each replica's own clock."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from accord.ports.clock import SystemClock
from accord.ports.cluster import ClusterError
from accord.runtime.lease import LeaderElection, Timing, last_renewed

TIMING = Timing(duration=10, renew_deadline=7, retry=2)


class Leases:
    """One Lease with optimistic locking, and a wire that can be cut."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.cut = False
        self.hang = False
        self.hangs = asyncio.Event()

    async def _reach(self) -> None:
        if self.hang:
            self.hangs.set()
            await asyncio.Event().wait()
        if self.cut:
            raise ClusterError(0, "Unreachable", "cut")

    async def get(self) -> Any:
        await self._reach()
        return copy.deepcopy(self.lease)

    async def create(self, spec: Any, annotations: Any) -> Any:
        await self._reach()
        if self.lease is not None:
            raise ClusterError(409, "AlreadyExists", "")
        self.lease = {"metadata": {"resourceVersion": "1", "annotations": dict(annotations)}, "spec": dict(spec)}
        return copy.deepcopy(self.lease)

    async def update(self, lease: Any, spec: Any) -> Any:
        await self._reach()
        assert self.lease is not None
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ClusterError(409, "Conflict", "")
        version = str(int(self.lease["metadata"]["resourceVersion"]) + 1)
        self.lease = {"metadata": {**lease["metadata"], "resourceVersion": version}, "spec": dict(spec)}
        return copy.deepcopy(self.lease)


class Replica:
    """An election that is tried by hand."""

    def __init__(self, leases: Leases, name: str) -> None:
        self.now = 0.0
        self.heard: list[str | None] = []
        self.election = LeaderElection(
            leases, name, SystemClock(), TIMING, monotonic=lambda: self.now, on_reach=self.heard.append
        )

    async def try_(self) -> bool:
        await self.election._try()
        return self.election.is_leader


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def pair(leases: Leases) -> tuple[Replica, Replica]:
    return Replica(leases, "a_10.0.0.1"), Replica(leases, "b_10.0.0.2")


def pass_(seconds: float, *replicas: Replica) -> None:
    for replica in replicas:
        replica.now += seconds


async def test_the_first_leads_and_the_second_waits(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    assert await a.try_()
    for _ in range(20):
        pass_(2, a, b)
        assert await a.try_()
        assert not await b.try_()
    assert b.election.holder == "a_10.0.0.1"


async def test_a_dead_leader_is_replaced_when_its_lease_has_not_changed_for_its_duration(
    pair: tuple[Replica, Replica], leases: Leases
) -> None:
    a, b = pair
    await a.try_()
    await b.try_()
    pass_(9.9, b)
    assert not await b.try_()
    pass_(0.1, b)
    assert await b.try_()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_is_cut_off_stops_before_anybody_else_may_begin(
    pair: tuple[Replica, Replica], leases: Leases
) -> None:
    a, b = pair
    await a.try_()
    await b.try_()
    pass_(2, a, b)
    await a.try_()
    leases.cut = True
    for _ in range(3):
        pass_(2, a, b)
        await a.try_()
        assert a.election.is_leader
    pass_(1.01, a, b)
    assert not a.election.is_leader
    leases.cut = False
    assert not await b.try_()
    assert a.heard[-1] is not None


async def test_the_time_to_write_counts_from_the_request_not_from_the_answer(leases: Leases) -> None:
    a = Replica(leases, "a_1")
    slow = leases.create

    async def create(spec: Any, annotations: Any) -> Any:
        a.now += 5
        return await slow(spec, annotations)

    leases.create = create  # type: ignore[method-assign]
    assert await a.try_()
    assert a.election.remaining == pytest.approx(2)


async def test_two_that_want_a_free_lease_at_once_do_not_both_get_it(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    results = await asyncio.gather(a.try_(), b.try_())
    assert sorted(results) == [False, True]


async def test_a_released_lease_is_taken_at_once(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    await a.try_()
    await b.try_()
    await a.election.release()
    assert not a.election.is_leader
    assert not await a.try_()
    assert await b.try_()


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_try(
    pair: tuple[Replica, Replica], leases: Leases
) -> None:
    a, _ = pair
    await a.try_()
    assert leases.lease is not None
    leases.lease = {"metadata": {"resourceVersion": "99"}, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}}
    pass_(1, a)
    await a.try_()
    pass_(1, a)
    assert not await a.try_()


async def test_a_restarted_holder_takes_its_own_lease_back(leases: Leases) -> None:
    first = Replica(leases, "a_1")
    await first.try_()
    again = Replica(leases, "a_1")
    assert await again.try_()


async def test_a_hanging_api_server_does_not_keep_a_leader_in_office(leases: Leases) -> None:
    """The try ends by itself when leadership does."""
    now, timing = 0.0, Timing(duration=0.5, renew_deadline=0.3, retry=0.1)
    election = LeaderElection(leases, "a_1", SystemClock(), timing, monotonic=lambda: now)
    running = asyncio.create_task(election.run())
    async with asyncio.timeout(60):
        await election.changed.wait()
        assert election.is_leader
        election.changed.clear()
        leases.hang = True
        await leases.hangs.wait()
        now += timing.renew_deadline
        await election.changed.wait()
        assert not election.is_leader
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_standby_knows_the_key_of_its_leader_and_of_each_new_one(
    pair: tuple[Replica, Replica], leases: Leases
) -> None:
    a, b = pair
    assert b.election.key is None
    await a.try_()
    await b.try_()
    first = a.election.key
    assert first
    assert b.election.key == first
    pass_(20, b)
    assert await b.try_()
    assert b.election.key not in (None, first)
    await a.try_()
    pass_(20, a)
    assert not a.election.is_leader
    await a.try_()
    assert leases.lease is not None
    assert leases.lease["metadata"]["annotations"]["accord.dev/standby-key"] == a.election.key


def held(renewed: str, namespaces: str | None, key: str | None = "k") -> Any:
    annotations = {"accord.dev/standby-key": key, "accord.dev/namespaces": namespaces}
    return {
        "metadata": {"annotations": {name: value for name, value in annotations.items() if value is not None}},
        "spec": {"renewTime": renewed},
    }


@pytest.mark.parametrize(
    ("leases", "renewed"),
    [
        ([], None),
        ([{"metadata": {}, "spec": {"renewTime": "3"}}], None),
        ([held("3", "a,shop"), held("9", "a"), held("2", "shop")], "3"),
        ([held("3", "shop"), held("9", "*"), held("9", None)], "3"),
        ([held("3", "*"), held("4", None), held("9", "shops")], "4"),
        ([held("9", "*", key=None), {**held("9", "shop"), "spec": {}}], None),
    ],
)
def test_the_lease_that_speaks_for_a_namespace(leases: list[Any], renewed: str | None) -> None:
    assert last_renewed(leases, "shop") == renewed


async def test_a_lease_says_which_namespaces_its_holder_works_for(leases: Leases) -> None:
    for namespaces, told in ((["b", "a"], "b,a"), ([], "*")):
        leases.lease = None
        await LeaderElection(leases, "x_1", SystemClock(), TIMING, namespaces=namespaces)._try()
        assert leases.lease is not None
        assert leases.lease["metadata"]["annotations"]["accord.dev/namespaces"] == told
