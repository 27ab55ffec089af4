"""The pause image, written by hand: one static busybox and its names.

It holds the network of a pod (`sleep`), and serves tests as a small image with a shell, `httpd` and `nc` (not
`wget`: name lookup of a static glibc crashes in an image without libraries; `nslookup` asks by itself).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from devcluster import paths, preflight, settings
from devcluster.errors import DevclusterError

APPLETS = ("sh", "sleep", "cat", "echo", "httpd", "nslookup", "ls", "ps", "id", "true", "nc", "tee", "kill")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def pause_image() -> Path:
    """A docker-archive, made once for each version of busybox."""
    busybox = preflight.static_busybox()
    if busybox is None:
        raise DevclusterError("there is no static busybox; Debian calls it busybox-static")
    content = busybox.read_bytes()
    key = hashlib.sha256(content + repr((APPLETS, settings.PAUSE_IMAGE)).encode()).hexdigest()[:12]
    target = paths.cache_dir() / "images" / f"pause-{key}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        scratch.write_bytes(_image(_layer(content)))
        scratch.replace(target)
    return target


def _layer(busybox: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for directory, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox, 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return out.getvalue()


def _image(layer: bytes) -> bytes:
    machine = os.uname().machine
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": ["/bin/sleep", "2147483647"], "User": "65534:65534", "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    text = json.dumps(config).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [settings.PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, name, text, 0o644)
        _add(tar, "layer.tar", layer, 0o644)
        _add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
