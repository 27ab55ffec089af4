"""Version v1alpha1: one module a kind, and the registry of all kinds."""

from __future__ import annotations

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import Resource
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun

KINDS: tuple[type[Resource], ...] = (TrafficPolicy, TrainingRun, CheckpointPolicy)
"""Every kind of the group. A new kind is added here and gets its CRD, validation and reference page from it."""
