"""The policy's children as they live, against those it wants."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.membership import known_modes
from accord.domain.traffic.observed import Observed
from accord.domain.traffic.resources import mode_service_key, owned


def to_apply(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """Those wanted that are missing or differ, without those that must be deleted first."""
    replaced = set(_to_replace(observed, wanted))
    return tuple(
        manifest
        for manifest in wanted
        if (key := ObjectKey.of(manifest)) not in replaced and needs_apply(manifest, observed.children.get(key))
    )


def to_repair(observed: Observed) -> tuple[Manifest, ...]:
    """Where nothing else may change: children that lost a label of ours, or their owner, otherwise as they live. But a
    router that has to be told so still lets another mode stand in for one without pods.

    Services and PodDisruptionBudgets are watched by label, and the EndpointSlices of a Service take its labels: without
    them the proxies would hear of no pod that comes or goes. Deployments are watched without.
    """
    policy = observed.policy
    expected = {mode_service_key(policy, mode): mode for mode in sorted(known_modes(policy))}
    router = (ObjectKey.of(owned(policy, manifest)) for manifest in observed.router.objects)
    keys: dict[ObjectKey, str | None] = {**expected, **dict.fromkeys(key for key in router if key.kind != "Deployment")}
    kept_up = {ObjectKey.of(manifest): manifest for manifest in observed.router.kept_up}
    return tuple(
        wanted
        for key, mode in keys.items()
        if (live := observed.children.get(key) or observed.orphans.get(key)) is not None
        and key not in observed.conflicts
        and needs_apply(wanted := _as_it_lives(policy, kept_up.get(key, live), mode), live)
    )


def _as_it_lives(policy: TrafficPolicy, live: Manifest, mode: str | None) -> Manifest:
    """With our labels and owner. All that the object has is named: server-side apply takes away what is not."""
    kept = ("name", "uid", "labels", "annotations")
    meta: Manifest = {"labels": {}, **{name: live["metadata"][name] for name in kept if live["metadata"].get(name)}}
    parts: Manifest = {name: live[name] for name in ("apiVersion", "kind", "spec") if name in live}
    return owned(policy, {**parts, "metadata": meta}, mode)


def to_delete(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[ObjectKey, ...]:
    """Children that are wanted no more, and those that only come right by being made anew."""
    return (*_unwanted(observed, wanted), *_to_replace(observed, wanted))


def _unwanted(observed: Observed, wanted: tuple[Manifest, ...]) -> tuple[ObjectKey, ...]:
    """Our own objects that nothing asks for.

    The Service of a mode goes when neither the spec nor the recorded status names the mode: the status drops it only
    when no ready proxy routes to it any more. A mode of the spec keeps its Service even while its Deployment is away.
    """
    kept = known_modes(observed.policy)
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
