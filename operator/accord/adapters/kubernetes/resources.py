"""Where the API server keeps each kind that the operator reads or writes."""

from __future__ import annotations

from dataclasses import dataclass

from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import GROUP, VERSION
from accord.api.v1alpha1.meta import Resource as Model
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.domain.training.names import RUN_LABEL


@dataclass(frozen=True)
class Resource:
    """A namespaced API resource; `selector` limits, on the server's side, which objects are watched."""

    group: str
    version: str
    plural: str
    kind: str
    selector: str = ""
    status: bool = False
    """Whether the status of those that are ours is read."""
    suspension: bool = False
    """Whether others may suspend its objects, and it is read who did."""

    @property
    def is_shared(self) -> bool:
        """Whether its objects are watched whoever made them. Those of our own kinds are all ours."""
        return not self.selector and self.group != GROUP

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """URL path of the collection (in all namespaces where `namespace` is None) or of one object."""
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        return "/".join(parts)


def own(model: type[Model]) -> Resource:
    """Where the objects of a kind of ours are."""
    return Resource(GROUP, VERSION, model.plural, model.kind, status=True)


_OURS = f"{MANAGED_BY_LABEL}={MANAGED_BY}"

TRAFFIC_POLICIES, TRAINING_RUNS, CHECKPOINT_POLICIES = map(own, (TrafficPolicy, TrainingRun, CheckpointPolicy))
SERVICES = Resource("", "v1", "services", "Service", _OURS)
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", _OURS)
# The EndpointSlice controller copies the labels of the Service to its slices, ours among them.
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", _OURS)
# Not only ours: the modes refer to Deployments of the user.
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
JOBS = Resource("batch", "v1", "jobs", "Job", _OURS, status=True, suspension=True)
# Not only ours: a claim made from a snapshot takes after the trainer's, which a user may bring.
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True)
# An addition to Kubernetes, which not every cluster has. Not only ours: one that loses its label must not be lost, or
# serving would go back to the one before.
SNAPSHOTS = Resource("snapshot.storage.k8s.io", "v1", "volumesnapshots", "VolumeSnapshot", status=True)
# Additions to Kubernetes as well.
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", _OURS, status=True)
# An addition to Kubernetes: what Kueue makes for each Job (or other object) that it manages, whoever made that.
WORKLOADS = Resource("kueue.x-k8s.io", "v1beta2", "workloads", "Workload", "kueue.x-k8s.io/job-uid", status=True)
# An addition to Kubernetes: KubeRay's.
RAY_JOBS = Resource("ray.io", "v1", "rayjobs", "RayJob", _OURS, status=True, suspension=True)
VIRTUAL_SERVICES = Resource("networking.istio.io", "v1", "virtualservices", "VirtualService", _OURS, status=True)
DESTINATION_RULES = Resource("networking.istio.io", "v1", "destinationrules", "DestinationRule", _OURS, status=True)
# Those of TrainingRuns alone: routers have pods of ours, too.
PODS = Resource("", "v1", "pods", "Pod", RUN_LABEL)
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

_OTHERS = (
    *(SERVICES, DISRUPTION_BUDGETS, ENDPOINT_SLICES, DEPLOYMENTS, JOBS, CLAIMS, PODS, SNAPSHOTS, HTTP_ROUTES),
    *(WORKLOADS, RAY_JOBS, VIRTUAL_SERVICES, DESTINATION_RULES, EVENTS, LEASES),
)
_BY_KIND = {(r.api_version, r.kind): r for r in (*map(own, KINDS), *_OTHERS)}


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of a kind. KeyError for a kind that the operator does not deal with: a programming error."""
    return _BY_KIND[api_version, kind]


def find(api_version: str, kind: str) -> Resource | None:
    """The same; None for a kind that the operator does not deal with."""
    return _BY_KIND.get((api_version, kind))


def path_of(key: ObjectKey) -> str:
    """URL path of one object."""
    return resource_of(key.api_version, key.kind).path(key.namespace, key.name)
