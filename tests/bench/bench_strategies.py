"""What each router does with each strategy: measured on it, or refused by condition `Accepted`.

    python tests/bench/bench_strategies.py [router …]

The routers of bench_routers.py. Each strategy, with sticky sessions and without, is measured in the eight combinations
of a circuit that is open, a mode without pods, and a mode of weight 0. In each, of 2,000 requests of new users the
shares must be those that the rules give (chi-square, once in a million by chance; a cycle within 0.3 points), and users
with a cookie or a wish must get what the rules say. Prints a row for each strategy, in Markdown: in how many
combinations all of it was so, and the largest deviation of a share in points.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[2])]

from devcluster.controlplane import ControlPlane  # noqa: E402
from tests.apiserver.kinds import install_kinds  # noqa: E402
from tests.bench.bench_routers import ROUTERS, Making  # noqa: E402
from tests.envoy.load import send, shares  # noqa: E402
from tests.gateways.failing import Failing, breaker  # noqa: E402
from tests.gateways.judging import LIKELY, chi_square  # noqa: E402
from tests.gateways.rig import SPLIT, World  # noqa: E402
from tests.prometheus.rig import prometheus  # noqa: E402

STRATEGIES = ("WeightedRandom", "RoundRobin", "UserPreference")
REQUESTS = 2000
TRIES = 100
"""How often the requests are sent until a gateway has taken up what the cluster says."""
_EXACT = 0.3


class Case(NamedTuple):
    """One combination."""

    downshift: bool
    empty: bool
    """Whether mode balanced has no pods."""
    zero: bool
    """Whether mode creative has weight 0."""

    @property
    def weights(self) -> dict[str, int]:
        """Of the spec."""
        return {"fast": 70, "balanced": 30, "creative": 0} if self.zero else dict(SPLIT)

    @property
    def expected(self) -> dict[str, int]:
        """Shares of new users, by the rules: the circuit's share goes to balanced, an absent mode's to the fallback."""
        found = self.weights
        if self.downshift:
            found["balanced"] += found["creative"]
            found["creative"] = 0
        if self.empty:
            found["fast"] += found["balanced"]
            found["balanced"] = 0
        return {mode: share for mode, share in found.items() if share}

    def answering(self, mode: str) -> set[str]:
        """Who may answer a user who belongs to that mode."""
        if mode == "balanced" and self.empty:
            return {"fast"}
        return {mode} if mode in self.expected else set(self.expected)


CASES = [Case(*each) for each in itertools.product((False, True), repeat=3)]


class Row(NamedTuple):
    """A strategy on a router."""

    refused: str = ""
    """The message of `Accepted`, where it is."""
    deviations: tuple[float, ...] = ()
    failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.refused:
            return "refused"
        told = f"{len(self.deviations)} of {len(CASES)}, at most {max(self.deviations, default=0.0):.1f} points off"
        return "; ".join((told, *self.failed))


async def until_generation(world: World) -> None:
    """Until the status is of the spec as it is."""

    def settled() -> bool:
        live = world.policy()
        conditions = {each["type"]: each for each in live.get("status", {}).get("conditions", ())}
        generation = live["metadata"]["generation"]
        return bool(conditions["Accepted"]["observedGeneration"] == generation) and bool(
            conditions["Ready"]["observedGeneration"] == generation
        )

    await world.until(settled, "the status is not of this spec")


def as_expected(split: Mapping[str, float], case: Case, *, exact: bool) -> bool:
    """Whether the shares of `REQUESTS` are those of the case, but for chance."""
    if split.keys() != case.expected.keys():
        return False
    if exact:
        return max(abs(split[mode] - share) for mode, share in case.expected.items()) <= _EXACT
    return chi_square(split, case.expected, REQUESTS) < LIKELY


async def fresh(world: World, case: Case, *, exact: bool) -> float:
    """Largest deviation of a share in points, once the shares are the expected ones. Raises AssertionError."""
    split: dict[str, float] = {}
    taken_up = False
    for _ in range(TRIES):
        replies = await send(world.port, REQUESTS)
        split = shares(replies)
        worst = max(abs(split.get(mode, 0.0) - share) for mode, share in case.expected.items())
        if {reply.status for reply in replies} != {200} or not as_expected(split, case, exact=exact):
            taken_up = False
        elif taken_up:
            return worst
        else:
            # Some of these requests may have been the last before the change.
            taken_up = True
    raise AssertionError(f"shares are {split}, not {case.expected}")


async def known(world: World, case: Case, *, sticky: bool, wish: bool) -> None:
    """Users with a cookie or a wish get what the rules say. Raises AssertionError."""
    for mode in SPLIT:
        allowed = case.answering(mode)
        asked = {
            "cookie": ({"cookie": f"accord-mode={mode}"}, sticky),
            "wish": ({"x_accord_mode": mode}, wish),
        }
        for what, (headers, counts) in asked.items():
            replies = await send(world.port, 200, **headers)
            got = {reply.body for reply in replies}
            wanted = allowed if counts else set(case.expected)
            assert {reply.status for reply in replies} == {200}, f"a request of {what} {mode} failed"
            assert got <= wanted, f"{what} {mode} is answered by {got - wanted}"


async def row(world: World, strategy: str, *, sticky: bool, service: Failing) -> Row:
    """Measure one strategy."""
    deviations: list[float] = []
    failed: list[str] = []
    for case in CASES:
        service.failures = 5 if case.downshift else 0
        await world.list_pod("balanced", ready=not case.empty)
        modes = [{**mode, "weight": case.weights[mode["name"]]} for mode in world.policy()["spec"]["modes"]]
        spec: Mapping[str, Any] = {
            "strategy": strategy,
            "modes": modes,
            "stickySession": {"enabled": sticky},
            "circuitBreaker": breaker("1h") if case.downshift else None,
        }
        await world.call(world.namespace.patch, "trafficpolicies", "shop", {"spec": spec})
        await until_generation(world)
        accepted = world.condition("Accepted")
        if accepted[0] != "True":
            return Row(refused=accepted[2])
        try:
            worst = await fresh(world, case, exact=strategy == "RoundRobin")
            await known(world, case, sticky=sticky, wish=strategy == "UserPreference")
            deviations.append(worst)
        except AssertionError as error:
            failed.append(f"{case}: {error}")
    return Row(deviations=tuple(deviations), failed=tuple(failed))


async def measure(making: Making) -> dict[tuple[str, bool], Row]:
    """By strategy, and whether sessions are sticky."""
    plane = await asyncio.to_thread(ControlPlane().start)
    service = Failing()
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            prometheus(Path(directory) / "prometheus", service) as store,
        ):
            async with making(plane, install_kinds(plane), Path(directory)) as made:
                made.prometheus = store.url
                await made.start(monitoring={"interval": "1s"})
                found = {}
                for strategy, sticky in itertools.product(STRATEGIES, (True, False)):
                    found[strategy, sticky] = await row(made, strategy, sticky=sticky, service=service)
                    print(strategy, sticky, found[strategy, sticky], file=sys.stderr, flush=True)
                return found
    finally:
        plane.stop()


def main() -> None:
    """Print the table."""
    chosen = sys.argv[1:] or list(ROUTERS)
    found = {name: asyncio.run(measure(ROUTERS[name])) for name in chosen}
    print(f"| strategy | sticky | {' | '.join(chosen)} |")
    print("| --- | --- |" + " --- |" * len(chosen))
    for strategy, sticky in itertools.product(STRATEGIES, (True, False)):
        cells = " | ".join(str(found[name][strategy, sticky]) for name in chosen)
        print(f"| `{strategy}` | {'yes' if sticky else 'no'} | {cells} |")


if __name__ == "__main__":
    main()
