"""The state of every random number generator that a training draws from, as plain JSON types."""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import torch


def state(generator: np.random.Generator) -> dict[str, Any]:
    """Of Python, NumPy (the legacy one, which shuffles minibatches), PyTorch and one environment."""
    legacy: Any = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [legacy[0], legacy[1].tolist(), *legacy[2:]],
        "torch": _text(torch.get_rng_state()),
        "cuda": [_text(each) for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "environment": generator.bit_generator.state,
    }


def restore(saved: dict[str, Any], generator: np.random.Generator) -> None:
    """Go on where `state` was taken. GPUs that were not there then, or are not now, keep what they have."""
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state((saved["numpy"][0], np.array(saved["numpy"][1], dtype=np.uint32), *saved["numpy"][2:]))
    torch.set_rng_state(_tensor(saved["torch"]))
    if torch.cuda.is_available() and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([_tensor(each) for each in saved["cuda"]])
    if saved["environment"]["bit_generator"] == generator.bit_generator.state["bit_generator"]:
        generator.bit_generator.state = saved["environment"]


def _text(tensor: Any) -> str:
    return base64.b64encode(tensor.cpu().numpy().tobytes()).decode()


def _tensor(text: str) -> Any:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
