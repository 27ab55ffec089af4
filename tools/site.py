"""`make site`: the pages of docs/ as a site, in build/site.

What pages link to outside of docs/ (a manifest, an example's README) is put beside them, so that the site is whole
by itself. After Zensical has built it, each link, anchor, picture, style and script of the built pages is looked for,
and none may come from elsewhere: the site works without a network, its search included.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tools.links import CONFIG, links, target_of
from tools.programs import ROOT, CommandError, run

SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
ELSEWHERE = "source"
"""Folder of the site for what is linked to and not in docs/."""
_LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src"}
_LOADING_RELATIONS = frozenset({"stylesheet", "icon", "preload", "modulepreload"})


class SiteError(Exception):
    """The site cannot be built; the message says why."""


def staged(name: str) -> str:
    """Path in the site's source of a file of the repository."""
    return name.removeprefix("docs/") if name.startswith("docs/") else f"{ELSEWHERE}/{name}"


def rewritten(page: str, text: str, root: Path = ROOT) -> tuple[str, list[str]]:
    """A page with its links as they are in the site's source, and the files of the repository that it links to.

    A folder is its README. Raises SiteError where there is nothing to show.
    """
    wanted, parts, at = [], [], 0
    for link in links(text):
        path, hash_, anchor = link.target.partition("#")
        if not path:
            continue
        name = target_of(page, link.target)
        if (root / name).is_dir():
            name = f"{name}/README.md"
        if not (root / name).is_file():
            raise SiteError(f"{page}:{link.line}: {link.target}: no such file")
        wanted.append(name)
        here = PurePosixPath(staged(page)).parent
        parts += [text[at : link.start], os.path.relpath(staged(name), here), hash_, anchor]
        at = link.end
    return "".join([*parts, text[at:]]), wanted


def stage(target: Path = SOURCE, root: Path = ROOT) -> None:
    """Write the site's source. Raises SiteError."""
    shutil.rmtree(target, ignore_errors=True)
    todo = [str(path.relative_to(root)) for path in sorted((root / "docs").rglob("*")) if path.is_file()]
    done: set[str] = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        file = target / "docs" / staged(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith(".md"):
            shutil.copyfile(root / name, file)
            continue
        text, wanted = rewritten(name, (root / name).read_text(encoding="utf-8"), root)
        file.write_text(text, encoding="utf-8")
        todo += wanted
    shutil.copyfile(CONFIG, target / CONFIG.name)


class Page(HTMLParser):
    """What a built page links to, loads, and can be linked to by."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each element."""
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "link" and _LOADING_RELATIONS & set(found.get("rel", "").split()):
            self.loads.append(found["href"])
        if found.get(_LOADED.get(tag, "")):
            self.loads.append(found[_LOADED[tag]])


def problems(site: Path, base: str) -> Iterator[str]:
    """What is wrong with the links of a built site that is served under the path `base`, as `page: address: why`."""
    files = sorted(site.rglob("*.html"))
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    for file, page in pages.items():
        name = file.relative_to(site)
        yield from (f"{name}: {what}: is loaded from elsewhere" for what in page.loads if urlsplit(what).netloc)
        for address in [*page.links, *(what for what in page.loads if not what.startswith("data:"))]:
            problem = _problem(site, file, pages, address, base)
            if problem:
                yield f"{name}: {address}: {problem}"


def _problem(site: Path, file: Path, pages: Mapping[Path, Page], address: str, base: str) -> str:
    """Empty where the address leads somewhere, or elsewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    path, anchor = unquote(parts.path), unquote(parts.fragment)
    if path.startswith("/"):
        target = site / path.removeprefix(base).lstrip("/")
    else:
        target = Path(os.path.normpath(file.parent / path)) if path else file
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such page"
    if anchor and anchor != "__skip" and target in pages and anchor not in pages[target].ids:
        return "no such heading"
    return ""


def main() -> int:
    """Build and check; returns the exit code."""
    try:
        stage()
        shutil.rmtree(SITE, ignore_errors=True)
        print(run([ROOT / ".venv" / "bin" / "zensical", "build", "--strict", "--clean", "-f", SOURCE / CONFIG.name]))
    except (SiteError, CommandError) as error:
        print(f"make site: {error}", file=sys.stderr)
        return 1
    (SOURCE / "site").rename(SITE)
    found = list(problems(SITE, "/docs/"))
    print("\n".join(found) or f"{len(list(SITE.rglob('*.html')))} pages, every link leads somewhere: {SITE}/index.html")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
