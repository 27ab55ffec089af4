"""The series that the operator and CheckpointPolicies read, served to Prometheus.

All of them are read under one lock at the moment of a scrape, so that a scrape is a picture of one instant: the sums
belong to the counts and to the step beside them.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NotRequired, TypedDict

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from accord_trainer.sdk.manifest import Checkpoint
from accord_trainer.sdk.metrics_table import (
    APPROX_KL,
    EXPLAINED_VARIANCE,
    LOSS,
    METRICS,
    REWARD,
    SERIES,
    Kind,
    MetricSpec,
    SeriesSpec,
)
from accord_trainer.sdk.moments import Histogram, Moments
from accord_trainer.sdk.normalizer import RewardNormalizer
from accord_trainer.sdk.server import MetricsServer

RAW_BUCKETS = (-1000, -100, -10, -5, -2, -1, 0, 1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)
NORMALIZED_BUCKETS = (-10, -5, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 5, 10)


class MetricsState(TypedDict):
    """What a checkpoint holds of the metrics: the sums as of its step, so that they go on from there."""

    loss: list[float]
    reward: list[float]
    approx_kl: NotRequired[list[float]]
    explained_variance: NotRequired[list[float]]
    """The last two are not in checkpoints of versions that had none."""
    best_reward: float | None


class Metrics(Collector):
    """Everything a trainer reports. One object a process; thread-safe.

    A value that was never reported has no series, rather than a zero that could be taken for a measurement. A loss or
    reward that is NaN or Inf makes the sums NaN permanently: Accord takes it for divergence, so do not report what you
    mean to survive.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        raw_buckets: Sequence[float] = RAW_BUCKETS,
        normalized_buckets: Sequence[float] = NORMALIZED_BUCKETS,
    ) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._gauges: dict[str, float] = {}
        self._updates = 0
        self._saves = 0
        self._last_checkpoint: Checkpoint | None = None
        self._moments = {series: Moments() for series in SERIES}
        self._at_last_save = self._copies()
        self._raw = Histogram(raw_buckets)
        self._normalized = Histogram(normalized_buckets)
        registry.register(self)

    def step(self, step: int, *, entropy_coef: float, learning_rate: float) -> None:
        """Training has reached this step, with these values in force."""
        with self._lock:
            self._gauges["ppo_training_step"] = step
            self._gauges["ppo_entropy_coef"] = entropy_coef
            self._gauges["ppo_learning_rate"] = learning_rate

    def reward(self, raw: float, normalized: float, normalizer: RewardNormalizer) -> None:
        """One step was rewarded: as the environment did, and as the policy is trained with."""
        with self._lock:
            self._raw.observe(raw)
            self._normalized.observe(normalized)
            self._gauges["reward_normalizer_mean"] = normalizer.mean
            self._gauges["reward_normalizer_std"] = normalizer.std

    def episode(self, reward: float) -> None:
        """An episode is over; `reward` is its raw, undiscounted return (for one-step episodes the rating itself)."""
        with self._lock:
            self._add(REWARD, reward)

    def minibatch(self, loss: float) -> None:
        """The loss of one minibatch."""
        with self._lock:
            self._add(LOSS, loss)

    def update(self, *, approx_kl: float | None = None, explained_variance: float | None = None) -> None:
        """The policy was updated: all epochs over the steps collected.

        `approx_kl` is the approximate KL divergence between the policies before and after it, `explained_variance` what
        the value function explained of the returns that were learnt from. Values that are not finite are left out.
        """
        with self._lock:
            self._updates += 1
            for series, value in ((APPROX_KL, approx_kl), (EXPLAINED_VARIANCE, explained_variance)):
                if value is not None and math.isfinite(value):
                    self._add(series, value)

    def since_last_save(self) -> dict[str, float]:
        """Mean reward of the episodes and mean loss of the minibatches since the last save, and their numbers.

        This is what belongs in a checkpoint's manifest. A mean of nothing is left out.
        """
        with self._lock:
            means: dict[str, float] = {}
            for series in (LOSS, REWARD):
                now, then = self._moments[series], self._at_last_save[series]
                means[f"{series.name}Count"] = count = now.count - then.count
                if count:
                    means[series.name] = (now.sum - then.sum) / count
            return means

    def saved(self, checkpoint: Checkpoint) -> None:
        """A checkpoint is committed. To be called once `save` has returned, so that nobody looks for one that is not
        there; for the same checkpoint again, it does nothing.
        """
        reward = checkpoint.metrics.get("reward")
        space = _space(checkpoint)
        with self._lock:
            if checkpoint == self._last_checkpoint:
                return
            self._last_checkpoint = checkpoint
            self._saves += 1
            self._gauges |= {"ppo_checkpoint_step": checkpoint.step, **space}
            self._at_last_save = self._copies()
            if reward is not None and reward > self._gauges.get("best_model_reward", float("-inf")):
                self._gauges["best_model_reward"] = reward

    def resumed(self, checkpoint: Checkpoint) -> None:
        """Training resumes from a checkpoint."""
        space = _space(checkpoint)
        with self._lock:
            self._last_checkpoint = checkpoint
            self._gauges |= {"ppo_checkpoint_step": checkpoint.step, **space}
            self._gauges["ppo_training_step"] = checkpoint.step

    def state_dict(self) -> MetricsState:
        """The running sums, as plain JSON types."""
        with self._lock:
            return {
                "loss": self._moments[LOSS].state(),
                "reward": self._moments[REWARD].state(),
                "approx_kl": self._moments[APPROX_KL].state(),
                "explained_variance": self._moments[EXPLAINED_VARIANCE].state(),
                "best_reward": self._gauges.get("best_model_reward"),
            }

    def load_state_dict(self, state: MetricsState) -> None:
        """Go on with the sums of a checkpoint."""
        with self._lock:
            self._moments[LOSS] = Moments.of(state["loss"])
            self._moments[REWARD] = Moments.of(state["reward"])
            if "approx_kl" in state:
                self._moments[APPROX_KL] = Moments.of(state["approx_kl"])
            if "explained_variance" in state:
                self._moments[EXPLAINED_VARIANCE] = Moments.of(state["explained_variance"])
            self._at_last_save = self._copies()
            if (best := state["best_reward"]) is not None:
                self._gauges["best_model_reward"] = best

    def serve(self, port: int) -> MetricsServer:
        """Serve the registry on a port, on all addresses (IPv6 where there is any); 0 picks a free one."""
        return MetricsServer(port, self._registry)

    def describe(self) -> list[Metric]:
        """The names that this collector will ever expose, for the registry's check for duplicates."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Metric]:
        """One consistent picture of all series."""
        with self._lock:
            values: dict[str, float] = {**self._gauges, **self._sums()}
            histograms = {"reward_raw": self._raw.cumulative(), "reward_normalized": self._normalized.cumulative()}
        for metric in METRICS:
            family = _family(metric)
            if isinstance(family, HistogramMetricFamily):
                buckets, total = histograms[metric.name]
                family.add_metric([], buckets, total)
                yield family
            elif metric.name in values:
                family.add_metric([], values[metric.name])
                yield family

    def _sums(self) -> Mapping[str, float]:
        values: dict[str, float] = {"ppo_updates_total": self._updates, "checkpoint_saves_total": self._saves}
        for series, moments in self._moments.items():
            if series.always or moments.count:
                values[f"{series.gauge}_sum"] = moments.sum
                values[f"{series.gauge}_sumsq"] = moments.sumsq
                values[f"{series.gauge}_count"] = moments.count
        return values

    def _add(self, series: SeriesSpec, value: float) -> None:
        self._gauges[series.gauge] = value
        self._moments[series].add(value)

    def _copies(self) -> Mapping[SeriesSpec, Moments]:
        return {series: moments.copy() for series, moments in self._moments.items()}


def _space(checkpoint: Checkpoint) -> dict[str, float]:
    """Bytes of a checkpoint and bytes left beside it. Not read at a scrape: a network volume may take its time."""
    space: dict[str, float] = {"checkpoint_bytes": sum(entry.size for entry in checkpoint.files.values())}
    with contextlib.suppress(OSError):  # it has been deleted meanwhile, or the volume does not tell
        space["checkpoint_volume_free_bytes"] = shutil.disk_usage(checkpoint.path).free
    return space


_Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily
_FAMILIES: dict[Kind, type[_Family]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _family(metric: MetricSpec) -> _Family:
    return _FAMILIES[metric.kind](metric.name, metric.meaning, labels=[])
