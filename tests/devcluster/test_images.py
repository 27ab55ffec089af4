"""An image is built once for its inputs, and only what it is made of counts as input."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from devcluster import archive, imagebuild, imageinputs, preflight, settings


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("print('hello')\n")
    (folder / "notes.md").write_text("not copied\n")
    (folder / "Dockerfile").write_text(
        'FROM scratch AS build\nCOPY app /app\nFROM scratch\nCOPY --from=build /app /app\nENTRYPOINT ["/app/main.py"]\n'
    )
    return folder


def _key(context: Path, **build_args: str) -> str:
    return imageinputs.key(context / "Dockerfile", context, build_args, "localhost/x:1", "")


def test_what_is_copied_counts(context: Path):
    before = _key(context)

    (context / "app" / "main.py").write_text("print('other')\n")
    changed = _key(context)

    assert changed != before
    assert _key(context, VERSION="2") != changed


def test_what_is_not_copied_does_not_count(context: Path):
    before = _key(context)

    (context / "notes.md").write_text("changed\n")
    (context / "app" / "__pycache__").mkdir()
    (context / "app" / "__pycache__" / "main.pyc").write_text("compiled")

    assert _key(context) == before


def test_the_dockerfile_and_a_mode_count(context: Path):
    before = _key(context)
    (context / "app" / "main.py").chmod(0o755)
    executable = _key(context)
    assert executable != before

    (context / "Dockerfile").write_text((context / "Dockerfile").read_text() + "USER 65532\n")
    assert _key(context) != executable


def test_a_build_is_kept_and_the_older_one_goes(context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    mounts = Path("/proc/self/mounts").read_text()
    assert not imagebuild._buildah_has("localhost/x:1")
    arguments = ("localhost/x:1", context / "Dockerfile", context, {})

    first, built = imagebuild.build(*arguments)
    assert built
    assert imagebuild.build(*arguments) == (first, False)
    (context / "app" / "main.py").write_text("print('other')\n")
    second, built = imagebuild.build(*arguments)

    assert built
    assert second.exists()
    assert not first.exists()
    with tarfile.open(second) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
    assert manifest[0]["RepoTags"] == ["localhost/x:1"]
    assert Path("/proc/self/mounts").read_text() == mounts


def test_the_pause_image_runs(tmp_path: Path):
    with tarfile.open(archive.pause_image()) as tar:
        (image,) = json.load(tar.extractfile("manifest.json"))
        layer = tar.extractfile(image["Layers"][0])
        with tarfile.open(fileobj=layer) as files:
            files.extractall(tmp_path, filter="fully_trusted")
    assert image["RepoTags"] == [settings.PAUSE_IMAGE]
    assert preflight.static_busybox() is not None
    chroot = shutil.which("chroot", path="/usr/sbin:/sbin")
    said = subprocess.run([chroot, tmp_path, "/bin/sh", "-c", "echo ran"], capture_output=True, text=True, check=True)
    assert said.stdout == "ran\n"
