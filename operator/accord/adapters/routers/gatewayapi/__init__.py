"""A gateway that is there already, driven by one HTTPRoute (Gateway API v1, standard channel).

`route` makes the HTTPRoute; `limits` says what such a route cannot do; `progress` reads what the gateways say of it;
`router` is the port `accord.ports.router.Router`. docs/how-to/gateway-api.md says what a user has of it.
"""

from accord.adapters.routers.gatewayapi.router import NEEDS, GatewayAPIRouter

__all__ = ["NEEDS", "GatewayAPIRouter"]
