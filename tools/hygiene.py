"""What must not be in the repository: paths of one machine, addresses of package indexes, words left from yesterday."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.programs import ROOT, run

# Written in halves, so that this file does not find itself.
FORBIDDEN = {
    "path of one machine": re.compile(r"(?<![\w.*/-])/(?:home/\w|root/|work/|Users/\w|opt/wheels)"),
    "address of a package index": re.compile(
        r"\b(?:proxy|sum|files|registry|index)\.[a-z]+\.org\b|\bpy" r"pi\.org\b|--(?:extra-)?index-url \S"
    ),
    "left over": re.compile(r"\b(?:FIX" r"ME|XX" r"X|TO" r"DO|HA" r"CK|WI" r"P)\b"),
    "unresolved merge": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}
# Their content is given: hashes, checksums, a licence.
SKIPPED = ("LICENSE", "*/go.sum", "*/go.mod", "requirements/*.txt", "*.svg", "*.png", "*.gif")


def main() -> int:
    """Print each place; returns the exit code."""
    found = [place for path in _tracked() for place in _places(path)]
    print("\n".join(found) or "nothing found")
    return int(bool(found))


def _tracked() -> list[Path]:
    """Files that are or would be committed."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"]).splitlines()
    return [ROOT / name for name in listed if not any(Path(name).match(pattern) for pattern in SKIPPED)]


def _places(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0].strip()}"
        for what, pattern in FORBIDDEN.items()
        for match in pattern.finditer(text)
    ]


if __name__ == "__main__":
    sys.exit(main())
