"""What the operator advises where a name is taken: what is there may be serving somebody, so never to delete it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.checkpoint.checkpoint_world import NS as CHECKPOINTS
from tests.unit.checkpoint.checkpoint_world import World as Checkpoints
from tests.unit.domain.builders import NOW, condition, observed
from tests.unit.training.world import World as Trainings
from tests.unit.training.world import condition as of_training
from tests.unit.training.world import job_key

from accord.domain.plan import ObjectKey
from accord.domain.traffic.decide import decide

ROOT = Path(__file__).parents[3]
HOLDERS = ("another owner (managed by Helm)", "CheckpointPolicy other")
HARMLESS = {"kubectl delete node", "delete and recreate this one", "delete the pod and taint"}
"""A Node that will not come back, a TrainingRun that has finished (its checkpoints stay), and the pod of a trainer on a
node that is off.
"""
ADVICE = re.compile(r"(?:[\w-]+ )?(?<!not )\b(?:delete|remove it|delete it)\b(?: \w+){0,4}", re.IGNORECASE)


def of_traffic(holder: str) -> str:
    key = ObjectKey("v1", "Service", "demo", "shop-fast")
    return condition(decide(observed(conflicts={key: holder}), NOW), "ResolvedRefs")[2]


def of_router(holder: str) -> str:
    key = ObjectKey("apps/v1", "Deployment", "demo", "shop-router")
    return condition(decide(observed(conflicts={key: holder}), NOW), "ResolvedRefs")[2]


def of_job(holder: str) -> str:
    world = Trainings()
    world.conflicts = {job_key(1): holder}
    return of_training(world.step(), "Stalled")[2]


def of_volume(holder: str) -> str:
    world = Trainings()
    world.conflicts = {ObjectKey("v1", "PersistentVolumeClaim", "ns", "r-checkpoints"): holder}
    return of_training(world.step(), "Stalled")[2]


def of_claim(_: str) -> str:
    world = Checkpoints()
    world.check(saved=(500,))
    world.pass_()
    world.pass_()
    snapshot = next(key for key in world.objects if key.kind == "VolumeSnapshot")
    foreign = ObjectKey("v1", "PersistentVolumeClaim", CHECKPOINTS, snapshot.name)
    world.put(foreign, {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}})
    for _ in range(6):
        world.pass_()
        world.controllers()
    return world.message("Stalled")


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("said", [of_traffic, of_router, of_job, of_volume, of_claim])
def test_nothing_advises_to_delete_what_may_be_serving(said: object, holder: str) -> None:
    message = said(holder)  # type: ignore[operator]
    assert re.search(r"rename|another name|kubectl label|claimName", message), "there is another way out"
    assert not ADVICE.search(message)


def strings(path: Path) -> Iterator[str]:
    """The texts of a module, those of f-strings in one piece; without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docs:
            yield node.value


def test_no_sentence_of_any_kind_advises_to_delete_what_may_be_serving() -> None:
    paths = [path for folder in ("domain", "runtime") for path in (ROOT / "operator/accord" / folder).rglob("*.py")]
    advised = {
        f"{path.name}: {found[0]}"
        for path in paths
        for text in strings(path)
        if " " in text.strip()
        for found in ADVICE.finditer(text)
        if not any(harmless in text[max(found.start() - 10, 0) : found.end()] for harmless in HARMLESS)
    }
    assert advised == set()


def test_no_page_advises_to_delete_what_holds_a_name() -> None:
    rows = [
        row
        for page in (ROOT / "docs" / "how-to").glob("*.md")
        for row in page.read_text(encoding="utf-8").splitlines()
        if row.startswith("|") and re.search(r"`Name(Taken|Conflict)`|`DeploymentTaken`", row)
    ]
    assert len(rows) >= 3
    assert [row for row in rows if ADVICE.search(re.sub(r"do not delete it", "", row, flags=re.IGNORECASE))] == []
