"""What the API server does not take of a policy's objects: said at once, and no traffic moves for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.unit.domain.builders import (
    NOW,
    condition,
    deployment,
    edited,
    manifest,
    observed,
    programming,
    reasons,
    router,
    settled,
    targets,
)

from accord.domain.plan import ObjectKey, Refusal
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import Observed

OBJECTS = observed().router.objects
ROUTER = ObjectKey("apps/v1", "Deployment", "demo", "shop-router")
QUOTA = Refusal(403, "exceeded quota: two")


def service(mode: str) -> ObjectKey:
    return ObjectKey("v1", "Service", "demo", f"shop-{mode}")


def refused(facts: Observed, **refusals: Refusal) -> Observed:
    keys = {"router": ROUTER, **{mode: service(mode) for mode in refusals if mode != "router"}}
    return replace(facts, refusals={keys[name]: refusal for name, refusal in refusals.items()})


def test_a_refused_object_stalls_the_policy_at_once() -> None:
    plan = decide(refused(observed(), router=QUOTA), NOW)
    words = "cannot apply Deployment shop-router: exceeded quota: two"
    assert condition(plan, "Programmed") == ("False", "QuotaExceeded", words)
    assert condition(plan, "Ready") == ("False", "QuotaExceeded", words)
    assert condition(plan, "Stalled") == ("True", "QuotaExceeded", words)
    assert "QuotaExceeded" in reasons(plan)


def test_it_is_said_once_and_ends_by_itself() -> None:
    policy = settled()
    first = decide(refused(observed(policy), router=QUOTA), NOW)
    assert reasons(first) == ["QuotaExceeded"]
    again = decide(refused(observed({**policy, "status": first.status}), router=QUOTA), NOW + timedelta(minutes=1))
    assert (reasons(again), again.status) == ([], first.status)
    after = decide(observed({**policy, "status": first.status}), NOW + timedelta(minutes=2))
    assert condition(after, "Ready")[:2] == ("True", "Ready")
    assert condition(after, "Stalled") == ("", "", "")


def test_the_proxies_are_not_waited_for() -> None:
    """While they are about to answer, the status is left as it is; a refusal is an answer."""
    policy = edited(settled(), loadBalancing={"maxQueueSize": 7})
    silent = router(programming(accepted=False, at=NOW), OBJECTS)
    assert decide(observed(policy, router=silent), NOW).status is None
    told = decide(refused(observed(policy, router=silent), router=QUOTA), NOW)
    assert condition(told, "Stalled")[1] == "QuotaExceeded"


def test_a_new_mode_whose_service_is_refused_takes_no_traffic() -> None:
    before = {"fast": 60, "balanced": 40}
    policy = edited(settled(manifest(before)), {"fast": 50, "balanced": 30, "creative": 20})
    # Given proxies that know of no pod of the new mode, long after the change: there is no Service to list them
    views = {name: deployment(name) for name in ("fast", "balanced", "creative")}
    warm = router(programming(warm=frozenset({"fast", "balanced", "creative"})), OBJECTS)
    facts = observed(policy, ready=before, deployments=views, router=warm)
    assert "creative" in targets(decide(facts, NOW)), "as for a mode that has no pods"
    plan = decide(refused(facts, creative=QUOTA), NOW)
    assert targets(plan) == {"fast": 60, "balanced": 40}
    assert condition(plan, "Stalled")[1:] == (
        "QuotaExceeded",
        "cannot apply Service shop-creative: exceeded quota: two",
    )


def test_why_a_mode_has_no_pod_is_that_its_service_is_refused() -> None:
    plan = decide(refused(observed(ready={"fast", "balanced"}), creative=QUOTA), NOW)
    found = condition(plan, "ModesAvailable")
    assert found[:2] == ("False", "QuotaExceeded")
    assert "mode creative: cannot apply Service shop-creative" in found[2]
