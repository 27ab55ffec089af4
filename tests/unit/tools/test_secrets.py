"""What `make check` asks of Gitleaks: that a secret in a commit is found, also where a later commit takes it out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.gitops.repository import Repository
from tools.check import Check, checks

SECRET = "ghp_" + "x1Yb7Kq9Lm3Nd5Pr8St2Uv4Wz6Ac0Ef1Gh3J"


@pytest.fixture
def scan() -> Check:
    (found,) = (check for check in checks() if "gitleaks" in check.name)
    return found


def test_a_secret_is_found_though_it_was_taken_out(scan: Check, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    file = tmp_path / "settings.py"
    file.write_text("token = None\n")
    repository.commit("without")
    command = [str(part) for part in scan.command]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    file.write_text(f'token = "{SECRET}"\n')
    repository.commit("with")
    file.write_text("token = None\n")
    repository.commit("without again")
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "settings.py" in found.stdout
    assert SECRET not in found.stdout
