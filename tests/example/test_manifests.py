"""The manifests of the example fit the kinds, and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.example.conftest import EXAMPLE

from accord.api.validation import validate
from accord.domain.checkpoint.names import SERVED_STEP_ANNOTATION

KINDS = ("policy.yaml", "training.yaml", "checkpointpolicy.yaml")


def read(path: str) -> Any:
    return yaml.safe_load((EXAMPLE / path).read_text())


@pytest.mark.parametrize("file", KINDS)
def test_the_api_takes_them(file: str) -> None:
    assert validate(read(file)) == []


def test_the_checkpoint_policy_names_what_there_is() -> None:
    policy, run, overlay = read("checkpointpolicy.yaml"), read("training.yaml"), read("learning/serve-policy.yaml")
    serving, pod = policy["spec"]["serving"], overlay["spec"]["template"]["spec"]
    deployments = list(yaml.safe_load_all((EXAMPLE / "manifests/modes.yaml").read_text()))
    assert policy["spec"]["trainingRunRef"]["name"] == run["metadata"]["name"]
    assert serving["deploymentRef"]["name"] == overlay["metadata"]["name"]
    assert overlay["metadata"]["name"] in {each["metadata"]["name"] for each in deployments}
    (volume,) = pod["volumes"]
    assert volume["name"] == serving["volume"] == pod["containers"][0]["volumeMounts"][0]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == read("learning/policy-untrained.yaml")["metadata"]["name"]


def test_the_pod_reads_the_step_from_the_annotation_that_the_operator_writes() -> None:
    pod = read("learning/serve-policy.yaml")["spec"]["template"]["spec"]
    variables = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    path = variables["CHECKPOINT_STEP"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == f"metadata.annotations['{SERVED_STEP_ANNOTATION}']"
    assert Path(variables["CHECKPOINT_DIR"]["value"]) == Path(pod["containers"][0]["volumeMounts"][0]["mountPath"])
