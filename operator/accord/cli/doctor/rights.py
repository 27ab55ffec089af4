"""What the operator must be allowed to do in the namespaces that it watches, as in the chart's roles."""

from __future__ import annotations

_OURS = ("trafficpolicies", "trainingruns", "checkpointpolicies")
_MADE = ("get", "list", "watch", "create", "patch", "delete")
WATCHED: dict[tuple[str, str], tuple[str, ...]] = {
    **{("accord.dev", resource): ("list", "watch") for resource in _OURS},
    **{("accord.dev", f"{resource}/status"): ("patch",) for resource in _OURS},
    ("accord.dev", "trainingruns"): ("list", "watch", "patch", "delete"),
    ("accord.dev", "checkpointpolicies"): ("list", "watch", "get"),
    ("accord.dev", "trafficpolicies/finalizers"): ("update",),
    ("accord.dev", "trainingruns/finalizers"): ("update",),
    ("apps", "deployments"): _MADE,
    ("", "services"): _MADE,
    ("policy", "poddisruptionbudgets"): _MADE,
    ("discovery.k8s.io", "endpointslices"): ("get", "list", "watch"),
    ("batch", "jobs"): _MADE,
    ("", "persistentvolumeclaims"): _MADE,
    ("snapshot.storage.k8s.io", "volumesnapshots"): _MADE,
    ("", "pods"): ("list", "watch", "patch"),
    ("events.k8s.io", "events"): ("list", "create", "patch"),
}
"""(API group, resource) → verbs."""
