"""May this spec be honoured at all? Every replica must come to the same answer, so it depends on the spec alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Unsupported

NOT_IMPLEMENTED = "NotImplemented"


def no_router(policy: TrafficPolicy, available: Iterable[str]) -> Unsupported:
    """There is no router of this type in this version."""
    return Unsupported(
        "spec.router.type",
        NOT_IMPLEMENTED,
        f"router type {policy.spec.router.type} is not implemented yet; use {' or '.join(sorted(available))}",
    )


def refusals(by_router: Sequence[Unsupported] = ()) -> tuple[Unsupported, ...]:
    """Everything in the spec that cannot be honoured, each field once."""
    found: dict[str, Unsupported] = {}
    for refusal in by_router:
        found.setdefault(refusal.field.removeprefix("spec."), refusal)
    return tuple(found.values())
