"""What Istio says of the objects, in their status.

It says little. Its analyzers, where they are switched on (PILOT_ENABLE_ANALYSIS), write what they find amiss, by code
and without words; of what they find in order nothing is written. Before 1.25 it could also be told to count the proxies
that have a VirtualService (condition `Reconciled`). What is said of an older generation counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from accord.api.base import Manifest
from accord.domain.traffic.progress import Pending, Progress, Rejected, Settled, Unverifiable
from accord.domain.words import quote

_SOON = timedelta(minutes=1)


def not_installed() -> Pending:
    """The API server does not know the kinds."""
    return Pending(
        "VirtualService and DestinationRule are not installed in this cluster: install Istio, or its CRDs "
        "(networking.istio.io/v1)",
        reason="IstioNotInstalled",
        patience=_SOON,
    )


def progress(objects: Iterable[Manifest]) -> Progress:
    """How far Istio has come with the objects as they live, the VirtualService first.

    What needs a person is told first.
    """
    living = tuple(objects)
    errors = [each for live in living for each in _messages(live, "ERROR")]
    if errors:
        return Rejected("IstioReportsErrors", f"Istio reports {'; '.join(errors[:3])}", patience=_SOON)
    route = living[0]
    name = f"VirtualService {route['metadata']['name']}"
    reconciled = _condition(route, "Reconciled")
    if reconciled is not None and reconciled.get("status") == "True" and _is_current(route):
        return Settled(f"{name} is with all proxies{_words(reconciled)}")
    if reconciled is not None:
        return Pending(f"{name} is not with all proxies yet{_words(reconciled)}")
    warnings = [each for live in living for each in _messages(live, "WARNING")]
    warned = f"; it warns of {'; '.join(warnings[:3])}" if warnings else ""
    return Unverifiable(f"{name} is up to date; Istio does not report whether its proxies have it{warned}")


def _messages(live: Manifest, level: str) -> Iterable[str]:
    """`IST0101 (ReferencedResourceNotFound) for VirtualService shop-router, see https://…`, for each of that level."""
    if not _is_current(live):
        return
    for each in (live.get("status") or {}).get("validationMessages") or ():
        if each.get("level") == level:
            kind, page = each.get("type") or {}, each.get("documentationUrl")
            named = f" ({kind['name']})" if kind.get("name") else ""
            see = f", see {page}" if page else ""
            yield f"{kind.get('code', 'a problem')}{named} for {live['kind']} {live['metadata']['name']}{see}"


def _is_current(live: Manifest) -> bool:
    """Whether the status is about the newest generation, which Istio writes as text."""
    observed = (live.get("status") or {}).get("observedGeneration")
    return observed is None or str(observed) == str(live["metadata"].get("generation"))


def _condition(live: Manifest, type_: str) -> Manifest | None:
    found = (live.get("status") or {}).get("conditions") or ()
    return next((each for each in found if each.get("type") == type_), None)


def _words(condition: Manifest) -> str:
    return f" ({quote(condition['message'])})" if condition.get("message") else ""
