"""A trained policy without its framework: `policy.npz`, from which a service answers with NumPy alone.

The file holds float32 arrays of a multilayer perceptron and nothing that must be unpickled:

- `w0`, `b0`, `w1`, `b1`, …: the hidden layers, each `tanh(x @ w + b)`; `w` has the shape (inputs, outputs);
- `w_out`, `b_out`: the last layer, `x @ w + b`, whose outputs are the logits of the actions;
- `format`: the number 1.

A service that must not depend on this package can read the same in ten lines.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FILE = "policy.npz"
FORMAT = 1

Floats = NDArray[np.float32]


class PolicyFileError(Exception):
    """A file holds no policy that can be used; the text names it and says why."""


@dataclass(frozen=True)
class Layer:
    """`x @ weights + bias`; `weights` has the shape (inputs, outputs), `bias` (outputs)."""

    weights: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        """The outputs for one input or a batch of them."""
        return np.asarray(values @ self.weights + self.bias)


@dataclass(frozen=True)
class Policy:
    """What a service needs to answer. At least one layer; the last one gives the logits."""

    layers: Sequence[Layer]

    @property
    def inputs(self) -> int:
        """Numbers in an observation."""
        return int(self.layers[0].weights.shape[0])

    @property
    def actions(self) -> int:
        """Actions to choose from."""
        return int(self.layers[-1].weights.shape[1])

    def logits(self, observation: NDArray[Any]) -> Floats:
        """Logits of all actions, for one observation (inputs) or a batch (n, inputs). ValueError for other shapes."""
        values = np.asarray(observation, dtype=np.float32)
        if values.shape[-1:] != (self.inputs,):
            raise ValueError(f"an observation has {self.inputs} numbers, not the shape {values.shape}")
        for layer in self.layers[:-1]:
            values = np.tanh(layer(values))
        return self.layers[-1](values)

    def best(self, observation: NDArray[Any]) -> int:
        """The most probable action: what stable-baselines3 answers with `deterministic=True`."""
        return int(self.logits(observation).argmax())

    def draw(self, observation: NDArray[Any], chance: np.random.Generator) -> int:
        """An action by its probability, as during training."""
        # The largest of logits with Gumbel noise is a draw from their softmax, without its overflow.
        return int((self.logits(observation) + chance.gumbel(size=self.actions)).argmax())

    def write(self, path: Path) -> None:
        """Into a file, the same bytes for the same policy."""
        arrays: dict[str, Any] = {"format": np.array(FORMAT)}
        names = [*map(str, range(len(self.layers) - 1)), "_out"]
        for name, layer in zip(names, self.layers, strict=True):
            arrays[f"w{name}"] = np.asarray(layer.weights, dtype=np.float32)
            arrays[f"b{name}"] = np.asarray(layer.bias, dtype=np.float32)
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The policy in a file; PolicyFileError if it holds none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(_layers(arrays))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise PolicyFileError(f"{path} holds no policy that can be used: {error}") from error


def _layers(arrays: Any) -> tuple[Layer, ...]:
    if (found := int(arrays["format"])) != FORMAT:
        raise ValueError(f"format {found} is not known here, only {FORMAT}")
    hidden = sum(name.startswith("w") and name != "w_out" for name in arrays)
    layers = tuple(Layer(arrays[f"w{name}"], arrays[f"b{name}"]) for name in [*map(str, range(hidden)), "_out"])
    for number, layer in enumerate(layers):
        before = layers[number - 1].bias.shape[0] if number else layer.weights.shape[0]
        if layer.weights.shape != (before, *layer.bias.shape) or layer.bias.ndim != 1:
            raise ValueError(f"layer {number} does not fit the one before it")
        if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
            raise ValueError(f"layer {number} holds numbers that are not finite")
    return layers
