"""`accord status`, word for word, at noon. `make golden` rewrites what is expected."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from accord.cli.printer import Printer
from accord.cli.selection import Selection
from accord.cli.status.forest import Forest, grow

CASES = sorted((Path(__file__).parent / "status").iterdir())
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANYTHING = Selection(None, None)


def objects(case: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in yaml.safe_load_all((case / "input.yaml").read_text(encoding="utf-8")):
        found.setdefault(manifest["kind"], []).append(manifest)
    return found


def text(forest: Forest) -> str:
    out = io.StringIO()
    Printer("accord status", out, out).trees(forest.trees(NOON))
    return out.getvalue()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Path) -> None:
    forest = grow(objects(case), ANYTHING)
    if os.environ.get("ACCORD_GOLDEN") == "write":
        (case / "output.txt").write_text(text(forest), encoding="utf-8")
    assert text(forest) == (case / "output.txt").read_text(encoding="utf-8")
    assert forest.is_ready == (case.name == "calm")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_data_has_each_object_once_with_its_status(case: Path) -> None:
    given = objects(case)
    data = grow(given, ANYTHING).data()
    listed = sorted((each["kind"], each["name"]) for each in data["objects"])
    assert listed == sorted((kind, each["metadata"]["name"]) for kind, many in given.items() for each in many)
    assert data["ready"] == all(each["ready"] for each in data["objects"])
    statuses = {each["metadata"]["name"]: each.get("status", {}) for many in given.values() for each in many}
    assert all(each["status"] == statuses[each["name"]] for each in data["objects"] if len(given) < 3)


def test_an_object_brings_what_belongs_to_it() -> None:
    given = objects(Path(__file__).parent / "status" / "calm")
    shown = {
        selection: [(each.kind, each.name) for each in grow(given, Selection(*selection)).shown]
        for selection in (
            ("TrainingRun", "ppo"),
            ("CheckpointPolicy", "ppo"),
            ("TrafficPolicy", None),
            ("TrainingRun", "other"),
        )
    }
    assert shown == {
        ("TrainingRun", "ppo"): [("TrainingRun", "ppo"), ("CheckpointPolicy", "ppo")],
        ("CheckpointPolicy", "ppo"): [("CheckpointPolicy", "ppo")],
        ("TrafficPolicy", None): [("TrafficPolicy", "reply")],
        ("TrainingRun", "other"): [],
    }
    assert "serves step 5000 of CheckpointPolicy ppo" in text(grow(given, Selection("TrafficPolicy", "reply")))
