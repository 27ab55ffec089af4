"""Builds the cluster's programs from Go modules, into a cache that survives checkouts and reboots.

Each folder in `tools/` is a Go module that pins one project and its whole dependency tree (go.sum). A program is
kept under a key of these files and the build flags, moved into place in one rename, and never changed after
that: an interrupted build leaves either a whole program or none, and Go's own cache continues where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from devcluster import paths
from devcluster.buildlock import one_build
from devcluster.commands import last_line
from devcluster.errors import DevclusterError
from devcluster.modules import ALL, COLLECTORS, ENGINES, FLUX, GATEWAYS, MODULES, QUEUES, STORES, Module
from devcluster.progress import Progress

OLDEST_GO = (1, 21)
"""From this version on, Go fetches the toolchain that a go.mod asks for by itself."""


def _all_of(modules: Iterable[Module]) -> tuple[str, ...]:
    return tuple(program for module in modules for program in module.programs)


CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
EVERYTHING = _all_of(MODULES)
OF_STORES = _all_of(STORES)
OF_QUEUES = _all_of(QUEUES)
OF_ENGINES = _all_of(ENGINES)
OF_GATEWAYS = _all_of(GATEWAYS)
OF_FLUX = _all_of(FLUX)
OF_COLLECTORS = _all_of(COLLECTORS)


def module_of(program: str) -> Module:
    """The module that a program is built from."""
    for module in ALL:
        if program in module.programs:
            return module
    raise DevclusterError(f"{program} is not one of the cluster's programs: {', '.join(EVERYTHING)}")


def version(module: Module) -> str:
    """The version that go.mod pins."""
    text = (paths.TOOLS / module.name / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module.version_of)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise DevclusterError(f"devcluster/tools/{module.name}/go.mod does not require {module.version_of}")
    return found.group(1)


def path(program: str) -> Path:
    """Where the program is, or will be once it is built."""
    module = module_of(program)
    return paths.cache_dir() / "programs" / f"{module.name}-{version(module)}-{_key(module)}" / program


def missing(programs: Iterable[str]) -> list[str]:
    """Those that still have to be built."""
    return [program for program in programs if not path(program).exists()]


def ensure(programs: Sequence[str], progress: Progress) -> None:
    """Build what is missing, one stage per module."""
    for module in ALL:
        wanted = [program for program in module.programs if program in programs]
        lacking = missing(wanted)
        if not lacking:
            continue
        title = f"build {module.name} {version(module)}: {', '.join(lacking)}"
        with progress.stage(_shorten(f"{title} (cold ~{module.minutes:g} min)", 58)), one_build(module.name):
            lacking = missing(wanted)  # another process may have built them while this one waited
            if lacking:
                _build(module, lacking)


def go_program() -> str:
    """The Go command, or a sentence on how to get it."""
    found = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin:/usr/lib/go/bin")
    if found is None:
        raise DevclusterError(
            "Go is not installed: the cluster's programs are built from Go modules; "
            f"install Go {'.'.join(map(str, OLDEST_GO))} or newer (https://go.dev/dl)."
        )
    answer = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = re.match(r"go(\d+)\.(\d+)", answer)
    if numbers and (int(numbers.group(1)), int(numbers.group(2))) < OLDEST_GO:
        raise DevclusterError(
            f"Go is too old: {found} is {answer}, and {'.'.join(map(str, OLDEST_GO))} or newer is needed."
        )
    return found


def _key(module: Module) -> str:
    digest = hashlib.sha256()
    folder = paths.TOOLS / module.name
    for part in (folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))):
        digest.update(part.read_bytes())
    digest.update(repr((_flags(module), module.cgo, os.uname().machine)).encode())
    return digest.hexdigest()[:12]


def _flags(module: Module) -> list[str]:
    stamps = [f"-X {variable}={version(module)}" for variable in module.stamp]
    tags = ["-tags", module.tags] if module.tags else []
    return [*tags, "-trimpath", "-ldflags", " ".join(["-s -w", *stamps])]


def _build(module: Module, programs: Sequence[str]) -> None:
    go = go_program()
    target = path(programs[0]).parent
    target.mkdir(parents=True, exist_ok=True)
    log = paths.cache_dir() / "logs" / f"build-{module.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".building-{module.name}-*"):  # by a build that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f".building-{module.name}-", dir=target.parent) as scratch:
        environment = {**os.environ, "GOBIN": scratch, "CGO_ENABLED": "1" if module.cgo else "0", "GOWORK": "off"}
        packages = [module.programs[program] for program in programs]
        command = [go, "install", *_flags(module), *packages]
        with log.open("w") as out:
            out.write(" ".join(command) + "\n")
            out.flush()
            done = subprocess.run(
                command,
                cwd=paths.TOOLS / module.name,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise DevclusterError(f"building {module.name} failed: {last_line(log)} (whole log: {log})")
        for program, package in zip(programs, packages):  # noqa: B905 - `strict` came with Python 3.10
            (Path(scratch) / _installed_name(package)).replace(target / program)


def _installed_name(package: str) -> str:
    """What `go install` calls the program: the last element of the path that is not a major version."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v\d+", elements[-1]) else elements[-1]


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
