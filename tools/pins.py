"""Pins packages without their dependencies, each with its hash: `python -m tools.pins requirements/trainer`.

For an image whose other packages are the distribution's. pip-compile would pin those too: PyTorch's are three
gigabytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def pinned(wanted: Path) -> list[str]:
    """One requirement a package that `wanted` (a requirements file) names, at its newest version."""
    report = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
            *("--ignore-installed", "--no-deps", "--only-binary=:all:", "--report=-", f"--requirement={wanted}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return sorted(_requirement(package) for package in json.loads(report.stdout)["install"])


def _requirement(package: dict[str, dict[str, object]]) -> str:
    archive: dict[str, dict[str, str]] = package["download_info"]["archive_info"]  # type: ignore[assignment]
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    return f"{str(name).lower()}=={version} \\\n    --hash=sha256:{archive['hashes']['sha256']}"


def main() -> int:
    """`NAME.in` becomes `NAME.txt`."""
    for name in sys.argv[1:]:
        wanted = Path(f"{name}.in")
        head = f"# Made from {wanted.name} by `make lock`, without dependencies: install it with --no-deps."
        wanted.with_suffix(".txt").write_text("\n".join([head, *pinned(wanted)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
