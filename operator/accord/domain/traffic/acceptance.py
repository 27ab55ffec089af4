"""May this spec be honoured at all? Every replica must come to the same answer, so it depends on the spec alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Unsupported

NOT_IMPLEMENTED = "NotImplemented"


def _not_yet(policy: TrafficPolicy) -> Iterator[Unsupported]:
    """What this version of the operator does not do, whatever the router."""
    router = policy.spec.router.type
    if router != "Envoy":
        yield Unsupported(
            "spec.router.type",
            NOT_IMPLEMENTED,
            f"router type {router} is not implemented yet; use Envoy",
        )


def refusals(policy: TrafficPolicy, by_router: Sequence[Unsupported] = ()) -> tuple[Unsupported, ...]:
    """Everything in the spec that cannot be honoured: our own gaps first, then the router's, each field once."""
    found: dict[str, Unsupported] = {}
    for refusal in (*_not_yet(policy), *by_router):
        found.setdefault(refusal.field.removeprefix("spec."), refusal)
    return tuple(found.values())


def is_accepted(policy: TrafficPolicy, by_router: Sequence[Unsupported] = ()) -> bool:
    """Whether the whole spec can be honoured: what `routing_intent` must be told as `accepted`."""
    return not refusals(policy, by_router)
