"""From an answer of Prometheus to numbers, milestones and two conditions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.training.world import NOW, TRAINER, World, condition, run

from accord.api.v1alpha1.trainingrun import EntropySchedule, TrainingRun
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.plan import Plan
from accord.domain.samples import Answer, Sample
from accord.domain.training.progress import Progress, interpret, query, schedule
from accord.domain.training.schedule import value_at
from accord.domain.training.schedule_compliance import bar, follows

RUN = run(status={"attempt": 2})


def sample(part: str, value: float, pod: str = "r-2-abcde", at: datetime = NOW) -> Sample:
    labels = {"accord": part, "namespace": "ns", "pod": pod}
    return Sample(labels | ({"__name__": part} if part.startswith("ppo") else {}), value, at)


def answer(pod: str = "r-2-abcde", age: float = 1, **values: float) -> list[Sample]:
    found = [sample(f"ppo_{name}" if name != "speed" else name, value, pod) for name, value in values.items()]
    return [*found, sample("sampled", NOW.timestamp() - age, pod)]


def test_everything_is_asked_of_the_newest_attempt_alone() -> None:
    text = query(RUN)
    assert 'namespace="ns",pod=~"r-2-[a-z0-9]+(-head-[a-z0-9]+)?"' in text
    assert text.count("label_replace(") == 5


def test_values_and_means() -> None:
    samples = answer(
        training_step=500, entropy_coef=0.02, learning_rate=3e-4, checkpoint_step=400, reward_sum=30, reward_count=10
    )
    found = interpret(RUN, Answer((*samples, sample("loss", 0.5), sample("speed", 10))), NOW)
    assert found == Progress(
        "Measured",
        NOW,
        step=500,
        entropy_coef=0.02,
        learning_rate=3e-4,
        loss=0.5,
        reward=3.0,
        checkpoint_step=400,
        speed=10,
        attempt=2,
    )


def test_the_pod_that_was_scraped_last_counts() -> None:
    old, new = answer("r-2-aaaaa", age=60, training_step=900), answer("r-2-bbbbb", training_step=500)
    for order in itertools.permutations([*old, *new]):
        assert interpret(RUN, Answer(order), NOW).step == 500


def test_what_is_remembered_of_an_earlier_run_of_that_name_is_not_shown() -> None:
    made = RUN.model_copy(update={"metadata": RUN.metadata.model_copy(update={"creation_timestamp": timestamp(NOW)})})
    earlier, later = answer("r-2-aaaaa", age=60, training_step=6750), answer("r-2-bbbbb", age=-5, training_step=200)
    assert interpret(made, Answer(tuple(earlier)), NOW).outcome == "NoMetrics"
    assert interpret(made, Answer((*earlier, *later)), NOW).step == 200


def test_a_target_without_a_step_is_no_trainer() -> None:
    assert interpret(RUN, Answer(tuple(answer(entropy_coef=1))), NOW).outcome == "NoMetrics"


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (Answer(failure="Timeout", message="no answer in 5 s"), "QueryFailed", "no answer in 5 s"),
        (Answer(failure="Refused"), "QueryFailed", "Refused"),
        (Answer(), "NoMetrics", "port 8000"),
        (Answer(tuple(answer(age=151, training_step=5))), "Stale", "no longer scraped"),
        (Answer((sample("ppo_training_step", 5),)), "Stale", "no longer scraped"),
    ],
)
def test_what_is_not_known_is_said(given: Answer, outcome: str, words: str) -> None:
    found = interpret(RUN, given, NOW)
    assert (found.outcome, words in found.message) == (outcome, True)


def test_numbers_that_are_none_are_left_out() -> None:
    values = {"training_step": 5, "entropy_coef": float("nan"), "reward_sum": 0, "reward_count": 0}
    found = interpret(RUN, Answer((*answer(**values), sample("loss", float("inf")))), NOW)
    assert (found.entropy_coef, found.reward, found.loss) == (None, None, None)


def test_when_a_run_is_measured() -> None:
    def at(**status: Any) -> timedelta | None:
        return schedule(run(status=status or None), NOW)

    assert at() is None
    assert at(attempt=1) == timedelta(seconds=15)
    assert at(attempt=1, completionTime=timestamp(NOW - timedelta(seconds=59))) is not None
    assert at(attempt=1, completionTime=timestamp(NOW - timedelta(seconds=61))) is None


# --- In the status.


class Measured(World):
    """A world with a Prometheus."""

    progress: Progress | None = None

    def gather(self) -> Any:
        return replace(super().gather(), progress=self.progress)

    def measure(self, step: int | None = None, **values: Any) -> Plan:
        spec = TrainingRun.model_validate(self.run).spec.schedules
        if step is not None and "outcome" not in values:
            values = {
                "entropy_coef": value_at(spec.entropy_coef, step),
                "learning_rate": value_at(spec.learning_rate, step),
                "speed": 10.0,
                **values,
            }
        outcome = values.pop("outcome", "Measured")
        self.progress = Progress(outcome, self.now, "words", step=step, attempt=self.attempt, **values)
        return self.step()


def test_a_rate_that_rises_is_followed_and_said() -> None:
    world = measured(schedules={"learningRate": {"initial": 0, "final": 4e-4, "decayStrategy": "Linear"}})
    assert condition(world.decide(), "Accepted")[:2] == ("True", "Accepted")
    assert "spec.schedules.learningRate rises from 0 to 0.0004" in condition(world.decide(), "Accepted")[2]
    world.measure(5_000)
    assert condition(world.decide(), "OnSchedule")[0] == "True"
    world.measure(5_000, learning_rate=4e-4, entropy_coef=0.0125)
    assert condition(world.decide(), "OnSchedule")[:2] == ("False", "OffSchedule")


def measured(**spec: Any) -> Measured:
    world = Measured(**spec)
    world.settle()
    return world


def test_progress_is_shown_like_a_bar() -> None:
    world = measured()
    world.measure(2_512, reward=3.1415926535, loss=0.5, checkpoint_step=2_500)
    status = world.status
    assert (status["step"], status["progress"], status["progressBar"]) == (2_512, 25.1, "██░░░░░░░░ 25%")
    assert (status["reward"], status["loss"], status["checkpointStep"]) == (3.14159, 0.5, 2_500)
    assert status["entropyCoef"] == pytest.approx(0.016232)
    assert parse_timestamp(status["estimatedCompletion"]) == world.now.replace(microsecond=0) + timedelta(seconds=748)
    assert [(m["percent"], m["step"]) for m in status["milestones"]] == [(0, 2_512), (25, 2_512)]
    assert condition(world.decide(), "MetricsAvailable")[:2] == ("True", "Measured")
    assert condition(world.decide(), "OnSchedule")[:2] == ("True", "OnSchedule")
    assert world.told() == ["AttemptStarted", "Milestone"]


def test_the_same_numbers_again_write_nothing() -> None:
    world = measured()
    world.measure(100)
    writes = world.status_writes
    world.wait(15)
    world.measure(100)
    assert world.status_writes == writes


def test_the_expected_end_does_not_jump_about() -> None:
    world = measured()
    world.measure(1_000)
    first = world.status["estimatedCompletion"]
    world.wait(10)
    world.measure(1_100, speed=10.2)
    assert world.status["estimatedCompletion"] == first
    world.measure(1_200, speed=5.0)
    assert world.status["estimatedCompletion"] > first
    for nothing in (0.0, None, 1e-300):
        world.measure(1_200, speed=nothing)
        assert "estimatedCompletion" not in world.status


def test_the_last_steps_are_seen_after_the_end() -> None:
    world = measured()
    world.measure(9_700)
    world.complete()
    world.step()
    assert world.status["phase"] == "Succeeded"
    world.measure(10_000, outcome="Stale", entropy_coef=0.005)
    assert (world.status["progress"], world.status["progressBar"]) == (100.0, "██████████ 100%")
    assert "estimatedCompletion" not in world.status
    assert [m["percent"] for m in world.status["milestones"]] == [0, 25, 50, 75, 100]
    assert condition(world.decide(), "MetricsAvailable")[0] == "True"
    before = world.status
    world.wait(3600)
    world.step()
    world.progress = None
    world.step()
    assert world.status == before


def test_metrics_that_never_arrive_are_missed() -> None:
    world = measured()
    plan = world.measure(outcome="NoMetrics")
    assert condition(plan, "MetricsAvailable")[:2] == ("Unknown", "Awaited")
    assert plan.requeue_after is not None
    world.wait(plan.requeue_after)
    assert condition(world.measure(outcome="NoMetrics"), "MetricsAvailable") == ("False", "NoMetrics", "words")
    # It runs, but nothing could save it.
    assert condition(world.decide(), "Stalled")[:2] == ("True", "NoMetrics")
    status, reason, message = condition(world.decide(), "Ready")
    assert (status, reason, world.status["phase"]) == ("False", "NoMetrics", "Running")
    assert "its checkpoints cannot be checked: words" in message
    assert world.told() == ["AttemptStarted", "NoMetrics"]
    # What Prometheus does not say takes nothing back.
    world.wait(600)
    for outcome in ("NoMetrics", "QueryFailed", "NoMetrics"):
        assert condition(world.measure(outcome=outcome), "Ready")[:2] == ("False", "NoMetrics")
    plan = world.measure(5)
    assert condition(plan, "MetricsAvailable")[0] == condition(plan, "Ready")[0] == "True"


def test_metrics_that_are_gone_again_are_missed_after_as_long() -> None:
    world = measured()
    world.measure(3_000)
    plan = world.measure(outcome="Stale")
    assert condition(plan, "MetricsAvailable")[:2] == ("False", "Stale")
    assert condition(plan, "Ready")[:2] == ("True", "Running")
    assert plan.requeue_after == pytest.approx(180)
    world.wait(180)
    assert condition(world.measure(outcome="Stale"), "Ready")[:2] == ("False", "Stale")
    assert condition(world.measure(3_100), "Ready")[:2] == ("True", "Running")


def test_a_prometheus_that_has_not_answered_since_the_attempt_began_is_as_good_as_none() -> None:
    world = measured()
    plan = world.measure(outcome="QueryFailed")
    assert condition(plan, "MetricsAvailable")[:2] == ("Unknown", "QueryFailed")
    assert condition(plan, "Ready")[:2] == ("True", "Running")
    assert plan.requeue_after is not None
    world.wait(plan.requeue_after)
    plan = world.measure(outcome="QueryFailed")
    assert condition(plan, "Stalled")[:2] == ("True", "QueryFailed")
    status, reason, message = condition(plan, "Ready")
    assert (status, reason, world.status["phase"]) == ("False", "QueryFailed", "Running")
    assert message == "attempt 1 trains without metrics, so its checkpoints cannot be checked: words"
    assert world.told() == ["AttemptStarted", "QueryFailed"]
    # Also after a change of leaders, before it is asked again.
    world.progress = None
    assert condition(world.step(), "Ready")[:2] == ("False", "QueryFailed")
    assert condition(world.measure(5), "Ready")[:2] == ("True", "Running")


@pytest.mark.parametrize("forgets", [False, True], ids=["", "recorded by a version that did not say it"])
def test_an_outage_after_metrics_were_seen_takes_nothing_back(forgets: bool) -> None:
    world = measured()
    world.measure(3_000)
    assert world.status["measuredAttempt"] == 1
    for _ in range(3):
        world.wait(600)
        if forgets and world.run is not None:
            world.run["status"].pop("measuredAttempt", None)
        assert condition(world.measure(outcome="QueryFailed"), "Ready")[:2] == ("True", "Running")


def test_the_next_attempt_must_be_seen_itself() -> None:
    world = measured()
    world.measure(3_000)
    world.edit(totalSteps=20_000)
    world.settle()
    assert world.attempt == 2
    assert condition(world.measure(outcome="QueryFailed"), "Ready")[:2] == ("True", "Running")
    world.wait(200)
    assert condition(world.measure(outcome="QueryFailed"), "Ready")[:2] == ("False", "QueryFailed")


def test_an_endpoint_that_does_not_exist_is_said_at_once() -> None:
    unknown = Answer(failure="UnknownEndpoint", message="words")
    assert interpret(RUN, unknown, NOW) == Progress("NoEndpoint", NOW, "words", attempt=2)
    world = measured()
    plan = world.measure(outcome="NoEndpoint")
    assert condition(plan, "MetricsAvailable")[:2] == ("False", "NoEndpoint")
    assert condition(plan, "Ready")[:2] == ("False", "NoEndpoint")
    assert condition(plan, "Stalled")[:2] == ("True", "NoEndpoint")
    assert world.told() == ["AttemptStarted", "NoEndpoint"]
    # The operator was installed anew with that name, and nobody is there yet.
    assert condition(world.measure(outcome="QueryFailed"), "Ready")[:2] == ("False", "QueryFailed")
    assert condition(world.measure(5), "Ready")[:2] == ("True", "Running")


def test_the_next_pod_of_a_run_that_was_never_seen_is_given_its_time_anew() -> None:
    world = measured()
    world.wait(200)
    assert condition(world.measure(outcome="NoMetrics"), "Ready")[1] == "NoMetrics"
    world.edit(template={"metadata": {"annotations": {"scrape": "yes"}}, "spec": {"containers": [TRAINER]}})
    world.progress = None
    world.settle()
    assert world.attempt == 2
    assert condition(world.measure(outcome="NoMetrics"), "Ready")[:2] == ("True", "Running")
    world.wait(200)
    assert condition(world.measure(outcome="NoMetrics"), "Ready")[1] == "NoMetrics"


@pytest.mark.parametrize(("outcome", "status"), [("QueryFailed", "Unknown"), ("Stale", "False")])
def test_a_prometheus_that_is_away_moves_no_number(outcome: str, status: str) -> None:
    world = measured()
    world.measure(3_000)
    plan = world.measure(outcome=outcome)
    assert condition(plan, "MetricsAvailable")[:2] == (status, outcome)
    assert condition(plan, "OnSchedule")[0] == "True"
    assert (world.status["step"], world.status["phase"]) == (3_000, "Running")


def test_after_a_change_of_leaders_what_was_said_stays() -> None:
    world = measured()
    world.measure(3_000)
    before = world.status
    world.progress = None
    world.step()
    assert {**world.status, "estimatedCompletion": 0} == {**before, "estimatedCompletion": 0}


def test_a_measurement_of_long_ago_or_of_another_attempt_says_nothing() -> None:
    world = measured()
    world.measure(3_000)
    world.progress = replace(world.progress, step=9_000, attempt=7)  # type: ignore[type-var]
    world.step()
    world.progress = replace(world.progress, attempt=1, at=NOW - timedelta(hours=1))
    world.step()
    assert world.status["step"] == 3_000


def test_a_trainer_that_ignores_its_schedule_is_told_on() -> None:
    world = measured()
    plan = world.measure(5_000, learning_rate=3e-4)
    status, reason, message = condition(plan, "OnSchedule")
    assert (status, reason) == ("False", "OffSchedule")
    assert "PPO_LEARNING_RATE" in message
    assert "entropyCoef" not in message
    assert world.told() == ["AttemptStarted", "Milestone", "Milestone", "OffSchedule"]
    plan = world.measure(5_100, entropy_coef=None)
    assert condition(plan, "OnSchedule")[:2] == ("Unknown", "NotReported")
    assert "entropyCoef" in condition(plan, "OnSchedule")[2]


def test_a_changed_schedule_is_not_held_against_the_attempt_that_ends() -> None:
    world = measured()
    world.measure(5_000)
    world.edit(schedules={"entropyCoef": {"decayStrategy": "Cosine"}})
    assert condition(world.step(), "OnSchedule")[0] == "True"


def test_a_value_of_the_last_update_is_on_schedule() -> None:
    entropy = EntropySchedule()
    for step in range(0, 12_000, 37):
        # Set at the begin of the update, and kept while its 500 steps are collected.
        assert follows(entropy, step, value_at(entropy, step - step % 500), 1_000)
        assert follows(entropy, step, value_at(entropy, max(step - step % 500 - 500, 0)), 1_000)
    assert not follows(entropy, 5_000, 0.02, 1_000)
    assert not follows(entropy, 5_000, 0.005, 1_000)
    constant = EntropySchedule(decay_strategy="Constant")
    assert follows(constant, 9_999, 0.02, 1_000)
    assert not follows(constant, 9_999, 0.01, 1_000)


@given(st.floats(0, 1))
def test_the_bar_never_shows_more_than_is_done(done: float) -> None:
    text = bar(done)
    assert text.count("█") <= done * 10
    assert len(text.split()[0]) == 10
