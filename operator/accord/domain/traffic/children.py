"""The policy's children as they live, against those it wants."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.children import needs_apply
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.observed import Observed


def to_apply(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """Those wanted that are missing or differ, without those that must be deleted first."""
    replaced = set(_to_replace(observed, wanted))
    return tuple(
        manifest
        for manifest in wanted
        if (key := ObjectKey.of(manifest)) not in replaced and needs_apply(manifest, observed.children.get(key))
    )


def to_delete(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[ObjectKey, ...]:
    """Children that are wanted no more, and those that only come right by being made anew."""
    return (*_unwanted(observed, wanted), *_to_replace(observed, wanted))


def _unwanted(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[ObjectKey, ...]:
    """Our own objects that nothing asks for.

    The Service of a mode goes when neither the spec nor the recorded status names the mode: the status drops it only
    when no ready proxy routes to it any more. A mode of the spec keeps its Service even while its Deployment is away.
    """
    policy = observed.policy
    kept = {mode.name for mode in policy.spec.modes} | {mode.name for mode in policy.status.modes}
    asked_for = {ObjectKey.of(manifest) for manifest in wanted}
    return tuple(
        key
        for key, live in sorted(observed.children.items())
        if key not in asked_for
        and key not in observed.conflicts
        and _label(live, names.MANAGED_BY_LABEL) == names.MANAGED_BY
        and _label(live, names.MODE_LABEL) not in kept
        and not live["metadata"].get("deletionTimestamp")
    )


def _to_replace(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[ObjectKey, ...]:
    """Services of modes whose port list somebody has changed.

    Server-side apply removes no port that another manager owns, and refuses ours beside one of the same name. The
    Service is made anew instead; until its endpoints are back, the fallback mode answers. The Services of routers
    are never deleted for that: clients and load balancers hold on to their addresses.
    """
    return tuple(
        key
        for manifest in wanted
        if (key := ObjectKey.of(manifest)).kind == "Service"
        and _label(manifest, names.MODE_LABEL) is not None
        and key in observed.children
        and not observed.children[key]["metadata"].get("deletionTimestamp")
        and _port_keys(observed.children[key]) - _port_keys(manifest)
    )


def _port_keys(service: Manifest) -> set[tuple[int, str]]:
    ports = service.get("spec", {}).get("ports") or ()
    return {(port["port"], port.get("protocol", "TCP")) for port in ports}


def _label(manifest: Manifest, name: str) -> str | None:
    labels = manifest["metadata"].get("labels") or {}
    value = labels.get(name)
    return None if value is None else str(value)
