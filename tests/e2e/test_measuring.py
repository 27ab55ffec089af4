"""What Prometheus measures, and what follows from it."""

from __future__ import annotations

from demo.steps import experiments
from demo.steps.cluster import wait_until
from demo.steps.world import World


def test_the_measured_split_is_in_the_status(world: World) -> None:
    outcome = experiments.measured_on_target(world)
    assert outcome.holds, outcome.sentence


def test_an_alert_raises_and_clears_and_both_are_events(world: World) -> None:
    outcome = experiments.deviation_alert(world)
    assert outcome.holds, outcome.sentence

    def reasons() -> set[str]:
        events = world.cluster.find("Event", world.namespace)
        return {event["reason"] for event in events if event["involvedObject"]["kind"] == "TrafficPolicy"}

    wait_until("both events are there", lambda: {"DeviationAlert", "DeviationCleared"} <= reasons(), 15)


def test_without_prometheus_nothing_moves_and_the_policy_says_so(world: World) -> None:
    outcome = experiments.prometheus_down(world)
    assert outcome.holds, outcome.sentence
