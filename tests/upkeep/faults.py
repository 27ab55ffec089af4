"""Things that go wrong in a cluster, for as long as a block runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from demo.steps.experiments.downshift import BREAKER, MODE, tell_model
from tests.upkeep.desk import Desk

BROKEN = "broken"
"""Name of a run that cannot train."""


@contextmanager
def no_pods(desk: Desk) -> Iterator[None]:
    """A mode is scaled to nothing."""
    world = desk.world
    deployment = world.policy.deployment_of(MODE)
    world.cluster.scale(deployment, world.namespace, 0)
    yield
    world.cluster.scale(deployment, world.namespace, 1)
    world.cluster.wait_rolled_out(deployment, world.namespace)


@contextmanager
def failing_model(desk: Desk) -> Iterator[None]:
    """A mode with a circuit breaker asks a model that fails."""
    policy = desk.world.policy
    policy.set_spec(circuitBreaker=BREAKER)
    policy.wait_condition("CircuitsClosed", "True", 60)
    tell_model(desk.world, "mode=503&for=3600")
    with desk.world.load("--users=60", "--rate=10", "--prompts=1000000"):  # what is cached a mode need not ask
        yield
        tell_model(desk.world, "mode=off")
        policy.wait_condition("CircuitsClosed", "True", 240)
    policy.reset()
    policy.wait_settled(90)


@contextmanager
def failing_run(desk: Desk) -> Iterator[None]:
    """A second run, whose trainer ends at once each time."""
    training = desk.world.checkpoints.training
    template = copy.deepcopy(training.spec["template"])
    template["spec"]["containers"][0]["command"] = ["false"]
    run = training.changed(BROKEN, template=template, backoffLimit=0)
    run.apply()
    yield
    run.delete()


@contextmanager
def no_operator(desk: Desk) -> Iterator[None]:
    """Nobody writes statuses."""
    desk.world.operator.stop()
    yield
    desk.world.operator.start()


@contextmanager
def no_prometheus(desk: Desk) -> Iterator[None]:
    """Neither the operator nor the reader reaches it."""
    desk.world.cluster.scale("prometheus", desk.world.namespace, 0)
    desk.close()
    yield
