"""Any PPO of stable-baselines3 under a TrainingRun, by one callback:

    accord = AccordCallback()
    model = PPO("MlpPolicy", "CartPole-v1", **accord.hyperparameters())
    model.learn(accord.total_steps, callback=accord)
    sys.exit(accord.exit_code)

Metrics, schedules, normalized rewards, checkpoints, resumption, seeds and the request to stop are taken care of. Leave
`reset_num_timesteps` as it is: the callback sets the step that training goes on from.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback

from accord_trainer.sb3 import policyfile
from accord_trainer.sb3.export import exported
from accord_trainer.sb3.following import Follower, hyperparameters
from accord_trainer.sdk.contract import Contract
from accord_trainer.sdk.metrics import Metrics
from accord_trainer.sdk.session import Files, Session


class AccordCallback(BaseCallback):
    """Follows one `learn` of an on-policy algorithm of stable-baselines3.

    Make it before the model: it seeds Python, NumPy and PyTorch with the seed of the attempt. A checkpoint holds
    `model.zip`, which `PPO.load` reads, the statistics of a VecNormalize, and `policy.npz` where the policy is one
    that a service can use without PyTorch. It is taken between two updates; a resumed training begins new episodes.
    ContractError if the environment is wrong.
    """

    def __init__(
        self,
        *,
        contract: Contract | None = None,
        metrics: Metrics | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        own = {
            "stable-baselines3": stable_baselines3.__version__,
            "gymnasium": gymnasium.__version__,
            "torch": torch.__version__,
        }
        self.session = Session(
            random, np.random, torch, contract=contract, metrics=metrics, versions={**own, **(versions or {})}
        )
        self._follower: Follower | None = None

    @property
    def total_steps(self) -> int:
        """What `learn` is to be told: the steps of all attempts."""
        return self.session.contract.total_steps

    @property
    def exit_code(self) -> int:
        """What the process has to exit with: 0 only where all steps are trained."""
        return self.session.exit_code

    def hyperparameters(self, environments: int = 1) -> dict[str, Any]:
        """Arguments for `PPO(...)`, as the run's spec has them, for so many vectorized environments."""
        return hyperparameters(self.session, environments)

    def _on_training_start(self) -> None:
        self._follower = Follower(self.session, self.model, self._for_services())
        self._follower.start()

    def _on_rollout_start(self) -> None:
        self._following.rollout_starts()

    def _on_step(self) -> bool:
        return self._following.step(self.locals)

    def _on_rollout_end(self) -> None:
        self._following.rollout_ends()

    def _on_training_end(self) -> None:
        self._following.end()

    @property
    def _following(self) -> Follower:
        if self._follower is None:
            raise RuntimeError("the callback is used outside of a call of learn")
        return self._follower

    def _for_services(self) -> Files:
        policy = self.model.policy

        def write(path: Path) -> None:
            if (found := exported(policy)) is not None:
                found.write(path)

        return {} if exported(policy) is None else {policyfile.FILE: (write, None)}
