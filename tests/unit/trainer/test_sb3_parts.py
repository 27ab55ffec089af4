"""The parts of the reference trainer that need no framework."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from accord_trainer.sb3.ratings import ACTION_DIM, Users
from accord_trainer.sb3.scoring import Scorer
from accord_trainer.sb3.state import State, is_due
from accord_trainer.sdk import Metrics, RewardNormalizer


def _scorer(environments: int = 1, **parameters: float) -> tuple[Scorer, CollectorRegistry]:
    registry = CollectorRegistry()
    return Scorer(RewardNormalizer(**parameters), Metrics(registry), environments), registry  # type: ignore[arg-type]


def _ratings(policy: str) -> np.ndarray:
    users, chance = Users(), np.random.default_rng(1)
    common = int(np.mean([users.expected(users.state(chance)) for _ in range(2000)], axis=0).argmax())
    given = []
    for _ in range(3000):
        state = users.state(chance)
        best = int(users.expected(state).argmax())
        action = {"chance": int(chance.integers(ACTION_DIM)), "common": common, "best": best}[policy]
        given.append(users.rating(state, action, chance))
    return np.array(given)


def test_ratings_are_whole_stars_that_depend_on_the_answer_and_on_the_user() -> None:
    chance, common, best = (_ratings(policy) for policy in ("chance", "common", "best"))
    assert set(chance) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert chance.mean() == pytest.approx(3.0, abs=0.3)
    assert common.mean() > chance.mean() + 0.5
    assert best.mean() > common.mean() + 0.1


def test_users_are_the_same_in_every_process() -> None:
    state = Users().state(np.random.default_rng(3))
    assert (Users().expected(state) == Users().expected(state)).all()


def test_the_policy_gets_normalized_rewards_and_the_metrics_raw_returns() -> None:
    scorer, registry = _scorer(environments=2, bootstrap_mean=3.0, bootstrap_std=2.0)
    assert scorer.score([1.0, 5.0], [False, True]) == pytest.approx([-1.0, 1.0])
    scorer.score([2.0, 4.0], [True, False])
    # Episodes of 1 + 2 and of 5 are over, that of 4 is not.
    assert registry.get_sample_value("ppo_reward_sum") == 8.0
    assert registry.get_sample_value("ppo_reward_count") == 2.0
    assert registry.get_sample_value("reward_raw_bucket", {"le": "+Inf"}) == 4.0


def test_an_episode_cut_by_a_reset_is_not_reported() -> None:
    scorer, registry = _scorer()
    scorer.score([7.0], [False])
    scorer.begin()
    scorer.score([1.0], [True])
    assert registry.get_sample_value("ppo_reward_sum") == 1.0


def test_rewards_that_are_all_equal_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    scorer, _ = _scorer()
    for _ in range(300):
        scorer.score([1.0], [False])
    assert [record.message for record in caplog.records if "rewardNormalization.enabled" in record.message][1:] == []
    assert "rewardNormalization.enabled" in caplog.text


def test_a_save_is_due_once_a_multiple_of_the_frequency_is_passed() -> None:
    assert not is_due(499, 0, 500)
    assert is_due(500, 0, 500)
    assert is_due(1200, 500, 500)
    assert not is_due(900, 500, 500)


def test_a_state_survives_json_unchanged(tmp_path) -> None:  # type: ignore[no-untyped-def]
    normalizer = RewardNormalizer()
    for reward in (0.1, 0.2, 1e-300):
        normalizer(reward)
    state = State(
        step=500,
        environment="CartPole-v1",
        updates=4,
        normalizer=normalizer.state_dict(),
        metrics=Metrics(CollectorRegistry()).state_dict(),
        means={"reward": 1 / 3},
        chance={"environment": {"state": 2**127 + 1}},
    )
    (tmp_path / "state.json").write_bytes(state.to_json())
    assert State.read(tmp_path / "state.json") == state
