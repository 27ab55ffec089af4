"""Tests of Argo CD's health checks and actions, which lie beside the scripts in the layout of Argo CD's own tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tools.programs import ROOT

FOLDER = ROOT / "manifests" / "argocd" / "resource_customizations" / "accord.dev"
CONFIG = ROOT / "manifests" / "argocd" / "argocd-cm.yaml"
KINDS = ("CheckpointPolicy", "TrafficPolicy", "TrainingRun")


class Case(NamedTuple):
    """One entry of a test file."""

    kind: str
    input: Path
    """Manifest of the object that is asked about."""
    test: dict[str, Any]
    """The entry: `healthStatus`, `result`, or `action` with what it must lead to."""

    def output(self) -> Any:
        """The object that an action must make."""
        return load(FOLDER / self.kind / "actions" / self.test["expectedOutputPath"])


def health() -> dict[str, Case]:
    """By a name for each."""
    return _cases("health_test.yaml", "tests")


def discovery() -> dict[str, Case]:
    """Which actions are offered."""
    return _cases("actions/action_test.yaml", "discoveryTests")


def actions() -> dict[str, Case]:
    """What actions do."""
    return _cases("actions/action_test.yaml", "actionTests")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _cases(file: str, key: str) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind in KINDS:
        path = FOLDER / kind / file
        for test in load(path)[key]:
            parts = [kind, test.get("action"), Path(test["inputPath"]).stem, *(test.get("parameters") or {}).values()]
            found["-".join(str(part) for part in parts if part)] = Case(kind, path.parent / test["inputPath"], test)
    return found
