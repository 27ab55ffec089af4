"""What is known of the proxies of one policy, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accord.domain.traffic.observed import CutOff, Sight


@dataclass(frozen=True)
class ProxyState:
    """What one proxy said about the configuration that it was offered last."""

    name: str
    ready: bool
    accepted: bool
    rejected: str | None = None
    """Why it refused, in a sentence; None when it did not."""
    polls_from: str | None = None
    """The address from which its polls come and are turned away, because it is not its own; None when heard."""


@dataclass(frozen=True)
class Programming:
    """How far the proxies have come with the configuration of the current spec.

    `published_at` is when this configuration was first offered (None: nothing is). `warm` holds the modes of which
    every ready proxy has had the endpoints long enough to route to them at once. `routes_settled` says that every
    ready proxy has accepted the current routes, so that what they no longer name may go.
    """

    published_at: datetime | None = None
    proxies: tuple[ProxyState, ...] = ()
    warm: frozenset[str] = frozenset()
    routes_settled: bool = False
    sights: Mapping[str, Sight] = field(default_factory=dict)
    """What the proxies say about the pods of each mode; a mode of which nobody could tell is absent."""
    cut_off: Mapping[str, CutOff] = field(default_factory=dict)
    """Modes that some of the proxies reach no pod of."""
    looked: bool = True
    """False while the proxies have not been asked since this replica leads: what the status says of them stays."""

    @property
    def has_ready_proxy(self) -> bool:
        """Whether anything answers."""
        return any(proxy.ready for proxy in self.proxies)

    @property
    def silent(self) -> tuple[str, ...]:
        """Ready proxies that have neither accepted nor refused what they were offered."""
        return tuple(sorted(p.name for p in self.proxies if p.ready and not p.accepted and p.rejected is None))
