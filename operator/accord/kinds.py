"""The table of kinds. What each one is, in a line: the model, what makes it at run time, how it is rehearsed.

All else hangs on it: what is watched, who may be allowed what (`accord.rbac`), what is asked of Prometheus, whose label
an object carries, and how a refusal is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from accord import settings
from accord.adapters import workloads
from accord.adapters.kubernetes.needs import Needs
from accord.adapters.kubernetes.resources import SNAPSHOTS, Resource
from accord.adapters.routers import gatewayapi, istio
from accord.adapters.routers.envoy import objects, offering
from accord.adapters.stores import STORES
from accord.adapters.workloads import WORKLOADS
from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import Resource as Model
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.config import Config
from accord.domain.checkpoint import rehearsal as of_checkpoints
from accord.domain.checkpoint.decide import decide as decide_checkpoints
from accord.domain.plan import ObjectKey
from accord.domain.rehearsal import Given, Outcome
from accord.domain.traffic import rehearsal as of_traffic
from accord.domain.traffic.decide import decide as decide_traffic
from accord.domain.training import rehearsal as of_training
from accord.domain.training.decide import decide as decide_training
from accord.ports.clock import SystemClock
from accord.ports.router import Router
from accord.runtime.book import Book
from accord.runtime.checkpoints import CheckpointPolicies
from accord.runtime.index import Index
from accord.runtime.kinds import Kind
from accord.runtime.traffic import TrafficPolicies
from accord.runtime.training import TrainingRuns

_ROUTERS = [gatewayapi.NEEDS, istio.NEEDS]
"""What routers need; what the built-in one does stands with the kind."""
_TOLD: Mapping[str, Router] = {
    "GatewayAPI": gatewayapi.GatewayAPIRouter(installed=lambda: True),
    "Istio": istio.IstioRouter(installed=lambda: True, clock=SystemClock()),
}
"""Those that are told by their objects alone, in a cluster that has the kinds."""
_WORKLOADS = workloads.made(lambda _: True)
"""In a cluster that has the kinds."""


@dataclass(frozen=True)
class Parts:
    """What a kind may be made of."""

    index: Index
    routers: Mapping[str, Router]
    """By `spec.router.type`."""
    serves: Callable[[Resource], bool]
    """Whether the API server knows an optional resource."""


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    model: type[Model]
    kind: type[Kind]
    """Its `resource` and `traits` are known without any object."""
    make: Callable[[Parts], Kind]
    rehearse: Callable[[Manifest, Given, Config], Outcome]
    """For `accord plan`: what would be done for such an object, as the API server would store it."""
    behind: Sequence[Needs] = ()
    """What stands behind a port of it needs, too."""
    refers_to: Callable[[Manifest], Iterable[ObjectKey]] = lambda _: ()
    """Objects without which there is nothing to rehearse."""

    @property
    def needs(self) -> Iterator[Needs]:
        """All."""
        yield self.kind.traits.needs
        yield from self.behind


def _make_traffic(parts: Parts) -> Kind:
    return TrafficPolicies(parts.index, parts.routers, decide_traffic, Book(), Book())


def _make_training(parts: Parts) -> Kind:
    return TrainingRuns(parts.index, workloads.made(parts.serves), decide_training, Book(), Book())


def _make_checkpoints(parts: Parts) -> Kind:
    return CheckpointPolicies(parts.index, STORES, decide_checkpoints, Book(), lambda: parts.serves(SNAPSHOTS))


def _rehearse_traffic(manifest: Manifest, given: Given, config: Config) -> Outcome:
    policy = TrafficPolicy.model_validate(manifest)
    router = _TOLD.get(policy.spec.router.type)
    if router is not None:
        unsupported = router.unsupported(policy)
        return of_traffic.rehearse(
            manifest, of_traffic.Stage(given, lambda now: router.objects(now, given), unsupported)
        )
    unsupported = offering.unsupported(policy)
    made = objects.objects(policy, settings.envoy(config), given) if not unsupported else ()
    return of_traffic.rehearse(manifest, of_traffic.Stage(given, lambda _: made, unsupported))


def _rehearse_training(manifest: Manifest, _given: Given, _config: Config) -> Outcome:
    return of_training.rehearse(manifest, _WORKLOADS)


def _rehearse_checkpoints(manifest: Manifest, given: Given, _config: Config) -> Outcome:
    return of_checkpoints.rehearse(manifest, given, STORES)


KINDS: tuple[Entry, ...] = (
    Entry(TrafficPolicy, TrafficPolicies, _make_traffic, _rehearse_traffic, _ROUTERS),
    Entry(TrainingRun, TrainingRuns, _make_training, _rehearse_training, [row.needs for row in WORKLOADS.values()]),
    Entry(
        CheckpointPolicy, CheckpointPolicies, _make_checkpoints, _rehearse_checkpoints, refers_to=of_checkpoints.run_of
    ),
)


def pods_of(run: str) -> str:
    """A regular expression (RE2) for the names of all pods of the TrainingRun of that name, whatever runs it."""
    return "|".join(dict.fromkeys(workload.pod_matcher(run) for workload in _WORKLOADS.values()))


def watched(table: Iterable[Entry]) -> tuple[Resource, ...]:
    """What is watched in any case: the objects of all kinds, and what they need."""
    found = [entry.kind.resource for entry in table] + [
        resource for entry in table for needs in entry.needs for resource in needs.watches
    ]
    return tuple(dict.fromkeys(found))


def optional(table: Iterable[Entry]) -> tuple[Resource, ...]:
    """What is watched where the API server knows it."""
    return tuple(dict.fromkeys(resource for entry in table for needs in entry.needs for resource in needs.optional))
