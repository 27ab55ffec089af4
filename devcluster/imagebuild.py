"""Building images without a container engine, and loading them into the cluster.

Everything is kept under a key of what went in: an unchanged image is neither built nor loaded again. buildah runs in a
mount namespace of its own, so that not even its SIGKILL leaves a mount.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from devcluster import commands, imageinputs, paths, preflight, programs
from devcluster.errors import DevclusterError

SUITE = "trixie"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
ABANDONED = 6 * 3600.0
"""Seconds after which an unfinished file is nobody's."""


def base_image(packages: Sequence[str] = BASE_PACKAGES) -> str:
    """Name of an image of minimal Debian with these packages, built when it is not there yet."""
    preflight.install(preflight.IMAGE_BUILD)
    with _one_at_a_time():
        return _base_image(packages)


def _base_image(packages: Sequence[str]) -> str:
    key = hashlib.sha256(repr((SUITE, sorted(packages), os.uname().machine)).encode()).hexdigest()[:12]
    name = f"localhost/accord-base:{key}"
    if _buildah_has(name):
        return name
    folder = _folder()
    root = folder / f"base-{key}.tar"
    log = _log("base")
    if not root.exists():
        scratch = folder / f".base-{key}.{os.getpid()}.tar"
        _isolated(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            # documentation, translations and logs of the installation: half of what is in it
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            '--customize-hook=rm -rf "$1"/var/log/* "$1"/var/cache/debconf/*-old',
            SUITE,
            str(scratch),
            log=log,
        )
        scratch.replace(root)
    dockerfile = folder / f"base-{key}.dockerfile"
    dockerfile.write_text(f"FROM scratch\nADD {root.name} /\nENV LANG=C.UTF-8\n")
    _buildah("build", "--file", str(dockerfile), "--tag", name, "--ignorefile", "/dev/null", str(folder), log=log)
    root.unlink()
    return name


def build(
    tag: str, dockerfile: Path, context: Path, build_args: dict[str, str], packages: Sequence[str] = BASE_PACKAGES
) -> tuple[Path, bool]:
    """Build from a Dockerfile; the archive, and whether it had to be built.

    `BASE_IMAGE` is the local Debian base unless given, so that a Dockerfile whose default is a public image needs no
    registry here.
    """
    needs_base = re.search(r"^ARG BASE_IMAGE\b", dockerfile.read_text(), re.MULTILINE) is not None
    arguments = dict(build_args)
    base_key = ",".join(sorted(packages)) if needs_base and "BASE_IMAGE" not in arguments else ""
    key = imageinputs.key(dockerfile, context, arguments, tag, f"{base_key} {SUITE}")
    target = _folder() / f"{_file_name(tag)}-{key}.tar"
    if target.exists():
        _remember(tag, target)
        return target, False
    preflight.install(preflight.IMAGE_BUILD)
    with _one_at_a_time():
        _sweep()
        if base_key:
            arguments["BASE_IMAGE"] = _base_image(packages)
        _build(tag, dockerfile, context, arguments, target)
    for older in target.parent.glob(f"{_file_name(tag)}-????????????????.tar"):
        if older != target:
            older.unlink()
    return target, True


def _build(tag: str, dockerfile: Path, context: Path, arguments: dict[str, str], target: Path) -> None:
    log = _log(_file_name(tag))
    options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
    mounts = [f"--volume={place}:{place}:ro" for place in ("/etc/ssl/certs", "/etc/pip.conf") if Path(place).exists()]
    _buildah("rm", "--all", log=log)  # working containers of builds that were killed
    try:
        _buildah(
            "build",
            "--network=host",
            "--layers",
            *mounts,
            *options,
            f"--file={dockerfile}",
            f"--tag={tag}",
            str(context),
            log=log,
        )
    except DevclusterError as problem:
        raise DevclusterError(f"{problem}{_hint(dockerfile)}") from problem
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    _buildah("push", "--quiet", tag, f"docker-archive:{scratch}:{tag}", log=log)
    scratch.replace(target)
    _remember(tag, target)


def _hint(dockerfile: Path) -> str:
    """What to do about a base image that only a registry has; empty where the Dockerfile names none."""
    pulled = imageinputs.pulled(dockerfile)
    if not pulled:
        return ""
    return (
        f"\n{dockerfile.name} is built FROM {pulled[0]}, which would have to be pulled, and no registry is used here. "
        f"Start the Dockerfile with\n  ARG BASE_IMAGE={pulled[0]}\n  FROM ${{BASE_IMAGE}}\nThen a Debian base image "
        "made from packages takes its place here, and elsewhere the Dockerfile builds as before"
    )


def prune() -> None:
    """Forget all built images and the layers they came from; the next build starts from nothing."""
    for folder in ("images", "roots", "buildah", "tmp"):
        shutil.rmtree(paths.cache_dir() / folder, ignore_errors=True)


def load(image_or_archive: str) -> bool:
    """Load an archive, or the newest build of a tag, into the cluster; False when it was there already."""
    archive = Path(image_or_archive)
    if not archive.is_file():
        archive = _remembered(image_or_archive)
    return load_archive(archive)


def load_archive(archive: Path) -> bool:
    """Load a docker or OCI archive into the cluster; False when it was there already."""
    stat = archive.stat()
    key = hashlib.sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    mark = paths.state_dir() / "loaded" / key
    if mark.exists():
        return False
    socket = containerd_socket()
    if not socket.exists():
        raise DevclusterError("the cluster does not run; start it with: python3 -m devcluster up")
    commands.run(
        str(programs.path("ctr")), "--address", str(socket), "--namespace=k8s.io", "images", "import", str(archive)
    )
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    return True


def containerd_socket() -> Path:
    """Where the cluster's containerd listens while it runs."""
    return paths.state_dir() / "containerd" / "containerd.sock"


def _buildah(*arguments: str, log: Path) -> None:
    _isolated("buildah", *_storage(), *arguments, log=log)


def _buildah_has(name: str) -> bool:
    try:
        commands.run("unshare", "--mount", "buildah", *_storage(), "inspect", "--type=image", name, env=_environment())
    except DevclusterError:
        return False
    return True


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Builds on this machine wait for each other; the kernel gives the lock back however one ends."""
    with (_folder() / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _storage() -> list[str]:
    # one folder per driver: storage that was made with one cannot be read with the other
    driver = _environment()["STORAGE_DRIVER"]
    folder = paths.cache_dir() / "buildah" / driver
    return [f"--root={folder / 'root'}", f"--runroot={folder / 'run'}"]


def _environment() -> dict[str, str]:
    driver = "overlay" if _overlay_works() else "vfs"
    scratch = paths.cache_dir() / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": driver, "TMPDIR": str(scratch)}


def _overlay_works() -> bool:
    folder = paths.cache_dir() / "tmp" / f"overlay-{os.getpid()}"
    parts = [folder / name for name in ("lower", "upper", "work", "place")]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    options = "lowerdir={},upperdir={},workdir={}".format(*parts[:3])
    try:
        commands.run("unshare", "--mount", "mount", "-t", "overlay", "-o", options, "x", str(parts[3]))
    except DevclusterError:
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _isolated(*command: str, log: Path) -> None:
    commands.run("unshare", "--mount", *command, log=log, env=_environment())


def _folder() -> Path:
    folder = paths.cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sweep() -> None:
    """Delete what builds that were killed left, once nobody can be working on it any more."""
    for left in (*(paths.cache_dir() / "tmp").glob("*"), *_folder().glob(".*.*")):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _log(name: str) -> Path:
    return paths.cache_dir() / "logs" / f"image-{name}.log"


def _file_name(tag: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", tag.replace("localhost/", ""))


def _remember(tag: str, archive: Path) -> None:
    note = _folder() / f"{_file_name(tag)}.json"
    scratch = note.with_name(f".{note.name}.{os.getpid()}")
    scratch.write_text(json.dumps({"tag": tag, "archive": archive.name}))
    scratch.replace(note)


def _remembered(tag: str) -> Path:
    note = _folder() / f"{_file_name(tag)}.json"
    try:
        return _folder() / str(json.loads(note.read_text())["archive"])
    except (OSError, ValueError) as problem:
        raise DevclusterError(
            f"{tag} is neither an archive nor an image built here; build it with: "
            f"python3 -m devcluster image build -t {tag} -f DOCKERFILE CONTEXT"
        ) from problem
