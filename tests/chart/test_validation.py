"""The validation itself: that a wrong manifest does not pass."""

from __future__ import annotations

import pytest
import yaml
from tools.manifests import EXAMPLES
from tools.programs import CommandError, go_program, run

from tools import schemas

BASIC = yaml.safe_load((EXAMPLES / "trafficpolicy-basic.yaml").read_text())


def validate(manifest: object) -> str:
    command = [go_program("kubeconform"), "-strict", "-schema-location", schemas.ensure(), "-"]
    return run(command, input=yaml.safe_dump(manifest))


def with_container(**fields: object) -> dict[str, object]:
    pod = {"containers": [{"name": "a", "image": "b", **fields}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }


def test_right_manifests_pass() -> None:
    validate(BASIC)
    validate(with_container(ports=[{"containerPort": 80}], resources={"limits": {"cpu": 1, "memory": "1Gi"}}))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (with_container(imagePullPolice="Always"), "imagePullPolice"),
        (with_container(ports=[{"containerPort": "80"}]), "containerPort"),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {}}, "selector"),
        ({"apiVersion": "example.com/v1", "kind": "Unheard", "metadata": {}}, "could not find schema"),
        (BASIC | {"spec": BASIC["spec"] | {"strategy": "Chance"}}, "strategy"),
        (BASIC | {"spec": BASIC["spec"] | {"stickySessions": {}}}, "stickySessions"),
        (BASIC | {"spec": {}}, "modes"),
    ],
)
def test_wrong_manifests_do_not(manifest: object, problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        validate(manifest)
