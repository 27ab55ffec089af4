"""What the page of `accord dashboard` shows, out of objects and answers of Prometheus alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.page.story import LAST, MESSAGE, ROLLBACK, SERVED, TARGET, TOTAL, Night, rate

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.dashboard import curves
from accord.cli.dashboard.facts import Facts
from accord.cli.dashboard.view import view
from accord.domain.samples import Answer, Series

NOW = datetime(2026, 5, 1, 3, 0, tzinfo=UTC)
KINDS = ("TrafficPolicy", "TrainingRun", "CheckpointPolicy")
ALLOWED = {("shop", kind): True for kind in KINDS}


def command(kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> str:
    return f"kubectl patch {kind} {name} -n {namespace} -p {json.dumps(patch)}"


def facts(*, waiting: bool = True, **more: Any) -> Facts:
    objects = {kind: [each] for kind, each in Night(NOW).objects(waiting=waiting).items()}
    return replace(Facts("dev", "shop", objects, command, read_at=NOW, rights=ALLOWED), **more)


def shown(**more: Any) -> dict[str, Any]:
    found = view(facts(**more), NOW)
    json.dumps(found, allow_nan=False)
    return found


def actions(found: Any) -> set[str]:
    """Names of all actions anywhere below."""
    if isinstance(found, dict):
        own = {found["action"]} if "patch" in found else set()
        return own.union(*(actions(each) for each in found.values()))
    return set().union(*(actions(each) for each in found)) if isinstance(found, list) else set()


def test_where_all_is_well_nothing_asks_for_attention() -> None:
    found = shown(waiting=False)
    assert (found["alarms"], found["ready"], found["objects"]) == ([], 3, 3)
    (policy,) = found["traffic"]
    assert [(mode["name"], mode["target"], mode["actual"]) for mode in policy["modes"]] == [
        ("fast", 60, 59.4),
        ("balanced", 30, 30.5),
        ("creative", 10, 10.1),
    ]
    assert policy["inForce"]["why"] == "as specified"
    assert policy["modes"][1]["serves"] == f"serves step {SERVED} of CheckpointPolicy ppo"


def test_an_alarm_says_what_it_compared() -> None:
    rollback, breaker = shown()["alarms"][0], shown()["alarms"][-1]
    assert rollback["title"] == f"Rollback to step {TARGET} is waiting for approval"
    assert rollback["text"] == MESSAGE
    assert {each["name"]: each["value"] for each in rollback["compared"]} == {
        "signal": "RewardDrop",
        "level before": "270.2",
        "level now": "105.2",
        "fails at": "145.4",
        "effect": "66.1% of what was learnt is lost",
        "threshold": "0.5",
        "samples": "20",
        "checked to step": str(LAST),
        "rule": "Adaptive on reward by episodes",
    }
    assert breaker["title"] == "Circuit breaker of mode creative is open"
    assert {each["name"]: each["value"] for each in breaker["compared"]} == {
        "gets": "0 % of its share",
        "failures": "4",
        "threshold": "3 in 1m",
        "samples": "118 requests",
    }


def test_a_deviation_says_its_threshold_and_its_samples() -> None:
    given = facts(waiting=False)
    policy = json.loads(json.dumps(given.objects["TrafficPolicy"][0]))
    policy["status"]["modes"][0].update(actual=45.0, deviation=-15.0, alert=True)
    found = view(replace(given, objects={**given.objects, "TrafficPolicy": [policy]}), NOW)
    (alarm,) = found["alarms"]
    assert alarm["title"] == "Mode fast is off its target"
    values = [each["value"] for each in alarm["compared"]]
    assert values == ["45%", "60%", "-15.0 points", "10 points", "5200 requests", "5m"]


def test_buttons_carry_the_patch_and_the_command_of_the_same() -> None:
    found = shown()
    approve, reject = found["alarms"][0]["actions"]
    assert (approve["action"], reject["action"]) == ("approve", "reject")
    assert approve["patch"] == {"metadata": {"annotations": {"accord.dev/approved-rollback": ROLLBACK}}}
    assert approve["command"] == command("CheckpointPolicy", "shop", "ppo", approve["patch"])
    assert approve["means"].startswith(f"Checkpoint {TARGET} is served and training restarts from it.")
    (policy,) = found["training"][0]["policies"]
    back = {each["step"]: [one["patch"] for one in each["actions"]] for each in policy["checkpoints"]}
    assert back[TARGET] == [{"spec": {"rollbackTo": TARGET}}]
    assert back[SERVED] == []  # it is served
    assert back[8_000] == []  # it is quarantined
    assert actions(found) == {"approve", "reject", "rollback", "pause"}


def test_who_may_not_patch_is_offered_nothing_and_told_so() -> None:
    rights = {**ALLOWED, ("shop", "CheckpointPolicy"): False}
    found = shown(rights=rights)
    assert actions(found) == {"pause"}
    assert found["rights"] == "You have no right to patch CheckpointPolicy: they are read-only here"
    # Where it is not known, nothing is offered either.
    assert actions(shown(rights={})) == set()


def test_git_is_named_before_a_field_of_git_is_changed() -> None:
    given = facts()
    run = json.loads(json.dumps(given.objects["TrainingRun"][0]))
    run["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:accord.dev/TrainingRun:shop/ppo"}
    found = view(replace(given, objects={**given.objects, "TrainingRun": [run]}), NOW)
    (pause,) = found["training"][0]["actions"]
    assert pause["warning"].startswith("TrainingRun ppo is managed by Argo CD (Application shop): if Git sets spec.sus")


def test_charts_stand_beside_their_schedules() -> None:
    charts = {each["id"]: each for each in shown()["training"][0]["charts"]}
    assert list(charts) == ["reward", "loss", "entropy_coef", "learning_rate"]
    assert (charts["reward"]["schedule"], charts["reward"]["value"]) == ([], "105.2")
    assert [len(each["dots"]) for each in charts.values()] == [4, 1, 4, 4]
    schedule = charts["learning_rate"]["schedule"]
    assert (schedule[0], schedule[-1]) == ([0, 3e-4], [TOTAL, 1e-4])
    assert charts["learning_rate"]["scheduled"] == f"{rate(LAST):.4g}"
    assert "schedule" in charts["entropy_coef"]["said"]


def series(part: str, points: list[tuple[float, float]], pod: str = "ppo-1-abcde") -> Series:
    return Series({"pod": pod, "accord": part}, tuple(points))


def run() -> TrainingRun:
    return TrainingRun.model_validate(Night(NOW).objects()["TrainingRun"])


def policy() -> CheckpointPolicy:
    return CheckpointPolicy.model_validate(Night(NOW).objects()["CheckpointPolicy"])


def test_curves_are_values_against_steps_attempt_by_attempt() -> None:
    at = NOW.timestamp()
    answer = Answer(
        series=(
            series("step", [(at - 20, 900.0), (at - 10, 950.0)], "ppo-2-zzzzz"),
            series("reward", [(at - 20, 5.0), (at - 10, float("nan"))], "ppo-2-zzzzz"),
            series("step", [(at - 90, 1000.0), (at - 80, 1100.0)]),
            series("reward", [(at - 90, 1.0), (at - 80, 2.0)]),
            series("loss", [(at - 85, 1.0)]),
            series("reward", [(at, 1.0)], "ppo-3-nostep"),
        )
    )
    found = curves.curves(run(), answer)
    assert [attempt.label for attempt in found.attempts] == ["attempt 1", "attempt 2"]
    assert found.attempts[0].points["reward"] == [(1000.0, 1.0), (1100.0, 2.0)]
    assert found.attempts[0].points["loss"] == []
    assert found.attempts[1].points["reward"] == [(900.0, 5.0)]
    charts = {each["id"]: each for each in shown(curves={("shop", "ppo"): found})["training"][0]["charts"]}
    assert [line["current"] for line in charts["reward"]["lines"]] == [False, True]


def test_what_an_earlier_run_of_that_name_reported_is_no_curve() -> None:
    long_ago = (NOW - timedelta(days=3)).timestamp()
    answer = Answer(series=(series("step", [(long_ago, 5.0)]), series("reward", [(long_ago, 5.0)])))
    assert curves.curves(run(), answer).problem.startswith("no series ppo_training_step")


def test_what_is_missing_of_prometheus_is_said() -> None:
    assert shown()["prometheus"].endswith("--prometheus URL")
    gone = curves.curves(run(), Answer(failure="Unreachable", message="Connection refused"))
    found = shown(asks_prometheus=True, curves={("shop", "ppo"): gone})
    assert found["prometheus"] == "Prometheus: Connection refused"
    assert found["training"][0]["charts"][0]["lines"] == []


def test_the_time_line_has_what_was_served_when() -> None:
    at = NOW.timestamp()
    reach = timedelta(hours=6)
    every = curves.resolution(reach).total_seconds()
    times = [at - every * index for index in range(40, -1, -1)]
    answer = Answer(series=(Series({}, tuple((time, 18_000.0 if time < at - 900 else 20_000.0) for time in times)),))
    found = curves.spells(policy(), answer, reach)
    assert [spell.step for spell in found.spells] == [18_000, 20_000]
    assert found.spells[0].end == found.spells[1].begin
    line = shown(spells={("shop", "ppo"): found})["training"][0]["policies"][0]["timeline"]
    assert [(each["step"], each["end"]) for each in line["served"]][-1] == (20_000, at)
    assert line["known"]
    assert [each["to"] for each in line["rollbacks"]] == [TARGET, 6_000]
    assert {each["step"] for each in line["checkpoints"] if each["state"] == "quarantined"} == {8_000}
    # Without metrics only what the status knows.
    bare = shown()["training"][0]["policies"][0]["timeline"]
    assert ([each["step"] for each in bare["served"]], bare["known"]) == ([SERVED], False)


def test_a_gap_in_the_metrics_is_no_time_of_serving() -> None:
    reach = timedelta(hours=6)
    every = curves.resolution(reach).total_seconds()
    at = NOW.timestamp()
    points = ((at - 20 * every, 1.0), (at - 19 * every, 1.0), (at - every, 1.0), (at, 1.0))
    found = curves.spells(policy(), Answer(series=(Series({}, points),)), reach)
    assert [(spell.end - spell.begin) / every for spell in found.spells] == pytest.approx([1, 1])


def test_a_lost_api_server_is_shown_with_the_age_of_what_is_seen() -> None:
    found = shown(is_lost=True, refused=dict.fromkeys(KINDS, "GET /: refused"), read_at=NOW - timedelta(minutes=2))
    assert found["connection"]["lost"]
    assert found["connection"]["at"] == "2026-05-01T02:58:00Z"
    assert found["objects"] == 3


def test_an_object_of_another_version_is_named_and_not_touched() -> None:
    given = facts()
    broken = json.loads(json.dumps(given.objects["CheckpointPolicy"][0]))
    broken["status"]["detection"]["outcome"] = "Perhaps"
    found = view(replace(given, objects={**given.objects, "CheckpointPolicy": [broken]}), NOW)
    (policy_,) = found["checkpoints"]
    assert (policy_["state"], policy_["timeline"], policy_["actions"]) == ("Unreadable", None, [])
    assert found["alarms"][0]["title"] == "Not ready: Unreadable"


def test_objects_without_a_status_are_shown() -> None:
    given = facts()
    bare = {kind: [{**each[0], "status": {}}] for kind, each in given.objects.items()}
    found = view(replace(given, objects=bare), NOW)
    assert [mode["pods"][0] for mode in found["traffic"][0]["modes"]] == ["not routed yet"] * 3
    assert found["training"][0]["percent"] is None
    assert found["training"][0]["policies"][0]["timeline"] is None


def test_without_objects_the_page_is_empty() -> None:
    found = shown(objects={})
    assert (found["objects"], found["traffic"], found["training"], found["alarms"]) == (0, [], [], [])
