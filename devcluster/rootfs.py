"""The file system of an image, unpacked, to run its programs on this machine: no cluster, no container engine.

What runs sees the image's files, `/proc`, `/dev` and what is bound in; network and processes are those of the machine.
It runs in a mount namespace of its own as the image's user, and is the process that was started: a signal reaches it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from devcluster import commands, paths
from devcluster.errors import DevclusterError

ROOT_USER = "0:0"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True)
class RootFilesystem:
    """An image unpacked into a directory that nobody deletes while `lock` is open."""

    path: Path
    environment: Mapping[str, str]
    """`ENV` of the image."""
    user: str
    """`USER` of the image, as `uid:gid`."""
    lock: Any = field(repr=False, compare=False)

    def command(
        self,
        program: Sequence[str],
        *,
        binds: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
    ) -> list[str]:
        """The command line that runs a program of the image, for `subprocess`; needs root.

        `binds` are directories of this machine by where they show inside, writable. `environment` is added to the
        image's; nothing of the caller's own gets in.
        """
        root = shlex.quote(str(self.path))
        lines = ["set -e", *(f"mount --rbind {place} {root}{place}" for place in ("/proc", "/dev"))]
        for inside, outside in (binds or {}).items():
            inner = shlex.quote(f"{self.path}{inside}")
            lines += [f"mkdir -p {inner}", f"mount --bind {shlex.quote(str(outside))} {inner}"]
        variables = {"PATH": commands.SYSTEM_PATH, **self.environment, **(environment or {})}
        inner_command = ["/usr/bin/env", "-i", "-C", directory, *(f"{k}={v}" for k, v in variables.items()), *program]
        lines.append(f"exec chroot --userspec={self.user} {root} {shlex.join(inner_command)}")
        shell = "\n".join(lines)
        # exec all the way: the process that was started becomes the program.
        return [_program("unshare"), "--mount", "--propagation=private", _program("sh"), "-c", shell]


def unpack(archive: Path) -> RootFilesystem:
    """The file system of a docker-archive, unpacked where it is not yet; those of older builds are deleted."""
    folder = paths.cache_dir() / "roots"
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / archive.stem
    with (folder / ".lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not root.exists():
            _sweep(folder, archive.stem.rpartition("-")[0])
            scratch = folder / f".{archive.stem}.new"
            shutil.rmtree(scratch, ignore_errors=True)
            _unpack(archive, scratch)
            scratch.rename(root)
        lock = root.with_suffix(".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_SH)
    config = json.loads(root.with_suffix(".json").read_text())
    variables = dict(entry.split("=", 1) for entry in config.get("Env") or ())
    user = config.get("User") or ROOT_USER
    return RootFilesystem(root, variables, user if ":" in user else f"{user}:{user}", lock)


def _unpack(archive: Path, scratch: Path) -> None:
    layers = scratch.with_suffix(".layers")
    shutil.rmtree(layers, ignore_errors=True)
    layers.mkdir()
    scratch.mkdir()
    scratch.chmod(0o755)  # whatever the umask: the image's user must get in
    try:
        commands.run("tar", "-x", "-f", str(archive), "-C", str(layers))
        [manifest] = json.loads((layers / "manifest.json").read_text())
        for layer in manifest["Layers"]:
            _add(layers / layer, scratch)
            (layers / layer).resolve().unlink()
        config = json.loads((layers / manifest["Config"]).read_text())["config"]
    except (KeyError, ValueError) as error:
        raise DevclusterError(f"{archive} is no docker-archive of one image: {error}") from error
    finally:
        shutil.rmtree(layers, ignore_errors=True)
    (scratch.parent / f"{archive.stem}.json").write_text(json.dumps(config))


def _add(layer: Path, root: Path) -> None:
    """One layer over those before it."""
    with tarfile.open(layer) as listed:
        names = [PurePosixPath(member.name) for member in listed]
    for name in names:
        if name.name == _OPAQUE:
            for below in (root / name.parent).iterdir():
                _delete(below)
        elif name.name.startswith(_WHITEOUT):
            _delete(root / name.parent / name.name.removeprefix(_WHITEOUT))
    commands.run(
        "tar", "-x", "-p", "--numeric-owner", f"--exclude={_WHITEOUT}*", "-f", str(layer.resolve()), "-C", str(root)
    )


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sweep(folder: Path, image: str) -> None:
    """Delete what was unpacked from older builds of the image and is not in use."""
    for root in folder.glob(f"{image}-????????????????"):
        with contextlib.suppress(OSError), root.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in (root, root.with_suffix(".json"), root.with_suffix(".lock")):
                _delete(left)


def _program(name: str) -> str:
    if os.geteuid() != 0:
        raise DevclusterError("programs of an image run in a mount namespace of their own: that needs root")
    found = commands.find(name)
    if found is None:
        raise DevclusterError(f"the program {name} is not installed")
    return found
