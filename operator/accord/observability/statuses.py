"""What the statuses of all objects say, as metrics, so that alerts and dashboards need not read the API.

Made at each scrape from the objects as they are known then. A book of what was shown would have to be kept in step
with deletions and with leadership, and whatever it missed would be an alert that fires for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import Rollback
from accord.api.v1alpha1.trainingrun import Schedules
from accord.domain.plan import ObjectKey
from accord.domain.training.schedule import value_at

Statuses = Callable[[], Iterable[tuple[ObjectKey, Manifest]]]
"""Key and live object of everything that this replica reports on; nothing where it does not lead."""

_POLICY = ("namespace", "policy")
_RUN = ("namespace", "run")
_WHOLE = 100
_STATES = ("usable", "pending", "quarantined")


class StatusMetrics(Collector):
    """One scrape of the statuses. What a status does not say has no series, rather than a zero that looks measured.

    Rollbacks and downshifts are counted in the status, so that neither a restart nor another leader loses one.
    """

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        """The samples of this moment."""
        objects = list(self._statuses())
        known = dict(objects)
        picture = _Picture()
        for key, manifest in objects:
            status = manifest.get("status") or {}
            picture.conditions_of(key, status)
            if key.kind == "TrafficPolicy":
                picture.shares(key, status)
                picture.circuits(key, status)
            if key.kind == "CheckpointPolicy" and status:
                picture.policy(key, manifest.get("spec") or {}, status, known)
            if key.kind == "TrainingRun" and status:
                picture.run(key, manifest.get("spec") or {}, status)
        yield from picture.families()


class _Picture:
    """All families, filled object by object."""

    def __init__(self) -> None:
        self._conditions = GaugeMetricFamily(
            "accord_condition",
            "1 for each condition of an object, with its status and reason.",
            labels=("kind", "namespace", "name", "type", "status", "reason"),
        )
        self._rollbacks = CounterMetricFamily(
            "checkpoint_rollbacks", "Completed rollbacks of the current training.", labels=_POLICY
        )
        self._left = GaugeMetricFamily(
            "checkpoint_rollbacks_left",
            "Rollbacks of the current training that need no approval, as spec.rollback.max has it. Absent with "
            "rollback.enabled: false, with approval: Manual, and once the training has finished.",
            labels=_POLICY,
        )
        self._served = GaugeMetricFamily(
            "checkpoint_served_step", "Training step of the served checkpoint.", labels=_POLICY
        )
        self._latest = GaugeMetricFamily(
            "checkpoint_latest_step", "Training step of the newest verified checkpoint.", labels=_POLICY
        )
        self._best = GaugeMetricFamily(
            "checkpoint_best_step", "Training step of the best verified checkpoint.", labels=_POLICY
        )
        self._kept = GaugeMetricFamily(
            "checkpoint_kept",
            "Checkpoints that are kept, by state: usable (ready and verified), pending, quarantined.",
            labels=(*_POLICY, "state"),
        )
        self._shares = {
            "target": GaugeMetricFamily(
                "accord_traffic_target_ratio", "Share of requests in the spec, 0 to 1.", labels=(*_POLICY, "mode")
            ),
            "effective": GaugeMetricFamily(
                "accord_traffic_effective_ratio",
                "Share of requests programmed in the router, 0 to 1.",
                labels=(*_POLICY, "mode"),
            ),
            "actual": GaugeMetricFamily(
                "accord_traffic_actual_ratio",
                "Share of requests measured over the window, 0 to 1; absent if not measured.",
                labels=(*_POLICY, "mode"),
            ),
        }
        self._active = GaugeMetricFamily(
            "accord_downshift_active",
            "1 while a circuit breaker keeps traffic away from a mode, else 0.",
            labels=(*_POLICY, "mode"),
        )
        self._downshifts = CounterMetricFamily(
            "accord_downshifts",
            "How often a circuit breaker has opened, by the mode and those that take over its share.",
            labels=(*_POLICY, "service", "from", "to"),
        )
        self._step = GaugeMetricFamily(
            "accord_training_step", "Training step, as last read from Prometheus for the status.", labels=_RUN
        )
        self._total = GaugeMetricFamily(
            "accord_training_total_steps", "Steps after which the run is complete (spec.totalSteps).", labels=_RUN
        )
        self._values = {
            "entropyCoef": GaugeMetricFamily(
                "accord_training_entropy_coef",
                "Entropy coefficient of the newest attempt, as last read from Prometheus.",
                labels=_RUN,
            ),
            "learningRate": GaugeMetricFamily(
                "accord_training_learning_rate",
                "Learning rate of the newest attempt, as last read from Prometheus.",
                labels=_RUN,
            ),
        }
        self._scheduled = {
            "entropyCoef": GaugeMetricFamily(
                "accord_training_entropy_coef_scheduled",
                "Entropy coefficient of the schedule at accord_training_step.",
                labels=_RUN,
            ),
            "learningRate": GaugeMetricFamily(
                "accord_training_learning_rate_scheduled",
                "Learning rate of the schedule at accord_training_step.",
                labels=_RUN,
            ),
        }

    def families(self) -> Iterator[Metric]:
        """What a scrape shows."""
        yield from (self._conditions, self._rollbacks, self._left, self._served, self._latest, self._best, self._kept)
        yield from (*self._shares.values(), self._active, self._downshifts)
        yield from (self._step, self._total, *self._values.values(), *self._scheduled.values())

    def conditions_of(self, key: ObjectKey, status: Mapping[str, Any]) -> None:
        """1 for each."""
        for condition in status.get("conditions") or ():
            said = (condition["type"], condition["status"], condition["reason"])
            self._conditions.add_metric((key.kind, key.namespace, key.name, *said), 1)

    def shares(self, key: ObjectKey, status: Mapping[str, Any]) -> None:
        """Of the modes of a TrafficPolicy: percent in the status, ratios here."""
        for mode in status.get("modes") or ():
            for name, family in self._shares.items():
                if (share := mode.get(name)) is not None:
                    family.add_metric((key.namespace, key.name, mode["name"]), share / _WHOLE)

    def circuits(self, key: ObjectKey, status: Mapping[str, Any]) -> None:
        """Of the circuit breakers of a TrafficPolicy."""
        for each in status.get("circuitBreakers") or ():
            place = (key.namespace, key.name)
            self._active.add_metric((*place, each["mode"]), float(each["share"] < _WHOLE))
            self._downshifts.add_metric(
                (*place, "llm", each["mode"], _takers(each, status)), each.get("downshifts") or 0
            )

    def policy(
        self, key: ObjectKey, spec: Mapping[str, Any], status: Mapping[str, Any], known: Mapping[ObjectKey, Manifest]
    ) -> None:
        """Of a CheckpointPolicy."""
        labels = (key.namespace, key.name)
        done = status.get("rollbacks") or 0
        self._rollbacks.add_metric(labels, done)
        allowed = _allowed(key, spec, known)
        if allowed is not None:
            self._left.add_metric(labels, max(allowed - done, 0))
        for family, step in (
            (self._served, (status.get("serving") or {}).get("step")),
            (self._latest, status.get("latestStep")),
            (self._best, status.get("bestStep")),
        ):
            if step is not None:
                family.add_metric(labels, step)
        states = [_state(checkpoint) for checkpoint in status.get("checkpoints") or ()]
        for state in _STATES:
            self._kept.add_metric((*labels, state), states.count(state))

    def run(self, key: ObjectKey, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Of a TrainingRun."""
        labels = (key.namespace, key.name)
        step, total = status.get("step"), spec.get("totalSteps")
        if total is not None:
            self._total.add_metric(labels, total)
        for name, family in self._values.items():
            if (value := status.get(name)) is not None:
                family.add_metric(labels, value)
        if step is None:
            return
        self._step.add_metric(labels, step)
        for name, value in _scheduled(spec, step).items():
            self._scheduled[name].add_metric(labels, value)


def _allowed(key: ObjectKey, spec: Mapping[str, Any], known: Mapping[ObjectKey, Manifest]) -> int | None:
    """Rollbacks without approval that a training may have; None where that is not what limits them."""
    try:
        rollback = Rollback.model_validate(spec.get("rollback") or {})
    except ValidationError:
        return None
    run = (spec.get("trainingRunRef") or {}).get("name", "")
    training = known.get(ObjectKey(key.api_version, "TrainingRun", key.namespace, run)) or {}
    finished = (training.get("status") or {}).get("completionTime") is not None
    return None if finished or not rollback.enabled or rollback.approval == "Manual" else rollback.max


def _state(checkpoint: Mapping[str, Any]) -> str:
    if checkpoint.get("quarantined"):
        return "quarantined"
    return "usable" if checkpoint.get("ready") and checkpoint.get("verified") else "pending"


def _scheduled(spec: Mapping[str, Any], step: float) -> dict[str, float]:
    """What the schedules say; nothing where this operator cannot read them."""
    try:
        schedules = Schedules.model_validate(spec.get("schedules") or {})
        return {
            "entropyCoef": value_at(schedules.entropy_coef, step),
            "learningRate": value_at(schedules.learning_rate, step),
        }
    except ValueError:  # pydantic's ValidationError is one
        return {}


def _takers(breaker: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Modes that a circuit breaker shifts to: those that it names, else the fallback mode."""
    named = [share["mode"] for share in breaker.get("shiftTo") or () if share.get("weight")]
    return ",".join(sorted(named)) or (status.get("routing") or {}).get("fallbackMode") or ""
