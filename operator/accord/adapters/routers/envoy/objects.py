"""The Kubernetes objects of a policy's router.

All values have the form in which the API server stores them (octal modes in decimal, canonical quantities, defaults
left out or spelled as they are), so that a comparison with the live object finds real differences only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType

from accord.adapters.routers.envoy.bootstrap import bootstrap
from accord.adapters.routers.envoy.quantities import canonical_resources
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.xds import canonical
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import RouterPods, RouterService, TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names

_GRACE_SECONDS = 10
SPEC_HASH = "accord.dev/spec-hash"
"""Annotation with a digest of what is wanted. A field that is wanted no more is not seen by comparing with what is
there; a changed digest has the object applied again, and server-side apply then removes what we no longer ask for."""
_DEFAULT_RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}}


def objects(
    policy: TrafficPolicy, settings: EnvoySettings, live: Mapping[ObjectKey, Manifest] = MappingProxyType({})
) -> tuple[Manifest, ...]:
    """Service, Deployment and, from two replicas on, PodDisruptionBudget; in order of creation. `live`: what there is
    of them.
    """
    wanted = [
        _service(policy, settings),
        _object(policy, "apps/v1", "Deployment", spec=_deployment(policy, settings)),
    ]
    if policy.spec.router.envoy.replicas > 1 or policy.spec.router.envoy.scaling == "External":
        budget = {"maxUnavailable": 1, "selector": {"matchLabels": selector(policy)}}
        wanted.append(_object(policy, "policy/v1", "PodDisruptionBudget", spec=budget))
    return tuple(scaled(policy, _hashed(manifest), live) for manifest in wanted)


def scaled(policy: TrafficPolicy, manifest: Manifest, live: Mapping[ObjectKey, Manifest]) -> Manifest:
    """A Deployment whose size is somebody else's keeps the one it has.

    The field is not left out: server-side apply would reset it to 1 when we ask for it no more.
    """
    there = live.get(ObjectKey(manifest["apiVersion"], manifest["kind"], policy.metadata.namespace, _name(manifest)))
    theirs = policy.spec.router.envoy.scaling == "External"
    if not theirs or there is None or manifest["kind"] != "Deployment":
        return manifest
    replicas = (there.get("spec") or {}).get("replicas", 1)
    return {**manifest, "spec": {**manifest["spec"], "replicas": replicas}}


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _hashed(manifest: Manifest) -> Manifest:
    """With the digest, where fields may come and go."""
    if manifest["kind"] not in ("Deployment", "Service"):
        return manifest
    meta = manifest["metadata"]
    wanted = {**manifest, "metadata": {name: value for name, value in meta.items() if name != "namespace"}}
    digest = hashlib.sha256(canonical(wanted).encode()).hexdigest()[:16]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), SPEC_HASH: digest}}}


def selector(policy: TrafficPolicy) -> dict[str, str]:
    """Labels of the proxies' pods that never change."""
    return {
        "app.kubernetes.io/component": "router",
        "app.kubernetes.io/instance": names.router(policy.metadata.name),
        "app.kubernetes.io/name": "envoy",
    }


def _object(policy: TrafficPolicy, api_version: str, kind: str, **fields: Manifest) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": names.router(policy.metadata.name),
            "namespace": policy.metadata.namespace,
            "labels": selector(policy),
        },
        **fields,
    }


def _service(policy: TrafficPolicy, settings: EnvoySettings) -> Manifest:
    envoy = policy.spec.router.envoy
    port = {
        "name": "http",
        "port": envoy.port,
        "targetPort": settings.http_port,
        "protocol": "TCP",
        "appProtocol": "kubernetes.io/h2c" if any(mode.speaks_http2 for mode in policy.spec.modes) else "http",
    }
    extra = envoy.service or RouterService()
    spec: Manifest = {"type": envoy.service_type, "selector": selector(policy), "ports": [port]}
    if extra.load_balancer_class is not None:
        spec["loadBalancerClass"] = extra.load_balancer_class
    service = _object(policy, "v1", "Service", spec=spec)
    service["metadata"]["labels"] = {**extra.labels, **service["metadata"]["labels"]}
    if extra.annotations:
        service["metadata"]["annotations"] = dict(extra.annotations)
    return service


def _deployment(policy: TrafficPolicy, settings: EnvoySettings) -> Manifest:
    labels, user, pods = selector(policy), settings.run_as_user, policy.spec.router.envoy.pods or RouterPods()
    return {
        "replicas": policy.spec.router.envoy.replicas,
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": {**pods.labels, **labels, names.MANAGED_BY_LABEL: names.MANAGED_BY},
                "annotations": {
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(settings.probe_port),
                    "prometheus.io/path": "/stats/prometheus",
                    **pods.annotations,
                },
            },
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": _drain_seconds(policy) + _GRACE_SECONDS,
                **_placement(pods),
                "securityContext": {
                    "runAsNonRoot": True,
                    **({"runAsUser": user, "runAsGroup": user} if user is not None else {}),
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": labels},
                    }
                ],
                "containers": [_container(policy, settings)],
            },
        },
    }


def _drain_seconds(policy: TrafficPolicy) -> int:
    """Pause between the end of a pod's readiness and the end of its proxy: some seconds for the news to reach all
    nodes, then as long as a client's connection lives, or as streams may last. Envoy itself stops at once when it is
    told to.
    """
    return math.ceil(policy.spec.router.envoy.drain_time.total_seconds())


def _placement(pods: RouterPods) -> Manifest:
    """Fields of the pod's spec that say where it may run; those that are not given are left out."""
    fields = {
        "nodeSelector": dict(pods.node_selector),
        "tolerations": pods.tolerations,
        "affinity": pods.affinity,
        "priorityClassName": pods.priority_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in pods.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}


def _container(policy: TrafficPolicy, settings: EnvoySettings) -> Manifest:
    return {
        "name": "envoy",
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["envoy"],
        "args": arguments(policy, settings, f"$(POD_NAMESPACE)/{policy.metadata.name}/$(POD_NAME)"),
        "env": [_downward("POD_NAMESPACE", "metadata.namespace"), _downward("POD_NAME", "metadata.name")],
        "ports": [
            # Not `http`: a Prometheus that scrapes every port of that name would count the answers of some mode again.
            {"name": "traffic", "containerPort": settings.http_port, "protocol": "TCP"},
            {"name": "probes", "containerPort": settings.probe_port, "protocol": "TCP"},
        ],
        # No liveness probe: a proxy that waits for its first configuration answers nothing, and must not be killed
        # for it. One that hangs is taken out of the Service by readiness.
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": settings.probe_port, "scheme": "HTTP"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 2,
            "successThreshold": 1,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": _drain_seconds(policy)}}},
        "resources": canonical_resources(policy.spec.router.envoy.resources or _DEFAULT_RESOURCES),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def arguments(policy: TrafficPolicy, settings: EnvoySettings, node: str) -> list[str]:
    """Envoy's command line. Round robin is exact only within one worker thread.

    It holds the whole bootstrap, so that no other object is needed and a changed one rolls the pods by itself. JSON is
    YAML; the kubelet would take `$(` for a variable, and nothing in it has that.
    """
    workers = 1 if policy.spec.strategy == "RoundRobin" else 2
    return [
        "--config-yaml",
        canonical(bootstrap(settings)),
        "--service-node",
        node,
        "--service-cluster",
        policy.metadata.name,
        "--concurrency",
        str(workers),
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]


def _downward(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
