"""A command is a folder and a line in the table; what they have in common is the program's."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.toy import COMMAND as TOY

from accord.cli import entry, main
from accord.cli.commands import COMMANDS
from accord.cli.exits import Exit
from accord.cli.program import parser
from tools import clipage

ROOT = Path(__file__).resolve().parents[3]
"""Of the checkout."""
WITH_TOY = (*COMMANDS, TOY)


@pytest.fixture(autouse=True)
def kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config"
    context = {"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
    path.write_text(yaml.safe_dump({"contexts": [context], "current-context": "dev"}))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_a_command_is_added_by_a_folder_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "you"], WITH_TOY) == Exit.OK
    printed = capsys.readouterr()
    assert printed.out == "Hello:\nNAME   CONTEXT\nyou    dev\n"
    assert printed.err == "accord greet: this is a toy\n"
    assert "| [`greet`](#accord-greet) | greet someone |" in clipage.render(WITH_TOY)
    assert "greet someone" in parser(WITH_TOY).format_help()


def test_its_data_is_json_or_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "3e4", "-n", "other", "-A", "-o", "json"], WITH_TOY) == Exit.OK
    expected = {"name": "3e4", "namespace": "other", "everywhere": True}
    assert json.loads(capsys.readouterr().out) == expected
    assert main(["greet", "3e4", "-n", "other", "-A", "-o", "yaml"], WITH_TOY) == Exit.OK
    written = capsys.readouterr().out
    assert "name: '3e4'" in written
    assert yaml.safe_load(written) == expected


def test_an_answer_of_no_has_a_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "nobody"], WITH_TOY) == Exit.FINDINGS
    assert capsys.readouterr().err == "accord greet: nobody is there\n"


def test_a_crash_is_no_answer_of_no(caplog: pytest.LogCaptureFixture) -> None:
    assert entry(["greet", "stop"], WITH_TOY) == Exit.INTERRUPTED
    assert entry(["greet", "crash"], WITH_TOY) == Exit.FAILED
    assert "please report it" in caplog.text


def test_exit_codes_are_distinct_and_explained() -> None:
    assert [code.value for code in Exit] == [0, 1, 2, 3, 130]
    assert all(code.meaning for code in Exit)
    for code in Exit:
        assert f"| {code.value} | {code.meaning} |" in (ROOT / "docs" / "reference" / "cli.md").read_text()


def test_as_a_plugin_it_is_called_as_kubectl_calls_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kubectl-accord"])
    assert main(["plan", "-f", "none.yaml"]) == Exit.INVALID
    assert capsys.readouterr().err.startswith("kubectl accord plan: none.yaml: cannot read")
    with pytest.raises(SystemExit):
        main(["plan"])
    assert capsys.readouterr().err.startswith("usage: kubectl accord plan ")


def test_both_names_are_one_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == dict.fromkeys(("accord", "kubectl-accord"), "accord.cli:entry")
    assert callable(entry)


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    command = f"{sys.executable} -m accord crds | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env={"PYTHONPATH": "operator"}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_nor_is_one_that_is_gone_before_a_short_answer() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command, env = [sys.executable, "-m", "accord", "crds", "-o", "table"], {"PYTHONPATH": "operator"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.OK, b"")


def test_standard_input_is_read_as_utf_8_in_any_locale() -> None:
    command = [sys.executable, "-m", "accord", "plan", "-f", "-"]
    env = {"PYTHONPATH": "operator", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: é}\n".encode()
    done = subprocess.run(command, cwd=ROOT, env=env, input=manifest, capture_output=True)
    assert (done.returncode, b"none of the 1 objects" in done.stderr) == (Exit.INVALID, True)
    done = subprocess.run(command, cwd=ROOT, env=env, input=b"a: \xff", capture_output=True)
    assert done.stderr.startswith(b"accord plan: stdin: invalid UTF-8")


@pytest.mark.parametrize("command", [["schedule"], ["plan"], ["backtest", "--csv", "none.csv"]])
def test_text_on_standard_input_is_read_as_well(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a: ["))
    assert main([*command, "-f", "-"]) == Exit.INVALID
    assert capsys.readouterr().err.startswith(f"accord {command[0]}: stdin: invalid YAML: line 1, column 5: ")


def test_help_loads_nothing_of_the_operator() -> None:
    script = "import sys; from accord.cli.program import parser; parser().format_help(); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": "operator"}, capture_output=True, text=True
    )
    loaded = done.stdout.split()
    assert "accord.cli.plan" in loaded
    assert not {"kopf", "kubernetes", "pydantic", "rich", "cel", "aiohttp"} & set(loaded)
