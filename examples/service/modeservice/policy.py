"""The learnt part of the service: a checkpoint's policy, and what users think of the answers that it chooses.

Imported only where a checkpoint is to be served: modes without one need no NumPy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from accord_trainer.sb3.policyfile import FILE, Policy, PolicyFileError
from accord_trainer.sb3.ratings import ACTION_DIM, STATE_DIM, Users
from accord_trainer.sdk.manifest import CheckpointError
from accord_trainer.sdk.serving import find


class UnusablePolicyError(ValueError):
    """The checkpoint cannot be served; the text names it and says why."""


def load(directory: Path, step: int) -> Policy | None:
    """The policy in the checkpoint of `step` in `directory`, every byte of it verified; None for step 0: untrained.

    `directory` is a trainer's volume or a copy of it, or the checkpoint itself: with method SubPath nothing else is
    mounted. UnusablePolicyError for a checkpoint that is missing, torn, damaged, or not one of this service.
    """
    if step == 0:
        return None
    try:
        policy = Policy.read(find(directory, step).file(FILE))
    except (CheckpointError, PolicyFileError) as error:
        raise UnusablePolicyError(f"the checkpoint of step {step} in {directory} cannot be served: {error}") from error
    if (policy.inputs, policy.actions) != (STATE_DIM, ACTION_DIM):
        raise UnusablePolicyError(
            f"the policy of step {step} in {directory} takes {policy.inputs} numbers and chooses one of "
            f"{policy.actions}; this service has users of {STATE_DIM} numbers and {ACTION_DIM} answers: was it trained "
            "on accord/Ratings-v0?"
        )
    return policy


class Audience:
    """Users who come by, get the answer that the policy thinks best for them, and rate it.

    Without a policy, an answer is as good as any other. A user takes about 20 µs.
    """

    def __init__(self, policy: Policy | None, chance: np.random.Generator | None = None) -> None:
        self._policy = policy
        self._users = Users()
        self._chance = chance or np.random.default_rng()

    def serve(self) -> tuple[int, int]:
        """One user: the number of the answer, and its rating from 1 to 5."""
        user = self._users.state(self._chance)
        answer = int(self._chance.integers(ACTION_DIM)) if self._policy is None else self._policy.best(user)
        return answer, int(self._users.rating(user, answer, self._chance))
