"""The built-in router: Envoy proxies, configured over REST xDS with long polling.

`objects` makes the Kubernetes objects, `bootstrap` what a proxy starts with; `clusters`, `routes`, `listeners` and
`endpoints` turn a `RoutingIntent` into Envoy's resources (plain JSON, see the Envoy API v3 reference); `snapshot` gives
them versions; `server` answers the proxies' polls; `acknowledgements` knows what the proxies made of the answers;
`forwarding` tells the leader; `router` is the port `accord.ports.router.Router`.
docs/explanation/routing.md says how a request finds its mode.
"""

from accord.adapters.routers.envoy.router import EnvoyRouter
from accord.adapters.routers.envoy.settings import EnvoySettings

__all__ = ["EnvoyRouter", "EnvoySettings"]
