"""`accord plan`, word for word. `make golden` rewrites what is expected."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import yaml

from accord.cli.exits import Exit
from accord.cli.plan import planning
from accord.cli.printer import Format, Printer
from accord.config import Config, Envoy

CASES = sorted((Path(__file__).parent / "plan").iterdir())
CONFIG = Config(envoy=Envoy(image="envoy:golden"))
"""The image is the installer's choice and changes with releases; what surrounds it should not."""

WARNING = "accord plan: warning: "


def run(case: Path, output: Format = "yaml") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = planning.plan([case / "input.yaml"], None, output, CONFIG, Printer("accord plan", out, err))
    return code, out.getvalue(), err.getvalue().replace(f"{case}/", "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Path) -> None:
    code, out, err = run(case)
    if os.environ.get("ACCORD_GOLDEN") == "write":
        (case / "output.yaml").write_text(out, encoding="utf-8")
        (case / "problems.txt").write_text(err, encoding="utf-8")
    assert out == (case / "output.yaml").read_text(encoding="utf-8")
    assert err == (case / "problems.txt").read_text(encoding="utf-8")
    found = Exit.INVALID if case.name == "refused" else Exit.FINDINGS
    assert code == (found if [line for line in err.splitlines() if WARNING not in line] else Exit.OK)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_json_says_the_same(case: Path) -> None:
    code, out, _ = run(case)
    _, as_json, err = run(case, "json")
    objects = [document for document in yaml.safe_load_all(out) if document]
    assert yaml.safe_load(as_json) == {"apiVersion": "v1", "kind": "List", "items": objects}
    assert code == 0 or "accord plan: " in err
    _, _, of_yaml = run(case)
    assert [line for line in err.splitlines() if WARNING in line] == [
        line for line in of_yaml.splitlines() if WARNING in line
    ]
