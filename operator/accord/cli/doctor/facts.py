"""What the API server and Prometheus said, before anything is concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from accord.api.base import Manifest

Result = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True)
class Read:
    """Objects of one kind; or why they are not known."""

    items: Sequence[Manifest] = ()
    problem: str = ""
    absent: bool = False
    """The API server has no such kind."""

    @property
    def known(self) -> bool:
        """Whether `items` is all there is."""
        return not self.problem and not self.absent


@dataclass(frozen=True)
class Clock:
    """The local clock before and after a request, and what the API server's said. None: it did not say."""

    before: datetime
    server: datetime | None
    after: datetime


@dataclass(frozen=True)
class Right:
    """One thing that the operator must be allowed, and whether it is; None where that cannot be asked."""

    verb: str
    group: str
    resource: str
    namespace: str
    """Empty: in all."""
    allowed: bool | None
    problem: str = ""


@dataclass(frozen=True)
class Metrics:
    """What Prometheus said. `reachable` is empty where it answered, else why not."""

    problem: str = ""
    operator: bool | None = None
    """Whether it scrapes the operator."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Object → which of the metrics that it needs are missing."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Object → why it cannot be said."""
    asked: int = 0
    """Objects that were asked for."""


@dataclass(frozen=True)
class Facts:
    """Everything. `metrics` is None where no Prometheus was given; `configuration` maps a Deployment
    (`namespace/name`) to its configuration file, as far as it may be read.
    """

    version: str
    """Of this program."""
    crds: Mapping[str, Read]
    """By name."""
    deployments: Read = Read()
    rights: Sequence[Right] = ()
    policies: Read = Read()
    runs: Read = Read()
    checkpoints: Read = Read()
    pods: Read = Read()
    """Those of operator, routers and trainings."""
    claims: Read = Read()
    storage_classes: Read = Read()
    snapshot_classes: Read = Read()
    network_policies: Read = Read()
    clock: Clock | None = None
    metrics: Metrics | None = None
    configuration: Mapping[str, Manifest] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One line of the answer."""

    name: str
    result: Result
    seen: str
    remedy: str = ""
