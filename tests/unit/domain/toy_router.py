"""A router that nothing in the operator knows: an object `ToyRoute` with the shares, whose status says how it is."""

from __future__ import annotations

from collections.abc import Mapping

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic import in_force, names
from accord.domain.traffic.observed import Unsupported
from accord.ports.router import Pending, Progress, Rejected, Settled, Unverifiable


class ToyRouter:
    """Implements `accord.ports.router.Router`. It sends requests to modes without pods, too: others must step in."""

    reads = (("toys.example/v1", "ToyRoute"),)

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        if policy.spec.strategy != "RoundRobin":
            return ()
        return (Unsupported("spec.strategy", "NotSupported", "a ToyRoute knows no RoundRobin"),)

    def objects(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        found = in_force.read(policy.status) or in_force.asked(policy, accepted=True)
        shares = {} if found is None else found.shares
        services = {names.mode_service(policy.metadata.name, mode): share for mode, share in shares.items()}
        meta = {"name": names.router(policy.metadata.name)}
        return ({"apiVersion": "toys.example/v1", "kind": "ToyRoute", "metadata": meta, "spec": {"split": services}},)

    def address(self, policy: TrafficPolicy) -> str | None:
        return f"{policy.metadata.name}.toys.example:80"

    def progress(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        name = names.router(policy.metadata.name)
        route = live.get(ObjectKey("toys.example/v1", "ToyRoute", policy.metadata.namespace, name))
        status = (route or {}).get("status")
        match status:
            case {"state": "Silent"}:
                return Unverifiable("the toy does not tell")
            case {"state": "Broken", "why": why}:
                return Rejected("RouteBroken", f"ToyRoute {name}: {why}")
            case {"state": "Ready"}:
                return Settled(f"ToyRoute {name} is in force")
        return Pending(f"ToyRoute {name} is not in force yet")
