"""What Prometheus sees of a trainer."""

import json
import math
import os
import shutil
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from accord_trainer.sdk import CheckpointStore, Metrics, RewardNormalizer
from accord_trainer.sdk.metrics_table import METRICS, render
from accord_trainer.sdk.moments import Histogram, Moments


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def _scrape(metrics: Metrics) -> dict[str, float]:
    samples = {}
    for family in text_string_to_metric_families(generate_latest(metrics._registry).decode()):
        for sample in family.samples:
            suffix = f"[{sample.labels['le']}]" if sample.labels else ""
            samples[sample.name + suffix] = sample.value
    return samples


def test_what_was_never_reported_has_no_series(metrics: Metrics) -> None:
    found = _scrape(metrics)
    assert not {"ppo_training_step", "ppo_loss", "ppo_reward", "best_model_reward", "ppo_checkpoint_step"} & set(found)
    assert found["ppo_reward_count"] == found["ppo_loss_sum"] == found["ppo_updates_total"] == 0


def test_everything_in_the_table_is_exposed_with_its_type(metrics: Metrics, tmp_path: Path) -> None:
    normalizer = RewardNormalizer()
    metrics.step(500, entropy_coef=0.01925, learning_rate=3e-4)
    metrics.reward(4.0, normalizer(4.0), normalizer)
    metrics.episode(12.5)
    metrics.minibatch(-0.25)
    metrics.minibatch(0.75)
    metrics.update(approx_kl=0.25, explained_variance=-0.5)
    metrics.saved(CheckpointStore(tmp_path).save(500, {"a": b"12345"}, metrics=metrics.since_last_save()))

    text = generate_latest(metrics._registry).decode()
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.meaning}\n# TYPE {metric.name} {metric.kind}\n" in text
    found = _scrape(metrics)
    assert found == {
        **{name: value for name, value in found.items() if "_bucket" in name},
        "ppo_training_step": 500,
        "ppo_entropy_coef": 0.01925,
        "ppo_learning_rate": 3e-4,
        "ppo_loss": 0.75,
        "ppo_loss_sum": 0.5,
        "ppo_loss_sumsq": 0.625,
        "ppo_loss_count": 2,
        "ppo_reward": 12.5,
        "ppo_reward_sum": 12.5,
        "ppo_reward_sumsq": 156.25,
        "ppo_reward_count": 1,
        "ppo_approx_kl": 0.25,
        "ppo_approx_kl_sum": 0.25,
        "ppo_approx_kl_sumsq": 0.0625,
        "ppo_approx_kl_count": 1,
        "ppo_explained_variance": -0.5,
        "ppo_explained_variance_sum": -0.5,
        "ppo_explained_variance_sumsq": 0.25,
        "ppo_explained_variance_count": 1,
        "ppo_updates_total": 1,
        "ppo_checkpoint_step": 500,
        "checkpoint_saves_total": 1,
        "checkpoint_bytes": 5,
        "checkpoint_volume_free_bytes": found["checkpoint_volume_free_bytes"],
        "best_model_reward": 12.5,
        "reward_normalizer_mean": 3.0,
        "reward_normalizer_std": 1.0,
    }
    assert found["reward_raw_bucket[3.0]"] == 0
    assert found["reward_raw_bucket[4.0]"] == found["reward_raw_bucket[+Inf]"] == 1
    assert found["reward_normalized_bucket[0.5]"] == 0
    assert found["reward_normalized_bucket[1.0]"] == 1


def test_the_manifest_gets_the_means_since_the_last_save(metrics: Metrics, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert metrics.since_last_save() == {"rewardCount": 0, "lossCount": 0}
    for reward in (1.0, 3.0):
        metrics.episode(reward)
    first = store.save(1, {"a": b""}, metrics=metrics.since_last_save())
    assert first.metrics == {"reward": 2.0, "rewardCount": 2, "lossCount": 0}
    metrics.saved(first)
    metrics.episode(-5.0)
    metrics.minibatch(0.5)
    second = store.save(2, {"a": b""}, metrics=metrics.since_last_save())
    assert second.metrics == {"reward": -5.0, "rewardCount": 1, "loss": 0.5, "lossCount": 1}
    metrics.saved(second)
    found = _scrape(metrics)
    assert (found["best_model_reward"], found["checkpoint_saves_total"], found["ppo_checkpoint_step"]) == (2.0, 2, 2)


def test_the_same_checkpoint_counts_once(metrics: Metrics, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for _ in range(2):
        metrics.saved(store.save(500, {"a": b""}))
    assert _scrape(metrics)["checkpoint_saves_total"] == 1
    metrics.resumed(store.load(500))
    metrics.saved(store.load(500))
    assert _scrape(metrics)["checkpoint_saves_total"] == 1


def test_room_on_the_volume_is_told_on_a_save_and_on_resuming(metrics: Metrics, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    saved = store.save(1, {"a": b"123", "b": b"4567"})
    metrics.saved(saved)
    resumed = Metrics(CollectorRegistry())
    resumed.resumed(saved)
    size = os.statvfs(tmp_path)
    for found in (_scrape(metrics), _scrape(resumed)):
        assert found["checkpoint_bytes"] == 7
        assert 0 <= found["checkpoint_volume_free_bytes"] <= size.f_frsize * size.f_blocks


def test_a_checkpoint_that_is_gone_has_a_size_and_no_room(metrics: Metrics, tmp_path: Path) -> None:
    saved = CheckpointStore(tmp_path).save(1, {"a": b"123"})
    shutil.rmtree(saved.path)
    metrics.saved(saved)
    found = _scrape(metrics)
    assert found["checkpoint_bytes"] == 3
    assert "checkpoint_volume_free_bytes" not in found


def test_a_save_without_episodes_or_with_nan_is_never_the_best(metrics: Metrics, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    metrics.saved(store.save(1, {"a": b""}, metrics=metrics.since_last_save()))
    metrics.episode(math.nan)
    metrics.saved(store.save(2, {"a": b""}, metrics=metrics.since_last_save()))
    assert "best_model_reward" not in _scrape(metrics)


def test_a_nan_that_is_reported_stays_visible(metrics: Metrics) -> None:
    metrics.minibatch(math.nan)
    metrics.minibatch(1.0)
    found = _scrape(metrics)
    assert math.isnan(found["ppo_loss_sum"])
    assert math.isnan(found["ppo_loss_sumsq"])
    assert (found["ppo_loss"], found["ppo_loss_count"]) == (1.0, 2)


def test_sums_go_on_from_a_checkpoint(metrics: Metrics, tmp_path: Path) -> None:
    for reward in (0.1, 0.2, -4.0):
        metrics.episode(reward)
    checkpoint = CheckpointStore(tmp_path).save(500, {"a": b""}, metrics=metrics.since_last_save())
    metrics.saved(checkpoint)
    resumed = Metrics(CollectorRegistry())
    resumed.load_state_dict(json.loads(json.dumps(metrics.state_dict())))
    resumed.resumed(checkpoint)
    metrics.episode(0.3)
    resumed.episode(0.3)
    found, unbroken = _scrape(resumed), _scrape(metrics)
    for name in ("ppo_reward_sum", "ppo_reward_sumsq", "ppo_reward_count", "best_model_reward", "ppo_checkpoint_step"):
        assert found[name] == unbroken[name]
    assert found["ppo_training_step"] == 500
    assert found["checkpoint_saves_total"] == 0, "a counter starts anew with its process"
    assert resumed.since_last_save() == {"reward": pytest.approx(0.3), "rewardCount": 1, "lossCount": 0}


@given(st.lists(st.floats(min_value=-1e9, max_value=1e9), max_size=200))
def test_running_sums_do_not_drift(series: list[float]) -> None:
    moments = Moments()
    for value in series:
        moments.add(value)
    exact = sum((Fraction(value) for value in series), Fraction())
    size = sum((abs(Fraction(value)) for value in series), Fraction())
    assert abs(Fraction(moments.sum) - exact) <= Fraction(2.0**-52) * abs(exact) + Fraction(2.0**-90) * size
    squares = math.fsum(value * value for value in series)
    assert moments.sumsq == pytest.approx(squares, rel=1e-15)
    assert moments.count == len(series)


def test_a_scrape_is_a_picture_of_one_instant(metrics: Metrics) -> None:
    done = threading.Event()

    def train() -> None:
        for _ in range(20_000):
            metrics.episode(2.0)
        done.set()

    writer = threading.Thread(target=train)
    writer.start()
    scrapes = []
    while not done.is_set() or not scrapes:
        scrapes.append(_scrape(metrics))
    writer.join()
    for found in scrapes:
        assert found["ppo_reward_sum"] == 2 * found["ppo_reward_count"]
        assert found["ppo_reward_sumsq"] == 4 * found["ppo_reward_count"]


def test_a_histogram_counts_like_prometheus() -> None:
    histogram = Histogram((0, 1))
    for value in (-1.0, 0.0, 0.5, 1.0, 2.0, math.nan):
        histogram.observe(value)
    buckets, _ = histogram.cumulative()
    assert buckets == [("0.0", 2), ("1.0", 4), ("+Inf", 6)]
    for bounds in ((), (1, 0), (1, 1)):
        with pytest.raises(ValueError, match="must ascend"):
            Histogram(bounds)


def test_metrics_are_served_over_http(metrics: Metrics) -> None:
    metrics.step(7, entropy_coef=0.5, learning_rate=0.25)
    with metrics.serve(0) as server:
        for host in ("127.0.0.1", "localhost"):
            with urllib.request.urlopen(f"http://{host}:{server.port}/metrics", timeout=120) as answer:
                assert "ppo_training_step 7.0\n" in answer.read().decode()
        with pytest.raises(OSError, match="in use"):
            metrics.serve(server.port)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=120)


def test_a_trainer_can_wait_until_its_last_values_are_scraped(metrics: Metrics) -> None:
    with metrics.serve(0) as server:

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=120) as answer:
                text: str = answer.read().decode()
                return text

        scrape()
        metrics.step(10_000, entropy_coef=0.005, learning_rate=1e-4)
        assert not server.wait_for_scrape(timeout=0.01), "the scrape before does not count"
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(server.wait_for_scrape, 30)
            while not waiting.done():
                assert "ppo_training_step 10000.0\n" in scrape()
        assert waiting.result()


def test_a_client_that_says_nothing_does_not_keep_the_server_open(metrics: Metrics) -> None:
    server = metrics.serve(0)
    with socket.create_connection(("127.0.0.1", server.port)):
        server.close()


def test_one_registry_takes_one_object() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Metrics(registry)


def test_the_committed_page_is_what_the_table_says() -> None:
    page = Path(__file__).parents[3] / "docs/reference/trainer-metrics.md"
    assert page.read_text(encoding="utf-8") == render()
    assert all(f"| `{metric.name}` | {metric.kind} | " in render() for metric in METRICS)


def test_what_an_update_did_is_shown_from_the_first_value_on_and_goes_on_with_a_checkpoint() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.update()
    # The explained variance of returns that are all alike is NaN: that is no divergence.
    metrics.update(approx_kl=math.inf, explained_variance=math.nan)
    assert not [name for name in _scrape(metrics) if "approx_kl" in name or "explained_variance" in name]
    metrics.update(approx_kl=0.01)
    metrics.update(approx_kl=0.03, explained_variance=0.5)
    assert _scrape(metrics)["ppo_approx_kl_sum"] == pytest.approx(0.04)

    resumed = Metrics(CollectorRegistry())
    resumed.load_state_dict(metrics.state_dict())
    resumed.update(approx_kl=0.02, explained_variance=0.7)
    found = _scrape(resumed)
    assert (found["ppo_approx_kl_count"], found["ppo_explained_variance_count"]) == (3, 2)
    assert found["ppo_explained_variance_sum"] == pytest.approx(1.2)


def test_a_checkpoint_of_a_version_without_a_series_is_gone_on_with() -> None:
    state = Metrics(CollectorRegistry()).state_dict()
    old: Any = {key: value for key, value in state.items() if key not in ("approx_kl", "explained_variance")}
    metrics = Metrics(CollectorRegistry())
    metrics.load_state_dict(old)
    metrics.update(approx_kl=0.5)
    assert _scrape(metrics)["ppo_approx_kl_count"] == 1
