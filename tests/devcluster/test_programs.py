"""Programs are built once for their versions and flags, and are whole or not there."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from building import kill_while_building
from devcluster.errors import DevclusterError
from devcluster.progress import Progress

from devcluster import modules, paths, programs

ENSURE = "from devcluster import programs, progress; programs.ensure(['etcd'], progress.Progress())"


def test_a_build_that_was_killed_leaves_no_half_program_and_is_repeated(cache: Path):
    kill_while_building(ENSURE, cache, "etcd")
    assert not programs.path("etcd").exists()

    said = io.StringIO()
    programs.ensure(["etcd"], Progress(said))

    assert "build etcd" in said.getvalue()
    assert (
        "etcd Version: 3.7.0"
        in subprocess.run([programs.path("etcd"), "--version"], capture_output=True, text=True, check=True).stdout
    )
    assert not list(cache.glob("programs/.building-*"))

    again = io.StringIO()
    programs.ensure(["etcd"], Progress(again))
    assert again.getvalue() == ""


def test_another_version_is_another_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = programs.path("etcd")
    shutil.copytree(paths.TOOLS / "etcd", tmp_path / "etcd")
    monkeypatch.setattr(paths, "TOOLS", tmp_path)
    assert programs.path("etcd") == before

    for name in ("go.mod", "go.sum"):
        file = tmp_path / "etcd" / name
        file.write_text(file.read_text().replace("server/v3 v3.7.0", "server/v3 v3.7.1"))

    assert programs.path("etcd") != before
    assert "v3.7.1" in str(programs.path("etcd"))


def test_a_build_that_fails_says_where_to_read_why(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    broken = tmp_path / "tools" / "etcd"
    shutil.copytree(paths.TOOLS / "etcd", broken)
    (broken / "go.sum").write_text("")
    monkeypatch.setattr(paths, "TOOLS", broken.parent)

    with pytest.raises(DevclusterError, match=r"building etcd failed: .*whole log: .*build-etcd\.log"):
        programs.ensure(["etcd"], Progress(io.StringIO()))
    assert not programs.path("etcd").exists()


def test_every_program_has_a_module_with_a_pinned_version():
    for module in modules.ALL:
        assert programs.version(module).startswith("v")
        assert [programs.module_of(program) for program in module.programs] == [module] * len(module.programs)
