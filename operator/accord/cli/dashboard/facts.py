"""What the page is made of: objects as they were read last, and what else is known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from accord.cli.dashboard.curves import Curves, Spells
from accord.cli.status.forest import Objects

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Facts:
    """All that is known."""

    context: str
    """Of the kubeconfig."""
    namespace: str | None
    """None: all."""
    objects: Objects
    command: Callable[[str, str, str, Mapping[str, Any]], str]
    """From kind, namespace, name and patch to the command of kubectl that does the same."""
    read_at: datetime | None = None
    """When the objects were read."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a kind could not be read, by kind; what was read before is shown still."""
    is_lost: bool = False
    """Whether the API server is not responding."""
    rights: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """By namespace and kind, whether the user may patch such objects. Absent where that is not known."""
    asks_prometheus: bool = False
    curves: Mapping[Key, Curves] = field(default_factory=dict)
    """By TrainingRun."""
    spells: Mapping[Key, Spells] = field(default_factory=dict)
    """By CheckpointPolicy."""
    reach: timedelta = timedelta(hours=6)
    """How far back curves and spells reach."""
