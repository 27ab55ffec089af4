"""Where checkpoints are kept: one implementation for each `method` of a CheckpointPolicy."""

from __future__ import annotations

from accord.domain.checkpoint.store import Place, Problem, Store

__all__ = ["Place", "Problem", "Store"]
