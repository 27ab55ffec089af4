"""Claims about what is put right, or held, when the cluster changes under the policy."""

from __future__ import annotations

import time

from demo.steps.cluster import wait_until
from demo.steps.outcome import Outcome
from demo.steps.world import World


def service_deleted(world: World, mode: str = "balanced", within: float = 1.0) -> Outcome:
    """Somebody deletes the Service of a mode. `within` so many seconds it has to be back."""
    name, load = world.policy.mode_service(mode), world.background
    old = (world.cluster.get("Service", name, world.namespace) or {})["metadata"]["uid"]
    before = load.fresh_tally()
    world.cluster.delete("Service", name, world.namespace)

    def back() -> bool:
        live = world.cluster.get("Service", name, world.namespace)
        return live is not None and live["metadata"]["uid"] != old

    took = wait_until(f"Service {name} is back", back, 20, world.policy.explain, every=0.02)
    check = load.fresh_tally()

    def answering() -> bool:
        return load.tally().since(check).modes.get(mode, 0) > 0

    wait_until(f"mode {mode} answers again", answering, 30, world.policy.explain)
    whole = load.fresh_tally().since(before)
    return Outcome(
        f"a deleted Service of a mode is back within {'a second' if within == 1 else f'{within:g} s'}, "
        "and no request notices",
        took <= within and whole.failed == 0,
        f"back after {took * 1000:.0f} ms, {whole.answered:,} requests meanwhile, {whole.failed} failed",
        world.explain_failures(),
    )


def rollout(world: World, mode: str = "fast") -> Outcome:
    """A mode's Deployment rolls out a new pod template under load."""
    deployment, load = world.policy.deployment_of(mode), world.background
    before, began = load.fresh_tally(), time.monotonic()
    stamp = {"spec": {"template": {"metadata": {"annotations": {"example/rolled-out-at": f"{time.time():.0f}"}}}}}
    world.cluster.patch("Deployment", deployment, world.namespace, stamp)
    world.cluster.wait_rolled_out(deployment, world.namespace)
    took = time.monotonic() - began
    labels = f"app.kubernetes.io/name=example,app.kubernetes.io/component={mode}"

    def old_pods_gone() -> bool:
        pods = world.cluster.find("Pod", world.namespace, labels)
        return all("deletionTimestamp" not in pod["metadata"] for pod in pods)

    wait_until(f"the old pods of {deployment} are gone", old_pods_gone, 60)
    whole = load.fresh_tally().since(before)
    return Outcome(
        "a rollout of a mode's Deployment loses no request",
        whole.failed == 0 and whole.modes.get(mode, 0) > 0,
        f"rolled out in {took:.0f} s, {whole.answered:,} requests, {whole.failed} failed",
        world.explain_failures(),
    )


def mode_without_pods(world: World, mode: str = "creative") -> Outcome:
    """A mode is scaled to zero: the others take its requests, the policy says so, and it comes back."""
    policy, load = world.policy, world.background
    deployment = policy.deployment_of(mode)
    fallback = next(iter(policy.file_weights()))
    before = load.fresh_tally()
    world.cluster.scale(deployment, world.namespace, 0)
    try:
        told = policy.wait_condition("ModesAvailable", "False", 30)
        said = policy.explain()
        labels = f"app.kubernetes.io/name=example,app.kubernetes.io/component={mode}"
        wait_until(
            f"the pods of {deployment} are gone",
            lambda: not world.cluster.find("Pod", world.namespace, labels),
            60,
        )
        empty = load.fresh_tally()
        without = load.await_answers(empty, 600)
    finally:
        world.cluster.scale(deployment, world.namespace, 1)
    world.cluster.wait_rolled_out(deployment, world.namespace)
    back = policy.wait_settled(30)
    check = load.fresh_tally()

    def answering() -> bool:
        return load.tally().since(check).modes.get(mode, 0) > 0

    wait_until(f"mode {mode} answers again", answering, 30, policy.explain)
    whole = load.fresh_tally().since(before)
    weights = policy.file_weights()
    expected = weights[fallback] + weights[mode]
    share = without.shares.get(fallback, 0)
    return Outcome(
        f"a mode without pods falls back to {fallback}, and no request fails",
        whole.failed == 0 and mode not in without.modes and abs(share - expected) <= 8 and mode in said,
        f"ModesAvailable=False after {told:.1f} s, {fallback} took {share:.0f} % instead of {weights[fallback]} %, "
        f"{whole.answered:,} requests, {whole.failed} failed; Ready {back:.1f} s after the pod was",
        f"{world.explain_failures()} {said} {without.shares}",
    )
