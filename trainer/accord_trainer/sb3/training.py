"""One attempt: from what the contract says to a policy at its last step, with checkpoints on the way."""

from __future__ import annotations

import logging
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from accord_trainer.sb3 import chance, environments, episode, policyfile
from accord_trainer.sb3.export import exported
from accord_trainer.sb3.fault import Disturbance
from accord_trainer.sb3.pacing import Pace
from accord_trainer.sb3.ppo import SEEDS, ScheduledPPO
from accord_trainer.sb3.scoring import Scorer
from accord_trainer.sb3.state import FILE, State, is_due
from accord_trainer.sdk import Checkpoint, CheckpointError, CheckpointStore, Contract, Metrics, StopSignal
from accord_trainer.sdk.checkpoints import Content

_log = logging.getLogger(__name__)
MODEL = "model.zip"


class Training:
    """Everything that changes while training.

    Checkpoints are taken between two updates. There is nothing to save within one: what was learnt is in the network
    already, and steps that were collected but not learnt from are lost with their environment.
    """

    def __init__(
        self,
        contract: Contract,
        environment: str,
        metrics: Metrics,
        *,
        pace: Pace | None = None,
        disturb_at: int | None = None,
    ) -> None:
        self.contract = contract
        self.metrics = metrics
        self.pace = pace or Pace(None)
        self._fault = Disturbance(disturb_at, contract.attempt)
        self._name = environment
        self._scorer = Scorer(contract.reward_normalization.normalizer(), metrics)
        self._environment = environments.make(environment, self._scorer)
        self._model = ScheduledPPO(contract, self._environment, metrics)
        self._saved_at = 0
        self._chance: dict[str, Any] | None = None
        self._latest: State | None = None

    @property
    def step(self) -> int:
        """Environment steps so far, over all attempts."""
        return int(self._model.num_timesteps)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. CheckpointError if it is not one of this training.

        One of the same attempt is gone on with as if nothing had happened: with its chance, and in the middle of its
        episode. A later attempt draws from its own seed: after a rollback, the same chance might lead to the same end.
        """
        try:
            state = State.read(checkpoint.file(FILE))
            if state.environment != self._name:
                raise CheckpointError(f"{checkpoint.path.name} was trained on {state.environment}, not {self._name}")
            self._model.read(checkpoint.file(MODEL))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{checkpoint.path.name} holds no policy that this trainer can go on with: {error}"
            ) from error
        self._model.num_timesteps = self._saved_at = state.step
        self._model._n_updates = state.updates  # noqa: SLF001 - load() would set it likewise
        self._model.seed_environment((self.contract.seed + state.step) % SEEDS)
        self._scorer.normalizer.load_state_dict(state.normalizer)
        self.metrics.load_state_dict(state.metrics)
        self.metrics.resumed(checkpoint)
        self._fault.resumed(state.step)
        if (checkpoint.run_uid, checkpoint.attempt) == (self.contract.run_uid, self.contract.attempt):
            self._chance = state.chance
            self._continue_episode(state.episode)

    def run(self, checkpoints: CheckpointStore, stop: StopSignal) -> bool:
        """Train to the last step, or until told to stop; whether it is the last. The end is saved in both cases."""
        began = self.step
        if (left := self.contract.total_steps - began) > 0:
            # Without a reset of the steps, stable-baselines3 adds those that were done to those it is asked for.
            self._model.learn(left, callback=_Between(self, checkpoints, stop), reset_num_timesteps=False)
        if self.step >= self.contract.total_steps:
            if self.step > began:
                self._latest = self._state()
                self.save(checkpoints)
            return True
        if self._latest is not None and self._latest.step > self._saved_at:
            self.save(checkpoints)
        return False

    def begin(self) -> None:
        """The environment is ready: only now its chance, and everybody's, is what it was."""
        if self._chance is not None:
            chance.restore(self._chance, self._environment.generator)
        self._model.adopt_schedules()

    def between_updates(self, checkpoints: CheckpointStore) -> None:
        """Remember this moment, and save it when it is time."""
        self._latest = self._state()
        if is_due(self.step, self._saved_at, self.contract.save_frequency):
            self.save(checkpoints)
        if self._fault.strike(self.step, self._model.policy, self.contract.seed):
            self._latest = self._state()

    def save(self, checkpoints: CheckpointStore) -> None:
        """Commit the last moment between two updates; only then the metrics say that there is a checkpoint."""
        state = self._latest
        if state is None:
            return
        saved = checkpoints.save(
            state.step,
            self._files(state),
            schedule=self.contract.schedule_values(state.step),
            metrics=state.means,
        )
        self.metrics.saved(saved)
        self._saved_at = state.step
        reward = state.means.get("reward")
        _log.info("step %d saved; mean reward since the save before: %s", state.step, _rounded(reward))

    def _files(self, state: State) -> dict[str, Content]:
        """What a checkpoint holds; the policy once more for services, where it can be had without PyTorch."""
        files: dict[str, Content] = {MODEL: self._model.write, FILE: state.to_json()}
        if (policy := exported(self._model.policy)) is not None:
            files[policyfile.FILE] = policy.write
        return files

    def report_step(self) -> None:
        """One step was done."""
        self._model.report_step()

    def _continue_episode(self, frozen: str | None) -> None:
        try:
            if frozen is not None:
                environment, observation, starts, returns = episode.thaw(frozen)
                self._environment.adopt(environment)
                self._model.continue_episode(observation, starts)
                self._scorer.returns = returns
        except ValueError as error:
            _log.warning("the episode under way begins anew: %s", error)

    def _state(self) -> State:
        return State(
            step=self.step,
            environment=self._name,
            updates=int(self._model._n_updates),  # noqa: SLF001 - has no other name
            normalizer=self._scorer.normalizer.state_dict(),
            metrics=self.metrics.state_dict(),
            means=self.metrics.since_last_save(),
            chance=chance.state(self._environment.generator),
            episode=episode.freeze(self._environment.single, *self._model.under_way(), self._scorer.returns),
        )


class _Between(BaseCallback):
    """Called by stable-baselines3 at each step and between updates."""

    def __init__(self, training: Training, checkpoints: CheckpointStore, stop: StopSignal) -> None:
        super().__init__()
        self._training = training
        self._checkpoints = checkpoints
        self._stop = stop

    def _on_training_start(self) -> None:
        self._training.begin()

    def _on_rollout_start(self) -> None:
        self._training.between_updates(self._checkpoints)

    def _on_step(self) -> bool:
        self._training.report_step()
        self._training.pace.wait(lambda: self._stop.requested)
        return not self._stop.requested


def _rounded(value: Any) -> str:
    return "none finished" if value is None else f"{value:.3f}"
