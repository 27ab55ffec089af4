"""A link that leads nowhere is found where it stands, and code is no link."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import links

PAGE = """\
# A page: with `code`, and more

[one](other.md), ![two](picture.svg "title") and [three](#a-page-with-code-and-more), [web](https://example.com/x).

## Twice
## Twice

`[not a link](nowhere.md)`

```console
$ echo '[not a link](nowhere.md)'
# not a heading
```

<!-- [not a link](nowhere.md) -->
[four]: other.md#there
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# There\n")
    (tmp_path / "docs" / "picture.svg").write_text("<svg/>")
    return tmp_path


def test_no_page_of_the_repository_has_a_broken_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert links.main() == 0, capsys.readouterr().out


def test_links_are_found_outside_of_code_and_comments() -> None:
    assert [(link.line, link.target) for link in links.links(PAGE)] == [
        (3, "other.md"),
        (3, "picture.svg"),
        (3, "#a-page-with-code-and-more"),
        (16, "other.md#there"),
    ]


def test_headings_are_named_as_github_names_them() -> None:
    assert links.anchors(PAGE) == {"a-page-with-code-and-more", "twice", "twice-1"}
    assert links.anchors("## `spec.modes[].weight`\n") == {"specmodesweight"}
    assert links.anchors("## A – b\n## [Linked](x.md) heading\n") == {"a--b", "linked-heading"}
    assert links.anchors('<a id="here"></a>\n') == {"here"}


def test_a_whole_page_has_no_problems(root: Path) -> None:
    assert list(links.problems("docs/page.md", PAGE, root)) == []


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("gone.md", "no such file"),
        ("../../outside.md", "no such file"),
        ("other.md#gone", "no such heading"),
        ("#gone", "no such heading"),
        ("picture.svg#part", "no such heading"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_line(root: Path, link: str, why: str) -> None:
    assert list(links.problems("docs/page.md", f"\n[x]({link})\n", root)) == [f"docs/page.md:2: {link}: {why}"]


def test_every_page_is_in_the_navigation_once() -> None:
    nav = [{"Overview": "README.md"}, {"Part": ["a.md", {"B": "b.md"}, "a.md", "gone.md"]}]
    assert list(links.nav_problems(nav, frozenset({"README.md", "a.md", "b.md", "lost.md"}))) == [
        "mkdocs.yml: lost.md: not in the navigation",
        "mkdocs.yml: gone.md: no such page in docs/",
        "mkdocs.yml: a.md: twice in the navigation",
    ]
