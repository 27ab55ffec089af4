"""A CheckpointPolicy on a whole cluster: real snapshots, real pods that serve them, and a policy that really breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from demo.steps import experiments
from demo.steps.cluster import condition, wait_until
from demo.steps.world import World


@pytest.fixture
def learning(world: World) -> Iterator[World]:
    """Nothing is left of what learnt before, and nothing afterwards."""
    world.checkpoints.reset()
    yield world
    world.checkpoints.reset()


def test_a_policy_that_breaks_is_taken_back_and_trained_to_its_end(learning: World) -> None:
    # A run trains, its checkpoints become snapshots, and the newest is served
    outcome = experiments.checkpoints_served(learning)
    assert outcome.holds, outcome.sentence
    # It breaks: serving and training go back to a checkpoint from before
    outcome = experiments.fault_rolled_back(learning)
    assert outcome.holds, outcome.sentence
    # And it trains to its end
    outcome = experiments.run_finishes(learning)
    assert outcome.holds, outcome.sentence

    # What is served stays when the policy goes, and a policy that is made anew takes it up without a rollout
    policy, served = learning.checkpoints, learning.checkpoints.answered_step()
    before = learning.cluster.get("Deployment", policy.deployment, learning.namespace) or {}
    policy.delete()
    policy.start()
    wait_until("the policy is ready again", lambda: condition(policy.live(), "Ready").get("status") == "True", 60)
    after = learning.cluster.get("Deployment", policy.deployment, learning.namespace) or {}
    assert policy.answered_step() == served
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert [record["phase"] for record in policy.status().get("history", [])] in ([], ["Done"])
