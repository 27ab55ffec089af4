"""What only people's commands need is the extra `cli`, what traces need is the extra `traces`: the operator does
without both, and so does its image unless it is built with traces.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from accord.cli.exits import Exit

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
AS_IN_THE_IMAGE = """\
import sys
for name in ("cel", "rich", "pygments", "typer", "prompt_toolkit", "opentelemetry"):
    sys.modules[name] = None
sys.stdout.isatty = sys.stderr.isatty = lambda: True
sys.argv[0] = "accord"
from accord.cli import entry
sys.exit(entry())
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""


def names(lines: list[str]) -> set[str]:
    """Of packages, without versions and what else stands in a line."""
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith(("-", "#", " ")))
    return {each[0].lower() for each in found if each}


def wanted(lock: str) -> set[str]:
    return names((ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines())


def test_what_is_locked_is_what_the_project_names() -> None:
    assert wanted("operator.in") == names(PROJECT["dependencies"])
    assert wanted("cli.in") == names(PROJECT["optional-dependencies"]["cli"])
    assert wanted("cli.in") <= wanted("cli.txt") & wanted("dev.txt")
    assert wanted("traces.in") == names(PROJECT["optional-dependencies"]["traces"])
    assert wanted("traces.in") <= wanted("traces.txt") & wanted("dev.txt")


def test_nothing_of_the_extra_is_in_the_image() -> None:
    assert not wanted("cli.in") & wanted("operator.txt")
    assert not wanted("traces.in") & wanted("operator.txt")
    assert wanted("operator.txt") < wanted("cli.txt")
    assert wanted("operator.txt") < wanted("traces.txt")
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    optional = re.search(r'\n && if \[ -n "\$TRACES" \]; then \\\n.*?\n    fi\n', dockerfile, re.DOTALL)
    assert optional is not None
    assert "ARG TRACES=\n" in dockerfile
    assert re.findall(r"-r (requirements/[\w.]+)", optional[0]) == ["requirements/traces.txt"]
    assert set(re.findall(r"-r (requirements/[\w.]+)", dockerfile.replace(optional[0], ""))) == {
        "requirements/operator.txt",
        "requirements/build.txt",
    }


@pytest.mark.parametrize("lock", ["operator.txt", "cli.txt", "traces.txt", "dev.txt"])
def test_locks_hold_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count("--hash=sha256:") >= text.count("==")


def without_extra(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AS_IN_THE_IMAGE, *map(str, arguments)]
    env = {"PYTHONPATH": str(ROOT / "operator"), "TERM": "xterm"}
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_without_it_the_operator_and_what_it_needs_work(tmp_path: Path) -> None:
    for arguments in (("run", "--help"), ("crds",), ("crds", "-o", "table"), ("crds", "--check", ROOT / "crds")):
        done = without_extra(*arguments)
        assert (done.returncode, done.stderr) == (Exit.OK, "")
    # Everything of the operator is loaded before it looks for a cluster.
    done = without_extra("run", "--kubeconfig", tmp_path / "none")
    assert (done.returncode, done.stderr) == (
        Exit.INVALID,
        f"accord run: {tmp_path}/none: cannot read: No such file or directory\n",
    )


def test_traces_without_their_packages_are_refused_by_name(tmp_path: Path) -> None:
    config, cluster = tmp_path / "config.yaml", tmp_path / "kubeconfig"
    config.write_text("traces: {endpoint: http://127.0.0.1:9}\n", encoding="utf-8")
    cluster.write_text(KUBECONFIG, encoding="utf-8")
    done = without_extra("run", "--config", config, "--kubeconfig", cluster)
    assert (done.returncode, done.stdout) == (Exit.INVALID, "")
    assert done.stderr.splitlines()[-1] == (
        "accord run: traces.endpoint: package opentelemetry not found: install accord-operator[traces]"
    )


def test_without_it_the_checks_say_what_to_install() -> None:
    for command in ("plan", "schedule"):
        done = without_extra(command, "-f", ROOT / "manifests" / "examples" / "trainingrun-linear.yaml")
        assert (done.returncode, done.stdout) == (Exit.FAILED, "")
        assert done.stderr == f"accord {command}: package cel not found: install accord-operator[cli]\n"
