"""What a checkpoint holds beside the network and its optimizer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from accord_trainer.sdk.metrics import MetricsState
from accord_trainer.sdk.normalizer import NormalizerState

FILE = "state.json"


@dataclass(frozen=True)
class State:
    """Everything as of one moment between two updates, as plain JSON types."""

    step: int
    environment: str
    """Gymnasium id of what the policy was trained on."""
    updates: int
    """Passes over the collected steps, over all attempts, as stable-baselines3 counts them."""
    normalizer: NormalizerState
    metrics: MetricsState
    means: dict[str, float]
    """Of loss and reward since the checkpoint before; they go into the manifest."""
    chance: dict[str, Any]
    """States of all random number generators."""
    episode: str | None = None
    """The environment in the middle of its episode; None where it cannot be put away."""

    def to_json(self) -> bytes:
        """The content of `state.json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The state in a file; TypeError or ValueError if something else wrote it."""
        return cls(**json.loads(path.read_bytes()))


def is_due(step: int, saved: int, frequency: int) -> bool:
    """Whether a multiple of `frequency` lies between the last save and this step."""
    return step // frequency > saved // frequency
