"""What runs an attempt of a TrainingRun."""

from __future__ import annotations

from accord.domain.training.views import AttemptView, Problem
from accord.domain.training.workload import Workload

__all__ = ["AttemptView", "Problem", "Workload"]
