"""Links of the documentation: each leads to a file of the repository, and to a heading that is there.

`python -m tools.links` looks at every page that is or would be committed. Addresses elsewhere are left to who reads
them: a check that needs the network fails for reasons of its own. Anchors are those of GitHub; `tools.site` holds the
built pages to the same links.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

import yaml

from tools.programs import ROOT, run

CONFIG = ROOT / "mkdocs.yml"
_FENCE = re.compile(r"^(?P<fence> *(?:`{3,}|~{3,})).*?^(?P=fence)[`~]* *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(
    r"""(?<=\]\()(?P<inline>[^()\s]+)(?=(?:\s+"[^"]*")?\))|^\[[^\]]+\]:\s+(?P<reference>\S+)""", re.MULTILINE
)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)(?:\s+#+)?\s*$", re.MULTILINE)
_ID = re.compile(r"<a\s[^>]*\b(?:id|name)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class Link(NamedTuple):
    """A link of a page: the line, and from where to where its target stands in the page's text."""

    line: int
    target: str
    start: int
    end: int


def links(text: str) -> Iterator[Link]:
    """The links of a page to something in the repository; code holds none."""
    bare = _blanked(text)
    for match in _LINK.finditer(bare):
        group = "inline" if match["inline"] else "reference"
        if not _ELSEWHERE.match(match[group]):
            yield Link(text.count("\n", 0, match.start()) + 1, match[group], match.start(group), match.end(group))


def anchors(text: str) -> frozenset[str]:
    """What can be named after `#`, as GitHub makes it of the headings."""
    bare = _COMMENT.sub("", _FENCE.sub("", text))
    found: dict[str, int] = {}
    names = set(_ID.findall(bare))
    for heading in _HEADING.findall(bare):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = found.get(name, 0)
        found[name] = number + 1
        names.add(f"{name}-{number}" if number else name)
    return frozenset(names)


def target_of(page: str, target: str) -> str:
    """Path in the repository that a link of the page `page` leads to; the page itself for an anchor alone."""
    path = unquote(target.partition("#")[0])
    return os.path.normpath(PurePosixPath(page).parent / path) if path else page


def problems(page: str, text: str, root: Path = ROOT) -> Iterator[str]:
    """The links of a page that lead nowhere, as `page:line: why`."""
    for link in links(text):
        name = target_of(page, link.target)
        file, anchor = root / name, unquote(link.target.partition("#")[2])
        if name != page and (name.startswith("..") or not file.exists()):
            yield f"{page}:{link.line}: {link.target}: no such file"
        elif anchor and anchor not in (anchors(text) if name == page else _anchors_in(file)):
            yield f"{page}:{link.line}: {link.target}: no such heading"


def _anchors_in(file: Path) -> frozenset[str]:
    return anchors(file.read_text(encoding="utf-8")) if file.suffix == ".md" else frozenset()


def listed(nav: object) -> Iterator[str]:
    """The pages of a navigation, in its order."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list | dict):
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from listed(part)


def nav_problems(nav: object, pages: frozenset[str]) -> Iterator[str]:
    """Pages of docs/ that are not in the navigation, or twice, and entries without a page."""
    entries = list(listed(nav))
    yield from (f"mkdocs.yml: {page}: not in the navigation" for page in sorted(pages - set(entries)))
    yield from (f"mkdocs.yml: {page}: no such page in docs/" for page in sorted(set(entries) - pages))
    yield from (
        f"mkdocs.yml: {page}: twice in the navigation" for page in sorted(set(entries)) if entries.count(page) > 1
    )


def main() -> int:
    """Print each link that is broken; returns the exit code."""
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).splitlines()
    names = [name for name in names if (ROOT / name).is_file()]
    found = [problem for name in names for problem in problems(name, (ROOT / name).read_text(encoding="utf-8"))]
    pages = frozenset(name.removeprefix("docs/") for name in names if name.startswith("docs/"))
    found += nav_problems(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"], pages)
    print("\n".join(found) or "nothing found")
    return int(bool(found))


def _blanked(text: str) -> str:
    """The text with its code and comments as blanks, so that places in it stay the same."""
    for pattern in (_FENCE, _COMMENT, _CODE):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text


if __name__ == "__main__":
    sys.exit(main())
