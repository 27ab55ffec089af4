"""A small network, its gradients written by hand, and Adam, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Network:
    """Two hidden layers of tanh, and a linear one."""

    def __init__(self, sizes: tuple[int, ...], last_gain: float, chance: np.random.Generator) -> None:
        gains = [np.sqrt(2)] * (len(sizes) - 2) + [last_gain]
        self.weights = [
            (_orthogonal(inputs, outputs, chance) * gain).astype(np.float32)
            for inputs, outputs, gain in zip(sizes[:-1], sizes[1:], gains, strict=True)
        ]
        self.biases = [np.zeros(outputs, np.float32) for outputs in sizes[1:]]
        self._seen: list[Array] = []

    @property
    def parameters(self) -> list[Array]:
        """All weights, then all biases; to be changed in place."""
        return [*self.weights, *self.biases]

    def forward(self, inputs: Array) -> Array:
        """The outputs, and what `backward` needs is kept."""
        self._seen = [inputs]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            inputs = np.tanh(inputs @ weight + bias)
            self._seen.append(inputs)
        return inputs @ self.weights[-1] + self.biases[-1]

    def backward(self, gradient: Array) -> list[Array]:
        """The gradients of `parameters`, from that of the outputs of the last `forward`."""
        weights: list[Array] = []
        biases: list[Array] = []
        for index in range(len(self.weights) - 1, -1, -1):
            weights.append(self._seen[index].T @ gradient)
            biases.append(gradient.sum(0))
            if index:
                gradient = (gradient @ self.weights[index].T) * (1 - self._seen[index] ** 2)
        return [*weights[::-1], *biases[::-1]]


class Adam:
    """The optimizer of arXiv 1412.6980, with the epsilon that PPO implementations have in common."""

    def __init__(self, parameters: list[Array]) -> None:
        self._parameters = parameters
        self._first = [np.zeros_like(each) for each in parameters]
        self._second = [np.zeros_like(each) for each in parameters]
        self._count = 0

    def step(self, gradients: list[Array], learning_rate: float) -> None:
        """One step down the gradients."""
        self._count += 1
        rate = learning_rate * np.sqrt(1 - 0.999**self._count) / (1 - 0.9**self._count)
        for value, gradient, first, second in zip(self._parameters, gradients, self._first, self._second, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            value -= (rate * first / (np.sqrt(second) + 1e-5)).astype(np.float32)


def _orthogonal(inputs: int, outputs: int, chance: np.random.Generator) -> Array:
    drawn = chance.normal(size=(max(inputs, outputs), min(inputs, outputs)))
    unit, upper = np.linalg.qr(drawn)
    unit = unit * np.sign(np.diag(upper))
    return unit if inputs >= outputs else unit.T
