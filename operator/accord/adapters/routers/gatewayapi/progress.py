"""What the gateways say of the route, in its status: one entry for each parent and controller.

What they say of an older generation counts for nothing (RouteParentStatus, `observedGeneration`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from accord.adapters.routers.gatewayapi import route
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import GatewayAPIRouter, ParentReference
from accord.domain.traffic.progress import Pending, Progress, Rejected, Settled, Unverifiable
from accord.domain.words import quote

_SOON = timedelta(minutes=1)
_GATEWAYS_OWN = "load balancing between pods, health checks and retries are the gateway's own"


def not_installed() -> Pending:
    """The API server does not know the kind."""
    return Pending(
        "HTTPRoute is not installed in this cluster: install the CRDs of the Gateway API (v1, standard channel)",
        reason="HTTPRouteNotInstalled",
        patience=_SOON,
    )


def progress(settings: GatewayAPIRouter, live: Manifest) -> Progress:
    """How far all parents have come with the route as it lives. What needs a person is told first."""
    found = [_of_parent(each, live) for each in settings.parent_refs]
    for sort in (Rejected, Pending, Unverifiable):
        told = next((each for each in found if isinstance(each, sort)), None)
        if told is not None:
            return told
    gateways = ", ".join(name(each, live) for each in settings.parent_refs)
    return Settled(f"HTTPRoute {live['metadata']['name']} is accepted by {gateways}; {_GATEWAYS_OWN}")


def name(reference: ParentReference, live: Manifest) -> str:
    """`Gateway infra/public (listener web)`."""
    namespace = reference.namespace or live["metadata"]["namespace"]
    listener = f" (listener {reference.section_name})" if reference.section_name else ""
    return f"{reference.kind} {namespace}/{reference.name}{listener}"


def _of_parent(reference: ParentReference, live: Manifest) -> Progress:
    who, what = name(reference, live), f"HTTPRoute {live['metadata']['name']}"
    entries = [entry for entry in (live.get("status") or {}).get("parents") or () if _is(entry, reference, live)]
    if not entries:
        return Pending(
            f"no controller has answered {what} for {who} yet: make sure that the {reference.kind} exists and that the "
            "controller of its class is running",
            reason="GatewayNotFound",
            patience=_SOON,
        )
    generation = live["metadata"].get("generation")
    for entry in entries:
        conditions = {each["type"]: each for each in entry.get("conditions") or ()}
        accepted = conditions.get("Accepted")
        if accepted is None:
            return Pending(f"{who} has yet to answer {what}")
        if accepted.get("observedGeneration") is None:
            return Unverifiable(f"{who} does not tell which generation of {what} it has accepted")
        if any(each.get("observedGeneration") != generation for each in conditions.values()):
            return Pending(f"{who} has yet to accept the newest generation of {what}")
        for objection in _objections(conditions, who, what):
            return objection
    return Settled("")


def _objections(conditions: dict[str, Manifest], who: str, what: str) -> Iterator[Progress]:
    accepted, resolved = conditions["Accepted"], conditions.get("ResolvedRefs")
    if accepted["status"] == "False":
        hint = ""
        if accepted.get("reason") == "NoMatchingParent":
            hint = ": make sure that it exists, with a listener for this route"
        yield Rejected("RouteNotAccepted", f"{who} does not accept {what}{_words(accepted)}{hint}", patience=_SOON)
    if accepted["status"] != "True":
        yield Pending(f"{who} has yet to accept {what}{_words(accepted)}")
    if resolved is not None and resolved["status"] == "False":
        # It may only not have seen a new Service yet: no event is worth that.
        yield Pending(
            f"{who} cannot resolve what {what} refers to{_words(resolved)}", reason="RefsNotResolved", patience=_SOON
        )
    partly = conditions.get("PartiallyInvalid")
    if partly is not None and partly["status"] == "True":
        yield Rejected("PartiallyInvalid", f"{who} leaves out a part of {what}{_words(partly)}", patience=_SOON)
    programmed = conditions.get("Programmed")
    if programmed is not None and programmed["status"] != "True":
        yield Pending(
            f"{who} has not programmed {what}{_words(programmed)}", reason="RouteNotProgrammed", patience=_SOON
        )


def _words(condition: Manifest) -> str:
    """The gateway's own."""
    reason, message = condition.get("reason"), condition.get("message")
    said = ": ".join((reason or "", quote(message)) if reason and message else (reason or quote(message or ""),))
    return f" ({said})" if said else ""


def _is(entry: Manifest, reference: ParentReference, live: Manifest) -> bool:
    """Whether a status entry is about that parent. What it leaves out has its default."""
    namespace = live["metadata"]["namespace"]
    found = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, **entry["parentRef"]}
    wanted = {"namespace": namespace, **route.parent(reference)}
    keys = ("group", "kind", "namespace", "name", "sectionName")
    return all(found.get(key) == wanted.get(key) for key in keys)
