"""What gateways say of a route, in the terms that conditions are made of."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gatewayapi.routes import KEY, ROUTER, gateway, living, policy, says

from accord.adapters.routers.gatewayapi import GatewayAPIRouter
from accord.api.base import Manifest
from accord.domain.traffic.progress import Pending, Progress, Rejected, Settled, Unverifiable

WELL = {"Accepted": "True", "ResolvedRefs": "True"}


def told(*parents: Manifest, **settings: Any) -> Progress:
    of = policy(pods={}, router=gateway(**settings))
    return ROUTER.progress(of, {KEY: living(of, *parents)})


def test_a_route_that_its_gateway_accepts_is_in_force() -> None:
    found = told(says(**WELL))
    assert isinstance(found, Settled)
    assert found.message.startswith("HTTPRoute shop-router is accepted by Gateway demo/public; load balancing")


def test_what_was_said_of_an_older_generation_does_not_count() -> None:
    found = told(says(generation=2, **WELL))
    assert found == Pending("Gateway demo/public has yet to accept the newest generation of HTTPRoute shop-router")


def test_where_nobody_answers_it_is_said_what_to_look_at() -> None:
    found = told()
    assert isinstance(found, Pending)
    assert found.reason == "GatewayNotFound"
    assert "make sure that the Gateway exists and that the controller of its class is running" in found.message


def test_the_answer_of_another_parent_is_none() -> None:
    assert isinstance(told(says("private", **WELL)), Pending)
    assert isinstance(told(says(parent={"sectionName": "web"}, **WELL)), Pending)
    assert isinstance(told(says(parent={"namespace": "infra"}, **WELL)), Pending)
    assert isinstance(told(says(parent={"namespace": "demo"}, **WELL)), Settled)


@pytest.mark.parametrize(
    ("conditions", "sort", "reason", "message"),
    [
        (
            {"Accepted": "False/NoMatchingParent", "ResolvedRefs": "True"},
            Rejected,
            "RouteNotAccepted",
            "Gateway demo/public does not accept HTTPRoute shop-router (NoMatchingParent): make sure that it exists",
        ),
        (
            {"Accepted": "False/NotAllowedByListeners/namespace demo is not allowed."},
            Rejected,
            "RouteNotAccepted",
            "(NotAllowedByListeners: namespace demo is not allowed)",
        ),
        (
            {"Accepted": "True", "ResolvedRefs": "False/BackendNotFound/no Service shop-fast"},
            Pending,
            "RefsNotResolved",
            "cannot resolve what HTTPRoute shop-router refers to (BackendNotFound: no Service shop-fast)",
        ),
        (
            {**WELL, "PartiallyInvalid": "True/UnsupportedValue/filters of backendRefs"},
            Rejected,
            "PartiallyInvalid",
            "leaves out a part of HTTPRoute shop-router (UnsupportedValue: filters of backendRefs)",
        ),
        ({**WELL, "Programmed": "False/Invalid"}, Pending, "RouteNotProgrammed", "(Invalid)"),
        ({"Accepted": "Unknown/Pending"}, Pending, "Pending", "has yet to accept HTTPRoute shop-router"),
        ({"ResolvedRefs": "True"}, Pending, "Pending", "has yet to answer HTTPRoute shop-router"),
    ],
)
def test_its_objections_are_told_in_its_words(
    conditions: dict[str, str], sort: type[Pending | Rejected], reason: str, message: str
) -> None:
    found = told(says(**conditions))
    assert isinstance(found, sort)
    assert found.reason == reason
    assert message in found.message


def test_of_several_gateways_all_must_accept_it() -> None:
    two = {"parentRefs": [{"name": "public"}, {"name": "private"}]}
    assert isinstance(told(says(**WELL), **two), Pending)
    assert isinstance(told(says("private", Accepted="False"), **two), Rejected)
    assert isinstance(told(says("private", **WELL), says(**WELL), **two), Settled)


def test_of_one_that_names_no_generation_nothing_is_known() -> None:
    entry = says(**WELL)
    for condition in entry["conditions"]:
        del condition["observedGeneration"]
    assert isinstance(told(entry), Unverifiable)


def test_before_the_route_is_as_it_shall_be_no_answer_counts() -> None:
    before, after = policy(pods={}), policy(pods={"creative": 0})
    live = {KEY: living(before, says(**WELL))}
    assert ROUTER.progress(after, live) == Pending("HTTPRoute shop-router has yet to be updated")
    assert not ROUTER.left(after, live)
    assert ROUTER.left(before, live)
    assert ROUTER.progress(before, {}) == Pending("HTTPRoute shop-router has yet to be created")


def test_what_is_not_installed_is_named() -> None:
    found = GatewayAPIRouter(installed=lambda: False).progress(policy(), {})
    assert isinstance(found, Pending)
    assert found.reason == "HTTPRouteNotInstalled"
    assert "install the CRDs of the Gateway API" in found.message
