"""Commands that change an object: what they would do, what they refuse, and what they say of GitOps."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

import pytest

from accord.adapters.kubernetes.resources import TRAINING_RUNS
from accord.cli import main
from accord.cli.acting import command, gitops
from accord.cli.errors import NegativeError
from accord.cli.logs.choosing import chosen, container_of
from accord.cli.pause.suspending import suspended
from accord.cli.retune.suggested import applied
from accord.cli.rollback.choosing import back_to

GOOD = {"step": 500, "ready": True, "verified": True}
CHECKPOINTS = [
    GOOD,
    {**GOOD, "step": 1000, "quarantined": True},
    {**GOOD, "step": 1500},
    {**GOOD, "step": 2000, "ready": False},
]
ENTROPY = {
    "rule": "LowMean",
    "field": "spec.schedules.entropyCoef",
    "current": 0.01,
    "suggested": 0.02,
    "patch": '{"spec":{"schedules":{"entropyCoef":{"initial":0.02,"decayStrategy":"Constant"}}}}',
}
RATE = {
    "rule": "WideSpread",
    "field": "spec.schedules.learningRate",
    "current": 0.0003,
    "suggested": 0.0001,
    "patch": '{"spec":{"schedules":{"learningRate":{"initial":0.0001,"decayStrategy":"Constant"}}}}',
}


def policy(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "kind": "CheckpointPolicy",
        "metadata": {"name": "ppo", "namespace": "shop"},
        "spec": {"serving": {}, **(spec or {})},
        "status": {"checkpoints": CHECKPOINTS, **status},
    }


def run(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "kind": "TrainingRun",
        "metadata": {"name": "ppo", "namespace": "shop"},
        "spec": spec or {},
        "status": status,
    }


def test_a_rollback_sets_the_step() -> None:
    assert back_to(policy(), step=1500).patch == {"spec": {"rollbackTo": 1500}}
    assert back_to(policy({"rollbackTo": 500}, handledRollbackTo=500), step=1500).patch == {
        "spec": {"rollbackTo": 1500}
    }


def test_a_rollback_that_is_requested_already_writes_nothing() -> None:
    assert back_to(policy({"rollbackTo": 500}), step=500).patch is None


@pytest.mark.parametrize(
    ("given", "step", "said"),
    [
        (policy(), 1000, "is quarantined; the newest usable ones: 1500, 500"),
        (policy(), 2000, "is not a usable checkpoint; the newest usable ones: 1500, 500"),
        (policy(checkpoints=[]), 500, "the newest usable ones: none"),
        (policy({"rollbackTo": 500}, handledRollbackTo=500), 500, "remove the field first"),
        (policy({"suspend": True}), 500, "first accord resume cp/ppo"),
        ({**policy(), "spec": {}}, 500, "serves nothing"),
    ],
)
def test_a_rollback_that_would_do_nothing_is_refused(given: dict[str, Any], step: int, said: str) -> None:
    with pytest.raises(NegativeError, match=said):
        back_to(given, step=step)


def test_suspending_twice_writes_once() -> None:
    assert suspended(run(), suspend=True).patch == {"spec": {"suspend": True}}
    assert suspended(run({"suspend": True}), suspend=True).patch is None
    assert suspended(run({"suspend": True}), suspend=False).patch == {"spec": {"suspend": False}}
    assert suspended(run({"suspend": False}), suspend=False).patch is None


def test_what_a_rollback_holds_is_not_resumed() -> None:
    told = {"type": "Suspended", "status": "True", "reason": "AwaitingApproval", "message": "ppo waits for approval"}
    with pytest.raises(NegativeError, match="AwaitingApproval: ppo waits for approval"):
        suspended(run(conditions=[told]), suspend=False)
    with pytest.raises(NegativeError, match="has finished"):
        suspended(run(phase="Succeeded"), suspend=True)


def test_suggestions_become_one_patch() -> None:
    both = applied(run(suggestions=[ENTROPY, RATE]))
    entropy = {"initial": 0.02, "decayStrategy": "Constant"}
    rate = {"initial": 0.0001, "decayStrategy": "Constant"}
    assert both.patch == {"spec": {"schedules": {"entropyCoef": entropy, "learningRate": rate}}}
    assert "spec.schedules.entropyCoef 0.01 → 0.02 (LowMean)" in both.said
    one = applied(run(suggestions=[ENTROPY, RATE]), rule="WideSpread")
    assert one.patch == {"spec": {"schedules": {"learningRate": rate}}}
    same = run({"schedules": {"entropyCoef": {**entropy, "final": 0.005}}}, suggestions=[ENTROPY])
    assert applied(same).patch is None


@pytest.mark.parametrize(
    "given",
    [
        run(),
        run(suggestions=[{**ENTROPY, "appliedInAttempt": 2}]),
        run(phase="Failed", suggestions=[ENTROPY]),
        run(suggestions=[{**ENTROPY, "patch": '{"metadata":{"labels":{"a":"b"}}}'}]),
    ],
)
def test_what_is_not_suggested_is_not_applied(given: dict[str, Any]) -> None:
    with pytest.raises(NegativeError):
        applied(given)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, None),
        ({"labels": {"app.kubernetes.io/instance": "shop"}}, None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:a/B:n/x"}}, "Argo CD (Application shop)"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        (
            {
                "labels": {
                    "kustomize.toolkit.fluxcd.io/name": "apps",
                    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                }
            },
            "Flux (Kustomization flux-system/apps)",
        ),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}, "Flux (HelmRelease apps)"),
        ({"managedFields": [{"manager": "kubectl"}, {"manager": "kustomize-controller"}]}, "Flux"),
    ],
)
def test_gitops_is_known_by_what_it_leaves_on_objects(meta: dict[str, Any], said: str | None) -> None:
    assert gitops({"metadata": meta}) == said


def test_the_command_can_be_pasted() -> None:
    args = argparse.Namespace(kubeconfig=None, context="my cluster")
    words = shlex.split(command(args, TRAINING_RUNS, "shop", "ppo", {"spec": {"suspend": True}}))
    assert words == [
        *("kubectl", "--context=my cluster", "patch", "tr", "ppo", "-n", "shop"),
        *("--type", "merge", "-p", '{"spec":{"suspend":true}}'),
    ]


def pod(
    name: str, attempt: int, phase: str, created: str = "2026-05-01T12:00:00Z", container: str = "trainer"
) -> dict[str, Any]:
    meta = {"name": name, "labels": {"accord.dev/attempt": str(attempt)}, "creationTimestamp": created}
    return {"metadata": meta, "spec": {"containers": [{"name": container}]}, "status": {"phase": phase}}


def test_logs_are_of_the_pod_that_runs_or_failed_last() -> None:
    failed, again = pod("b", 1, "Failed"), pod("a", 1, "Failed", "2026-05-01T12:01:00Z")
    running, done = pod("c", 2, "Running"), pod("d", 3, "Succeeded")
    everything = [failed, again, running, done]
    assert chosen("r", everything) is running
    assert chosen("r", everything, failed=True) is again
    assert chosen("r", [failed, again, done]) is again
    assert chosen("r", [done]) is done
    assert chosen("r", everything, attempt=1) is again
    with pytest.raises(NegativeError, match="no pod of attempt 4; there are pods of attempts 1, 2, 3"):
        chosen("r", everything, attempt=4)
    with pytest.raises(NegativeError, match="TrainingRun r has no pod"):
        chosen("r", [])


def test_logs_on_ray_are_those_of_the_pod_that_submits_once_there_is_one() -> None:
    head, worker = pod("h", 1, "Running"), pod("w", 1, "Running", "2026-05-01T12:01:00Z", "ray")
    assert chosen("r", [head, worker]) is head
    submits = pod("s", 1, "Failed", container="ray-job-submitter")
    everything = [head, worker, submits, pod("h2", 2, "Pending"), pod("w2", 2, "Running", container="ray")]
    assert chosen("r", everything) is submits
    assert (container_of(submits), container_of(head)) == ("ray-job-submitter", "trainer")
    assert chosen("r", everything, container="trainer") is head
    assert chosen("r", everything, attempt=2, container="ray")["metadata"]["name"] == "w2"
    assert chosen("r", everything, container="log") is submits  # which the API server refuses, and says why


def test_what_to_suspend_is_named_with_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("ppo", "tr"):
        assert main(["pause", given]) == 2
        assert capsys.readouterr().err.startswith("accord pause: ")
