"""The proxies of an Istio mesh, gateways and sidecars, driven by a VirtualService and DestinationRules.

`objects` makes both; `limits` says what they cannot do; `progress` reads what Istio says of them; `router` is the port
`accord.ports.router.Router`. docs/how-to/istio.md says what a user has of it.
"""

from accord.adapters.routers.istio.router import NEEDS, IstioRouter

__all__ = ["NEEDS", "IstioRouter"]
