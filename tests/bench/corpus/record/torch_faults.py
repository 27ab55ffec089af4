"""The faults that sit in a policy or its optimizer, for every trainer that uses PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tests.bench.corpus.record.planned import Fault

KINDS = ("weights", "learning-rate", "gradients", "entropy", "nan")


@dataclass(frozen=True)
class Parts:
    """What a fault takes hold of."""

    policy: list[Any]
    """Parameters that only the policy has."""
    everything: list[Any]
    head: Any
    """The last layer of the policy, whose outputs are logits or means (and in RLlib the log of deviations, too)."""
    actions: int
    log_std: Any
    """The parameter, or None."""
    multiply_rate: Callable[[float], None]
    set_entropy: Callable[[float], None]
    stop_clipping: Callable[[], None]


def disturb(fault: Fault, parts: Parts, seed: int) -> None:
    """Put a fault in force."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        match fault.kind:
            case "weights":
                for each in parts.policy:
                    each.add_(fault.strength * torch.randn(each.shape, generator=generator))
            case "nan":
                for each in parts.policy:
                    each.fill_(float("nan"))
            case "learning-rate":
                parts.multiply_rate(fault.strength)
            case "gradients":
                parts.stop_clipping()
                _spoil(fault, parts.everything, generator)
            case "entropy":
                _collapse(fault, parts, seed)


def _spoil(fault: Fault, parameters: list[Any], generator: Any) -> None:
    def noisy(gradient: Any) -> Any:
        return gradient + fault.strength * gradient.std() * torch.randn(gradient.shape, generator=generator)

    def scaled(gradient: Any) -> Any:
        return gradient * fault.strength

    for each in parameters:
        each.register_hook(noisy if fault.how == "noise" and each.numel() > 1 else scaled)


def _collapse(fault: Fault, parts: Parts, seed: int) -> None:
    head, actions = parts.head, parts.actions
    discrete = parts.log_std is None and head.bias.numel() == actions
    match fault.how:
        case "coefficient":
            parts.set_entropy(fault.strength)
        case "one-action":
            head.weight.zero_()
            head.bias[seed % actions] = fault.strength
        case "sharp" if discrete:
            head.weight.mul_(fault.strength)
            head.bias.mul_(fault.strength)
    if fault.how != "coefficient" and parts.log_std is not None:
        parts.log_std.fill_(-5.0)
    elif fault.how != "coefficient" and not discrete:
        # The second half of the outputs are the logarithms of the deviations.
        head.weight[actions:].zero_()
        head.bias[actions:] = -5.0
