"""What the operator relies on of kopf beyond its documented API. Before its next minor version is taken, read this."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import kopf
from kopf._cogs.clients import api
from kopf._core.reactor import orchestration

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.runtime import watches
from accord.runtime.optional import Served

ROOT = Path(__file__).resolve().parents[3]


class _Served:
    resources = (Resource("apps", "v1", "deployments", "Deployment", selector="a=b"),)


def settings() -> kopf.OperatorSettings:
    made = watches.Watches(cast("Connection", None), cast("Served", _Served()), (), lambda *_: None)
    return made._settings()


def test_kopf_is_pinned_to_the_minor_version_that_is_known() -> None:
    minor = ".".join(version("kopf").split(".")[:2])
    pin = rf"kopf~={re.escape(minor)}\.\d+"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [entry for entry in project if re.fullmatch(pin, entry)]
    assert re.search(rf"^{pin}$", (ROOT / "requirements" / "operator.in").read_text(), re.MULTILINE)
    assert f"What kopf {minor} does not do" in (watches.__doc__ or "")


def test_the_tasks_of_the_watches_have_the_names_by_which_they_are_found() -> None:
    looked_for = re.search(r'get_name\(\).startswith\("([^"]+)"\)', inspect.getsource(watches.Watches._watchers))
    assert looked_for
    assert f'name=f"{looked_for[1]}' in inspect.getsource(orchestration)


def test_every_setting_that_is_made_is_one_that_kopf_knows() -> None:
    """A dataclass takes any attribute: one that was renamed would be without effect, and without a word."""

    def unknown(section: Any, path: str) -> Iterator[str]:
        known = {field.name for field in dataclasses.fields(section)}
        for name, value in vars(section).items():
            if name not in known:
                yield f"{path}.{name}"
            elif dataclasses.is_dataclass(value):
                yield from unknown(value, f"{path}.{name}")

    made = settings()
    assert not list(unknown(made, "settings"))
    assert made.watching.label_selectors["apps", "v1", "deployments"] == "a=b"


def test_retries_go_on_without_an_end() -> None:
    delays = settings().networking.error_backoffs
    assert len(list(itertools.islice(iter(cast("watches._Backoffs", delays)), 1000))) == 1000
    # kopf takes one delay after the other, and does not count them beforehand.
    assert "settings.networking.error_backoffs" in inspect.getsource(api)


def test_tasks_are_made_with_the_arguments_that_are_given() -> None:
    given = dict.fromkeys(re.findall(r"^            (\w+)=", inspect.getsource(watches.Watches._once), re.MULTILINE))
    assert {"registry", "settings", "standalone", "clusterwide", "namespaces", "identity"} == given.keys()
    inspect.signature(kopf.spawn_tasks).bind(**given)


def test_storages_that_keep_nothing_are_complete() -> None:
    assert watches._NoDiffBase().fetch() is None
    assert watches._NoProgress().fetch() is None
