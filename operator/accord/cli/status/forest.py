"""From objects to trees: each TrafficPolicy, each TrainingRun with its CheckpointPolicies below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.selection import Selection
from accord.cli.status import checkpoints, traffic, training
from accord.cli.status.seen import Seen, headline, problems
from accord.cli.trees import Node

READ: Mapping[str | None, tuple[str, ...]] = {
    None: (TrafficPolicy.kind, TrainingRun.kind, CheckpointPolicy.kind),
    TrafficPolicy.kind: (TrafficPolicy.kind, CheckpointPolicy.kind),
    TrainingRun.kind: (TrainingRun.kind, CheckpointPolicy.kind),
    CheckpointPolicy.kind: (CheckpointPolicy.kind,),
}
"""By the kind that is asked for: the kinds to read, that one first, then those that are shown beside it."""

Objects = Mapping[str, Sequence[Manifest]]
"""Live objects by kind."""


@dataclass(frozen=True)
class Forest:
    """What is shown: the roots, and by the key of each run its policies."""

    roots: tuple[Seen, ...]
    policies: Mapping[tuple[str, str], tuple[Seen, ...]]
    """By namespace and name of a TrainingRun."""
    serves: Mapping[tuple[str, str], str]
    """By namespace and name of a Deployment: which checkpoint it serves."""

    @property
    def shown(self) -> Iterator[Seen]:
        """All objects, in their order."""
        for root in self.roots:
            yield root
            yield from self._below(root)

    @property
    def is_ready(self) -> bool:
        """Whether all that is shown is ready."""
        return all(seen.is_ready for seen in self.shown)

    def trees(self, now: datetime) -> list[Node]:
        """To be drawn."""
        return [self._tree(root, now) for root in self.roots]

    def data(self) -> dict[str, Any]:
        """For programs: what is ready, and the status of each as the API has it."""
        return {"ready": self.is_ready, "objects": [self._entry(seen) for seen in self.shown]}

    def _below(self, seen: Seen) -> tuple[Seen, ...]:
        return self.policies.get((seen.namespace, seen.name), ()) if seen.kind == TrainingRun.kind else ()

    def _tree(self, seen: Seen, now: datetime) -> Node:
        return headline(
            seen,
            (
                *self._lines(seen, now),
                *problems(seen),
                *(self._tree(each, now) for each in self._below(seen)),
            ),
        )

    def _lines(self, seen: Seen, now: datetime) -> Iterator[Node]:
        if isinstance(seen.model, TrafficPolicy):
            serves = {name: said for (namespace, name), said in self.serves.items() if namespace == seen.namespace}
            return traffic.lines(seen.model, serves, now)
        if isinstance(seen.model, TrainingRun):
            return training.lines(seen.model, now)
        if isinstance(seen.model, CheckpointPolicy):
            return checkpoints.lines(seen.model, now)
        return iter(())

    def _entry(self, seen: Seen) -> dict[str, Any]:
        state, reason, message = seen.verdict
        ref = seen.model.spec.training_run_ref if isinstance(seen.model, CheckpointPolicy) else None
        return {
            "kind": seen.kind,
            "namespace": seen.namespace,
            "name": seen.name,
            "ready": seen.is_ready,
            "state": state,
            "reason": reason,
            "message": message,
            "problems": [
                {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
                for each in seen.problems
            ],
            **({"trainingRun": ref.name} if ref is not None else {}),
            "status": seen.manifest.get("status") or {},
        }


def grow(objects: Objects, selection: Selection) -> Forest:
    """What `selection` asks for, of objects that were read for it. Empty where there is none."""
    seen = [Seen.of(kind, manifest) for kind in READ[None] for manifest in _sorted(objects.get(kind, ()))]
    chosen = [each for each in seen if selection.kind in (None, each.kind) and selection.name in (None, each.name)]
    by_run: dict[tuple[str, str], tuple[Seen, ...]] = {}
    serves: dict[tuple[str, str], str] = {}
    for each in seen:
        policy = each.model
        if not isinstance(policy, CheckpointPolicy):
            continue
        if policy.spec.training_run_ref is not None:
            key = each.namespace, policy.spec.training_run_ref.name
            by_run[key] = (*by_run.get(key, ()), each)
        if policy.spec.serving is not None and (said := checkpoints.serves(policy)):
            serves[each.namespace, policy.spec.serving.deployment_ref.name] = said
    runs = {(each.namespace, each.name) for each in chosen if each.kind == TrainingRun.kind}
    under = {id(each) for key in runs for each in by_run.get(key, ())}
    return Forest(tuple(each for each in chosen if id(each) not in under), by_run, serves)


def _sorted(manifests: Iterable[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"]))
