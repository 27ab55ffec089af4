"""What Istio says of its objects, in the terms that conditions are made of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW
from tests.unit.istio.meshes import CLOCK, ROUTER, Stopped, finds, living, policy

from accord.adapters.routers.istio import IstioRouter
from accord.api.base import Manifest
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey
from accord.domain.traffic.progress import Pending, Progress, Rejected, Settled, Unverifiable

API = "networking.istio.io/v1"


def told(**said: Manifest) -> Progress:
    of = policy(pods={})
    return ROUTER.progress(of, living(of, **said))


def reconciled(status: str, generation: int = 3) -> Manifest:
    condition = {"type": "Reconciled", "status": status, "message": "2/3 proxies up to date."}
    return {"observedGeneration": str(generation), "conditions": [condition]}


def test_where_istio_says_nothing_it_is_said_that_it_does_not() -> None:
    assert told() == Unverifiable(
        "VirtualService shop-router is up to date; Istio does not report whether its proxies have it"
    )


@pytest.mark.parametrize(("kind", "name"), [("VirtualService", "shop-router"), ("DestinationRule", "shop-")])
def test_what_the_analyzers_find_wrong_is_told_by_its_code(kind: str, name: str) -> None:
    found = told(**{kind: finds("IST0101", "ReferencedResourceNotFound")})
    assert isinstance(found, Rejected)
    assert found.reason == "IstioReportsErrors"
    assert f"IST0101 (ReferencedResourceNotFound) for {kind} {name}" in found.message
    assert "https://istio.io/latest/docs/reference/config/analysis/ist0101/" in found.message


def test_a_warning_is_told_and_stops_nothing() -> None:
    found = told(VirtualService=finds("IST0130", "VirtualServiceUnreachableRule", "WARNING"))
    assert isinstance(found, Unverifiable)
    assert "it warns of IST0130" in found.message


def test_what_was_found_in_an_older_generation_does_not_count() -> None:
    assert isinstance(told(VirtualService=finds("IST0101", "X", generation=2)), Unverifiable)


def test_an_older_istio_that_counts_its_proxies_is_believed() -> None:
    assert isinstance(told(VirtualService=reconciled("True")), Settled)
    assert isinstance(told(VirtualService=reconciled("True", 2)), Pending)
    found = told(VirtualService=reconciled("False"))
    assert isinstance(found, Pending)
    assert "2/3 proxies up to date" in found.message


def test_before_the_objects_are_as_they_shall_be_nothing_counts() -> None:
    before, after = policy(pods={}), policy(pods={"creative": 0})
    live = living(before)
    assert ROUTER.progress(after, live) == Pending("VirtualService shop-router has yet to be updated")
    assert not ROUTER.left(after, live)
    assert ROUTER.left(before, live)
    assert ROUTER.progress(before, {}) == Pending("VirtualService shop-router has yet to be created")
    missing = {key: each for key, each in live.items() if key.name != "shop-fast"}
    assert ROUTER.progress(before, missing) == Pending("DestinationRule shop-fast has yet to be updated")


def test_what_is_not_installed_is_named() -> None:
    found = IstioRouter(installed=lambda: False, clock=CLOCK).progress(policy(), {})
    assert isinstance(found, Pending)
    assert found.reason == "IstioNotInstalled"
    assert "install Istio" in found.message


def leaving(after: timedelta, **said: Manifest) -> tuple[Progress, bool]:
    """Mode creative has left the spec; its share went to fast `after` ago."""
    router = IstioRouter(installed=lambda: True, clock=Stopped(NOW + after))
    spec = [mode.model_dump(mode="json", by_alias=True, exclude_none=True) for mode in policy().spec.modes[:2]]
    spec[0]["weight"] = 70
    listed: list[dict[str, Any]] = [
        {"name": name, "target": target, "effective": target, "readyPods": 1}
        for name, target in (("fast", 70), ("balanced", 30), ("creative", 0))
    ]
    routing = {
        "strategy": "WeightedRandom",
        "userPreference": {},
        "stickySession": {},
        "fallbackMode": "fast",
        "loadBalancing": {},
        "since": timestamp(NOW),
    }
    of = policy(pods={}, status={"modes": listed, "routing": routing}, modes=spec)
    live = living(of, **said)
    assert ObjectKey(API, "DestinationRule", "demo", "shop-creative") in live, "it is kept as long as the Service"
    return router.progress(of, live), router.left(of, live)


def test_a_mode_that_leaves_is_kept_until_the_proxies_had_time_to_hear_of_it() -> None:
    found, left = leaving(timedelta(seconds=1))
    assert isinstance(found, Pending)
    assert "the Service of mode creative is kept for 20 s" in found.message
    assert not left
    found, left = leaving(timedelta(seconds=20))
    assert isinstance(found, Unverifiable)
    assert left


def test_where_istio_says_that_all_proxies_have_it_nothing_is_waited_for() -> None:
    found, left = leaving(timedelta(0), VirtualService=reconciled("True"))
    assert isinstance(found, Settled)
    assert left
