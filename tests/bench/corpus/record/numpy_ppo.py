"""A PPO in NumPy alone: slow networks are no matter at this size, and there is no framework between two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.bench.corpus.record.environments import World
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.fleet import Fleet
from tests.bench.corpus.record.numpy_networks import Adam, Network
from tests.bench.corpus.record.planned import Fault, Planned

Array = NDArray[Any]
HIDDEN = 64


class Policy:
    """Chances of actions: a softmax over those that can be counted, or a normal distribution of the others."""

    def __init__(self, inputs: int, actions: int, discrete: bool, chance: np.random.Generator) -> None:
        self.network = Network((inputs, HIDDEN, HIDDEN, actions), 0.01, chance)
        self.log_std = np.zeros(actions, np.float32)
        self.discrete = discrete
        self._chance = chance

    @property
    def parameters(self) -> list[Array]:
        """All that is learnt."""
        return self.network.parameters if self.discrete else [*self.network.parameters, self.log_std]

    def act(self, observations: Array) -> tuple[Array, Array]:
        """Actions drawn, and the logarithms of their likelihoods."""
        outputs = self.network.forward(observations)
        if self.discrete:
            logarithms = _log_softmax(outputs)
            actions = np.argmax(logarithms + self._chance.gumbel(size=outputs.shape), axis=1)
            return actions, logarithms[np.arange(len(actions)), actions]
        actions = outputs + np.exp(self.log_std) * self._chance.normal(size=outputs.shape)
        return actions, self._log_normal((actions - outputs) / np.exp(self.log_std))

    def _log_normal(self, apart: Array) -> Array:
        return np.asarray((-0.5 * apart**2 - self.log_std - 0.5 * np.log(2 * np.pi)).sum(1))

    def evaluate(
        self, observations: Array, actions: Array
    ) -> tuple[Array, Array, Callable[[Array, float], list[Array]]]:
        """Log-likelihoods, entropies, and the gradients from those of a log-likelihood each and of the entropies."""
        outputs = self.network.forward(observations)
        if self.discrete:
            return self._evaluate_discrete(outputs, actions)
        std = np.exp(self.log_std)
        apart = (actions - outputs) / std
        entropies = np.full(len(actions), (self.log_std + 0.5 * np.log(2 * np.pi * np.e)).sum())

        def gradients(of_logs: Array, of_entropy: float) -> list[Array]:
            of_mean = (of_logs[:, None] * apart / std).astype(np.float32)
            of_std = (of_logs[:, None] * (apart**2 - 1)).sum(0) + of_entropy * len(of_logs)
            return [*self.network.backward(of_mean), of_std.astype(np.float32)]

        return self._log_normal(apart), entropies, gradients

    def _evaluate_discrete(
        self, outputs: Array, actions: Array
    ) -> tuple[Array, Array, Callable[[Array, float], list[Array]]]:
        logarithms = _log_softmax(outputs)
        chances = np.exp(logarithms)
        entropies = -(chances * logarithms).sum(1)
        rows = np.arange(len(actions))

        def gradients(of_logs: Array, of_entropy: float) -> list[Array]:
            of_outputs = -chances * (of_logs[:, None] + of_entropy * (logarithms + entropies[:, None]))
            of_outputs[rows, actions] += of_logs
            return self.network.backward(of_outputs.astype(np.float32))

        return logarithms[rows, actions], entropies, gradients


def _log_softmax(outputs: Array) -> Array:
    shifted = outputs - outputs.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


class Trainer:
    """One run."""

    def __init__(self, planned: Planned, events: Events) -> None:
        self._planned = planned
        self._settings = planned.settings
        self._events = events
        self._chance = np.random.default_rng(planned.seed)
        self._fleet = Fleet(World(planned.environment, events, planned.seed), planned.settings, planned.seed)
        fleet = self._fleet
        self._policy = Policy(fleet.size, fleet.actions, fleet.discrete, self._chance)
        self._value = Network((fleet.size, HIDDEN, HIDDEN, 1), 1.0, self._chance)
        self._parameters = [*self._policy.parameters, *self._value.parameters]
        self._optimizer = Adam(self._parameters)
        self._entropy = planned.settings.entropy
        self._rate = planned.settings.learning_rate
        self._clip = planned.settings.max_gradient
        self._spoil: Callable[[list[Array]], list[Array]] = lambda gradients: gradients

    def run(self) -> None:
        """From the first step to the last."""
        self._seen = self._fleet.reset()
        with np.errstate(all="ignore"):
            while self._events.step < self._planned.steps:
                self._update(*self._collect())
                fault = self._events.due("weights", "learning-rate", "gradients", "entropy", "nan")
                if fault is not None:
                    self._disturb(fault)

    def _collect(self) -> tuple[Array, ...]:
        """Observations, actions, log-likelihoods, advantages, returns and values of all steps of an update."""
        settings, fleet = self._settings, self._fleet
        shape = (settings.n_steps, settings.environments)
        seen = np.empty((*shape, fleet.size), np.float32)
        actions = np.empty(shape, np.int64) if fleet.discrete else np.empty((*shape, fleet.actions))
        logs, rewards, ended = (np.empty(shape) for _ in range(3))
        cut: list[tuple[int, int, Array]] = []
        for index in range(settings.n_steps):
            seen[index] = self._seen
            actions[index], logs[index] = self._policy.act(self._seen)
            stepped = fleet.step(actions[index])
            rewards[index] = stepped.rewards
            cut += [(index, which, last) for which, last in stepped.last.items()]
            ended[index] = stepped.terminated | stepped.truncated
            self._seen = stepped.observations
        values = self._value.forward(seen.reshape(-1, fleet.size))[:, 0].reshape(shape)
        for index, which, last in cut:
            # What would have followed an episode that was cut short.
            rewards[index, which] += settings.gamma * self._value.forward(last[None])[0, 0]
        advantages = self._advantages(rewards, values, ended)
        count = settings.update_steps
        return (
            seen.reshape(count, -1),
            actions.reshape(count) if fleet.discrete else actions.reshape(count, -1),
            *(each.reshape(count) for each in (logs, advantages, advantages + values, values)),
        )

    def _advantages(self, rewards: Array, values: Array, ended: Array) -> Array:
        settings = self._settings
        advantages = np.empty_like(rewards)
        following, ahead = self._value.forward(self._seen)[:, 0], np.zeros(settings.environments)
        for index in range(settings.n_steps - 1, -1, -1):
            goes_on = 1.0 - ended[index]
            surprise = rewards[index] + settings.gamma * goes_on * following - values[index]
            ahead = surprise + settings.gamma * settings.gae_lambda * goes_on * ahead
            advantages[index] = ahead
            following = values[index]
        return advantages

    def _update(self, *batch: Array) -> None:
        returns, values = batch[4], batch[5]
        count = len(returns)
        reported = []
        for _ in range(self._settings.epochs):
            order = self._chance.permutation(count)
            for start in range(0, count, self._settings.batch_size):
                chosen = order[start : start + self._settings.batch_size]
                reported.append(self._minibatch(*(each[chosen] for each in batch[:5])))
        spread = returns.var()
        explained = 1 - (returns - values).var() / spread if spread else np.nan
        loss, kl = np.mean(reported, axis=0)
        self._events.update(float(loss), float(kl), float(explained))

    def _minibatch(
        self, seen: Array, actions: Array, old_logs: Array, advantages: Array, returns: Array
    ) -> tuple[float, float]:
        settings, count = self._settings, len(returns)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        logs, entropies, policy_gradients = self._policy.evaluate(seen, actions)
        apart = logs - old_logs
        ratio = np.exp(apart)
        gains = ratio * advantages
        clipped = np.clip(ratio, 1 - settings.clip_range, 1 + settings.clip_range) * advantages
        errors = self._value.forward(seen)[:, 0] - returns
        loss = (
            -np.minimum(gains, clipped).mean()
            + settings.value_weight * (errors**2).mean()
            - self._entropy * entropies.mean()
        )
        gradients = policy_gradients(np.where(gains <= clipped, -gains, 0.0) / count, -self._entropy / count)
        of_values = (2 * settings.value_weight / count * errors)[:, None].astype(np.float32)
        gradients = self._spoil([*gradients, *self._value.backward(of_values)])
        self._optimizer.step(self._clipped(gradients), self._rate_now())
        return loss, float((ratio - 1 - apart).mean())

    def _rate_now(self) -> float:
        left = 1 - self._events.step / self._planned.steps if self._settings.anneal else 1.0
        return self._rate * max(left, 0.0)

    def _clipped(self, gradients: list[Array]) -> list[Array]:
        length = float(np.sqrt(sum(float((each * each).sum()) for each in gradients)))
        # Not a number is neither larger nor smaller: it goes through, as in the frameworks.
        return gradients if length <= self._clip else [each * (self._clip / (length + 1e-6)) for each in gradients]

    def _disturb(self, fault: Fault) -> None:
        policy = self._policy
        match fault.kind:
            case "weights":
                for each in policy.parameters:
                    each += fault.strength * self._chance.normal(size=each.shape).astype(np.float32)
            case "nan":
                for each in policy.parameters:
                    each[:] = np.nan
            case "learning-rate":
                self._rate *= fault.strength
            case "gradients":
                self._clip = np.inf
                self._spoil = lambda gradients: self._spoilt(gradients, fault)
            case "entropy":
                self._collapse(fault)

    def _spoilt(self, gradients: list[Array], fault: Fault) -> list[Array]:
        if fault.how == "noise":
            return [each + fault.strength * each.std() * self._chance.normal(size=each.shape) for each in gradients]
        return [each * fault.strength for each in gradients]

    def _collapse(self, fault: Fault) -> None:
        policy, last = self._policy, self._policy.network
        match fault.how:
            case "coefficient":
                self._entropy = fault.strength
            case "one-action":
                last.weights[-1][:] = 0
                last.biases[-1][self._planned.seed % len(last.biases[-1])] = fault.strength
                policy.log_std[:] = -5
            case "sharp":
                if policy.discrete:
                    last.weights[-1] *= fault.strength
                    last.biases[-1] *= fault.strength
                policy.log_std[:] = -5


def train(planned: Planned, events: Events) -> None:
    """Make the run."""
    Trainer(planned, events).run()
