"""An image is unpacked as an engine would: layer over layer, with what later layers delete."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from devcluster.errors import DevclusterError

from devcluster import rootfs


def _layer(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def _archive(path: Path, *layers: bytes, **config: object) -> Path:
    names = [f"layer{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["localhost/x:1"], "Layers": names}]
    files = {"config.json": json.dumps({"config": config}).encode(), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as tar:
        for name, content in {**files, **dict(zip(names, layers, strict=True))}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _content(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_later_layers_replace_and_delete(tmp_path: Path) -> None:
    archive = _archive(
        tmp_path / "image-0123456789abcdef.tar",
        _layer(etc__kept="1", etc__gone="1", lib__a="1", lib__b="1", etc__changed="1"),
        _layer(**{"etc__.wh.gone": "", "etc__changed": "2", "lib__.wh..wh..opq": "", "lib__c": "2"}),
        Env=["PATH=/bin", "A=b=c"],
        User="65532",
    )
    root = rootfs.unpack(archive)
    assert _content(root.path) == {"etc/kept": "1", "etc/changed": "2", "lib/c": "2"}
    assert (root.environment, root.user) == ({"PATH": "/bin", "A": "b=c"}, "65532:65532")


def test_an_image_is_unpacked_once_and_its_successor_takes_its_place(tmp_path: Path) -> None:
    first = rootfs.unpack(_archive(tmp_path / "image-0123456789abcdef.tar", _layer(a="1")))
    (first.path / "mark").touch()
    assert (rootfs.unpack(tmp_path / "image-0123456789abcdef.tar").path / "mark").exists()
    # In use: it stays when the next one comes, and goes with the one after it.
    rootfs.unpack(_archive(tmp_path / "image-1123456789abcdef.tar", _layer(a="2"))).lock.close()
    assert first.path.exists()
    first.lock.close()
    newest = rootfs.unpack(_archive(tmp_path / "image-2123456789abcdef.tar", _layer(a="3")))
    assert [path.name for path in newest.path.parent.iterdir() if path.is_dir()] == [newest.path.name]


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "image-0123456789abcdef.tar", "w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"[]"))
    with pytest.raises(DevclusterError, match="no docker-archive of one image"):
        rootfs.unpack(tmp_path / "image-0123456789abcdef.tar")
