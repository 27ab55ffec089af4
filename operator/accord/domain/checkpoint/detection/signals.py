"""The signals: what is looked for, in which series, and which way is bad. Whoever goes through them goes through here.

| to add one | where |
| --- | --- |
| its name, and the fields of its rule | `api/v1alpha1/checkpointpolicy.py`: `Signal`, `Detection` |
| its series, as a column of what a trainer reports | `series.Name`, `series.Moment`, `rows.Row` |
| its row | here |
| how it is judged, where it is neither a return nor like a loss | `history` |
| what a trainer calls to report it | `accord_trainer/sdk/metrics.py` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Detection, LossSpike, RewardDrop
from accord.api.v1alpha1.checkpointpolicy import Signal as SignalName
from accord.domain.checkpoint.detection.series import Kind, Name

Rule = LossSpike | RewardDrop


@dataclass(frozen=True)
class Signal:
    """One row."""

    name: SignalName
    """In status, conditions and events."""
    series: Name
    """What it is looked for in. Prometheus has it as `ppo_<series>`, with its sums beside it."""
    bad: Literal[1, -1]
    """1 where high values are bad, -1 where low ones are."""
    unit: Kind
    """What one sample is, unless the values tell otherwise."""
    field: str
    """Of `spec.detection`."""

    @property
    def gauge(self) -> str:
        """The series of the newest value."""
        return f"ppo_{self.series}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that is asked for. The spread of single samples is needed of episodes alone."""
        parts = ("", "_sum", "_count", *(("_sumsq",) if self.unit == "episodes" else ()))
        return tuple(self.gauge + part for part in parts)

    @property
    def suspected(self) -> str:
        """Reason of a condition that says Suspect."""
        return f"Suspected{self.name}"

    def rule(self, detection: Detection) -> Rule:
        """What the policy says of it."""
        found: Rule = getattr(detection, self.field)
        return found

    def alone(self, detection: Detection) -> Detection:
        """The same policy without the others."""
        off = {
            each.field: each.rule(detection).model_copy(update={"enabled": False})
            for each in SIGNALS
            if each is not self
        }
        return detection.model_copy(update={**off, "nan_policy": "Ignore"})


SIGNALS = (
    Signal("RewardDrop", "reward", -1, "episodes", "reward_drop"),
    Signal("LossSpike", "loss", 1, "updates", "loss_spike"),
)
"""In the order of what they tell: a loss may fall when the policy breaks."""
OF_SERIES = {signal.series: signal for signal in SIGNALS}
SUSPECTED = {signal.name: signal.suspected for signal in SIGNALS}
"""Reason of a Suspect, by its signal."""
