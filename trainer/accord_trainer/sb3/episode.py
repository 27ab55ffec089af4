"""The environment in the middle of an episode, put away so that a resumed training goes on with the very next step.

Not every environment can be put away: one that holds a window, a connection or a physics engine cannot be pickled, and
some (`gymnasium.utils.EzPickle`) pickle only how they were made, not where they are. They begin a new episode.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any

import gymnasium

_DEFAULTS = ("__getstate__", "__reduce__", "__reduce_ex__")


def freeze(environment: gymnasium.Env, *beside: Any) -> str | None:
    """The environment and what belongs to its present step, as text; None if it cannot be put away whole."""
    layer: Any = environment
    while layer is not None:
        if any(getattr(type(layer), name) is not getattr(object, name) for name in _DEFAULTS):
            return None
        layer = layer.env if isinstance(layer, gymnasium.Wrapper) else None
    try:
        return base64.b64encode(pickle.dumps((environment, *beside))).decode()
    except (pickle.PicklingError, TypeError, AttributeError):
        return None


def thaw(text: str) -> tuple[Any, ...]:
    """What `freeze` was given, as new objects. ValueError if that cannot be had here, as under other versions."""
    try:
        # The text is of a checkpoint whose manifest verified, from the run's own volume.
        content: tuple[Any, ...] = pickle.loads(base64.b64decode(text))  # noqa: S301
    except Exception as error:  # unpickling runs what it names, which may raise anything
        raise ValueError(f"the environment cannot be put back: {error}") from error
    return content
