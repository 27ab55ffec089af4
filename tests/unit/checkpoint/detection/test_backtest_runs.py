"""`accord backtest --runs`: a team's own runs, and what each sensitivity would have done to them."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from accord.cli import main

SPEC: dict[str, Any] = {"trainingRunRef": {"name": "r"}}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "policy.yaml")


def write_policy(path: Path, **spec: Any) -> Path:
    meta = {"name": "p", "namespace": "ns"}
    whole = {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "CheckpointPolicy",
        "metadata": meta,
        "spec": {**SPEC, **spec},
    }
    path.write_text(yaml.safe_dump(whole))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two healthy runs and one that looks like a fault; one with a fault, and one with a fault that nobody can see."""
    directory = tmp_path / "runs"
    (directory / "deeper").mkdir(parents=True)
    (directory / "steady.csv").write_text(events(1))
    (directory / "deeper" / "steady.csv.gz").write_bytes(gzip.compress(events(2).encode()))
    (directory / "fallen.csv").write_text(events(3, bad=range(150, 250)))
    (directory / "broken.csv").write_text(events(4, bad=range(150, 250)))
    (directory / "unseen.csv").write_text(events(5))
    return directory


def events(seed: int, bad: range = range(0), episodes: int = 250) -> str:
    """Episodes of 40 steps, and an update after each five. What can be learnt is learnt after fifty episodes."""
    chance = random.Random(seed)
    lines = ["step,loss,reward,else"]
    for number in range(1, episodes + 1):
        level = 2 if number in bad else 2 + 6 * min(number / 50, 1)
        lines.append(f"{40 * number},,{level + chance.gauss(0, 0.5):.4f},x")
        if number % 5 == 0:
            lines.append(f"{40 * number},{1 + chance.gauss(0, 0.1):.4f},,")
    return "\n".join(lines) + "\n"


INDEX = """file,environment,fault_step,label
steady.csv,a,,
deeper/steady.csv.gz,b,,healthy
fallen.csv,c,,
broken.csv,d,5960,harmed
unseen.csv,e,5960,
"""


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["backtest", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["backtest", *map(str, arguments)]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    return found.err


def test_false_and_true_alarms_at_each_sensitivity(
    policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "index.csv").write_text(INDEX)
    found = json.loads(printed(capsys, "-f", policy, "--runs", runs, "--json"))
    assert (found["runs"], found["indexed"]) == (5, True)
    low, medium, high = found["sensitivities"]
    assert [each["sensitivity"] for each in (low, medium, high)] == ["Low", "Medium", "High"]
    assert [each["policy"] for each in (low, medium, high)] == [False, True, False]
    for each in (low, medium, high):
        assert each["faults"] == {"runs": 2, "caught": 1}
        assert each["missed"] == [{"file": "unseen.csv", "faultStep": 5960}]
        # Proof may be there at the look that would be the first to suspect, and the sooner the less is asked for.
        assert 0 < each["suspect"] < 0.2 or (each is not low and each["suspect"] == 0)
        # An update is made after each five episodes.
        assert abs(each["medianLag"]["updates"] - each["medianLag"]["episodes"] / 5) <= 1
        assert each["tooShort"] == []
        assert each["healthy"] == {"runs": 3, "rolledBack": 1}
        [alarm] = each["falseAlarms"]
        assert alarm["file"] == "fallen.csv"
        assert 6000 < alarm["step"] < 8000
        assert alarm["message"].startswith("reward ")
    # More proof takes more episodes.
    assert low["medianLag"]["episodes"] > high["medianLag"]["episodes"] > 0


def test_the_table_says_the_same(policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "index.csv").write_text(INDEX)
    low, medium, high = json.loads(printed(capsys, "-f", policy, "--runs", runs, "--json"))["sensitivities"]
    lines = printed(capsys, "-f", policy, "--runs", runs).splitlines()
    assert lines[0] == "CheckpointPolicy ns/p on 5 runs: 3 healthy, 2 with a fault."
    headings, *table = (re.split(" {2,}", line) for line in lines[1:5])
    assert headings == ["SENSITIVITY", "RUNS", "HEALTHY ROLLED BACK", "FAULTS CAUGHT", "MEDIAN LAG", "SUSPECT"]
    assert [row[0] for row in table] == ["Low", "Medium (policy)", "High"]
    for row, each in zip(table, (low, medium, high), strict=True):
        lag = each["medianLag"]
        updates = "1 update" if lag["updates"] == 1 else f"{lag['updates']} updates"
        assert row[1:] == [
            "5",
            "1/3 (33.3%)",
            "1/2 (50.0%)",
            f"{lag['episodes']} episodes, {updates}",
            f"{each['suspect']:.1%}",
        ]
    alarms, missed = lines.index("False alarms:"), lines.index("Missed faults:")
    assert re.split(" {2,}", lines[alarms + 1]) == ["SENSITIVITY", "FILE", "STEP", "REASON"]
    assert [re.split(" {2,}", line) for line in lines[alarms + 2 : missed - 1]] == [
        [each["sensitivity"], "fallen.csv", str(alarm["step"]), f"RewardDrop: {alarm['message']}"]
        for each in (low, medium, high)
        for alarm in each["falseAlarms"]
    ]
    assert [line.split() for line in lines[missed + 1 :]] == [
        ["FILE", "FAULT", "AT", "SENSITIVITY"],
        ["unseen.csv", "5960", "Low,", "Medium,", "High"],
    ]


def test_without_an_index_all_runs_count_as_healthy_and_that_is_said(
    policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "-f", policy, "--runs", runs).splitlines()
    told = f"CheckpointPolicy ns/p on 5 runs: all counted as healthy: {runs} has no index.csv."
    assert lines[0] == told
    table = [re.split(" {2,}", line)[:5] for line in lines[2:5]]
    assert table == [[name, "5", "2/5 (40.0%)", "–", "–"] for name in ("Low", "Medium (policy)", "High")]


def test_labels_say_what_a_rollback_is_worth(policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "index.csv").write_text(
        "file,fault_step,label\nbroken.csv,,collapsed\nfallen.csv,5960,harmless\nunseen.csv,9000,harmed\n"
        "steady.csv,5960,healthy\n"
    )
    high = json.loads(printed(capsys, "-f", policy, "--runs", runs, "--json"))["sensitivities"][2]
    assert high["healthy"] == {"runs": 1, "rolledBack": 0}
    assert high["faults"] == {"runs": 2, "caught": 1}
    assert high["harmless"] == {"runs": 1, "rolledBack": 1}
    # Where it began is not known of a run that fell over by itself.
    assert high["medianLag"] == {"episodes": None, "updates": None}
    main(["backtest", "-f", str(policy), "--runs", str(runs)])
    told = capsys.readouterr()
    assert told.err == "accord backtest: skipped 1 file not listed in index.csv\n"
    assert "4 runs: 1 healthy, 2 with a fault, 1 with a fault that did no lasting harm." in told.out
    assert "Rolled back after a fault that did no lasting harm:" in told.out


def test_an_alarm_before_the_fault_is_a_false_one(policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "index.csv").write_text("file,fault_step\nbroken.csv,9000\n")
    for each in json.loads(printed(capsys, "-f", policy, "--runs", runs, "--json"))["sensitivities"]:
        assert [alarm["file"] for alarm in each["falseAlarms"]] == ["broken.csv"]
        assert each["faults"] == {"runs": 1, "caught": 0}
    assert "(the fault begins at 9000)" in printed(capsys, "-f", policy, "--runs", runs)


def test_the_method_of_the_policy_is_judged_too(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # What a policy does not do is judged all the same.
    policy = write_policy(tmp_path / "policy.yaml", detection={"method": "Ratio"}, rollback={"enabled": False})
    lines = printed(capsys, "-f", policy, "--runs", runs).splitlines()
    assert [re.split(" {2,}", line)[0] for line in lines[2:6]] == ["Low", "Medium", "High", "Ratio (policy)"]
    assert re.split(" {2,}", lines[5])[2] != "0/5 (0.0%)"


def test_runs_that_are_too_short_are_named_with_what_they_lack(
    policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "short.csv").write_text(events(1, episodes=20))
    lines = printed(capsys, "-f", policy, "--runs", runs).splitlines()
    short = lines.index("Too short to judge:")
    assert len(lines[short + 2 :]) == 3
    assert re.split(" {2,}", lines[short + 2])[:2] == ["Low", "short.csv"]
    assert "reward has 800 of 1100 steps" in lines[short + 2]


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("name,label\n", "line 1: column file is required"),
        ("file\n", "no files listed"),
        ("file\nnone.csv\n", "line 2: file 'none.csv' not found in this directory"),
        ("file\n../policy.yaml\n", "line 2: file '../policy.yaml' not found"),
        ("file\nsteady.csv\nsteady.csv\n", "line 3: duplicate entry steady.csv"),
        ("file,fault_step\nsteady.csv,soon\n", "line 2, column fault_step: 'soon' must be a whole number"),
        (
            "file,label\nsteady.csv,good\n",
            "line 2, column label: 'good' must be one of healthy, harmed, harmless, collapsed",
        ),
        ("file,label\nsteady.csv,harmed\n", "line 2: fault_step is required with label harmed"),
    ],
)
def test_an_index_that_cannot_be_used_is_refused_with_the_place(
    index: str, told: str, policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "index.csv").write_text(index)
    assert f"accord backtest: {runs / 'index.csv'}: {told}" in refused(capsys, "-f", policy, "--runs", runs)


def test_all_files_that_cannot_be_read_are_named_at_once(
    policy: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "broken.csv").write_text("step,loss\n1,2\n2,x\n")
    (runs / "unseen.csv").write_text("a,b\n")
    first, second = refused(capsys, "-f", policy, "--runs", runs).splitlines()
    assert first == f"accord backtest: {runs / 'broken.csv'}: line 3, column loss: 'x' must be a number"
    assert second.startswith(f"accord backtest: {runs / 'unseen.csv'}: line 1: unknown header")


def test_a_directory_and_options_that_make_no_sense(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert "not a directory" in refused(capsys, "-f", policy, "--runs", policy)
    assert "no .csv or .csv.gz files found" in refused(capsys, "-f", policy, "--runs", tmp_path / "empty")
    for option, value in (("--plot", "x.svg"), ("--range", "1h"), ("--end", "2026-05-01")):
        told = refused(capsys, "-f", policy, "--runs", tmp_path, option, value)
        assert f"{option} cannot be used with --runs" in told


def test_progress_is_for_terminals(
    policy: Path, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["backtest", "-f", str(policy), "--runs", str(runs)]
    main(command)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    main(command)
    assert "accord backtest: 4 of 5 runs" in capsys.readouterr().err
    monkeypatch.setenv("TERM", "dumb")
    main(command)
    assert capsys.readouterr().err == ""
