"""Numbers in labels and annotations, which anybody may write: read, or none, but never an error."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[0-9]{1,12}")
"""No float, no sign: what is read must be what was meant. Python refuses to read more than 4,300 digits."""


def whole(text: str | None) -> int | None:
    """A step or an attempt; None for anything else."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def finite(text: str | None) -> float | None:
    """A loss or a reward; None for anything else, and for NaN and Inf, which no comparison and no JSON can take."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
