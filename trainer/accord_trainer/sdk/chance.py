"""Random numbers of an attempt: seeded with its own seed, and restored only within it.

A pod that was killed is replaced within its attempt, and goes on with the very numbers that it would have drawn. A
later attempt must not: after a rollback the same numbers lead to the same end. It draws from the seed of its own.
"""

from __future__ import annotations

import base64
import logging
from typing import Any, TypedDict

from accord_trainer.sdk.contract import Contract

_log = logging.getLogger(__name__)
SEEDS = 2**31
"""Every library takes a seed below this."""


class ChanceState(TypedDict):
    """What a checkpoint holds of the random numbers, as plain JSON types."""

    run_uid: str
    attempt: int
    generators: list[Any]


class Chance:
    """The random number generators that a training draws from.

    `generators` are any of: the module `random` or a `random.Random`; the module `numpy.random`, a
    `numpy.random.RandomState` or a `numpy.random.Generator`; the module `torch` (all its devices) or a
    `torch.Generator`. They are seeded with ACCORD_SEED here. TypeError for anything else.
    """

    def __init__(self, contract: Contract, *generators: Any) -> None:
        self._uid, self._attempt = contract.run_uid, contract.attempt
        self.seed = contract.seed
        """The seed of the attempt, as the operator gives it."""
        self._streams = [_stream(each) for each in generators]
        for stream in self._streams:
            stream.seed(self.seed)

    def seed_at(self, step: int) -> int:
        """A seed for what starts again at a step, such as an environment: another one in each attempt, below 2³¹."""
        return (self.seed + step) % SEEDS

    def state_dict(self) -> ChanceState:
        """The state of all generators, for a checkpoint."""
        states = [stream.state() for stream in self._streams]
        return {"run_uid": self._uid, "attempt": self._attempt, "generators": states}

    def load_state_dict(self, state: ChanceState) -> bool:
        """Go on where a checkpoint of this attempt was; whether that is so.

        Of a checkpoint of another attempt nothing is taken: the generators stay as they were seeded.
        """
        if (state["run_uid"], state["attempt"]) != (self._uid, self._attempt):
            return False
        saved = state["generators"]
        if len(saved) != len(self._streams):
            _log.warning(
                "the checkpoint holds %d random number generators, this trainer has %d: they are seeded again",
                len(saved),
                len(self._streams),
            )
            return False
        for stream, each in zip(self._streams, saved, strict=True):
            stream.restore(each)
        return True


class _Python:
    """`random`."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def seed(self, seed: int) -> None:
        self._generator.seed(seed)

    def state(self) -> Any:
        return self._generator.getstate()

    def restore(self, state: Any) -> None:
        version, internal, gauss = state
        self._generator.setstate((version, tuple(internal), gauss))


class _Legacy:
    """`numpy.random` and `numpy.random.RandomState`."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def seed(self, seed: int) -> None:
        self._generator.seed(seed)

    def state(self) -> Any:
        return _plain(self._generator.get_state(legacy=False))

    def restore(self, state: Any) -> None:
        self._generator.set_state(state)


class _Generator:
    """`numpy.random.Generator`."""

    def __init__(self, generator: Any) -> None:
        self._bits = generator.bit_generator

    def seed(self, seed: int) -> None:
        self._bits.state = type(self._bits)(seed).state

    def state(self) -> Any:
        return _plain(self._bits.state)

    def restore(self, state: Any) -> None:
        self._bits.state = state


class _Torch:
    """`torch` with all its devices."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def seed(self, seed: int) -> None:
        self._module.manual_seed(seed)

    def state(self) -> Any:
        cuda = self._module.cuda
        devices = cuda.get_rng_state_all() if cuda.is_available() else []
        return {"cpu": _text(self._module.get_rng_state()), "cuda": [_text(each) for each in devices]}

    def restore(self, state: Any) -> None:
        like, cuda = self._module.get_rng_state(), self._module.cuda
        self._module.set_rng_state(_tensor(state["cpu"], like))
        # Devices that were not there then, or are not now, keep what they have.
        if cuda.is_available() and len(state["cuda"]) == cuda.device_count():
            cuda.set_rng_state_all([_tensor(each, like) for each in state["cuda"]])


class _TorchGenerator:
    """`torch.Generator`."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def seed(self, seed: int) -> None:
        self._generator.manual_seed(seed)

    def state(self) -> Any:
        return _text(self._generator.get_state())

    def restore(self, state: Any) -> None:
        self._generator.set_state(_tensor(state, self._generator.get_state()))


_Stream = _Python | _Legacy | _Generator | _Torch | _TorchGenerator
_BY_METHODS: tuple[tuple[tuple[str, ...], type[_Stream]], ...] = (
    (("getstate", "setstate", "seed"), _Python),
    (("get_rng_state", "set_rng_state", "manual_seed"), _Torch),
    (("get_state", "set_state", "manual_seed"), _TorchGenerator),
    (("get_state", "set_state", "seed"), _Legacy),
    # After the one before: the module `numpy.random` has a submodule of this name.
    (("bit_generator",), _Generator),
)
"""By what they can do, so that neither NumPy nor PyTorch is needed here."""


def _stream(generator: Any) -> _Stream:
    for methods, kind in _BY_METHODS:
        if all(hasattr(generator, name) for name in methods):
            return kind(generator)
    raise TypeError(f"{generator!r} is no random number generator of Python, NumPy or PyTorch")


def _plain(value: Any) -> Any:
    """Arrays as lists."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def _text(tensor: Any) -> str:
    return base64.b64encode(bytes(tensor.cpu().tolist())).decode()


def _tensor(text: str, like: Any) -> Any:
    return like.new_tensor(list(base64.b64decode(text)))
