"""What `accord_trainer.sb3.callback` does, without stable-baselines3: an on-policy algorithm under a `Session`.

The model is looked at from outside, so that any PPO of stable-baselines3 may be followed: schedules are put in force
before each update, rewards are normalized on their way into the rollout buffer, losses are read from the logger.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord_trainer.sb3.scoring import Scorer
from accord_trainer.sdk.session import Files, Session

MODEL = "model.zip"
NORMALIZER = "vecnormalize.pkl"
_KL, _EXPLAINED = "train/approx_kl", "train/explained_variance"
_LOSSES = ("train/policy_gradient_loss", "train/entropy_loss", "train/value_loss")


@dataclass(frozen=True)
class Fixed:
    """A learning rate schedule in stable-baselines3's form: whatever is left of the training, this value."""

    value: float

    def __call__(self, progress_remaining: float) -> float:
        """The value."""
        return self.value


def hyperparameters(session: Session, environments: int = 1) -> dict[str, Any]:
    """Arguments for `PPO(...)`, as the run's spec has them, for so many vectorized environments."""
    contract, ppo = session.contract, session.contract.ppo
    steps = max(ppo.update_frequency // environments, 1)
    return {
        "n_steps": steps,
        "batch_size": min(ppo.batch_size, steps * environments),
        "n_epochs": ppo.n_epochs,
        "gamma": ppo.gamma,
        "gae_lambda": ppo.gae_lambda,
        "clip_range": ppo.clip_range,
        "learning_rate": contract.learning_rate.initial,
        "ent_coef": contract.entropy_coef.initial,
        "seed": session.chance.seed,
    }


class Follower:
    """Follows one call of `learn`. `extra` are more files for the checkpoint, written and never read."""

    def __init__(self, session: Session, model: Any, extra: Files | None = None) -> None:
        self._session, self._model = session, model
        self._extra: Files = extra or {}
        self._open = ExitStack()
        self._trained = False
        self._normalize = model.get_vec_normalize_env()
        self._scorer = Scorer(session.normalizer, session.metrics, model.n_envs)

    def start(self) -> None:
        """`learn` begins: go on from the newest checkpoint, with environments that begin anew."""
        files: dict[str, Any] = {MODEL: (self._write, self._read), **self._extra}
        if self._normalize is not None:
            files[NORMALIZER] = (self._normalize.save, self._read_normalize)
        self._open.enter_context(self._session.training(files))
        model = self._model
        model.num_timesteps = self._session.step
        model.env.seed(self._session.environment_seed)
        model._last_obs = model.env.reset()  # noqa: SLF001 - as `learn` itself does
        model._last_episode_starts[:] = True  # noqa: SLF001

    def rollout_starts(self) -> None:
        """The policy was updated, unless this is the first rollout."""
        if self._trained:
            self._trained = False
            logged = self._model.logger.name_to_value
            kl, explained = (None if name not in logged else float(logged[name]) for name in (_KL, _EXPLAINED))
            self._session.update(self._losses(), approx_kl=kl, explained_variance=explained)

    def step(self, seen: Mapping[str, Any]) -> bool:
        """A step in each environment; whether to go on. `seen` are the local variables of `collect_rollouts`."""
        self._session.advance(self._model.num_timesteps - self._session.step)
        self._reward(seen["rewards"], seen["dones"], seen["infos"])
        return not self._session.stopping

    def rollout_ends(self) -> None:
        """Steps are collected, the update follows: with the values that the schedules have now."""
        self._session.adopt()
        self._model.ent_coef = self._session.entropy_coef
        self._model.lr_schedule = Fixed(self._session.learning_rate)
        self._trained = True

    def end(self) -> None:
        """`learn` ends: the last update counts, and what is not saved yet is saved."""
        self.rollout_starts()
        self._open.close()

    def _reward(self, rewards: Any, dones: Any, infos: Any) -> None:
        """In place: what is in the array goes into the rollout buffer."""
        if self._normalize is not None and self._normalize.norm_reward:
            # VecNormalize has done it already.
            raw = self._normalize.get_original_reward()
            self._scorer.score((float(each) for each in raw), (bool(each) for each in dones), totals(infos))
            return
        scored = self._scorer.score((float(r) for r in rewards), (bool(d) for d in dones), totals(infos))
        for index, each in enumerate(scored):
            rewards[index] = each

    def _losses(self) -> list[float]:
        """The mean loss of the minibatches of the last update; none where another algorithm logs other names."""
        logged = self._model.logger.name_to_value
        if not all(name in logged for name in _LOSSES):
            return [float(logged["train/loss"])] if "train/loss" in logged else []
        gain, entropy, value = (float(logged[name]) for name in _LOSSES)
        return [gain + self._model.ent_coef * entropy + self._model.vf_coef * value]

    def _write(self, path: Path) -> None:
        # Without what was put in here: `PPO.load` needs nothing of this package then.
        self._model.save(path, exclude=["lr_schedule"])

    def _read(self, path: Path) -> None:
        self._model.set_parameters(str(path), exact_match=True, device=self._model.device)

    def _read_normalize(self, path: Path) -> None:
        live = self._normalize
        saved = type(live).load(str(path), live.venv)
        live.obs_rms, live.ret_rms = saved.obs_rms, saved.ret_rms


def totals(infos: Any) -> list[float | None]:
    """Returns of the episodes that ended, as stable-baselines3's Monitor tells them: before wrappers change rewards."""
    return [float(info["episode"]["r"]) if "episode" in info else None for info in infos]
