"""The one table of the metrics that a trainer exposes: the SDK exposes them and the reference page is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class MetricSpec:
    """One metric, as Prometheus and a reader see it."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, eq=False)
class SeriesSpec:
    """Values that are summed as they come, so that a reader knows the mean of any stretch: four metrics each."""

    name: str
    last: str
    """What the gauge is."""
    sum: str
    number: str
    always: bool = True
    """Whether the sums are shown before the first value, as 0."""

    @property
    def gauge(self) -> str:
        """The metric of the last value; `_sum`, `_sumsq` and `_count` go beside it."""
        return f"ppo_{self.name}"

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The four of them."""
        return (
            MetricSpec(self.gauge, "gauge", self.last),
            MetricSpec(f"{self.gauge}_sum", "gauge", self.sum),
            MetricSpec(f"{self.gauge}_sumsq", "gauge", "Sum of their squares."),
            MetricSpec(f"{self.gauge}_count", "gauge", self.number),
        )


LOSS = SeriesSpec(
    "loss", "Loss of the last minibatch.", "Sum of the losses of all minibatches.", "Number of minibatches."
)
REWARD = SeriesSpec(
    "reward",
    "Raw, undiscounted return of the last finished episode.",
    "Sum of the returns of all finished episodes.",
    "Number of finished episodes.",
)
APPROX_KL = SeriesSpec(
    "approx_kl",
    "Approximate KL divergence between the policies before and after the last update.",
    "Sum of those of all updates.",
    "Number of updates with one.",
    always=False,
)
EXPLAINED_VARIANCE = SeriesSpec(
    "explained_variance",
    "Part of the variance of the returns that the value function explained at the last update: 1 at best.",
    "Sum of those of all updates.",
    "Number of updates with one.",
    always=False,
)
SERIES = (LOSS, REWARD, APPROX_KL, EXPLAINED_VARIANCE)

METRICS = (
    MetricSpec("ppo_training_step", "gauge", "Environment steps trained so far, over all attempts."),
    MetricSpec("ppo_entropy_coef", "gauge", "Entropy coefficient in force."),
    MetricSpec("ppo_learning_rate", "gauge", "Learning rate in force."),
    *(metric for series in SERIES for metric in series.metrics),
    MetricSpec("ppo_updates_total", "counter", "Updates of the policy by this process."),
    MetricSpec("ppo_checkpoint_step", "gauge", "Step of the newest committed checkpoint."),
    MetricSpec("checkpoint_saves_total", "counter", "Checkpoints committed by this process."),
    MetricSpec("checkpoint_bytes", "gauge", "Size of the newest committed checkpoint."),
    MetricSpec("checkpoint_volume_free_bytes", "gauge", "Free space on its volume, after that save or on resuming."),
    MetricSpec("best_model_reward", "gauge", "Best mean return between two saves so far."),
    MetricSpec("reward_normalizer_mean", "gauge", "Mean that rewards are normalized with."),
    MetricSpec("reward_normalizer_std", "gauge", "Standard deviation that rewards are normalized with."),
    MetricSpec("reward_raw", "histogram", "Reward of a step, as the environment gave it."),
    MetricSpec("reward_normalized", "histogram", "Reward of a step, as the policy is trained with."),
)


def render() -> str:
    """The page docs/reference/trainer-metrics.md."""
    rows = "\n".join(f"| `{metric.name}` | {metric.kind} | {metric.meaning} |" for metric in METRICS)
    return f"""\
<!-- Generated from trainer/accord_trainer/sdk/metrics_table.py. Do not edit. -->

# Metrics of a trainer

A trainer serves these on `METRICS_PORT` under `/metrics`. The SDK (`accord_trainer.sdk.Metrics`) does it for you. They
carry no labels of their own: Prometheus adds namespace and pod.

| metric | type | meaning |
| --- | --- | --- |
{rows}

## Sums beside the last values

Prometheus sees one value a scrape. At 10 steps a second and a scrape every 15 s, 149 of 150 values of `ppo_loss` are
never seen. The sums lose nothing: the mean of everything between two scrapes is the difference of the sums divided
by that of the counts.

```promql
delta(ppo_reward_sum[10m]) / delta(ppo_reward_count[10m])
```

They are gauges because rewards may be negative: `rate()` and `increase()` take a sum that falls for a restarted
counter. A trainer that resumes goes on with the sums of the checkpoint, so compare values of one pod only. The spread
follows from `_sumsq`: variance = Δsumsq / Δcount − (Δsum / Δcount)².

A value that was not reported yet has no series. A NaN or Inf that is reported makes the sums NaN for the rest of the
pod's life. Of `ppo_approx_kl` and `ppo_explained_variance` the SDK leaves such values out: the explained variance of
returns that are all alike is NaN. These two are for the signals `klSpike` and `explainedVarianceDrop` of a
CheckpointPolicy, which are disabled by default. What others call them:

| | stable-baselines3 | CleanRL | RLlib |
| --- | --- | --- | --- |
| `ppo_approx_kl` | `train/approx_kl` | `losses/approx_kl` | `mean_kl_loss` |
| `ppo_explained_variance` | `train/explained_variance` | `losses/explained_variance` | `vf_explained_var` |
"""
