"""Where things live: the cache of built programs and images, and the state of the one cluster of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from devcluster import settings

CHECKOUT = Path(__file__).resolve().parent.parent
TOOLS = Path(__file__).resolve().parent / "tools"


def cache_dir() -> Path:
    """Programs and images, safe to delete at any time; `ACCORD_CACHE` moves it."""
    given = os.environ.get("ACCORD_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "accord"


def state_dir() -> Path:
    """State of the cluster. One place per machine, so that any checkout can clean up what another one left."""
    return Path("/var/lib") / settings.NAME
