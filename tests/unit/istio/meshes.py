"""Policies for routers of type Istio, and what is made of them, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.unit.domain.builders import NOW
from tests.unit.gatewayapi import routes

from accord.adapters.routers.istio import IstioRouter
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic.resources import owned

IDEMPOTENT = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"


class Stopped:
    """A clock that stands still."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


CLOCK = Stopped()
ROUTER = IstioRouter(installed=lambda: True, clock=CLOCK)


def mesh(**settings: Any) -> dict[str, Any]:
    return {"type": "Istio", "istio": {"hosts": ["chat.example.com"], "gateways": ["infra/public"], **settings}}


def policy(pods: Mapping[str, int] | None = None, status: Manifest | None = None, **spec: Any) -> TrafficPolicy:
    """`pods`: ready ones by mode, as the status has them, which then says that all modes are known."""
    return routes.policy(pods, status, **{"router": mesh(), **spec})


def made(of: TrafficPolicy) -> dict[tuple[str, str], Manifest]:
    """By kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in ROUTER.objects(of, {})}


def virtual_service(of: TrafficPolicy) -> Manifest:
    return made(of)["VirtualService", "shop-router"]


def destination_rule(of: TrafficPolicy, mode: str = "fast") -> Manifest:
    return made(of)["DestinationRule", f"shop-{mode}"]


def pairs(of: TrafficPolicy) -> list[tuple[Manifest, Manifest]]:
    """Rules by twos: for methods that may be repeated, and for the others."""
    http = virtual_service(of)["spec"]["http"]
    return list(zip(http[::2], http[1::2], strict=True))


def rules(of: TrafficPolicy) -> list[Manifest]:
    """Those for methods that may not be repeated: their matches say nothing of the method."""
    return [others for _, others in pairs(of)]


def weights(rule: Manifest) -> dict[str, int]:
    return {each["destination"]["host"].removeprefix("shop-"): each["weight"] for each in rule["route"]}


def headers(rule: Manifest) -> list[tuple[str, str]]:
    found = [item for match in rule.get("match", ()) for item in match["headers"].items()]
    return [(name, value) for name, match in found for value in match.values()]


def cookies(rule: Manifest) -> list[str]:
    added = [each["headers"]["response"].get("add", {}) for each in rule["route"]]
    return [each["set-cookie"] for each in added if each]


def living(of: TrafficPolicy, generation: int = 3, **said: Manifest) -> dict[ObjectKey, Manifest]:
    """All objects as they are in the cluster; `said`: the status of a kind's."""
    found = {}
    for wanted in ROUTER.objects(of, {}):
        live = owned(of, wanted)
        meta = live["metadata"] | {"uid": f"i-{live['metadata']['name']}", "generation": generation}
        status = {"status": said[live["kind"]]} if live["kind"] in said else {}
        found[ObjectKey.of(live)] = {**live, "metadata": meta, **status}
    return found


def finds(code: str, name: str, level: str = "ERROR", *, generation: int = 3) -> Manifest:
    """A status as Istio's analyzers write it: numbers of 64 bits are text."""
    page = f"https://istio.io/latest/docs/reference/config/analysis/{code.lower()}/"
    message = {"type": {"code": code, "name": name}, "level": level, "documentationUrl": page}
    return {"observedGeneration": str(generation), "validationMessages": [message]}
