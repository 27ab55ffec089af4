"""What an upgrade begins with: an earlier commit's chart, and the operator's image built from it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

from demo.steps.local import CHECKOUT

VARIABLE = "ACCORD_UPGRADE_FROM"
SCHEMAS = "helm/accord/files/crds"


def commit() -> str:
    """The one that `ACCORD_UPGRADE_FROM` names. Otherwise the newest tag before HEAD, which is what users have; and
    where there is none, the commit before the CRDs last changed: of a later one only the operator would differ.
    """
    given = os.environ.get(VARIABLE, "")
    if given:
        return _git("rev-parse", "--verify", f"{given}^{{commit}}")
    tags = _git("tag", "--sort=-creatordate", "--merged", "HEAD~1").split()
    newest = tags[0] if tags else _git("log", "-1", "--first-parent", "--format=%H", "--", SCHEMAS) + "^"
    return _git("rev-parse", "--verify", f"{newest}^{{commit}}")


def name(revision: str) -> str:
    """As people read it."""
    return _git("log", "-1", "--format=%h of %cs", revision)


def unpack(revision: str, folder: Path) -> Path:
    """Its files; the folder."""
    packed = subprocess.run(["git", "archive", revision], cwd=CHECKOUT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"git {' '.join(arguments)}: {done.stderr.strip()}. Name a commit that is there: {VARIABLE}=…"
        )
    return done.stdout.strip()
