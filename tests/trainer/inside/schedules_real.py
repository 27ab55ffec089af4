"""What the optimizer is really given at each update."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import Made
from stable_baselines3 import PPO

from accord_trainer.sb3.following import Fixed
from accord_trainer.sb3.ppo import ScheduledPPO
from accord_trainer.sdk.contract import Ppo
from accord_trainer.sdk.schedules import Schedule


def _seen(made: Made) -> list[tuple[int, float, float]]:
    """Step, entropy coefficient and learning rate while the optimizer steps, once an update."""
    found: list[tuple[int, float, float]] = []
    optimizer, step = made.model.policy.optimizer, made.model.policy.optimizer.step

    def watched(*arguments: Any, **more: Any) -> Any:
        entry = (made.training.step, float(made.model.ent_coef), float(optimizer.param_groups[0]["lr"]))
        if entry not in found:
            found.append(entry)
        return step(*arguments, **more)

    optimizer.step = watched
    made.run()
    return found


@pytest.mark.parametrize("strategy", ["Linear", "Cosine", "Constant"])
def test_each_update_has_the_values_of_its_step(tmp_path: Path, strategy: str) -> None:
    entropy, rate = Schedule(0.02, 0.005, 400, strategy), Schedule(3e-4, 1e-4, 300, "Cosine")
    made = Made(tmp_path, entropy_coef=entropy, learning_rate=rate)
    assert _seen(made) == [(step, entropy.value(step), rate.value(step)) for step in (100, 200, 300, 400)]


def test_they_are_reported_as_they_are_in_force(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.run()
    assert made.value("ppo_training_step") == 400
    assert made.value("ppo_entropy_coef") == made.contract.entropy_coef.value(400)
    assert made.value("ppo_learning_rate") == made.contract.learning_rate.value(400)
    assert made.value("ppo_updates_total") == 4
    assert made.value("ppo_loss_count") == 4 * 2 * 4  # updates, epochs, minibatches of 32 from 100


def test_the_last_update_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    made = Made(tmp_path, total_steps=250)
    assert [step for step, _, _ in _seen(made)] == [100, 200, 250]
    assert max(path.name for path in tmp_path.glob("step-*")) == "step-00000250"


def test_a_resumed_training_takes_the_schedule_up_where_it_is(tmp_path: Path) -> None:
    Made(tmp_path, total_steps=200).run()
    entropy = Schedule(0.02, 0.005, 400, "Linear")
    resumed = Made(tmp_path, entropy_coef=entropy).resume()
    assert [(step, value) for step, value, _ in _seen(resumed)] == [
        (300, entropy.value(300)),
        (400, entropy.value(400)),
    ]


def test_the_loss_is_that_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One minibatch, one epoch: the ratio is 1, so the loss is that of plain policy gradient with the two bonuses.
    losses = []
    inner = ScheduledPPO._loss

    def watched(model: ScheduledPPO, batch: Any) -> Any:
        loss = inner(model, batch)
        values, log_probability, entropy = model.policy.evaluate_actions(
            batch.observations, batch.actions.long().flatten()
        )
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        np.testing.assert_allclose(log_probability.detach(), batch.old_log_prob, atol=1e-5)
        value_loss = ((batch.returns - values.flatten()) ** 2).mean()
        expected = -advantages.mean() - model.ent_coef * entropy.mean() + 0.5 * value_loss
        losses.append((loss.item(), expected.item()))
        return loss

    monkeypatch.setattr(ScheduledPPO, "_loss", watched)
    Made(tmp_path, total_steps=64, ppo=Ppo(update_frequency=64, batch_size=64, n_epochs=1)).run()
    [(loss, expected)] = losses
    assert loss == pytest.approx(expected, rel=1e-4)


def test_it_reports_what_stable_baselines3_would_of_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path, total_steps=128, ppo=Ppo(update_frequency=64, batch_size=32, n_epochs=3))
    reported: list[tuple[float, float]] = []
    update, train = made.model.metrics.update, ScheduledPPO.train

    def told(*, approx_kl: float, explained_variance: float) -> None:
        reported.append((approx_kl, explained_variance))
        update(approx_kl=approx_kl, explained_variance=explained_variance)

    def both(model: ScheduledPPO) -> None:
        """Theirs first, from the same weights and with the same minibatches."""
        policy, optimizer = (copy.deepcopy(each.state_dict()) for each in (model.policy, model.policy.optimizer))
        drawn = np.random.get_state(), torch.get_rng_state()
        model.lr_schedule = Fixed(model.contract.learning_rate.value(model.num_timesteps))
        model.ent_coef = model.contract.entropy_coef.value(model.num_timesteps)
        PPO.train(model)
        logged = model.logger.name_to_value
        expected.append((logged["train/approx_kl"], logged["train/explained_variance"]))
        model.policy.load_state_dict(policy)
        model.policy.optimizer.load_state_dict(optimizer)
        np.random.set_state(drawn[0])
        torch.set_rng_state(drawn[1])
        train(model)

    expected: list[tuple[float, float]] = []
    monkeypatch.setattr(made.model.metrics, "update", told)
    monkeypatch.setattr(ScheduledPPO, "train", both)
    made.run()
    assert len(reported) == 2
    np.testing.assert_allclose(reported, expected, rtol=1e-3, atol=1e-6)
