"""What a report is made of: objects, when the operator was last seen, and what Prometheus answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.samples import Answer

Outcome = Literal["pass", "warn", "fail", "unknown"]
Asked = Literal["errors", "latency", "cache", "uptime", "normalizer"]


@dataclass(frozen=True)
class Limits:
    """What passes. Shares and distances are in percent and percentage points, the latency in seconds."""

    share_within: float = 2.0
    share_limit: float = 5.0
    max_errors: float = 0.5
    max_latency: float = 1.0
    min_cache_hits: float = 70.0
    max_rollbacks: int = 1


@dataclass(frozen=True)
class Queries:
    """PromQL of the user's own, in place of ours."""

    errors: str | None = None
    latency: str | None = None
    cache: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that is known. `answers` is None where no Prometheus was given, else has an answer for each thing asked."""

    namespace: str
    now: datetime
    policies: Sequence[TrafficPolicy] = ()
    runs: Sequence[TrainingRun] = ()
    checkpoints: Sequence[CheckpointPolicy] = ()
    renewed: datetime | None = None
    """When the operator last renewed its Lease; None where that cannot be known."""
    answers: Mapping[tuple[str, Asked], Answer] | None = None
    """By the name of the object and what was asked."""
    range: timedelta = timedelta(hours=48)
    queries: Queries = field(default_factory=Queries)


@dataclass(frozen=True)
class Line:
    """One line of the checklist."""

    object: str
    """Kind and name, as `TrafficPolicy shop`."""
    check: str
    outcome: Outcome
    figure: str
    """What was found; `–` where nothing was."""
    expected: str
    source: str
    """Where the figure comes from: a field of the status, or metrics."""
    note: str = ""
    """Why it is so, and what to do."""
