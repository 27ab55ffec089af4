"""`accord report`, word for word. `make golden` rewrites what is expected."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from accord.api.v1alpha1 import KINDS
from accord.cli.exits import Exit
from accord.cli.printer import Printer
from accord.cli.report import page
from accord.cli.report.facts import Facts, Limits, Line
from accord.cli.report.lines import lines
from accord.cli.report.reporting import as_data, as_table, verdict
from accord.domain.conditions import parse_timestamp
from accord.domain.samples import Answer, Sample

CASES = sorted((Path(__file__).parent / "report").iterdir())
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)


def read(case: Path) -> Facts:
    given: dict[str, Any] = yaml.safe_load((case / "input.yaml").read_text(encoding="utf-8"))
    kinds = {kind.kind: kind for kind in KINDS}
    objects: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for each in given["objects"]:
        objects[each["kind"]].append(kinds[each["kind"]].model_validate(each))
    answers: dict[Any, Answer] | None = None
    if "answers" in given:
        answers = {
            tuple(key.split()): Answer(tuple(Sample(each.get("labels", {}), each["value"], NOW) for each in samples))
            for key, samples in given["answers"].items()
        }
    return Facts(
        "shop",
        NOW,
        objects["TrafficPolicy"],
        objects["TrainingRun"],
        objects["CheckpointPolicy"],
        renewed=parse_timestamp(given["renewed"]),
        answers=answers,
    )


def judged(case: Path) -> tuple[Facts, list[Line]]:
    facts = read(case)
    return facts, lines(facts, Limits())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Path) -> None:
    facts, found = judged(case)
    out = io.StringIO()
    Printer("accord report", out, io.StringIO()).blocks(as_table(facts, found))
    html = page.render(facts, found, Limits())
    if os.environ.get("ACCORD_GOLDEN") == "write":
        (case / "output.txt").write_text(out.getvalue(), encoding="utf-8")
        (case / "page.html").write_text(html, encoding="utf-8")
    assert out.getvalue() == (case / "output.txt").read_text(encoding="utf-8")
    assert html == (case / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_page_needs_nothing_else_and_is_well_formed(case: Path) -> None:
    facts, found = judged(case)
    html = page.render(facts, found, Limits())
    assert not re.search(r"(src|href)=|url\(|@import|<script", html)
    for picture in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(picture)
    assert "<new>" not in html


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_data_has_each_line(case: Path) -> None:
    facts, found = judged(case)
    data = as_data(facts, found)
    assert [line["result"] for line in data["lines"]] == [line.outcome for line in found]
    assert sum(data["summary"].values()) == len(found)


@pytest.mark.parametrize(
    ("case", "outcomes", "code", "strict"),
    [
        ("all-well", {"pass"}, Exit.OK, Exit.OK),
        ("faults", {"pass", "warn", "fail"}, Exit.FINDINGS, Exit.FINDINGS),
        ("nothing-known", {"unknown"}, Exit.OK, Exit.FINDINGS),
    ],
)
def test_exit_codes(case: str, outcomes: set[str], code: Exit, strict: Exit) -> None:
    _, found = judged(Path(__file__).parent / "report" / case)
    assert {line.outcome for line in found} == outcomes
    assert (verdict(found, strict=False), verdict(found, strict=True)) == (code, strict)


def of_modes(**changes: Any) -> dict[str, Line]:
    """Lines of a healthy policy of which that is different: `spec` and `status` are added to."""
    (policy, *_), facts = read(CASES[0]).policies, read(CASES[0])
    found = policy.model_dump(by_alias=True)
    for part, fields in changes.items():
        found[part] = {**found[part], **fields}
    return {line.check: line for line in lines(replace(facts, policies=[type(policy).model_validate(found)]), Limits())}


def test_each_circuit_breaker_counts() -> None:
    spec, now = {"circuitBreakers": [{"mode": "creative"}]}, {"mode": "creative", "since": "2026-05-03T11:59:00Z"}
    line = of_modes(spec=spec)["circuit breakers open"]
    assert line.outcome == "unknown", "without a status nothing is known of it"
    line = of_modes(spec=spec, status={"circuitBreakers": [{**now, "phase": "Closed", "share": 100}]})[line.check]
    assert (line.outcome, line.figure) == ("pass", "0")
    for phase, share in (("Open", 0), ("HalfOpen", 10)):
        line = of_modes(spec=spec, status={"circuitBreakers": [{**now, "phase": phase, "share": share}]})[line.check]
        assert (line.outcome, line.note) == ("fail", "mode creative is downshifted")


def test_in_a_phase_its_shares_are_expected() -> None:
    weights = [{"mode": "fast", "weight": 100}]
    line = of_modes(
        spec={"phases": [{"name": "launch", "duration": "48h", "weights": weights}]},
        status={"phase": {"name": "launch", "state": "Running", "since": "2026-05-03T11:00:00Z"}},
    )["share of fast"]
    assert (line.outcome, line.expected) == ("fail", "98–100 %")


def test_signals_are_named_where_a_policy_enables_them() -> None:
    facts = read(CASES[0])
    (policy, *_) = facts.checkpoints
    found = policy.model_dump(by_alias=True)
    found["spec"]["detection"]["klSpike"]["enabled"] = True
    enabled = replace(facts, checkpoints=[type(policy).model_validate(found)])
    names = [{line.check for line in lines(each, Limits())} for each in (facts, enabled)]
    assert names[1] - names[0] == {"loss, reward and approximate KL"}
    assert names[0] - names[1] == {"loss and reward"}
