"""The signals: what is looked for, in which series, and which way is bad. Whoever goes through them goes through here.

ARCHITECTURE.md says what to add for one more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import (
    Detection,
    ExplainedVarianceDrop,
    KLSpike,
    LossSpike,
    RewardDrop,
)
from accord.api.v1alpha1.checkpointpolicy import Signal as SignalName
from accord.domain.checkpoint.detection.series import Kind, Name

Rule = LossSpike | RewardDrop | KLSpike | ExplainedVarianceDrop


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
    words: str
    """The series in a sentence."""
    is_proof: bool = True
    """Whether it may fail a check, and a value that is not finite is divergence. Others are Suspect at most, and such a
    value of theirs is none: they may be NaN in the best of health."""
    scale: float | None = None
    """What a threshold is a part of, where the series has a scale of its own; None: the level before."""
    least: float = -math.inf
    """What is less counts as this."""

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

    def may_say(self, name: SignalName) -> bool:
        """Whether that may be because of its series."""
        return name == self.name or (name == "NonFinite" and self.is_proof)

    def is_seen(self, detection: Detection) -> bool:
        """Whether its series is asked for and shown: that of a proof always is."""
        return self.is_proof or self.rule(detection).enabled

    def alone(self, detection: Detection) -> Detection:
        """The same policy without the others."""
        off = {
            each.field: each.rule(detection).model_copy(update={"enabled": False})
            for each in SIGNALS
            if each is not self
        }
        return detection.model_copy(update={**off, "nan_policy": "Ignore"})


SIGNALS = (
    Signal("RewardDrop", "reward", -1, "episodes", "reward_drop", "reward"),
    Signal("LossSpike", "loss", 1, "updates", "loss_spike", "loss"),
    Signal("KLSpike", "approx_kl", 1, "updates", "kl_spike", "approximate KL", is_proof=False),
    Signal(
        "ExplainedVarianceDrop",
        "explained_variance",
        -1,
        "updates",
        "explained_variance_drop",
        "explained variance",
        is_proof=False,
        scale=1.0,
        least=-1.0,
    ),
)
"""In the order of what they tell: a loss may fall when the policy breaks."""
OF_SERIES = {signal.series: signal for signal in SIGNALS}
SUSPECTED = {signal.name: signal.suspected for signal in SIGNALS}
"""Reason of a Suspect, by its signal."""


def optional(detection: Detection) -> list[Signal]:
    """Those that a trainer need not report, as far as the policy enables them."""
    return [signal for signal in SIGNALS if not signal.is_proof and signal.is_seen(detection)]
