"""An image is built once for its inputs, and only what it is made of counts as input."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from devcluster.errors import DevclusterError
from devcluster.waiting import wait_for

from devcluster import archive, cli, imagebuild, imageinputs, imagelist, preflight, settings


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
    mounts = set(Path("/proc/self/mounts").read_text().splitlines())
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
    left = lambda: set(Path("/proc/self/mounts").read_text().splitlines()) - mounts  # noqa: E731
    wait_for("an end of all mounts, others' too", lambda: not left(), seconds=60)


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


@pytest.fixture
def cluster_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what a containerd holds that runs nowhere; two images were built, and one of them is loaded."""
    held = ["localhost/x:1", "docker.io/library/pause:1", "sha256:abc", "localhost/x@sha256:abc"]

    def run(_: str, *arguments: str) -> str:
        if "rm" in arguments:
            held.remove(arguments[-1])
        return "\n".join(held)

    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    monkeypatch.setattr(imagelist.commands, "run", run)
    monkeypatch.setattr(imagelist.programs, "path", lambda name: Path(name))
    monkeypatch.setattr(imagelist.paths, "state_dir", lambda: tmp_path / "state")
    for folder in ("images", "state/containerd", "state/loaded"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "state" / "containerd" / "containerd.sock").touch()
    (tmp_path / "state" / "loaded" / "key").touch()
    for name in ("x", "y"):
        (tmp_path / "images" / f"{name}-1-key.tar").write_bytes(bytes(2**20))
        imagebuild._remember(f"localhost/{name}:1", tmp_path / "images" / f"{name}-1-key.tar")
    return held


def test_images_are_listed_with_where_they_are(cluster_images: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["images"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "IMAGE                       BUILT HERE   IN CLUSTER",
        "docker.io/library/pause:1   no           yes",
        "localhost/x:1               1 MiB        yes",
        "localhost/y:1               1 MiB        no",
    ]


def test_without_a_cluster_what_was_built_is_listed(cluster_images: list[str], tmp_path: Path):
    (tmp_path / "state" / "containerd" / "containerd.sock").unlink()
    assert [each.name for each in imagelist.images()] == ["localhost/x:1", "localhost/y:1"]


def test_an_image_is_removed_everywhere_and_can_be_loaded_again(cluster_images: list[str], tmp_path: Path):
    assert cli.main(["images", "rm", "localhost/x:1", "localhost/y:1"]) == 0
    assert [each.name for each in imagelist.images()] == ["docker.io/library/pause:1"]
    assert not list((tmp_path / "images").iterdir())
    # What says that an image need not be loaded is gone too.
    assert not (tmp_path / "state" / "loaded").exists()


def test_an_unknown_image_is_named_and_nothing_is_removed(
    cluster_images: list[str], capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["images", "rm", "localhost/x:1", "localhost/z:1"]) == 1
    assert "no such image: localhost/z:1" in capsys.readouterr().err
    assert "localhost/x:1" in cluster_images


@pytest.mark.parametrize(
    ("lines", "pulled"),
    [
        (["FROM debian:trixie-slim"], ["debian:trixie-slim"]),
        (["FROM --platform=linux/amd64 a.example/b:1 AS build", "from build"], ["a.example/b:1"]),
        (["ARG BASE_IMAGE=debian:trixie-slim", "FROM ${BASE_IMAGE}", "FROM scratch", "FROM localhost/x:1"], []),
    ],
)
def test_a_base_image_that_would_have_to_be_pulled_is_found(tmp_path: Path, lines: list[str], pulled: list[str]):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("\n".join(lines))
    assert imageinputs.pulled(dockerfile) == pulled


def test_a_build_that_would_need_a_registry_says_what_to_write_instead(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(command: str, *_: str, **__: object) -> None:
        if command == "build":
            raise DevclusterError("buildah failed: no route to host")

    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imagebuild, "_buildah", refuse)
    dockerfile = context / "Dockerfile"
    dockerfile.write_text("FROM debian:trixie-slim\nCOPY app /app\n")
    with pytest.raises(DevclusterError, match=r"no route to host\n(.*\n)*  ARG BASE_IMAGE=debian:trixie-slim\n"):
        imagebuild._build("localhost/x:1", dockerfile, context, {}, tmp_path / "x.tar")
