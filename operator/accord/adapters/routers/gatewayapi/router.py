"""The port `accord.ports.router.Router` for gateways that exist already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import HTTP_ROUTES
from accord.adapters.routers import others
from accord.adapters.routers.gatewayapi import limits, progress, route
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.acceptance import no_router
from accord.domain.traffic.observed import Unsupported
from accord.domain.traffic.progress import Pending, Progress, Settled
from accord.domain.traffic.resources import owned
from accord.domain.traffic.routing import routing_intent

TYPE = "GatewayAPI"
"""Its `router.type`."""
NEEDS = Needs(
    optional=(HTTP_ROUTES,),
    permissions=(Permission(HTTP_ROUTES, OWN, "An HTTPRoute for each policy with router type GatewayAPI."),),
)


class GatewayAPIRouter:
    """HTTPRoutes of all policies with router type GatewayAPI."""

    def __init__(self, installed: Callable[[], bool]) -> None:
        """`installed()`: whether the API server knows HTTPRoutes."""
        self._installed = installed

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """What gateways say of a route is in its status."""
        return ((route.API_VERSION, route.KIND),)

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        """Fields of this spec that an HTTPRoute cannot honour."""
        if policy.spec.router.type != TYPE:
            return (no_router(policy, [TYPE]),)
        return limits.unsupported(policy)

    def objects(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """The one HTTPRoute; none where there cannot be any."""
        settings = policy.spec.router.gateway_api
        if settings is None or not self._installed():
            return ()
        intent = routing_intent(policy, accepted=not self.unsupported(policy))
        if intent is None or not intent.weights:
            return ()
        return (route.http_route(policy, settings, intent),)

    def kept_up(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """The live route with another mode in place of one without pods, while the spec is not followed."""
        name = names.router(policy.metadata.name)
        found = live.get(ObjectKey(route.API_VERSION, route.KIND, policy.metadata.namespace, name))
        if found is None:
            return ()
        intent = others.held(policy, accepted=not self.unsupported(policy))
        return () if intent is None else (route.kept_up(policy, found, intent),)

    def address(self, policy: TrafficPolicy) -> str | None:
        """That of the Gateway, which others manage."""
        return None

    def progress(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        """What the gateways say of the route, once it is as it shall be."""
        settings, name = policy.spec.router.gateway_api, names.router(policy.metadata.name)
        if not self._installed():
            return progress.not_installed()
        found = live.get(ObjectKey(route.API_VERSION, route.KIND, policy.metadata.namespace, name))
        if found is None or settings is None:
            return Pending(f"HTTPRoute {name} has yet to be created")
        frozen = policy.spec.suspend or self.unsupported(policy)
        if not frozen and any(needs_apply(owned(policy, each), found) for each in self.objects(policy, live)):
            return Pending(f"HTTPRoute {name} has yet to be updated")
        return progress.progress(settings, found)

    def left(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> bool:
        """Whether the gateways run the route as it is, so that nothing but what it names gets requests."""
        return isinstance(self.progress(policy, live), Settled)
