"""What the lessons print of the checkout is what is in it, and their commands do what they say."""

from __future__ import annotations

import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lessons.reading import Step, steps

from accord.api.validation import validate
from accord.cli.backtest import output as backtest_output

WITHOUT = "without enough data"
ROOT = Path(__file__).resolve().parents[3]
LESSONS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "tutorial").glob("*.md")}


def manifests(lesson: str) -> list[Any]:
    return [
        yaml.safe_load(block)
        for block in re.findall(r"^```yaml\n(.*?)^```$", LESSONS[lesson], re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize(
    ("lesson", "file"), [("first-split", "policy.yaml"), ("learn-and-roll-back", "checkpointpolicy.yaml")]
)
def test_the_manifest_in_a_lesson_is_the_one_that_is_applied(lesson: str, file: str) -> None:
    assert manifests(lesson) == [yaml.safe_load((ROOT / "examples" / "service" / file).read_text())]


def test_the_chart_is_installed_over_a_release_that_is_there() -> None:
    """As after `make demo`, where `helm install` fails because the name is in use."""
    assert re.findall(r"^\$ (helm .*?) accord helm/accord", LESSONS["first-split"], re.MULTILINE) == [
        "helm upgrade --install"
    ]


def test_the_last_part_of_the_second_lesson_asks_for_approval() -> None:
    [edit] = re.findall(r"^\$ (sed .*) \| kubectl apply -f -$", LESSONS["learn-and-roll-back"], re.MULTILINE)
    made = subprocess.run(["bash", "-c", edit], cwd=ROOT, capture_output=True, text=True, check=True)
    policy = yaml.safe_load(made.stdout)
    assert policy["spec"]["rollback"] == {"cooldown": "1m", "approval": "Manual"}
    assert not validate(policy)


def test_what_pages_show_of_a_backtest_is_what_it_prints_today() -> None:
    """The figures are of one run; sentence and columns are of the program."""
    pages = [*LESSONS.values(), (ROOT / "docs" / "how-to" / "choose-thresholds.md").read_text(encoding="utf-8")]
    output = re.compile(r"^(CheckpointPolicy .*: \d+ checks.*)\n(.*)", re.MULTILINE)
    shown = [found for page in pages for found in output.findall(page)]
    assert len(shown) == 2
    assert WITHOUT in inspect.getsource(backtest_output)
    for sentence, columns in shown:
        said = rf"CheckpointPolicy \S+, method Adaptive, sensitivity \w+: \d+ checks, \d+ {WITHOUT}; rolled back once\."
        assert re.fullmatch(said, sentence)
        assert tuple(columns.split()) == backtest_output._HEADINGS


def test_what_a_lesson_shows_is_told_from_what_it_does_not() -> None:
    typed = [step for lesson in LESSONS.values() for step in steps(lesson)]
    assert len(typed) > 40
    assert all(step.seen_in("\n".join(step.shown)) for step in typed)
    assert [step.command.split()[0] for step in typed if step.fails] == ["kubectl"]
    table = Step("kubectl get tp", ("NAME   READY   AGE", "example   True   9s"))
    assert table.seen_in("NAME      READY   AGE\nexample   True    1m2s\n")
    assert not table.seen_in("NAME      STATUS   AGE\nexample   True    1m2s\n")
    assert not Step("kubectl wait", ("condition met",)).seen_in("timed out")
    drawn = Step("kubectl create", ("pod/load-tfqdg created",))
    assert drawn.seen_in("pod/load-x2kkz created")
    assert not drawn.seen_in("pod/load-x2kkz deleted")


def test_commands_of_a_lesson_are_read_as_they_are_typed() -> None:
    page = """
```console
$ helm install accord \\
    --wait
NAME: accord
$ kubectl get tp    # twenty seconds later
```

## A cluster of your own

```console
$ make demo
```
"""
    assert [(step.command, step.shown) for step in steps(page)] == [
        ("helm install accord \\\n    --wait", ("NAME: accord",)),
        ("kubectl get tp", ()),
    ]
