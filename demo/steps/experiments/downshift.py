"""The claim about a model that fails behind its mode."""

from __future__ import annotations

import time
from typing import Any

from demo.steps.cluster import Manifest, wait_until
from demo.steps.outcome import Outcome, failures_text
from demo.steps.world import World

MODE, TAKER = "creative", "balanced"
BREAKER: dict[str, Any] = {
    "mode": MODE,
    "countedBy": "Proxies",
    "failures": 3,
    "window": "5s",
    "cooldown": "10s",
    "recovery": "Ramp",
    "shiftTo": [{"mode": TAKER, "weight": 100}],
}
"""As it comes but for its times: they are short so that a person can watch."""


def model_fails(world: World) -> Outcome:
    """The model behind one mode fails: its share goes to another mode, and returns by itself once the model is well."""
    policy = world.policy
    policy.set_spec(circuitBreaker=BREAKER)
    policy.wait_condition("CircuitsClosed", "True", 60)
    # So many users that the mode has some, although a proxy may leave it out just now. They keep it, and ask something
    # new each time: what is in its cache a mode need not ask the model.
    with world.load("--cookies", "--users=200", "--rate=60", "--prompts=1000000", "--progress=0.5") as load:
        wait_until(f"users of {MODE} are there", lambda: load.tally().modes.get(MODE, 0) > 20, 60)
        began = time.monotonic()
        tell_model(world, "mode=503&for=3600")
        try:
            opened = wait_until("the circuit opens", lambda: _circuit(world).get("phase") == "Open", 60, policy.explain)
            short, said = _circuit(world).get("cacheTTL"), policy.explain()
            check, fresh = load.fresh_tally(), world.background.fresh_tally()
            down = world.background.await_answers(fresh, 300)
            guests = load.fresh_tally().since(check)
        finally:
            tell_model(world, "mode=off")
        policy.wait_condition("CircuitsClosed", "True", 240)
        closed = time.monotonic() - began
        long = _circuit(world).get("cacheTTL")
        check = load.fresh_tally()
        wait_until(f"users of {MODE} are back", lambda: load.tally().since(check).modes.get(MODE, 0) > 10, 60)
        back = load.fresh_tally().since(check)
        whole, examples = load.fresh_tally(), load.examples
    policy.reset()
    policy.wait_settled(90)
    moved, target = down.shares.get(TAKER, 0), policy.file_weights()[TAKER]
    met = MODE in down.modes or MODE in guests.modes
    return Outcome(
        f"the model behind {MODE} fails: {TAKER} takes over, nobody notices, and users return to the mode they had",
        not met and (whole.failed, back.sticky_violations) == (0, 0) and (short, long) == ("5m", "1h"),
        f"opened {opened:.1f} s after the fault, {TAKER} had {moved:.0f} % instead of {target} %, answers were cached "
        f"for {short} instead of {long}; closed again after {closed:.0f} s; {whole.answered:,} requests, "
        f"{whole.failed} failed, {back.sticky_violations} of {back.answered} afterwards in another mode than before",
        f"{failures_text(examples)} {said}",
    )


def tell_model(world: World, fault: str) -> None:
    """What the model of the example does from now on: `mode=503&for=SECONDS` fails, `mode=off` is well."""
    [pod] = world.cluster.ready_pods(world.namespace, "app.kubernetes.io/name=llm")
    path = f"/api/v1/namespaces/{world.namespace}/pods/{pod['metadata']['name']}:8080/proxy/fault"
    world.cluster.request("POST", f"{path}?{fault}")


def _circuit(world: World) -> Manifest:
    found: list[Manifest] = world.policy.live().get("status", {}).get("circuitBreakers", [])
    return found[0] if found else {}
