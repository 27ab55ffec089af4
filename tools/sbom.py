"""What a release is made of, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): one list for each wheel.

Made from the pinned requirements, which are what the images install with `--require-hashes`: every package, its
version, the digests of the files that pip accepts, and, where the file tells it, which package asks for which. What the
base images hold beside that (Debian, Python, PyTorch) is not in it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

SPEC_VERSION = "1.6"
OF = {
    "accord_operator": ("accord-operator", Path("requirements") / "operator.txt"),
    "accord_trainer": ("accord-trainer", Path("requirements") / "trainer.txt"),
}
"""Begin of the file's name → distribution, and what its image installs."""
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562, 6.6: URLs
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"#\s+(?:via\b)?\s*(.*)")


class Pinned(NamedTuple):
    """A line of a requirements file, with what stands below it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    asked_by: tuple[str, ...]
    """Packages, and files as `-r FILE`; empty where the file does not say."""

    @property
    def purl(self) -> str:
        """Its package URL (https://github.com/package-url/purl-spec), which says what it is everywhere."""
        return f"pkg:pypi/{self.name}@{self.version}"


def pinned(text: str) -> Iterator[Pinned]:
    """The packages of a requirements file as pip-compile writes it."""
    for part in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        head = _PIN.match(part)
        if head is not None:
            said = [found[1].strip() for line in part.splitlines() if (found := _VIA.match(line.strip()))]
            asked_by = tuple(who if who.startswith("-r ") else _normal(who) for who in said if who)
            yield Pinned(_normal(head[1]), head[2], tuple(_HASH.findall(part)), asked_by)


def document(name: str, version: str, packages: list[Pinned], when: datetime) -> dict[str, Any]:
    """The list of one wheel. The same input gives the same list, its serial number too."""
    root = f"pkg:pypi/{name}@{version}"
    by_name = {package.name: package.purl for package in packages}
    needs: dict[str, list[str]] = {purl: [] for purl in (root, *by_name.values())}
    for package in packages:
        for who in package.asked_by or ("",):
            # Who asks in a file, or where nothing is said, asks for the wheel.
            needs[by_name.get(who, root)].append(package.purl)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, ' '.join((root, *sorted(by_name.values()))))}",
        "version": 1,
        "metadata": {
            "timestamp": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [_component(package) for package in packages],
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(on))} for ref, on in needs.items()],
    }


def write(source: Path, target: Path, version: str, when: datetime) -> None:
    """The lists of all wheels, beside them. `source` is the tree they are made of, `version` as Python spells it."""
    for begin, (name, file) in OF.items():
        packages = list(pinned((source / file).read_text(encoding="utf-8")))
        text = json.dumps(document(name, version, packages, when), indent=2) + "\n"
        (target / f"{begin}-{version}.cdx.json").write_text(text, encoding="utf-8")


def _component(package: Pinned) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest} for digest in package.hashes]
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        # Of the files that may be installed: each platform has its own. From which index is the installer's affair.
        "externalReferences": [{"type": "distribution", "url": package.purl, "hashes": hashes}],
    }


def _normal(name: str) -> str:
    """As the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
