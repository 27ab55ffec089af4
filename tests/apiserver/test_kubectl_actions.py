"""Commands that change an object, on a real API server: what they write, and that it is what they print."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.rig import Namespace

from accord.cli import main
from accord.cli.exits import Exit
from devcluster import programs

TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "t"}]}}
PATCH = '{"spec":{"schedules":{"entropyCoef":{"initial":0.02,"decayStrategy":"Constant"}}}}'
SUGGESTION = {
    "rule": "LowMean",
    "ratings": 200,
    "mean": 2.5,
    "std": 1.0,
    "low": 2.3,
    "high": 2.7,
    "field": "spec.schedules.entropyCoef",
    "current": 0.01,
    "suggested": 0.02,
    "patch": PATCH,
    "at": "2026-05-01T12:00:00Z",
}
CHECKPOINT = {"step": 1500, "attempt": 1, "ready": True, "verified": True}
SERVING = {"deploymentRef": {"name": "web"}, "volume": "policy"}

Accord = Callable[..., tuple[int, str, str]]


@pytest.fixture
def accord(namespace: Namespace, control_plane: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Accord:
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    config["contexts"][0]["context"]["namespace"] = namespace.name
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--kubeconfig", str(file)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def create(namespace: Namespace, plural: str, kind: str, spec: dict[str, Any], **status: Any) -> None:
    of_kind = {"apiVersion": "accord.dev/v1alpha1", "kind": kind}
    namespace.create(plural, {**of_kind, "metadata": {"name": "ppo"}, "spec": spec})
    path = namespace.path(plural, "ppo") + "/status"
    namespace.api.call("PATCH", path, {"status": status}, "application/merge-patch+json")


def test_each_command_writes_what_it_prints(namespace: Namespace, accord: Accord) -> None:
    create(namespace, "trainingruns", "TrainingRun", {"template": TEMPLATE}, suggestions=[SUGGESTION])
    policy = {"trainingRunRef": {"name": "ppo"}, "serving": SERVING}
    create(namespace, "checkpointpolicies", "CheckpointPolicy", policy, checkpoints=[CHECKPOINT])
    cases = [
        (("pause", "tr/ppo"), "trainingruns", ("suspend",), True),
        (("resume", "tr/ppo"), "trainingruns", ("suspend",), False),
        (("retune", "ppo"), "trainingruns", ("schedules", "entropyCoef", "initial"), 0.02),
        (("rollback", "ppo", "--to", "1500"), "checkpointpolicies", ("rollbackTo",), 1500),
    ]
    for arguments, plural, field, value in cases:
        before = namespace.get(plural, "ppo")
        code, out, err = accord(*arguments, "--dry-run")
        assert (code, err) == (Exit.OK, "")
        assert "(dry run)" in out
        assert namespace.get(plural, "ppo") == before

        # First kubectl does what was printed, then we; neither leaves anything to the other.
        printed = shlex.split(out.splitlines()[1])
        assert printed[0] == "kubectl"
        subprocess.run([programs.path("kubectl"), *printed[1:]], check=True, capture_output=True, timeout=60)
        by_kubectl = namespace.get(plural, "ppo")["spec"]
        version = namespace.get(plural, "ppo")["metadata"]["resourceVersion"]
        restored = {**before, "metadata": {"name": "ppo", "resourceVersion": version}}
        namespace.api.call("PUT", namespace.path(plural, "ppo"), restored)
        code, out, _ = accord(*arguments, "-o", "json")
        assert (code, json.loads(out)["spec"]) == (Exit.OK, by_kubectl)
        found: Any = namespace.get(plural, "ppo")["spec"]
        for part in field:
            found = found[part]
        assert found == value
        version = namespace.get(plural, "ppo")["metadata"]["resourceVersion"]
        code, out, _ = accord(*arguments)
        assert (code, "kubectl" in out) == (Exit.OK, False)
        assert namespace.get(plural, "ppo")["metadata"]["resourceVersion"] == version

    refused = accord("rollback", "ppo", "--to", "77")
    assert (refused[0], refused[1]) == (Exit.FINDINGS, "")
    assert refused[2].endswith("is not a usable checkpoint; the newest usable ones: 1500\n")
    assert accord("pause", "tp/absent")[0] == Exit.FAILED


def test_what_git_looks_after_is_warned_of(namespace: Namespace, accord: Accord) -> None:
    create(namespace, "trainingruns", "TrainingRun", {"template": TEMPLATE})
    label = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:accord.dev/TrainingRun:n/ppo"}}}
    namespace.api.call("PATCH", namespace.path("trainingruns", "ppo"), label, "application/merge-patch+json")
    code, _, err = accord("pause", "tr/ppo")
    assert code == Exit.OK
    assert "managed by Argo CD (Application shop): if Git sets spec.suspend, it will be set back" in err


def test_logs_say_why_there_are_none(namespace: Namespace, accord: Accord) -> None:
    assert accord("logs", "absent")[0] == Exit.FAILED
    create(namespace, "trainingruns", "TrainingRun", {"template": TEMPLATE})
    code, out, err = accord("logs", "ppo")
    assert (code, out) == (Exit.FINDINGS, "")
    assert err == "accord logs: TrainingRun ppo has no pod\n"
    labels = {"accord.dev/training-run": "ppo", "accord.dev/attempt": "2"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ppo-2-x", "labels": labels}, **TEMPLATE}
    namespace.create("pods", pod)
    code, out, err = accord("logs", "ppo", "--tail", "5")
    # No node has this pod, so its log is empty; a container that it does not have is refused.
    assert (code, out) == (Exit.OK, "")
    assert "kubectl --kubeconfig=" in err
    assert f"logs ppo-2-x -n {namespace.name} -c trainer --tail=5" in err
    code, out, err = accord("logs", "ppo", "-c", "absent")
    assert (code, out) == (Exit.FAILED, "")
    assert "container absent is not valid for pod ppo-2-x" in err
