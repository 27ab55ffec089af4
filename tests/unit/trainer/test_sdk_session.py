"""A training loop of one's own on `Session`: ends, resumes, attempts."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from accord_trainer.sdk import CheckpointError, CheckpointStore, Contract, Metrics, Session, session
from accord_trainer.sdk.contract import Ppo
from accord_trainer.sdk.schedules import Schedule


@pytest.fixture(autouse=True)
def nobody_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return Contract(
        run="r",
        run_uid="u-1",
        seed=5,
        metrics_port=0,
        checkpoint_dir=tmp_path / "checkpoints",
        total_steps=1000,
        save_frequency=200,
        ppo=Ppo(update_frequency=50),
        learning_rate=Schedule(0.0, 1.0, 1000, "Linear"),
    )


@dataclass
class Training:
    """A weight that follows chance, at the rate of the schedule."""

    contract: Contract
    weight: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    seen: list[tuple[int, float]] = field(default_factory=list)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(self.chance, contract=self.contract, metrics=Metrics(self.registry))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.weight))

    def read(self, path: Path) -> None:
        self.weight = json.loads(path.read_text())

    def run(self, until: int | None = None, *, tell: int | None = None) -> int:
        """To the end; `until` raises at that step, as a crash does; `tell` sends a signal there."""
        with self.session.training({"weight.json": (self.write, self.read)}) as accord:
            while accord.running:
                for _ in range(self.contract.ppo.update_frequency):
                    accord.advance()
                    if accord.step == until:
                        raise KeyboardInterrupt
                    if accord.step == tell:
                        signal.raise_signal(signal.SIGTERM)
                    if accord.stopping:
                        break
                    total = self.chance.gauss(3, 1)
                    self.weight += accord.learning_rate * accord.reward(total)
                    accord.episode(total)
                else:
                    self.seen.append((accord.step, accord.learning_rate))
                    accord.update([self.weight])
        return accord.exit_code

    def series(self, name: str) -> Any:
        return self.registry.get_sample_value(name)


def saved(contract: Contract) -> list[int]:
    return sorted(int(path.name[5:]) for path in contract.checkpoint_dir.glob("step-*"))


def test_a_whole_training_saves_when_due_and_ends_with_0(contract: Contract) -> None:
    training = Training(contract)
    assert training.run() == 0
    assert saved(contract) == [200, 400, 600, 800, 1000]
    names = ("ppo_training_step", "ppo_checkpoint_step", "ppo_updates_total", "ppo_reward_count", "ppo_loss_count")
    assert [training.series(name) for name in names] == [1000, 1000, 20, 1000, 20]
    newest = CheckpointStore(contract.checkpoint_dir).load(1000)
    assert newest.metrics["rewardCount"] == 200
    assert newest.schedule["learningRate"] == 1.0
    # Between two updates the value of the one before is in force.
    assert training.seen[:3] == [(50, 0.0), (100, 0.05), (150, 0.1)]


def test_an_interval_longer_than_saves_are_apart_saves_with_each_update(contract: Contract) -> None:
    contract = replace(contract, total_steps=90, save_frequency=20)
    assert Training(contract).run() == 0
    assert saved(contract) == [50, 100]


@pytest.mark.parametrize("step", [1, 199, 251, 999])
def test_within_an_attempt_a_killed_training_ends_like_an_unbroken_one(contract: Contract, step: int) -> None:
    want = Training(replace(contract, checkpoint_dir=contract.checkpoint_dir.with_name("unbroken")))
    want.run()
    with pytest.raises(KeyboardInterrupt):
        Training(contract).run(until=step)
    training = Training(contract)
    assert training.run() == 0
    assert (training.session.resumed is not None) == (step > 200)
    assert training.weight == want.weight
    for name in ("ppo_reward_sum", "ppo_reward_count", "reward_normalizer_mean"):
        assert training.series(name) == want.series(name)


def test_a_later_attempt_from_the_same_checkpoint_draws_anew(contract: Contract) -> None:
    first = Training(contract)
    first.run()
    ends = []
    for attempt in (2, 3):
        later = replace(contract, attempt=attempt, seed=5 + attempt, resume_from="step-00000400")
        training = Training(later)
        with pytest.raises(KeyboardInterrupt):
            training.run(until=450)
        # Its pod was killed before it had saved: the next one does the same again.
        again = Training(later)
        again.run()
        assert again.session.resumed is not None
        assert again.session.resumed.step == 400
        ends.append(again.weight)
    assert len({first.weight, *ends}) == 3


def test_told_to_stop_it_saves_the_last_update_and_is_not_finished(contract: Contract) -> None:
    training = Training(contract)
    assert training.run(tell=370) == 128 + signal.SIGTERM
    assert saved(contract) == [200, 350]
    again = Training(contract)
    assert again.run() == 0
    assert again.series("ppo_reward_count") == 1000


def test_a_loop_that_leaves_early_by_itself_is_not_finished(contract: Contract) -> None:
    training = Training(contract)
    with training.session.training({}) as accord:
        accord.advance(10)
    assert (accord.exit_code, saved(contract)) == (1, [])


def test_a_finished_training_that_is_started_again_does_nothing(contract: Contract) -> None:
    Training(contract).run()
    again = Training(contract)
    assert again.run() == 0
    assert again.seen == []
    assert again.series("ppo_training_step") == 1000


def test_a_checkpoint_of_another_program_is_refused_in_words(contract: Contract) -> None:
    CheckpointStore.of(contract).save(100, {"weight.json": b"1.0"})
    with pytest.raises(CheckpointError, match=r"holds no 'session\.json'"):
        Training(contract).run()
    CheckpointStore.of(contract).save(200, {"weight.json": b"1.0", "session.json": b"{}"})
    with pytest.raises(CheckpointError, match="of another trainer"):
        Training(contract).run()


def test_a_file_for_others_is_written_and_never_read(contract: Contract) -> None:
    training = Training(contract)
    with training.session.training({"for-a-service": (lambda path: path.write_text("x"), None)}) as accord:
        accord.advance(200)
        accord.update()
    with Training(contract).session.training({"for-a-service": (lambda path: path.write_text("x"), None)}) as accord:
        assert accord.step == 200
    with (
        pytest.raises(ValueError, match="session's own file"),
        training.session.training({"session.json": (training.write, None)}),
    ):
        pass


def test_seeds_of_environments_differ_by_attempt_and_step(contract: Contract) -> None:
    def seeds() -> Iterator[int]:
        for attempt in (1, 2):
            accord = Session(contract=replace(contract, attempt=attempt, seed=1000 * attempt), metrics=metrics())
            for step in (0, 400):
                accord.step = step
                yield accord.environment_seed

    def metrics() -> Metrics:
        return Metrics(CollectorRegistry())

    assert len(set(seeds())) == 4
