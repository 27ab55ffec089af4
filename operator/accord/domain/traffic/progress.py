"""How far a router has come with what it was asked for, in terms that every router understands.

Conditions and events are made of these alone: how a router finds out (from proxies that answer, from the status of an
object) is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

PENDING = "Pending"
"""Reason of a router that only needs a moment."""


@dataclass(frozen=True)
class Settled:
    """What was asked for is in force everywhere."""

    message: str
    recalled: bool = False
    """Whether the status says so, and the router has not been heard since: it is looked at again soon."""


@dataclass(frozen=True)
class Pending:
    """On its way there, by itself."""

    message: str
    reason: str = PENDING
    patience: timedelta | None = None
    """After how long a person must look; None: as long as pods may take to start."""


@dataclass(frozen=True)
class Rejected:
    """It will not come there by itself: the router, or what it needs, says no. Each new reason is told as an event."""

    reason: str
    message: str
    patience: timedelta | None = None
    undecided: bool = False
    """Whether a part of the router has yet to answer."""


@dataclass(frozen=True)
class Unverifiable:
    """It was asked, and does not tell."""

    message: str


Progress = Settled | Pending | Rejected | Unverifiable
NOBODY = Unverifiable("there is no router to ask")


@dataclass(frozen=True)
class Handover:
    """Make before break, for a router that needs it: which modes may come, and whether others may go.

    As it is here: any mode may be named at once, and what routes do not name is used by nothing.
    """

    able: frozenset[str] | None = None
    """Modes that it can send requests to at once; None: all."""
    able_when: str = "the router has their endpoints"
    """What makes a mode one of them, for the sentence `mode a gets its first requests when …`."""
    left: bool = True
    """Whether it sends nothing any more to modes that the current routing does not name."""
    offered_at: datetime | None = None
    """When it was first asked for the current routing; None: it is not known, or nothing is."""
