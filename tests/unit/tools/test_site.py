"""The site is whole by itself: what pages link to comes along, and what is broken in what was built is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import links, site


def test_all_that_the_pages_link_to_is_in_the_source_of_the_site(tmp_path: Path) -> None:
    site.stage(tmp_path)
    pages = sorted((tmp_path / "docs").rglob("*.md"))
    names = [str(page.relative_to(tmp_path)) for page in pages]
    assert {"docs/README.md", "docs/how-to/runbooks.md"} <= set(names)
    broken = [
        problem
        for page, name in zip(pages, names, strict=True)
        for problem in links.problems(name, page.read_text(encoding="utf-8"), tmp_path)
    ]
    assert broken == []


def test_a_link_out_of_the_docs_leads_to_what_was_put_beside_them(tmp_path: Path) -> None:
    for name in ("docs/how-to/a.md", "examples/README.md", "m/x.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    text = "[a](../../examples), [b](../../m/x.yaml#L3), [c](a.md#d) and [e](#f)"
    assert site.rewritten("docs/how-to/a.md", text, tmp_path) == (
        "[a](../source/examples/README.md), [b](../source/m/x.yaml#L3), [c](a.md#d) and [e](#f)",
        ["examples/README.md", "m/x.yaml", "docs/how-to/a.md"],
    )
    with pytest.raises(site.SiteError, match=r"docs/how-to/a\.md:1: \.\./\.\./gone: no such file"):
        site.rewritten("docs/how-to/a.md", "[a](../../gone)", tmp_path)


def test_broken_links_of_a_built_site_and_what_is_loaded_from_elsewhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text('<h2 id="there"></h2><a href="../">up</a><a href="#there">x</a>')
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="https://fonts.example/f.css"><link rel="canonical" href="https://accord.dev/">'
        '<script src="gone.js"></script><img src="data:image/png;base64,x"><a href="https://example.com">web</a>'
        '<a href="a/#there">good</a><a href="/docs/a/">good</a><a href="a/#gone">bad</a><a href="b/">bad</a>'
    )
    assert list(site.problems(tmp_path, "/docs/")) == [
        "index.html: https://fonts.example/f.css: is loaded from elsewhere",
        "index.html: a/#gone: no such heading",
        "index.html: b/: no such page",
        "index.html: gone.js: no such page",
    ]
