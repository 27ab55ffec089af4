"""Argo CD's health check, run as Lua from the ConfigMap that a user applies."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime
from tools.programs import ROOT

from accord.api import v1alpha1

CONFIG = yaml.safe_load((ROOT / "manifests" / "argocd" / "argocd-cm.yaml").read_text())["data"]
KINDS = ("CheckpointPolicy", "TrafficPolicy", "TrainingRun")
PREFIX = "resource.customizations.health.accord.dev_"

Condition = tuple[str, str, str]


def health(kind: str, obj: dict[str, Any]) -> tuple[str, str]:
    """Status and message that Argo CD would show. Argo CD runs Lua 5.1 too."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = _table(lua, obj)
    answer = lua.execute(CONFIG[PREFIX + kind])
    return answer["status"], answer["message"]


def _table(lua: LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, inner) for key, inner in value.items()})
    if isinstance(value, list):
        return lua.table_from([_table(lua, inner) for inner in value])
    return value


def policy(*conditions: Condition, observed: int | None = 2, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    listed = [{"type": t, "status": s, "reason": r, "message": f"{r} it is"} for t, s, r in conditions]
    status = {"conditions": listed} | ({} if observed is None else {"observedGeneration": observed})
    return {"metadata": {"name": "chat", "generation": 2}, "spec": spec or {}, "status": status}


READY = ("Ready", "True", "Ready")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("obj", "status", "message"),
    [
        ({"metadata": {"generation": 1}, "spec": {}}, "Progressing", "not seen"),
        (policy(READY, observed=1), "Progressing", "not seen"),
        (policy(observed=None), "Progressing", "not seen"),
        (policy(), "Progressing", "no condition Ready"),
        (policy(READY), "Healthy", "Ready it is"),
        (policy(READY, ("WithinTarget", "False", "Deviation")), "Healthy", "Deviation it is"),
        (policy(READY, ("WithinTarget", "Unknown", "NoTraffic")), "Healthy", "Ready it is"),
        (policy(("Ready", "False", "ModesUnavailable")), "Progressing", "ModesUnavailable it is"),
        (
            policy(("Ready", "Unknown", "Programming"), ("Reconciling", "True", "Waiting")),
            "Progressing",
            "Waiting it is",
        ),
        (policy(("Ready", "False", "X"), ("Stalled", "True", "NameConflict")), "Degraded", "NameConflict it is"),
        (policy(("Ready", "False", "X"), ("Reconciling", "True", "PhasePaused")), "Suspended", "PhasePaused it is"),
        (policy(("Accepted", "False", "NotImplemented")), "Degraded", "NotImplemented it is"),
        (policy(READY, spec={"suspend": True}), "Suspended", "spec.suspend"),
        (policy(("Stalled", "True", "Bad"), spec={"suspend": True}), "Degraded", "Bad it is"),
        ({"metadata": {"generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Progressing", "deleted"),
    ],
)
def test_health(kind: str, obj: dict[str, Any], status: str, message: str) -> None:
    found = health(kind, obj)
    assert found[0] == status
    assert message in found[1]


def test_every_kind_has_a_check() -> None:
    assert {key.removeprefix(PREFIX) for key in CONFIG if key.startswith(PREFIX)} == set(KINDS)
    assert set(KINDS) <= set(dir(v1alpha1))
