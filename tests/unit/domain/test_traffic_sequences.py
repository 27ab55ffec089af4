"""Edits in any order, answers at any time, and an operator that is killed: what must hold all the while, and after."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.domain.builders import ISTIO
from tests.unit.domain.world import World

from accord.domain.traffic.decide import decide
from accord.domain.traffic.names import MODE_LABEL

START = {"fast": 60, "balanced": 30, "creative": 10}
NAMES = ("fast", "balanced", "creative", "bold", "calm")


@functools.cache
def _running() -> World:
    world = World(START)
    world.settle()
    world.events.clear()
    world.status_writes = 0
    return world


def started() -> World:
    """A world at rest, with the policy routed by two proxies."""
    return copy.deepcopy(_running())


def check_invariants(world: World) -> None:
    """No proxy routes to a mode whose pods it does not know, or whose Service is gone; shares always sum to 100."""
    for proxy in world.proxies:
        if proxy.runs is None:
            continue
        assert proxy.runs.weights.keys() <= proxy.knows.keys()
        assert sum(proxy.runs.weights.values()) == pytest.approx(100)
    if world.status():
        assert sum(world.status().values()) == pytest.approx(100)
        assert len(world.status()) <= 32


def check_at_rest(world: World) -> None:
    """The world is as the spec says, and a pass over it does nothing."""
    plan = world.decide()
    assert (plan.apply, plan.delete, plan.events) == ((), (), ())
    assert plan.status == world.policy["status"]
    spec = world.policy["spec"]
    if spec.get("suspend") or spec.get("router"):
        return
    wanted = {mode["name"]: float(mode["weight"]) for mode in spec["modes"]}
    assert world.status() == wanted
    assert world.services() == wanted.keys()
    for proxy in world.proxies:
        assert proxy.runs is not None
        assert proxy.runs.weights == {name: weight for name, weight in wanted.items() if weight}
        assert proxy.knows.keys() == wanted.keys()


def test_one_change_of_weights_is_one_change_of_the_status() -> None:
    world = started()
    world.edit({"fast": 50, "balanced": 40, "creative": 10})
    waiting = world.step()
    assert waiting.status is None
    assert waiting.requeue_after == pytest.approx(2)
    world.answer("p0")
    assert world.step().status is None
    world.answer()
    world.step()
    assert (world.status_writes, [event.reason for event in world.events]) == (1, ["RoutingChanged"])
    check_at_rest(world)


def test_silent_proxies_are_reported_after_two_seconds() -> None:
    world = started()
    world.edit({"fast": 50, "balanced": 40, "creative": 10})
    world.step()
    world.wait(2)
    world.step()
    programmed = next(c for c in world.policy["status"]["conditions"] if c["type"] == "Programmed")
    assert (programmed["status"], programmed["reason"]) == ("False", "Pending")
    assert world.policy["status"]["target"] == "50/40/10"


def test_a_new_mode_is_routed_to_only_when_it_is_warm() -> None:
    world = started()
    world.edit({"fast": 50, "balanced": 30, "creative": 10, "bold": 10})
    world.step()
    assert "bold" in world.services()
    assert world.offered is not None
    assert "bold" in world.offered.clusters
    assert world.offered.weights == START
    world.answer()
    world.wait(1)
    assert world.step().status is None
    world.wait(1)
    turn = world.step()
    assert [event.reason for event in turn.events] == ["RoutingChanged"]
    assert world.offered.weights == {"fast": 50, "balanced": 30, "creative": 10, "bold": 10}
    assert world.policy["status"]["observedGeneration"] == 1, "what is said of the spec waits for the proxies"
    world.answer()
    world.step()
    assert world.policy["status"]["observedGeneration"] == 2
    assert world.status_writes == 2
    check_at_rest(world)


def test_a_mode_that_does_not_get_warm_is_told_and_the_split_stays() -> None:
    world = started()
    world.edit({"fast": 50, "balanced": 30, "creative": 10, "bold": 10})
    world.step()
    world.answer("p0")
    world.wait(5)
    world.step()
    programmed = next(c for c in world.policy["status"]["conditions"] if c["type"] == "Programmed")
    assert programmed["reason"] == "WarmingUp"
    assert "mode bold gets its first requests when" in programmed["message"]
    assert "the split is fast 60%, balanced 30%, creative 10%" in programmed["message"]
    assert world.status() == START


def test_a_removed_mode_keeps_its_service_until_no_proxy_routes_to_it() -> None:
    world = started()
    world.edit({"fast": 70, "balanced": 30})
    world.answer("p0")
    world.wait(3)
    world.step()
    assert world.status() == {"fast": 70, "balanced": 30, "creative": 0}
    assert world.policy["status"]["target"] == "70/30"
    assert "creative" in world.services()
    world.answer()
    world.step()
    assert world.status() == {"fast": 70, "balanced": 30}
    world.step()
    assert world.services() == {"fast", "balanced"}
    world.answer()
    check_at_rest(world)


def test_a_rename_moves_the_share_without_a_gap() -> None:
    world = started()
    world.edit({"fast": 60, "balanced": 30, "bold": 10})
    seen = []
    for _ in range(12):
        world.step()
        world.step()
        for proxy in world.proxies:
            assert proxy.runs is not None
            assert proxy.runs.weights.keys() <= world.services()
        world.answer()
        world.wait(1)
        weights = world.offered.weights if world.offered else {}
        if not seen or seen[-1] != weights:
            seen.append(weights)
        assert weights.keys() <= world.services()
    assert seen == [START, {"fast": 60, "balanced": 30, "bold": 10}]
    check_at_rest(world)


def test_suspend_freezes_everything_about_routing_also_the_strategy() -> None:
    world = started()
    before = world.offered
    world.edit({"fast": 10, "bold": 90}, suspend=True, strategy="RoundRobin", stickySession={"enabled": False})
    world.settle()
    assert world.offered == before
    assert world.services() == START.keys()
    world.edit(suspend=False)
    world.settle()
    assert world.offered is not None
    assert (world.offered.strategy, world.offered.sticky) == ("RoundRobin", None)
    check_at_rest(world)


def test_without_a_ready_proxy_nothing_waits() -> None:
    world = started()
    for proxy in world.proxies:
        proxy.ready = False
    world.edit({"bold": 100})
    world.step()
    world.step()
    assert world.status() == {"bold": 100}


def test_renames_faster_than_a_stuck_proxy_do_not_outgrow_the_status() -> None:
    world = started()
    for index in range(60):
        world.edit({f"mode-{index}-{part}": 25 for part in "abcd"})
        world.step()
        for proxy in world.proxies:
            proxy.take(world.offered, world.now)
            proxy.runs = None if proxy.name == "p1" else proxy.runs
        world.wait(3)
        world.step()
        check_invariants(world)
    assert len(world.status()) == 31
    world.settle()
    check_at_rest(world)


def test_routes_wait_for_the_endpoints_of_ready_pods_but_not_for_ever() -> None:
    world = started()
    world.edit({"fast": 90, "bold": 10})

    def step_without_slices() -> bool:
        world.publish()
        facts = world.gather()
        facts = replace(facts, endpoints={**facts.endpoints, "bold": ()})
        plan = decide(facts, world.now)
        return plan.status is not None and "bold" in {mode["name"] for mode in plan.status["modes"]}

    world.answer()
    world.wait(9)
    assert not step_without_slices()
    world.wait(1)
    assert step_without_slices()


@st.composite
def shares(draw: st.DrawFn) -> dict[str, int]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.sampled_from(range(0, 101, 10)), min_size=len(names) - 1, max_size=len(names) - 1)))
    return dict(zip(names, (b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)), strict=True))


STEPS = st.one_of(
    st.tuples(st.just("edit"), shares()),
    st.tuples(st.just("turn"), shares()),
    st.tuples(st.just("pass"), st.sampled_from((None, None, 0, 1, 2, 3))),
    st.tuples(st.just("answer"), st.sampled_from((("p0",), ("p1",), ("p0", "p1")))),
    st.tuples(st.just("wait"), st.sampled_from((0.1, 2.0, 6.0))),
    st.tuples(
        st.just("accident"),
        st.one_of(
            st.tuples(st.just("suspend"), st.booleans()),
            st.tuples(st.just("refuse"), st.booleans()),
            st.tuples(st.just("scale"), st.tuples(st.sampled_from(NAMES), st.integers(0, 2))),
            st.tuples(st.just("ready"), st.tuples(st.integers(0, 1), st.booleans())),
            st.tuples(st.just("restart"), st.integers(0, 1)),
            st.tuples(st.just("vandal"), st.integers(0, 5)),
        ),
    ),
)
"""`turn` is the beginning of a common story: an edit, whose first half the proxies have already answered."""


def perform(world: World, step: tuple[str, object]) -> None:  # noqa: C901 - a table
    match step:
        case "edit", dict(new):
            world.edit(new)
        case "turn", dict(new):
            world.edit(new)
            world.step()
            world.answer()
            world.wait(3)
        case "accident", tuple(what):
            perform(world, what)
        case "suspend", bool(on):
            world.edit(suspend=on)
        case "refuse", bool(on):
            world.edit(router=ISTIO if on else {})
        case "pass", writes:
            world.step(writes)  # type: ignore[arg-type]
        case "answer", tuple(names):
            world.answer(*names)
        case "wait", float(seconds):
            world.wait(seconds)
        case "scale", (str(name), int(count)):
            world.scaled[name] = count
        case "ready", (int(index), bool(is_ready)):
            world.proxies[index].ready = is_ready
        case "restart", int(index):
            world.proxies[index] = type(world.proxies[index])(f"p{index}", ready=False)
        case "vandal", int(index):
            keys = sorted(world.children)
            if keys:
                child = world.children.pop(keys[index % len(keys)])
                world.vandalised.add(child["metadata"]["labels"].get(MODE_LABEL, ""))


@settings(max_examples=50)
@given(st.lists(STEPS, max_size=12))
def test_whatever_happens_promises_hold_and_the_world_comes_to_rest(steps: list[tuple[str, object]]) -> None:
    world = started()
    for step in steps:
        perform(world, step)
        check_invariants(world)
        if step[0] in {"pass", "edit"}:
            # A mode that a ready proxy sends requests to has its Service, unless somebody else took it away.
            for proxy in world.proxies:
                if proxy.ready and proxy.runs is not None:
                    assert proxy.runs.weights.keys() <= world.services() | world.vandalised
    world.settle()
    check_at_rest(world)
