"""Argo CD's health checks and actions, run as Lua from the ConfigMap that a user applies, on the cases beside them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaError, LuaRuntime, lua_type
from tests.chart import customizations
from tests.chart.customizations import Case

DATA = customizations.load(customizations.CONFIG)["data"]


def lua(obj: Any, parameters: dict[str, str] | None = None) -> LuaRuntime:
    """With nothing but what Argo CD has: basics, tables and the clock."""
    runtime = LuaRuntime(unpack_returned_tuples=True)
    for name in ("string", "math", "io", "debug", "python"):
        runtime.globals()[name] = None
    runtime.globals().obj = runtime.table_from(obj, recursive=True)
    runtime.globals().actionParams = runtime.table_from(parameters or {})
    return runtime


def actions_of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA[f"resource.customizations.actions.accord.dev_{kind}"])
    return found


def plain(value: Any) -> Any:
    """A Lua table as Python has it; one with the keys 1, 2, … is a list."""
    if lua_type(value) != "table":
        return value
    keys = list(value)
    if keys == list(range(1, len(keys) + 1)) and keys:
        return [plain(value[key]) for key in keys]
    return {key: plain(value[key]) for key in keys}


@pytest.mark.parametrize("case", customizations.health().values(), ids=customizations.health())
def test_health_is_what_the_case_says(case: Case) -> None:
    script = DATA[f"resource.customizations.health.accord.dev_{case.kind}"]
    answer = lua(customizations.load(case.input)).execute(script)
    assert plain(answer) == case.test["healthStatus"]


@pytest.mark.parametrize("case", customizations.discovery().values(), ids=customizations.discovery())
def test_the_actions_that_the_case_names_are_offered(case: Case) -> None:
    found = plain(lua(customizations.load(case.input)).execute(actions_of(case.kind)["discovery.lua"]))
    assert {name: {"displayName": "", **told} for name, told in found.items()} == {
        each["name"]: {key: value for key, value in each.items() if key != "name"} for each in case.test["result"]
    }


@pytest.mark.parametrize("case", customizations.actions().values(), ids=customizations.actions())
def test_an_action_changes_what_the_case_says(case: Case) -> None:
    scripts = {each["name"]: each["action.lua"] for each in actions_of(case.kind)["definitions"]}
    runtime = lua(customizations.load(case.input), case.test.get("parameters"))
    if "expectedErrorMessage" in case.test:
        with pytest.raises(LuaError, match=case.test["expectedErrorMessage"]):
            runtime.execute(scripts[case.test["action"]])
        return
    assert plain(runtime.execute(scripts[case.test["action"]])) == case.output()


@pytest.mark.parametrize("kind", customizations.KINDS)
def test_every_action_is_offered_and_has_a_case(kind: str) -> None:
    defined = {each["name"] for each in actions_of(kind)["definitions"]}
    offered = {
        each["name"]
        for case in customizations.discovery().values()
        if case.kind == kind
        for each in case.test["result"]
    }
    assert defined == offered
    assert defined == {case.test["action"] for case in customizations.actions().values() if case.kind == kind}
