"""Killed before or after any write, a policy comes to the same end, with each object made and deleted once."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY, RUN, Killed, World

Scenario = Callable[[], World]
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def promotion() -> World:
    world = World()
    world.save(500, 1000)
    world.check(saved=(500, 1000, 1500))
    return world


def rollback() -> World:
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.fail(1600)
    return world


def rollback_by_a_person() -> World:
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.edit(rollbackTo=1000)
    return world


def rollback_in_the_middle_of_a_promotion() -> World:
    world = World()
    world.save(500, 1000, 1500)
    world.check(saved=(500, 1000, 1500, 2000))
    for _ in range(4):
        world.pass_()
        world.controllers()
    assert "switch" in world.status
    world.fail(1600)
    return world


def rollback_to_a_checkpoint_that_crashes() -> World:
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.crashing.add(1500)
    world.fail(1600)
    return world


def promotion_of_a_checkpoint_that_crashes() -> World:
    world = World()
    world.save(500, 1000)
    world.crashing.add(1500)
    world.check(saved=(500, 1000, 1500))
    return world


def rollback_to_a_checkpoint_whose_pods_are_not_ready() -> World:
    """It is put back, tried again, put back, quarantined, and an older one is served."""
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.unready.add(1500)
    world.fail(1600)
    return world


def rollback_without_a_volume() -> World:
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.waiting = {"reason": "ContainerCreating"}
    world.replaces = True
    world.fail(1600)
    return world


def promotion_without_room() -> World:
    world = World()
    world.save(500, 1000)
    world.no_room = "0/1 nodes are available"
    world.check(saved=(500, 1000, 1500))
    return world


def end_state(world: World) -> dict[str, Any]:
    """Everything in the cluster, without times, uids and versions."""
    state = {}
    for key, manifest in world.objects.items():
        meta = {name: manifest["metadata"].get(name) for name in ("labels", "annotations")}
        status = manifest.get("status")
        if key == POLICY:
            status = copy.deepcopy(status)
            del status["conditions"]
        if key.kind == "Deployment":
            # What is tried again is tried more often the longer an operator was away.
            status = {name: value for name, value in (status or {}).items() if name != "observedGeneration"}
        state[str(key)] = _TIMES.sub("TIME", repr((meta, manifest.get("spec"), status)))
    state["conditions"] = repr({c["type"]: (c["status"], c["reason"]) for c in world.status["conditions"]})
    return state


def made(world: World) -> Counter[str]:
    """Objects that came and went by the operator's hand."""
    return Counter(world.came_and_went)


def finish(world: World) -> None:
    world.settle()
    # Deadlines of rollouts end in between, and tries begin anew.
    for _ in range(3):
        world.advance(100)
    world.no_room, world.waiting = "", {}
    for _ in range(3):
        world.advance(100)


SCENARIOS = [
    promotion,
    rollback,
    rollback_by_a_person,
    rollback_in_the_middle_of_a_promotion,
    rollback_to_a_checkpoint_that_crashes,
    promotion_of_a_checkpoint_that_crashes,
    rollback_to_a_checkpoint_whose_pods_are_not_ready,
    rollback_without_a_volume,
    promotion_without_room,
]


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_killed_at_any_write_it_ends_the_same(scenario: Scenario, before: bool) -> None:
    began = scenario()
    reference, begun = began.fork(), len(began.writes)
    finish(reference)
    want, writes = end_state(reference), len(reference.writes) - begun
    assert writes > 5
    for number in range(1, writes + 1):
        world = began.fork()
        world.kill_at, world.kill_before = begun + number, before
        with pytest.raises(Killed):
            finish(world)
        world.start()
        finish(world)
        assert end_state(world) == want, f"killed at write {number}: {world.writes[begun:]}"
        assert made(world) == made(reference), f"killed at write {number}: {world.writes[begun:]}"


def test_killed_at_every_write_in_turn() -> None:
    """An operator that never gets further than one write."""
    reference = rollback()
    finish(reference)
    world = rollback()
    for _ in range(200):
        world.kill_at, world.kill_before = len(world.writes) + 1, False
        try:
            world.settle()
        except Killed:
            world.start()
            world.controllers()
            continue
        break
    world.advance(200)
    assert end_state(world) == end_state(reference)
    assert made(world) == made(reference)


def test_a_policy_that_is_made_anew_in_the_middle_of_a_rollback_carries_it_on() -> None:
    began = rollback()
    reference, begun = began.fork(), len(began.writes)
    finish(reference)
    for number in range(1, len(reference.writes) - begun + 1):
        world = began.fork()
        world.kill_at = begun + number
        with pytest.raises(Killed):
            finish(world)
        world.delete_object(POLICY)
        world.create_policy()
        world.start()
        world.fail(1600, attempt=1)
        finish(world)
        assert world.serves == reference.serves
        assert world.quarantined() == reference.quarantined()
        assert world.names("VolumeSnapshot") == reference.names("VolumeSnapshot")
        marks = [each.objects[RUN]["metadata"]["annotations"] for each in (world, reference)]
        assert marks[0] == marks[1]
        assert world.objects[RUN]["status"]["attempt"] == 2, "the training is restarted once"


def test_a_status_that_is_older_than_the_object_is_not_acted_upon() -> None:
    """A new leader whose watch lags: it must not point the Deployment to where it was to be a while ago."""
    world = rollback()
    stale = world.objects[POLICY]
    finish(world)
    live, writes = world.objects[POLICY], len(world.writes)
    world.objects[POLICY] = stale
    world.start()
    world.objects[POLICY] = live
    world.pass_()
    assert world.writes[writes:] == []
    world.settle()
    assert world.status == live["status"]
