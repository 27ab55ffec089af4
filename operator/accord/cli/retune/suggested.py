"""From the suggestions in the status of a run to one patch of its spec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from accord.api.base import Manifest
from accord.cli.acting import Change
from accord.cli.errors import NegativeError


def applied(run: Manifest, *, rule: str | None = None) -> Change:
    """NegativeError where nothing is suggested, or all of it was applied."""
    name, status = run["metadata"]["name"], run.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        raise NegativeError(f"TrainingRun {name} has finished ({status['phase']}): it is not trained any more")
    suggestions = [
        each
        for each in status.get("suggestions") or ()
        if each.get("appliedInAttempt") is None and rule in (None, each["rule"])
    ]
    if not suggestions:
        of_rule = "" if rule is None else f" by rule {rule}"
        raise NegativeError(f"nothing is suggested{of_rule} for TrainingRun {name}")
    patch: dict[str, Any] = {}
    for each in suggestions:
        patch = merged(patch, _spec_only(each["patch"]))
    if merged(run["spec"], patch["spec"]) == run["spec"]:
        return Change("the spec says what is suggested already", None)
    said = ", ".join(
        f"{each['field']} {each['current']:g} → {each['suggested']:g} ({each['rule']})" for each in suggestions
    )
    fields = " and ".join(each["field"] for each in suggestions)
    return Change(f"retuned: {said}; a new attempt resumes from the latest checkpoint", patch, fields)


def merged(into: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396) applied, of which nothing is null."""
    found = dict(into)
    for key, value in patch.items():
        below = found.get(key)
        found[key] = merged(below if isinstance(below, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return found


def _spec_only(text: str) -> dict[str, Any]:
    """NegativeError for a patch of anything but the spec: no version of the operator writes one."""
    try:
        patch = json.loads(text)
    except ValueError:
        patch = None
    if not isinstance(patch, dict) or set(patch) != {"spec"} or not isinstance(patch["spec"], dict):
        raise NegativeError(f"the suggestion is not a patch of the spec: {text}")
    return patch
