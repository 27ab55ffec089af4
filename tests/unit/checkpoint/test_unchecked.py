"""A training that goes on and cannot be checked: nothing of it is protected, so the policy is not Ready."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY, RUN, World

from accord.domain.checkpoint.detection import live
from accord.domain.samples import Answer

# What a check says without a sample: outcome and reason.
NOTHING = {
    "NoMetrics": "Inconclusive",
    "Stale": "Inconclusive",
    "QueryFailed": "QueryFailed",
}


def see(world: World, reason: str, **fields: Any) -> None:
    outcome = "QueryFailed" if reason == "NoEndpoint" else NOTHING[reason]
    world.check(outcome, **{"reason": reason, "step": None, "message": "words", **fields})
    world.settle()


@pytest.mark.parametrize("reason", sorted(NOTHING))
@pytest.mark.parametrize("serving", [{}, None], ids=["serving", "watching"])
def test_what_is_missing_for_three_minutes_is_said(reason: str, serving: Any) -> None:
    world = World(serving=serving)
    see(world, reason)
    assert world.condition("Ready")[0] == "True"
    due = world.pass_().requeue_after
    assert due is not None
    assert due <= 180
    world.advance(181, checked=True)
    assert (world.condition("Ready"), world.condition("Stalled")) == (("False", reason), ("True", reason))
    assert world.message("Ready") == "the training cannot be checked, so its checkpoints are not protected: words"
    assert [event.reason for event in world.events].count(reason) == 1
    # It stays said, whatever the words, and before the first check of another leader.
    see(world, reason, message="other words")
    world.advance(400, checked=True)
    assert world.condition("Ready") == ("False", reason)
    world.book.clear()
    world.start()
    world.settle()
    assert world.condition("Ready") == ("False", reason)
    world.check("Pass", reason="Healthy", step=100)
    world.settle()
    assert world.condition("Ready")[0] == "True"


def test_an_endpoint_that_does_not_exist_is_said_at_once() -> None:
    world = World()
    see(world, "NoEndpoint")
    assert world.condition("Ready") == ("False", "NoEndpoint")
    assert world.condition("Healthy") == ("Unknown", "NoEndpoint")


def test_an_endpoint_that_does_not_exist_lets_nothing_be_promoted_as_an_outage_does() -> None:
    world = World()
    world.save(500)
    world.bad_snapshots[1000] = None
    world.save(1000)
    see(world, "NoEndpoint")
    world.bad_snapshots.clear()
    world.settle()
    for _ in range(2):
        assert (world.serves[1], world.condition("Promoted")) == ("500", ("False", "NoEndpoint"))
        # An operator that was started anew has not asked yet.
        world.book.clear()
        world.start()
        world.advance(600)


def test_where_nothing_is_looked_for_nothing_is_missed() -> None:
    nothing = {"lossSpike": {"enabled": False}, "rewardDrop": {"enabled": False}, "nanPolicy": "Ignore"}
    world = World(detection=nothing)
    see(world, "NoMetrics")
    world.advance(600, checked=True)
    assert world.condition("Ready")[0] == "True"


def test_an_outage_after_something_was_judged_takes_nothing_back() -> None:
    world = World()
    world.check("Inconclusive", reason="InsufficientData", step=100)
    world.settle()
    for _ in range(3):
        see(world, "QueryFailed")
        world.advance(400, checked=True)
        assert world.condition("Ready")[0] == "True"


@pytest.mark.parametrize("phase", ["Pending", "Suspended", "Succeeded"])
def test_of_a_run_that_does_not_train_nothing_is_missed(phase: str) -> None:
    world = World()
    run = world.objects[RUN]
    world.put(RUN, {**run, "status": {**run["status"], "phase": phase}})
    see(world, "NoMetrics")
    world.advance(600, checked=True)
    assert world.condition("Ready")[0] == "True"


def test_a_run_that_has_waited_long_for_its_pod_is_given_its_time() -> None:
    world = World()
    run = world.objects[RUN]
    world.put(RUN, {**run, "status": {**run["status"], "phase": "Pending"}})
    see(world, "NoMetrics")
    world.advance(600, checked=True)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": world.now_.strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.put(RUN, {**run, "status": {**run["status"], "conditions": [ready]}})
    world.settle()
    assert world.condition("Ready")[0] == "True"
    world.advance(181, checked=True)
    assert world.condition("Ready") == ("False", "NoMetrics")


def test_a_training_that_is_no_run_and_was_seen_may_be_over() -> None:
    source = {"claimName": "r-checkpoints", "selector": {"job": "x"}}
    world = World(source=source)
    see(world, "NoMetrics", attempt=None)
    world.advance(181, checked=True)
    assert world.condition("Ready") == ("False", "NoMetrics"), "of this one nothing was ever seen"
    world.check("Inconclusive", reason="InsufficientData", step=100, attempt=None)
    world.settle()
    see(world, "NoMetrics", attempt=None)
    world.advance(600, checked=True)
    assert world.condition("Ready")[0] == "True"


def test_a_missing_endpoint_is_told_from_an_outage() -> None:
    world = World()
    subject = world.kind.read(POLICY)
    assert subject is not None
    for failure, reason in (("UnknownEndpoint", "NoEndpoint"), ("Unreachable", "QueryFailed")):
        reading = live.interpret(subject, Answer(failure=failure, message="words"), world.now_)  # type: ignore[arg-type]
        assert (reading.outcome, reading.reason, reading.message) == ("QueryFailed", reason, "words")
