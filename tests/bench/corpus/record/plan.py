"""Which runs there are, in the order they are recorded.

Cells of environment and trainer are gone through round by round, so that the corpus is balanced wherever the recording
stops. All of it follows from this module: the same plan has the same seeds, hyperparameters and faults.

The halves were fixed before anything was recorded: environments belong to one of them (`environments.PLACES`), and
the half to judge by has trainers that the half to build on has not. All runs by RLlib are in that half, whatever their
environment: nobody built on that trainer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from tests.bench.corpus.record.environments import PLACES, place_of
from tests.bench.corpus.record.planned import Fault, Planned, Settings

FIRST_SEED = 2000
ROUNDS = 14
QUOTAS = {
    "build": {"sb3": 6, "cleanrl": 8, "numpy": 14},
    "judge": {"contrib": 5, "cleanrl": 5, "numpy": 6, "sb3": 2},
}
"""Runs of each cell, of the rounds."""

RLLIB = (
    *("InvertedPendulum-v5", "RatingSessions", "CliffWalking-v1", "Reacher-v5", "Blackjack-v1"),
    *("InvertedDoublePendulum-v5", "MountainCar-v0", "Swimmer-v5", "Taxi-v4", "LunarLanderContinuous-v3"),
)
"""What it has in the rounds: these alone, twice each."""

LACKING = {("rllib", "Taxi-v4")}
"""What the Gymnasium that RLlib is pinned to has not."""

COSTLY = "BipedalWalker-v3"
"""Not even with two trainers of the four."""

KINDS = (
    *("weights", "learning-rate", "environment", "entropy", "reward", "gradients"),
    *("weights", "environment", "nan", "learning-rate", "entropy", "gradients", "reward"),
)
HOWS: dict[str, tuple[tuple[str, float], ...]] = {
    "weights": (("noise", 1.0), ("noise", 0.5), ("noise", 2.0)),
    "learning-rate": (("factor", 100.0), ("factor", 100.0), ("factor", 30.0)),
    "gradients": (("negated", -1.0), ("noise", 10.0), ("scaled", 1000.0), ("negated", -10.0)),
    "entropy": (("one-action", 20.0), ("coefficient", -1.0), ("coefficient", 3.0), ("sharp", 20.0)),
    "environment": (("permuted", 1.0), ("actions", 1.0), ("physics", 2.0), ("negated", 1.0), ("noise", 1.0)),
    "reward": (("sign", 1.0), ("noise", 1.0), ("sign", 1.0), ("zero", 1.0)),
    "nan": (("weights", 1.0),),
}
"""The ways of each kind, taken in turn, with how strong they are."""

REFUSED = {
    "TRPO": {"learning-rate", "gradients", "nan"},  # it has no learning rate for its policy, and takes no gradient step
    "RecurrentPPO": {"nan"},  # a distribution of what is not a number is an error there, and the run would end
    "MaskablePPO": {"nan"},
    "RLlib": {"nan"},
}
REFUSED_WAYS = {"TRPO": (("coefficient", -1.0), ("coefficient", 3.0))}

VARIANTS = {
    "CartPole-v1": "/small",
    "Pendulum-v1": "/small",
    "Hopper-v5": "/small",
    "Acrobot-v1": "/heavy",
    "LunarLander-v3": "/heavy",
    "InvertedPendulum-v5": "/small",
    "HalfCheetah-v5": "/small",
    "CliffWalking-v1": "/small",
    "Reacher-v5": "/heavy",
    "Taxi-v4": "/heavy",
    "LunarLanderContinuous-v3": "/heavy",
}
"""What a fifth of the runs of an environment have for rewards."""


LEARNERS, LEARNERS_SEED = 56, 3000
LEARNING = (
    *("CartPole-v1", "InvertedPendulum-v5", "Pendulum-v1", "RatingSessions", "FrozenLake-v1", "Taxi-v4"),
    *("MountainCarContinuous-v0", "InvertedDoublePendulum-v5", "accord/Ratings-v0", "MountainCar-v0"),
)
"""Where good hyperparameters nearly always learn in a short time, of both halves in turn."""
HURTING = (
    *(("weights", "noise", 1.0), ("learning-rate", "factor", 100.0), ("gradients", "negated", -1.0)),
    *(("reward", "sign", 1.0), ("entropy", "one-action", 20.0), ("environment", "actions", 1.0)),
    *(("weights", "noise", 2.0), ("environment", "permuted", 1.0)),
)


def _good(
    environments: int,
    n_steps: int,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    gamma: float,
    gae_lambda: float,
    entropy: float,
    normalize: str = "",
) -> Settings:
    return Settings(
        environments=environments,
        n_steps=n_steps,
        batch_size=batch_size,
        epochs=epochs,
        learning_rate=learning_rate,
        gamma=gamma,
        gae_lambda=gae_lambda,
        entropy=entropy,
        normalize_observations="o" in normalize,
        normalize_rewards="r" in normalize,
        anneal=False,
    )


STRANGERS, STRANGERS_SEED = 36, 5000
STRANGE = (
    *("CartPole-v1", "Acrobot-v1", "Pendulum-v1", "LunarLander-v3", "MountainCarContinuous-v0", "FrozenLake-v1"),
)
"""Environments of the half to build on, by a trainer that nobody built on."""
STRANGE_STEPS = (40_000, 50_000, 60_000, 80_000, 100_000)

ZOO_SEED = 6000
ZOO_RUNS = (
    *(("CartPole-v1", 200_000), ("MountainCar-v0", 300_000), ("Pendulum-v1", 150_000)),
    *(("InvertedPendulum-v5", 120_000), ("LunarLander-v3", 200_000), ("LunarLanderContinuous-v3", 200_000)),
    *(("Acrobot-v1", 200_000), ("InvertedDoublePendulum-v5", 150_000), ("Hopper-v5", 120_000)),
    *(("Reacher-v5", 120_000), ("FrozenLake-v1", 150_000), ("Swimmer-v5", 120_000)),
    *(("InvertedPendulum-v5", 150_000), ("CartPole-v1", 150_000), ("MountainCar-v0", 200_000)),
    *(("Pendulum-v1", 120_000), ("InvertedDoublePendulum-v5", 120_000), ("LunarLander-v3", 200_000)),
    *(("Taxi-v4", 200_000), ("Acrobot-v1", 150_000), ("LunarLanderContinuous-v3", 150_000)),
    *(("accord/Ratings-v0", 120_000), ("CliffWalking-v1", 120_000), ("CartPole-v1", 500_000)),
)
"""Longer runs of stable-baselines3, of both halves in turn; every second one has a fault."""


GOOD = {
    "CartPole-v1": _good(8, 64, 256, 8, 1.5e-3, 0.98, 0.9, 0.0),
    "Acrobot-v1": _good(16, 64, 512, 6, 1.5e-3, 0.99, 0.94, 0.005, "o"),
    "Pendulum-v1": _good(8, 128, 256, 8, 1.5e-3, 0.9, 0.95, 0.0, "r"),
    "MountainCarContinuous-v0": _good(8, 128, 256, 8, 5e-4, 0.99, 0.95, 0.005, "or"),
    "FrozenLake-v1": _good(16, 32, 256, 8, 2.5e-3, 0.99, 0.95, 0.002),
    "LunarLander-v3": _good(16, 64, 512, 6, 1.5e-3, 0.99, 0.98, 0.01, "r"),
    "Hopper-v5": _good(8, 128, 512, 8, 1e-3, 0.99, 0.95, 0.001, "or"),
    "accord/Ratings-v0": _good(16, 64, 512, 6, 1.5e-3, 0.99, 0.95, 0.005, "r"),
    "MountainCar-v0": _good(16, 64, 512, 6, 1.5e-3, 0.99, 0.98, 0.0, "or"),
    "Taxi-v4": _good(16, 64, 512, 6, 2.5e-3, 0.99, 0.95, 0.01, "r"),
    "CliffWalking-v1": _good(16, 64, 512, 6, 2e-3, 0.99, 0.95, 0.01, "r"),
    "Blackjack-v1": _good(16, 64, 512, 6, 1e-3, 0.99, 0.95, 0.005),
    "LunarLanderContinuous-v3": _good(16, 64, 512, 6, 1e-3, 0.99, 0.98, 0.002, "r"),
    "BipedalWalker-v3": _good(8, 128, 512, 6, 7e-4, 0.99, 0.95, 0.001, "or"),
    "HalfCheetah-v5": _good(8, 128, 512, 8, 1e-3, 0.98, 0.92, 0.0005, "or"),
    "InvertedPendulum-v5": _good(8, 128, 256, 8, 1e-3, 0.99, 0.95, 0.0, "o"),
    "InvertedDoublePendulum-v5": _good(8, 128, 256, 8, 1e-3, 0.99, 0.95, 0.0, "or"),
    "Reacher-v5": _good(16, 64, 512, 8, 1e-3, 0.95, 0.95, 0.0, "or"),
    "Swimmer-v5": _good(8, 128, 512, 8, 1e-3, 0.999, 0.98, 0.0, "or"),
    "RatingSessions": _good(16, 64, 512, 6, 1.5e-3, 0.9, 0.95, 0.005, "r"),
}
"""Close to what is known to learn (the tuned hyperparameters of RL Zoo), with updates that suit runs this short."""

ZOO = {
    "CartPole-v1": replace(_good(8, 32, 256, 20, 1e-3, 0.98, 0.8, 0.0), anneal=True),
    "Acrobot-v1": _good(16, 256, 64, 4, 3e-4, 0.99, 0.94, 0.0, "or"),
    "Pendulum-v1": _good(4, 1024, 64, 10, 1e-3, 0.9, 0.95, 0.0),
    "LunarLander-v3": _good(16, 1024, 64, 4, 3e-4, 0.999, 0.98, 0.01),
    "LunarLanderContinuous-v3": _good(16, 1024, 64, 4, 3e-4, 0.999, 0.98, 0.01),
    "MountainCar-v0": _good(16, 16, 64, 4, 3e-4, 0.99, 0.98, 0.0, "or"),
    "Hopper-v5": replace(
        _good(1, 512, 32, 5, 9.80828e-5, 0.999, 0.99, 2.29519e-3, "or"), value_weight=0.835671, max_gradient=0.7
    ),
    "InvertedPendulum-v5": replace(
        _good(1, 32, 64, 5, 2.22425e-4, 0.999, 0.9, 1.37976e-7, "or"),
        clip_range=0.4,
        value_weight=0.19816,
        max_gradient=0.3,
    ),
    "InvertedDoublePendulum-v5": replace(
        _good(1, 128, 512, 10, 1.55454e-4, 0.98, 0.8, 1.05057e-6, "or"), clip_range=0.4, value_weight=0.695929
    ),
    "Reacher-v5": replace(
        _good(1, 512, 32, 5, 1.04019e-4, 0.9, 1.0, 7.52585e-8, "or"),
        clip_range=0.3,
        value_weight=0.950368,
        max_gradient=0.9,
    ),
    "Swimmer-v5": _good(1, 2048, 64, 10, 3e-4, 0.9999, 0.95, 0.0, "or"),
}
"""The hyperparameters of RL Zoo, as far as the recorder has them: not its state-dependent noise and larger networks."""
DEFAULTS = _good(1, 2048, 64, 10, 3e-4, 0.99, 0.95, 0.0)
"""Of stable-baselines3, where the Zoo has none."""

NEWCOMERS_SEED, NEWCOMERS_RUNS = 9000, 270
"""Runs in environments that no other run is of, to judge by once more. They are looked at with a frozen rule only."""
NEWCOMERS_TRAINERS = ("numpy", "numpy", "sb3", "numpy", "cleanrl", "numpy", "contrib", "numpy", "rllib")
"""In turn, a round of environments each."""
NEWCOMERS_GOOD = {
    "Catch": _good(16, 64, 256, 6, 2e-3, 0.99, 0.95, 0.005),
    "SwingUp": _good(16, 64, 256, 8, 2e-3, 0.98, 0.95, 0.005),
    "Queue": _good(16, 60, 240, 8, 1.5e-3, 0.95, 0.95, 0.003, "r"),
    "CartPole-v0": _good(8, 64, 256, 8, 1.5e-3, 0.98, 0.9, 0.0),
    "Walker2d-v5": _good(8, 128, 512, 8, 1e-3, 0.99, 0.95, 0.001, "or"),
    "Gather": _good(8, 80, 320, 8, 1.5e-3, 0.95, 0.95, 0.005),
    "Shop": _good(8, 120, 240, 8, 1.5e-3, 0.9, 0.95, 0.003, "r"),
    "CliffWalkingSlippery-v1": _good(16, 64, 512, 6, 2e-3, 0.99, 0.95, 0.01, "r"),
    "Pusher-v5": _good(8, 100, 400, 8, 1e-3, 0.95, 0.95, 0.0, "or"),
}
NEWCOMERS_LENGTHS = {"Pusher-v5": (40_000, 60_000), "SwingUp": (40_000, 60_000), "Catch": (20_000, 30_000)}

LENGTHS = {
    "accord/Ratings-v0": (20_000,),
    "Blackjack-v1": (20_000,),
    "RatingSessions": (20_000, 30_000),
    "BipedalWalker-v3": (20_000,),
    "LunarLander-v3": (30_000, 40_000),
    "LunarLanderContinuous-v3": (30_000, 40_000),
    "Hopper-v5": (30_000,),
    "HalfCheetah-v5": (30_000,),
    "Swimmer-v5": (30_000,),
    "FrozenLake-v1": (30_000, 40_000),
    "MountainCar-v0": (40_000, 60_000),
    "Taxi-v4": (40_000, 60_000),
    "Pendulum-v1": (40_000, 60_000),
}
ORDINARY = (20_000, 30_000, 40_000)

LONG = {
    ("CartPole-v1", 4): 1_000_000,
    ("Pendulum-v1", 7): 1_000_000,
    ("MountainCar-v0", 3): 1_000_000,
    ("MountainCarContinuous-v0", 6): 1_000_000,
    ("CartPole-v1", 2): 200_000,
    ("CartPole-v1", 8): 200_000,
    ("Pendulum-v1", 3): 200_000,
    ("Acrobot-v1", 3): 100_000,
    ("MountainCar-v0", 0): 300_000,
    ("MountainCar-v0", 1): 200_000,
    ("MountainCar-v0", 2): 300_000,
    ("Taxi-v4", 1): 150_000,
    ("Taxi-v4", 2): 150_000,
    ("Taxi-v4", 3): 200_000,
    ("CliffWalking-v1", 2): 100_000,
}
"""Runs of the NumPy trainer, by environment and their place among its runs, that are longer than the others."""


@dataclass(frozen=True)
class _Cell:
    environment: str
    trainer: str
    quota: int
    number: int


@dataclass
class _Turns:
    """Whose turn it is among the kinds of faults of a half, and among the ways of a kind."""

    kinds: dict[str, list[str]] = field(default_factory=dict)
    ways: Counter[tuple[str, str]] = field(default_factory=Counter)


def runs() -> list[Planned]:
    """All of them, in order."""
    cells = _cells()
    planned: list[Planned] = []
    counts = dict.fromkeys(cells, 0)
    turns = _Turns()
    for turn in range(ROUNDS):
        for cell in cells:
            if (turn * cell.quota + cell.number) % ROUNDS < cell.quota:
                planned.append(_run(cell, counts[cell], len(planned), turns))
                counts[cell] += 1
    return [
        *(each for each in planned if (each.trainer, each.environment) not in LACKING),
        *(_learner(number) for number in range(LEARNERS)),
        *(_stranger(number) for number in range(STRANGERS)),
        *(_of_the_zoo(number) for number in range(len(ZOO_RUNS))),
        *(_newcomer(number) for number in range(NEWCOMERS_RUNS)),
    ]


def _cells() -> list[_Cell]:
    """The cells of both halves, interleaved."""
    halves: dict[str, list[tuple[str, str, int]]] = {}
    for half, quotas in QUOTAS.items():
        names = [name for name, place in PLACES.items() if place.half == half]
        halves[half] = [
            (name, trainer, quota)
            for trainer, quota in quotas.items()
            for name in names
            if name != COSTLY or trainer in {"contrib", "numpy"}
        ]
    halves["judge"] += [(name, "rllib", 2) for name in RLLIB]
    mixed: list[tuple[str, str, int]] = []
    builds, judges = halves["build"], halves["judge"]
    for index, judge in enumerate(judges):
        mixed.append(judge)
        mixed += builds[index * len(builds) // len(judges) : (index + 1) * len(builds) // len(judges)]
    return [_Cell(*each, number) for number, each in enumerate(mixed)]


def _run(cell: _Cell, ordinal: int, number: int, turns: _Turns) -> Planned:
    seed = FIRST_SEED + number
    chance = np.random.default_rng(seed)
    place = place_of(cell.environment)
    steps = int(chance.choice(LENGTHS.get(cell.environment, ORDINARY)))
    if cell.trainer == "numpy":
        steps = LONG.get((cell.environment, ordinal), steps)
    algorithm = _algorithm(cell.trainer, place.discrete, ordinal)
    if algorithm == "RecurrentPPO":
        steps = min(steps, 20_000)
    quick = cell.trainer != "numpy"
    settings = GOOD[cell.environment]
    if ordinal % 2:
        settings = _varied(settings, steps, quick, chance)
    elif quick:
        settings = replace(settings, epochs=min(settings.epochs, 6), batch_size=512)
    fault = None
    if (ordinal * 9 + cell.number * 7) % 20 < 9:
        fault = _fault(cell, algorithm, steps, turns, chance)
    variant = VARIANTS.get(cell.environment, "") if (ordinal + cell.number) % 5 == 4 else ""
    kind = fault.kind if fault else "healthy"
    return Planned(
        environment=cell.environment + variant,
        trainer=cell.trainer,
        algorithm=algorithm,
        seed=seed,
        steps=steps,
        settings=settings,
        fault=fault,
        file=f"{place.folder}{variant.replace('/', '-')}/{cell.trainer}-{kind}-{seed}.csv.gz",
        half=place.half,
    )


def _learner(number: int) -> Planned:
    """A run that surely learns something; two of three are then struck by a fault that surely hurts."""
    seed = LEARNERS_SEED + number
    chance = np.random.default_rng(seed)
    environment = LEARNING[number % len(LEARNING)]
    place = place_of(environment)
    steps = int(chance.choice([40_000, 60_000])) if LENGTHS.get(environment, ORDINARY)[0] > 20_000 else 25_000
    turn = number // len(LEARNING) + number
    fault = None
    if turn % 3:
        kind, how, strength = HURTING[turn // 3 * 2 % len(HURTING) + turn % 3 - 1]
        fault = Fault(kind, how, strength, int(chance.uniform(0.45, 0.75) * steps))
    return Planned(
        environment=environment,
        trainer="numpy",
        algorithm="PPO",
        seed=seed,
        steps=steps,
        settings=GOOD[environment],
        fault=fault,
        file=f"{place.folder}/numpy-{fault.kind if fault else 'healthy'}-{seed}.csv.gz",
        half=place.half,
    )


def _stranger(number: int) -> Planned:
    """A run of RLlib in an environment that others were built on; every second one has a fault."""
    seed = STRANGERS_SEED + number
    chance = np.random.default_rng(seed)
    environment = STRANGE[number % len(STRANGE)]
    place = place_of(environment)
    turn = number // len(STRANGE)
    steps = int(chance.choice(STRANGE_STEPS))
    settings = GOOD[environment]
    settings = (
        _varied(settings, steps, quick=True, chance=chance)
        if turn // 2 % 2
        else replace(settings, epochs=min(settings.epochs, 6), batch_size=512)
    )
    fault = None
    if (number + turn) % 2:
        fault = Fault(*_in_turn(number // 2, seed - number, place.one_hot), int(chance.uniform(0.45, 0.75) * steps))
    variant = VARIANTS.get(environment, "") if number % 5 == 4 else ""
    return Planned(
        environment=environment + variant,
        trainer="rllib",
        algorithm="RLlib",
        seed=seed,
        steps=steps,
        settings=settings,
        fault=fault,
        file=f"{place.folder}{variant.replace('/', '-')}/rllib-{fault.kind if fault else 'healthy'}-{seed}.csv.gz",
        half="judge",
    )


def _of_the_zoo(number: int) -> Planned:
    """A long run of stable-baselines3 with ordinary hyperparameters."""
    seed = ZOO_SEED + number
    chance = np.random.default_rng(seed)
    environment, steps = ZOO_RUNS[number]
    place = place_of(environment)
    fault = None
    if (number + number // 2) % 2:
        fault = Fault(*_in_turn(number // 2, seed - number, place.one_hot), int(chance.uniform(0.45, 0.75) * steps))
    return Planned(
        environment=environment,
        trainer="sb3",
        algorithm="PPO",
        seed=seed,
        steps=steps,
        settings=ZOO.get(environment, DEFAULTS),
        fault=fault,
        file=f"{place.folder}/sb3-{fault.kind if fault else 'healthy'}-{seed}.csv.gz",
        half=place.half,
    )


def _newcomer(number: int) -> Planned:
    """A run in an environment of its own; every second one has a fault, by turns one that surely hurts."""
    seed = NEWCOMERS_SEED + number
    chance = np.random.default_rng(seed)
    turn, place_number = divmod(number, len(NEWCOMERS_GOOD))
    environment = list(NEWCOMERS_GOOD)[place_number]
    place = place_of(environment)
    trainer = NEWCOMERS_TRAINERS[(turn + 2 * place_number) % len(NEWCOMERS_TRAINERS)]
    steps = int(chance.choice(NEWCOMERS_LENGTHS.get(environment, (20_000, 30_000, 40_000))))
    settings = NEWCOMERS_GOOD[environment]
    if turn % 3 == 1:
        settings = _unusual(settings, steps, chance)
    algorithm = _algorithm(trainer, place.discrete, turn)
    fault = None
    if (place_number + turn) % 2:
        kinds = HURTING if turn % 4 < 2 else tuple((kind, *HOWS[kind][0]) for kind in dict.fromkeys(KINDS))
        allowed = [each for each in kinds if each[0] not in REFUSED.get(algorithm, set())]
        if trainer == "sb3" and place.discrete:
            allowed = [each for each in allowed if each[0] != "nan"]
        kind, how, strength = allowed[number // 2 % len(allowed)]
        fault = Fault(kind, how, strength, int(chance.uniform(0.45, 0.75) * steps))
    return Planned(
        environment=environment,
        trainer=trainer,
        algorithm=algorithm,
        seed=seed,
        steps=steps,
        settings=settings,
        fault=fault,
        file=f"{place.folder}/{trainer}-{fault.kind if fault else 'healthy'}-{seed}.csv.gz",
        half="judge",
    )


def _unusual(good: Settings, steps: int, chance: np.random.Generator) -> Settings:
    """Hyperparameters that no run of the rounds has: 3 or 32 environments, short or many epochs, wide networks."""
    environments = int(chance.choice([3, 6, 24, 32]))
    update = int(chance.choice([400, 800, 1500]))
    n_steps = max(update // environments, 16)
    return replace(
        good,
        environments=environments,
        n_steps=n_steps,
        batch_size=max(environments * n_steps // int(chance.choice([1, 3, 6])), 64),
        epochs=int(chance.choice([3, 12, 15])),
        learning_rate=float(f"{10 ** chance.uniform(-3.3, -2.5):.2g}"),
        gae_lambda=float(chance.choice([0.8, 0.92, 1.0])),
        clip_range=float(chance.choice([0.15, 0.25, 0.4])),
        hidden=int(chance.choice([32, 128])),
        target_kl=float(chance.choice([0.02, 0.05])),
        anneal=bool(chance.random() < 0.3),
    )


def _in_turn(ordinal: int, seed: int, one_hot: bool) -> tuple[str, str, float]:
    """Kind, way and strength of a fault: shuffled, the kinds in turn but for `nan`, and of each the ways in turn."""
    kinds = [kind for kind in KINDS if kind != "nan"]
    shuffled: list[str] = []
    while len(shuffled) <= ordinal:
        shuffled += np.random.default_rng(seed + len(shuffled)).permutation(kinds).tolist()
    kind = shuffled[ordinal]
    earlier = shuffled[:ordinal].count(kind)
    ways = [way for way in HOWS[kind] if kind != "environment" or way[0] != "negated" or not one_hot]
    return (kind, *ways[earlier % len(ways)])


def _algorithm(trainer: str, discrete: bool, ordinal: int) -> str:
    if trainer == "rllib":
        return "RLlib"
    if trainer != "contrib":
        return "PPO"
    if ordinal % 4 == 1:
        return "RecurrentPPO"
    return "MaskablePPO" if discrete else "TRPO"


def _varied(good: Settings, steps: int, quick: bool, chance: np.random.Generator) -> Settings:
    """Ordinary hyperparameters that nobody tuned; `quick` has more environments side by side and larger minibatches."""
    environments = int(chance.choice([4, 8, 16, 16] if quick else [1, 2, 4, 8, 16]))
    update = min(int(chance.choice([512, 1024, 2048, 4096])), 2 ** int(np.log2(steps / 20)))
    n_steps = max(update // environments, 64 if quick else 128)
    smallest = 256 if quick else 128
    return replace(
        good,
        environments=environments,
        n_steps=n_steps,
        batch_size=int(np.clip(environments * n_steps // int(chance.choice([2, 4, 8])), smallest, 512)),
        epochs=int(chance.integers(4, 8 if quick else 11)),
        learning_rate=float(f"{10 ** chance.uniform(-3.7, np.log10(2.5e-3)):.2g}"),
        gamma=float(chance.choice([0.9, 0.95, 0.98] if good.gamma <= 0.9 else [0.95, 0.98, 0.99, 0.995, 0.999])),
        gae_lambda=float(chance.choice([0.9, 0.95, 0.98])),
        entropy=float(chance.choice([0.0, 0.001, 0.005, 0.01, 0.02])),
        clip_range=float(chance.choice([0.1, 0.2, 0.2, 0.3])),
        anneal=bool(chance.random() < 0.4),
    )


def _fault(cell: _Cell, algorithm: str, steps: int, turns: _Turns, chance: np.random.Generator) -> Fault:
    place = place_of(cell.environment)
    refused = REFUSED.get(algorithm, set())
    if cell.trainer == "sb3" and place.discrete:
        refused = refused | {"nan"}
    waiting = turns.kinds.setdefault(place.half, [])
    if all(kind in refused for kind in waiting):
        waiting += KINDS
    kind = next(kind for kind in waiting if kind not in refused)
    waiting.remove(kind)
    ways = [way for way in HOWS[kind] if way not in REFUSED_WAYS.get(algorithm, ())]
    ways = [way for way in ways if way[0] != "negated" or kind != "environment" or not place.one_hot]
    how, strength = ways[turns.ways[place.half, kind] % len(ways)]
    turns.ways[place.half, kind] += 1
    return Fault(kind, how, strength, int(chance.uniform(0.45, 0.75) * steps))
