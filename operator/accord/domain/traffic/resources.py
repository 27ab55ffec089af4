"""What a TrafficPolicy wants to exist: a Service for each mode, and the router's own objects."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import API_VERSION
from accord.api.v1alpha1.trafficpolicy import Mode, TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.observed import DeploymentView, Observed


def wanted(observed: Observed) -> tuple[Manifest, ...]:
    """Every object that shall exist now, in the order in which they are applied.

    Services come before the router, so that its proxies find endpoints. A mode whose Deployment is missing or cannot
    be selected by labels adds none: what stands for it in the cluster is left alone (see `children.unwanted`). Names
    that somebody else holds are left to them.
    """
    policy = observed.policy
    services = (
        mode_service(policy, mode, observed.deployments[mode.deployment_ref.name])
        for mode in policy.spec.modes
        if mode.deployment_ref.name in observed.deployments
        and is_selectable(observed.deployments[mode.deployment_ref.name])
    )
    objects = (owned(policy, manifest) for manifest in observed.router.objects)
    everything = (*services, *objects)
    return tuple(manifest for manifest in everything if ObjectKey.of(manifest) not in observed.conflicts)


def is_selectable(deployment: DeploymentView) -> bool:
    """Whether a Service can select the pods: it knows equality only, no expressions (core/v1 ServiceSpec.selector)."""
    return bool(deployment.match_labels)


def mode_service(policy: TrafficPolicy, mode: Mode, deployment: DeploymentView) -> Manifest:
    """The Service of one mode. It selects what the Deployment selects, and serves on port 80."""
    service: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": names.mode_service(policy.metadata.name, mode.name)},
        "spec": {
            "type": "ClusterIP",
            "selector": dict(sorted(deployment.match_labels.items())),
            "ports": [
                {
                    "name": names.PORT_NAME,
                    "port": names.SERVICE_PORT,
                    "protocol": "TCP",
                    "targetPort": mode.port,
                    **({"appProtocol": mode.app_protocol} if mode.app_protocol else {}),
                }
            ],
        },
    }
    return owned(policy, service, mode.name)


def mode_service_key(policy: TrafficPolicy, mode: str) -> ObjectKey:
    """Identity of the Service of one mode."""
    return ObjectKey("v1", "Service", policy.metadata.namespace, names.mode_service(policy.metadata.name, mode))


def owned(policy: TrafficPolicy, manifest: Manifest, mode: str | None = None) -> Manifest:
    """`manifest` with the policy's namespace, the common labels and a controller reference.

    Without a uid (a manifest that never was in a cluster) there is no reference: the API server would refuse it.
    """
    meta = dict(manifest["metadata"])
    meta["namespace"] = policy.metadata.namespace
    meta["labels"] = {**meta.get("labels", {}), **names.labels(policy.metadata.name, mode)}
    if policy.metadata.uid:
        meta["ownerReferences"] = [
            {
                "apiVersion": API_VERSION,
                "kind": policy.kind,
                "name": policy.metadata.name,
                "uid": policy.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {**manifest, "metadata": meta}
