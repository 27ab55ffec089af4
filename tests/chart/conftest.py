"""Rendering of the chart for the tests of this folder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tools.generate import CHART
from tools.manifests import VALUES
from tools.programs import go_program

Manifest = dict[str, Any]


class Loader(yaml.SafeLoader):
    """Reads `1e-08` as a number, as Helm writes it and the API server reads it; PyYAML wants a dot in it."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class Rendered:
    """What one `helm template` gave: objects by kind and name."""

    def __init__(self, text: str) -> None:
        self.objects: list[Manifest] = [document for document in yaml.load_all(text, Loader) if document]

    def kinds(self) -> set[str]:
        return {document["kind"] for document in self.objects}

    def all(self, kind: str) -> list[Manifest]:
        return [document for document in self.objects if document["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        found = [document for document in self.all(kind) if name is None or document["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} named {name}"
        return found[0]


Render = Callable[..., Rendered]


def helm_template(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [go_program("helm"), "template", "accord", CHART, "--namespace", "accord-system", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def render() -> Render:
    """render("everything") or render(set={"replicas": 3})."""
    cache: dict[tuple[str, ...], Rendered] = {}

    def rendered(values: str = "default", /, **overrides: str) -> Rendered:
        sets = [part for key, value in overrides.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
        arguments = ("--values", str(VALUES / f"{values}.yaml"), *sets)
        if arguments not in cache:
            done = helm_template(*arguments)
            assert done.returncode == 0, done.stderr
            cache[arguments] = Rendered(done.stdout)
        return cache[arguments]

    return rendered


@pytest.fixture
def refused() -> Callable[..., str]:
    """What Helm says to `--set` arguments that it refuses."""

    def message(*sets: str) -> str:
        done = helm_template(*(part for text in sets for part in ("--set", text)))
        assert done.returncode != 0, "Helm accepted it"
        return done.stderr

    return message
