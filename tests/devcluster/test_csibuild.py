"""What the CSI driver runs on is built once, whole or not at all."""

from __future__ import annotations

import io
import subprocess
import venv
from pathlib import Path

import pytest
from building import kill_while_building
from devcluster.progress import Progress

from devcluster import csibuild, paths

ENSURE = "from devcluster import csibuild, progress; csibuild.ensure(progress.Progress())"
WHERE = "from devcluster import csibuild; print(csibuild.python())"
IMPORTS = "import grpc; from csi_stubs import csi_pb2_grpc, registration_pb2_grpc"


def test_a_build_that_was_killed_is_repeated(cache: Path):
    kill_while_building(ENSURE, cache, "csi")
    assert not csibuild.python().exists()

    csibuild.ensure(Progress(io.StringIO()))

    subprocess.run([csibuild.python(), "-c", IMPORTS], check=True)
    assert not list(cache.glob("programs/.building-*"))
    again = io.StringIO()
    csibuild.ensure(Progress(again))
    assert again.getvalue() == ""


def test_it_is_one_and_the_same_from_within_a_virtual_environment(tmp_path: Path):
    venv.create(tmp_path / "venv", with_pip=False)
    within = [str(tmp_path / "venv" / "bin" / "python"), "-c", WHERE]

    found = subprocess.run(within, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()

    assert found == str(csibuild.python())


def test_other_requirements_are_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = csibuild.python()
    other = tmp_path / "requirements.txt"
    other.write_text(csibuild.REQUIREMENTS.read_text().replace("protobuf==", "protobuf==1"))
    monkeypatch.setattr(csibuild, "REQUIREMENTS", other)

    assert csibuild.python() != before
