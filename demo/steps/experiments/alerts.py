"""Claims about what is measured: alerts that begin and end, and a Prometheus that is down."""

from __future__ import annotations

from demo.steps.cluster import condition, wait_until
from demo.steps.outcome import Outcome, furthest, split_text
from demo.steps.world import World


def measured_on_target(world: World, seconds: float = 60) -> Outcome:
    """What Prometheus counts agrees with the split, once its window holds nothing from before."""
    policy, target = world.policy, world.policy.file_weights()

    actual: dict[str, float] = {}

    def measured() -> bool:
        nonlocal actual
        actual = {mode: entry["actual"] for mode, entry in policy.mode_status().items() if "actual" in entry}
        return len(actual) == len(target) and furthest(actual, target) <= 5

    # A window of 15 s holds 2,250 requests of the demo: 5 points are five standard deviations; of the tests 900: three.
    took = wait_until(
        "the measured split is that of the policy",
        measured,
        seconds,
        lambda: f"{actual}; {policy.explain()}",
    )
    policy.wait_condition("WithinTarget", "True", seconds)
    return Outcome(
        "Prometheus measures the split that was asked for",
        furthest(actual, target) <= 5,
        f"{split_text(actual, target)} after {took:.0f} s, {furthest(actual, target):.1f} points off",
        policy.explain(),
    )


def deviation_alert(world: World, mode: str = "creative", rate: int = 150) -> Outcome:
    """Somebody sends requests straight to one mode, past the router: its measured share leaves the target."""
    policy = world.policy
    policy.wait_condition("WithinTarget", "True", 60)

    def alerting() -> bool:
        return bool(policy.mode_status().get(mode, {}).get("alert"))

    def calm() -> bool:
        return not any(entry.get("alert") for entry in policy.mode_status().values())

    worst = 0.0
    with world.load("--users=10", f"--rate={rate}", "--progress=1", url=world.mode_url(mode)):
        raised = wait_until(f"mode {mode} alerts", alerting, 60, policy.explain)
        worst = policy.mode_status()[mode]["deviation"]
        said = condition(policy.live(), "WithinTarget")
    cleared = wait_until("no mode alerts", calm, 90, policy.explain)
    policy.wait_condition("WithinTarget", "True", 30)
    return Outcome(
        "a deviation raises an alert, and its end clears it",
        said.get("status") == "False" and worst > 0,
        f"raised {raised:.1f} s after the first stray request ({mode} {worst:+.1f} points: {said.get('reason')}), "
        f"cleared {cleared:.1f} s after the last",
        str(said),
    )


def prometheus_down(world: World) -> Outcome:
    """Without Prometheus nothing is known, and nothing moves."""
    policy, load = world.policy, world.background
    before = {mode: entry["effective"] for mode, entry in policy.mode_status().items()}
    tally = load.fresh_tally()
    world.cluster.scale("prometheus", world.namespace, 0)
    try:
        told = policy.wait_condition("WithinTarget", "Unknown", 90)
        said = condition(policy.live(), "WithinTarget")
        meanwhile = {mode: entry["effective"] for mode, entry in policy.mode_status().items()}
        ready = condition(policy.live(), "Ready").get("status")
        whole = load.fresh_tally().since(tally)
    finally:
        world.cluster.scale("prometheus", world.namespace, 1)
    world.cluster.wait_rolled_out("prometheus", world.namespace)
    back = policy.wait_condition("WithinTarget", "True", 90)
    return Outcome(
        "with Prometheus down the split stays and the condition says that nothing is known",
        meanwhile == before and ready == "True" and whole.failed == 0 and bool(said.get("message")),
        f"WithinTarget=Unknown ({said.get('reason')}) after {told:.1f} s, the split stayed, Ready={ready}, "
        f"{whole.failed} failed, measured again {back:.0f} s after Prometheus came back",
        f"{said} {before} {meanwhile}",
    )
