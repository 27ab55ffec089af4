"""The reference pages are what the models say."""

from __future__ import annotations

import re

import pytest

from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import API_VERSION, Resource
from accord.api.validation import validate
from tools import reference


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_committed_page_is_what_the_model_says(kind: type[Resource]) -> None:
    committed = reference.PAGES / f"{kind.kind.lower()}.md"
    assert committed.read_text(encoding="utf-8") == reference.page(kind), "run `make crds`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_example_on_the_page_is_accepted(kind: type[Resource]) -> None:
    spec = reference.SMALLEST[kind.kind]
    manifest = {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": {"name": "example"}, "spec": spec}
    assert validate(manifest) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_link_on_the_page_has_its_section(kind: type[Resource]) -> None:
    page = reference.page(kind)
    sections = [
        re.sub(r"[^a-z0-9-]", "", heading) for heading in re.findall(r"^#+ `(.+)`$", page.lower(), re.MULTILINE)
    ]
    assert sorted(sections) == sorted(set(sections))
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(sections)


def test_check_fails_on_drift(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 1
    assert "+# TrafficPolicy" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["reference"])
    assert reference.main() == 0
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 0
