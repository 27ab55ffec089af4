"""Recorded runs in the forms that there are: our own columns, events, and the logs of stable-baselines3."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from accord.cli.backtest.recording import read
from accord.cli.errors import InputError
from accord.domain.checkpoint.detection.rows import Row, are_events, lives
from accord.domain.checkpoint.detection.series import Segment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.csv"


def test_a_progress_file_of_stable_baselines3(path: Path) -> None:
    path.write_text(
        "time/fps,time/iterations,time/time_elapsed,time/total_timesteps,rollout/ep_len_mean,rollout/ep_rew_mean,"
        "train/loss,train/learning_rate\n"
        "900,1,2,2048,22.1,22.1,,\n"
        "880,2,4,4096,26.6,26.6,8.58,0.0003\n"
        "870,3,7,6144,34.9,nan,13.1,0.0003\n"
    )
    found = read(path)
    assert found.rows[:2] == [Row(2048, None, 22.1, 2.0), Row(4096, 8.58, 26.6, 4.0)]
    assert found.rows[2][:2] == (6144, 13.1)
    assert math.isnan(found.rows[2].reward or 0.0)
    assert found.note is not None
    assert "means of the last 100 episodes" in found.note


def test_what_an_update_did_is_read_where_a_file_has_it(path: Path) -> None:
    path.write_text(
        "time/total_timesteps,train/loss,train/approx_kl,train/explained_variance\n2048,,,\n4096,2.5,0.01,-0.2\n"
    )
    assert read(path).rows[1] == Row(4096, 2.5, None, None, 0.01, -0.2)
    path.write_text("step,reward,explained_variance\n1,2,0.5\n2,3,nan\n")
    assert read(path).rows[0] == Row(1, None, 2.0, None, None, 0.5)
    path.write_text("step,approx_kl\n1,2\n")
    with pytest.raises(InputError, match="unknown header"):
        read(path)


def test_a_progress_file_without_a_loss_or_times(path: Path) -> None:
    path.write_text("time/total_timesteps,rollout/ep_rew_mean\n2048,1\n")
    assert read(path).rows == [Row(2048, None, 1.0)]
    assert not read(path).has_times


def test_a_monitor_file_of_stable_baselines3_counts_the_steps_of_its_episodes(path: Path) -> None:
    path.write_text(
        '#{"t_start": 1700000000.0, "env_id": "CartPole-v1"}\nr,l,t\n22.0,22,0.5\n31.0,31,0.9\n31.0,31,1.5\n'
    )
    found = read(path)
    assert found.rows == [Row(22, None, 22.0, 0.5), Row(53, None, 31.0, 0.9), Row(84, None, 31.0, 1.5)]
    [life] = lives(found.rows, each=False, events=found.events)
    # The same return twice is two episodes.
    assert [moment.reward for moment in life.moments] == [
        Segment(-9, 22, 1, 22.0, 484.0),
        Segment(22, 53, 1, 31.0, 961.0),
        Segment(53, 84, 1, 31.0, 961.0),
    ]
    assert life.kinds["reward"] == "episodes"


def test_rows_that_are_events_are_told_from_looks() -> None:
    events = [Row(200, None, -500.0), Row(200, None, -500.0), Row(256, 2.0, None), Row(400, None, -500.0)]
    events += [Row(512, 2.0, None), Row(600, None, -500.0), Row(768, 2.0, None), Row(800, None, -500.0)]
    assert are_events(events)
    [life] = lives(events, each=False)
    assert life.kinds == {"loss": "updates", "reward": "episodes"}
    rewards = [moment.reward for moment in life.moments if isinstance(moment.reward, Segment)]
    assert [(segment.last, segment.values) for segment in rewards] == [(200, 1), (200, 1), (400, 1), (600, 1), (800, 1)]
    losses = [moment.loss for moment in life.moments if isinstance(moment.loss, Segment)]
    assert [(segment.first, segment.last) for segment in losses] == [(0, 256), (256, 512), (512, 768)]


def test_looks_stay_looks_where_a_series_begins_late_or_stands_alone() -> None:
    late = [Row(step, 1.0 if step > 60 else None, step // 20 / 1.0) for step in range(0, 100, 10)]
    assert not are_events(late)
    assert not are_events([Row(step, None, 1.0) for step in range(10)])
    assert not are_events([])
    [life] = lives(late, each=False)
    # Held until there is a new one.
    assert sum(moment.reward is not None for moment in life.moments) == 5
