"""Claims about the operator: the traffic does not need it, and one of its replicas is enough."""

from __future__ import annotations

import time

from demo.steps.cluster import wait_until
from demo.steps.outcome import Outcome, furthest, split_text
from demo.steps.world import World


def operator_down(world: World, seconds: float = 60) -> Outcome:
    """No operator for so long, under load; after that it takes orders again."""
    policy, operator, load = world.policy, world.operator, world.background
    target = policy.file_weights()
    before = load.fresh_tally()
    operator.stop()
    try:
        gone = load.fresh_tally()
        time.sleep(seconds)
        without = load.fresh_tally().since(gone)
    finally:
        up = operator.start()
    policy.set_weights({"fast": 20, "balanced": 20, "creative": 60})
    took = policy.wait_settled(60)
    policy.apply()
    policy.wait_settled(60)
    whole = load.fresh_tally().since(before)
    off = furthest(without.shares, target)
    # About 9,000 draws a minute: four standard deviations of the largest share are 2 points; more of fewer.
    allowed = 2.0 * max(1.0, (9_000 / max(without.answered, 1)) ** 0.5)
    return Outcome(
        f"{seconds:.0f} s without the operator lose no request, and the split stays",
        whole.failed == 0 and off <= allowed and without.answered > 0,
        f"{without.answered:,} requests without it, split {split_text(without.shares, target)}, {whole.failed} failed; "
        f"ready again after {up:.0f} s, the next change in force after {took:.1f} s",
        world.explain_failures(),
    )


def failover(world: World, within: float = 15) -> Outcome:
    """The leading pod is killed without a word; the other one takes over, `within` so many seconds."""
    operator, policy, load = world.operator, world.policy, world.background
    leader = operator.leader()
    pods = [pod["metadata"]["name"] for pod in operator.pods()]
    before, began = load.fresh_tally(), time.monotonic()
    world.cluster.request("DELETE", f"/api/v1/namespaces/{operator.namespace}/pods/{leader}", {"gracePeriodSeconds": 0})
    wait_until("another pod leads", lambda: operator.leader() not in ("", leader), 60, every=0.1)
    took = time.monotonic() - began
    policy.set_weights({"fast": 20, "balanced": 20, "creative": 60})
    settled = policy.wait_settled(30)
    world.cluster.wait_rolled_out(operator.name, operator.namespace)
    policy.apply()
    policy.wait_settled(30)
    whole = load.fresh_tally().since(before)
    return Outcome(
        f"of two replicas one leads; when it is killed the other takes over within {within:g} s",
        len(pods) == 2 and leader in pods and took <= within and whole.failed == 0,
        f"{len(pods)} replicas, {leader} led, {operator.leader()} took over after {took:.1f} s and put a change in "
        f"force in {settled:.1f} s, {whole.failed} of {whole.answered:,} requests failed",
        world.explain_failures(),
    )
