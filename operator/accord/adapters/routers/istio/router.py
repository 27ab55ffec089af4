"""The port `accord.ports.router.Router` for an Istio mesh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import DESTINATION_RULES, VIRTUAL_SERVICES
from accord.adapters.routers import others
from accord.adapters.routers.istio import limits, objects, progress
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.conditions import parse_timestamp
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.acceptance import no_router
from accord.domain.traffic.observed import Unsupported
from accord.domain.traffic.progress import Pending, Progress, Settled, Unverifiable
from accord.domain.traffic.resources import owned
from accord.domain.traffic.routing import routing_intent
from accord.ports.clock import Clock

TYPE = "Istio"
"""Its `router.type`."""
NEEDS = Needs(
    optional=(VIRTUAL_SERVICES, DESTINATION_RULES),
    permissions=(
        Permission(VIRTUAL_SERVICES, OWN, "A VirtualService for each policy with router type Istio."),
        Permission(DESTINATION_RULES, OWN, "A DestinationRule for each mode of a policy with router type Istio."),
    ),
)
_SPREADS = timedelta(seconds=20)
"""How long a mode that leaves is kept after the VirtualService names it no more, where Istio does not say that its
proxies have that: istiod holds changes back for 10 s at most (PILOT_DEBOUNCE_MAX), and then has to send them."""


class IstioRouter:
    """VirtualServices and DestinationRules of all policies with router type Istio."""

    def __init__(self, installed: Callable[[], bool], clock: Clock) -> None:
        """`installed()`: whether the API server knows both kinds."""
        self._installed, self._clock = installed, clock

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """What the analyzers say of them is in their status."""
        return tuple((objects.API_VERSION, kind) for kind in (objects.VIRTUAL_SERVICE, objects.DESTINATION_RULE))

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        """Fields of this spec that they cannot honour."""
        if policy.spec.router.type != TYPE:
            return (no_router(policy, [TYPE]),)
        return limits.unsupported(policy)

    def objects(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """A DestinationRule for each mode that has a Service, then the one VirtualService; none where there cannot be
        any.
        """
        settings = policy.spec.router.istio
        if settings is None or not self._installed():
            return ()
        intent = routing_intent(policy, accepted=not self.unsupported(policy))
        if intent is None or not intent.weights:
            return ()
        return objects.objects(policy, settings, intent)

    def kept_up(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """The live VirtualService with another mode in place of one without pods, while the spec is not followed."""
        name = names.router(policy.metadata.name)
        found = live.get(ObjectKey(objects.API_VERSION, objects.VIRTUAL_SERVICE, policy.metadata.namespace, name))
        if found is None:
            return ()
        intent = others.held(policy, accepted=not self.unsupported(policy))
        return () if intent is None else (objects.kept_up(policy, found, intent),)

    def address(self, policy: TrafficPolicy) -> str | None:
        """That of the Istio Gateway or of the Service that clients call, which others manage."""
        return None

    def progress(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        """What Istio says of them, once they are as they shall be."""
        if not self._installed():
            return progress.not_installed()
        namespace, name = policy.metadata.namespace, names.router(policy.metadata.name)
        found = live.get(ObjectKey(objects.API_VERSION, objects.VIRTUAL_SERVICE, namespace, name))
        if found is None:
            return Pending(f"VirtualService {name} has yet to be created")
        wanted = [owned(policy, each) for each in self.objects(policy, live)]
        if not policy.spec.suspend and not self.unsupported(policy):
            for each in reversed(wanted):
                if needs_apply(each, live.get(ObjectKey.of(each))):
                    return Pending(f"{each['kind']} {each['metadata']['name']} has yet to be updated")
        rules = [live[key] for each in wanted if (key := ObjectKey.of(each)) in live and live[key] is not found]
        said = progress.progress((found, *rules))
        return self._spreading(policy, said) or said

    def left(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> bool:
        """Whether the proxies have the VirtualService as it is, or had the time for it, so that nothing but what it
        names gets requests.
        """
        return isinstance(self.progress(policy, live), Settled | Unverifiable)

    def _spreading(self, policy: TrafficPolicy, said: Progress) -> Pending | None:
        """While a mode leaves that had a share until a moment ago, and Istio does not report."""
        leaving = sorted({mode.name for mode in policy.status.modes} - {mode.name for mode in policy.spec.modes})
        routing = policy.status.routing
        if not leaving or routing is None or not isinstance(said, Unverifiable):
            return None
        if self._clock.now() - parse_timestamp(routing.since) >= _SPREADS:
            return None
        return Pending(
            f"the Service of mode {', '.join(leaving)} is kept for {_SPREADS.total_seconds():.0f} s: Istio does not "
            "report when its proxies have the VirtualService without it"
        )
