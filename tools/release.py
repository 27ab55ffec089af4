"""`make release VERSION=…`: what is published of a version, in dist/VERSION, the same bytes from every machine.

Made from the commit alone, never from the working tree: a tree with changes is refused, and what is built is an export
of HEAD in which the version is set. Times are that of the commit (SOURCE_DATE_EPOCH), modes do not depend on the umask.

- the wheels of the operator and of the trainer's SDK
- the chart, with that version and as that of the operator
- the CRDs in one file, for `kubectl apply --server-side -f`
- an SBOM of each wheel, as CycloneDX (`tools/sbom.py`); and others, where there are some: `*.json` in build/sbom
- CHANGELOG.md: what has changed since the tag before
- SHA256SUMS of all of them, for `sha256sum --check`
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tools import sbom
from tools.programs import ROOT, CommandError, go_program

SBOMS = Path("build") / "sbom"
VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
"""As Helm wants it: SemVer without a leading `v`. A pre-release is `1.2.0-rc.1`."""
PLACES = {
    "pyproject.toml": (r'^(version = ")[^"]+(")', "python"),
    "trainer/pyproject.toml": (r'^(version = ")[^"]+(")', "python"),
    "trainer/accord_trainer/__init__.py": (r'^(__version__ = ")[^"]+(")', "python"),
    "helm/accord/Chart.yaml": (r"^((?:version|appVersion): )\S+()$", "chart"),
}
"""File → where in it the version stands, and whose spelling it has there."""
AREAS = {
    "Kinds and chart": ("operator/accord/api/", "crds/", "helm/", "manifests/"),
    "Operator and commands": ("operator/",),
    "Trainer": ("trainer/",),
    "Documentation": ("docs/", "README.md", "mkdocs.yml"),
}
"""Heading of the changelog → paths. A change belongs where most of its files are, else under `OTHER`."""
OTHER = "Tests, demo and tools"


class ReleaseError(Exception):
    """There can be no release; the message says why."""


class Change(NamedTuple):
    """A commit."""

    subject: str
    files: tuple[str, ...]

    @property
    def area(self) -> str:
        """The heading that it comes under: first the most files, then the order of the headings."""
        counts = {area: sum(file.startswith(paths) for file in self.files) for area, paths in AREAS.items()}
        # What is of a kind is under operator/, too, and counts there as well.
        best = max(counts, key=lambda area: counts[area])
        return best if counts[best] else OTHER


def release(version: str, root: Path = ROOT, target: Path | None = None) -> Path:
    """Make the release of HEAD; returns its directory. Raises ReleaseError, CommandError."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version: write 1.2.3 or 1.2.3-rc.1, without a v")
    changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
    if changed:
        raise ReleaseError(f"the tree has changes that are in no commit:\n{changed.rstrip()}")
    epoch = int(_git(root, "log", "-1", "--format=%ct"))
    made = target or root / "dist" / version
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="accord-release-") as place:
        source = Path(place) / "source"
        _export(root, source)
        _set_version(source, version)
        for folder in (source, source / "trainer"):
            _wheel(folder, made, epoch)
        sbom.write(source, made, python_version(version), datetime.fromtimestamp(epoch, UTC))
        _chart(source, made, epoch)
        crds = sorted((source / "crds").glob("accord.dev_*.yaml"))
        bundle = "---\n".join(crd.read_text(encoding="utf-8") for crd in crds)
        (made / f"accord-crds-{version}.yaml").write_text(bundle, encoding="utf-8")
    for other in sorted((root / SBOMS).glob("*.json")):
        shutil.copyfile(other, made / other.name)
    log = changelog(version, datetime.fromtimestamp(epoch, UTC), changes(root))
    (made / "CHANGELOG.md").write_text(log, encoding="utf-8")
    _sums(made)
    return made


def changes(root: Path) -> list[Change]:
    """The commits since the newest tag before HEAD, or all that are known; the newest first. Merges say nothing new."""
    tags = _git(root, "tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-creatordate").split()
    since = [f"{tags[0]}..HEAD"] if tags else ["HEAD"]
    told = _git(root, "-c", "core.quotePath=false", "log", "--no-merges", "--format=%x00%s", "--name-only", *since)
    found = []
    for commit in told.split("\0")[1:]:
        subject, *files = [line for line in commit.splitlines() if line]
        found.append(Change(subject, tuple(files)))
    return found


def changelog(version: str, when: datetime, found: Iterable[Change]) -> str:
    """A page for people: changes by what they are about."""
    found = list(found)
    parts = [f"# Accord {version} ({when:%Y-%m-%d})\n"]
    for area in (*AREAS, OTHER):
        subjects = [change.subject for change in found if change.area == area]
        if subjects:
            parts.append(f"## {area}\n\n" + "".join(f"- {subject}\n" for subject in dict.fromkeys(subjects)))
    return "\n".join(parts)


def python_version(version: str) -> str:
    """As Python spells it (PEP 440): `1.2.0-rc.1` is `1.2.0rc1`. Raises ReleaseError where it has no such version."""
    base, _, pre = version.partition("-")
    if not pre:
        return base
    match = re.fullmatch(r"(alpha|a|beta|b|rc)\.?(\d+)", pre)
    if match is None:
        raise ReleaseError(f"{version!r}: of pre-releases Python knows alpha.N, beta.N and rc.N alone")
    return f"{base}{ {'alpha': 'a', 'beta': 'b'}.get(match[1], match[1]) }{int(match[2])}"


def _export(root: Path, target: Path) -> None:
    """HEAD, with modes that do not depend on the umask."""
    archive = subprocess.run(["git", "archive", "--format=tar", "HEAD"], cwd=root, capture_output=True, check=False)
    if archive.returncode:
        raise CommandError(f"git archive: {archive.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(target, filter="data")
    for path in target.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _set_version(source: Path, version: str) -> None:
    spelled = {"python": python_version(version), "chart": version}
    for name, (pattern, whose) in PLACES.items():
        text, count = re.subn(
            pattern,
            lambda match, whose=whose: f"{match[1]}{spelled[whose]}{match[2]}",
            (source / name).read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
        if not count:
            raise ReleaseError(f"{name} has no version any more")
        (source / name).write_text(text, encoding="utf-8")


def _wheel(folder: Path, target: Path, epoch: int) -> None:
    """A wheel, by the backend that pip would call; no index is asked."""
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(target)],
        cwd=folder,
        env={"SOURCE_DATE_EPOCH": str(epoch), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        umask=0o022,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"wheel of {folder.name}: {(done.stdout + done.stderr).strip()}")


def _chart(source: Path, target: Path, epoch: int) -> None:
    """`helm package`, which leaves out what .helmignore names, with the times of the commit instead of now."""
    with tempfile.TemporaryDirectory(prefix="accord-chart-") as place:
        packed = [str(go_program("helm")), "package", str(source / "helm" / "accord"), "--destination", place]
        done = subprocess.run(packed, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandError(f"helm package: {done.stderr.strip()}")
        (archive,) = Path(place).glob("*.tgz")
        (target / archive.name).write_bytes(_timeless(archive, epoch))


def _timeless(archive: Path, epoch: int) -> bytes:
    """A .tgz whose bytes depend on its content alone."""
    with tarfile.open(archive) as packed:
        files = sorted(
            (member.name, packed.extractfile(member).read())  # type: ignore[union-attr]
            for member in packed.getmembers()
            if member.isfile()
        )
    # Chart.yaml comes first, as helm writes it.
    files.sort(key=lambda file: file[0].count("/") > 1 or not file[0].endswith("/Chart.yaml"))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), epoch, 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=epoch)


def _sums(folder: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in _files(folder)]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file())


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1 or not arguments[0]:
        print("make release VERSION=1.2.3", file=sys.stderr)
        return 2
    try:
        made = release(arguments[0])
    except (ReleaseError, CommandError) as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    print("".join(f"  {path.relative_to(ROOT)}\n" for path in _files(made)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
