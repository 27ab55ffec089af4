"""Random numbers: to the bit within an attempt, others in the next."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accord_trainer.sdk import Chance, Contract

FIRST = Contract(run="r", run_uid="u-1", attempt=1, seed=11)
AGAIN = {
    "a later attempt": replace(FIRST, attempt=2, seed=12),
    "another run on the same volume": replace(FIRST, run_uid="u-2", seed=13),
}


class Torch:
    """The few functions of PyTorch that are used, on a generator of Python's."""

    class Tensor(list[int]):
        def cpu(self) -> Torch.Tensor:
            return self

        def tolist(self) -> list[int]:
            return list(self)

        def new_tensor(self, values: list[int]) -> Torch.Tensor:
            return Torch.Tensor(values)

    class Cuda:
        def is_available(self) -> bool:
            return False

    def __init__(self) -> None:
        self._random, self.cuda = random.Random(), Torch.Cuda()

    def manual_seed(self, seed: int) -> None:
        self._random.seed(seed)

    def get_rng_state(self) -> Tensor:
        version, internal, gauss = self._random.getstate()
        assert gauss is None
        return Torch.Tensor(b"".join(each.to_bytes(4, "big") for each in (version, *internal)))

    def set_rng_state(self, state: Tensor) -> None:
        words = [int.from_bytes(bytes(state[at : at + 4]), "big") for at in range(0, len(state), 4)]
        self._random.setstate((words[0], tuple(words[1:]), None))

    def draw(self) -> float:
        return self._random.random()


class TorchGenerator:
    def __init__(self) -> None:
        self._torch = Torch()
        self.manual_seed, self.draw = self._torch.manual_seed, self._torch.draw
        self.get_state, self.set_state = self._torch.get_rng_state, self._torch.set_rng_state


MAKERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "random": (random.Random, lambda g: g.gauss(0, 1)),
    "the module random": (lambda: random, lambda g: g.random()),
    "numpy": (np.random.default_rng, lambda g: g.normal()),
    "numpy, Mersenne twister": (lambda: np.random.Generator(np.random.MT19937()), lambda g: g.normal()),
    "numpy, Philox": (lambda: np.random.Generator(np.random.Philox()), lambda g: g.normal()),
    "numpy, legacy": (np.random.RandomState, lambda g: g.normal()),
    "the module numpy.random": (lambda: np.random, lambda g: g.normal()),
    "torch": (Torch, lambda g: g.draw()),
    "torch.Generator": (TorchGenerator, lambda g: g.draw()),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_attempt_goes_on_to_the_bit_and_every_other_draws_anew(name: str) -> None:
    make, draw = MAKERS[name]

    def drawn(generator: Any) -> list[Any]:
        return [draw(generator) for _ in range(5)]

    first = make()
    chance = Chance(FIRST, first)
    # An odd number: a spare normal variate is part of the state.
    draw(first)
    saved = json.loads(json.dumps(chance.state_dict()))
    went_on = drawn(first)

    same = make()
    assert Chance(FIRST, same).load_state_dict(saved)
    assert drawn(same) == went_on
    for contract in AGAIN.values():
        other = make()
        assert not Chance(contract, other).load_state_dict(saved)
        anew = drawn(other)
        assert anew != went_on
        # Nor by chance: it is what its own seed says, each time.
        repeated = make()
        Chance(contract, repeated).load_state_dict(saved)
        assert drawn(repeated) == anew


def test_the_seed_is_the_one_that_libraries_are_given_by_hand() -> None:
    generator, python = np.random.default_rng(), random.Random()
    Chance(FIRST, generator, python)
    assert generator.random() == np.random.default_rng(11).random()
    assert python.random() == random.Random(11).random()


def test_a_program_with_other_generators_than_the_checkpoint_starts_from_its_seed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved = Chance(FIRST, random.Random()).state_dict()
    assert not Chance(FIRST, random.Random(), np.random.default_rng()).load_state_dict(saved)
    assert "holds 1 random number generators, this trainer has 2" in caplog.text


def test_what_begins_anew_at_a_step_has_a_seed_of_its_own() -> None:
    chance = Chance(replace(FIRST, seed=2**31 - 1))
    assert chance.seed_at(0) == 2**31 - 1
    assert chance.seed_at(1) == 0


def test_what_is_no_generator_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="no random number generator"):
        Chance(FIRST, 7)
