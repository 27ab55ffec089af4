"""Phrases that users should not have to read, each with what to write instead, in the language of kubectl and Argo CD.

Looked for in what users read: pages, the chart, CRDs, and the strings of the operator, not in comments and docstrings.
A phrase is a regular expression that matches whole words, in either case and across line breaks. Add one where a review
finds one: a rule that is not here comes back.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tools.programs import ROOT, run

INSTEAD = {
    r"a person": "someone, you; or what is awaited: approval, manual action",
    r"(decided?|decides) against": "reject",
    r"take[sn]? down what": "record what",
    r"what is served (may )?stays?": "serving does not change",
    r"leads:|does not lead": "became leader, lost leadership",
    r"(its current one|yaml|table|`?defaults?`?|or [\w-]+,|now) without": "(default: …)",
    r"where (it is|it's) empty": "(default: …)",
    r"somebody( else)?": "someone, another client, another owner",
    r"(is|are|was|were) tried (again|instead)": "retry",
    r"under way": "in progress",
    r"anew": "again, recreate, restart",
    r"puts? back|putting back": "restore, revert",
    r"mend(s|ed|ing)?": "fix, repair",
    r"(goes|gone|going) back to (an?|the|that|step) \w+": "roll back to",
    r"(does|do|did) not answer": "is not responding, is unreachable, does not respond",
    r"answers again": "is reachable again",
    r"look(s|ed|ing)? after": "watch, manage",
    r"stands there twice|given already": "duplicate, already defined",
    r"is not (YAML|JSON|UTF-8)": "invalid YAML",
    r"holds no": "has no, no … found",
    r"(is|are) honou?red": "is used",
    r"keeps? (its|the) office": "stays leader",
    r"(make|makes|no|is|for want of) room": "free up resources, no capacity, insufficient resources",
    r"stood in for": "replaced, another mode takes over",
    r"all the same": "anyway",
    r"(is|are|was) left alone": "is not changed, is ignored",
    r"to be had": "available",
    r"waits for (nobody|admission)": "is (not) waiting for …",
    r"no node takes": "cannot schedule",
    r"caught up": "synced",
    r"please report this": "please report it",
    r"works again": "recovered",
    r"are? being looked at|(is|are) looked at": "is checked",
    r"(can|could) be honou?red": "is supported",
    r"for good": "permanently",
    r"by and by": "gradually",
    r"(do|does) not get in": "is rejected",
    r"said aloud": "reported",
    r"gone back to": "the rollback target",
    r"which one is meant": "cannot tell which",
    r"nobody built on": "held-out",
    r"no chance": "significant",
    r"may bring": "may use, may have",
    r"stand(s|ing)? in (for|until)": "is used instead, is used until",
    r"made by hand": "created manually",
    r"as asked": "as specified",
    r"of your own, in": "your own … in, an existing …",
    r"goes on (from|as)": "resumes from, continues as",
    r"held against": "counts against",
}
"""Phrase → what to write."""

PAGES = (".md", ".txt", "values.yaml")
OTHER_PAGES = ("helm/accord/rules/", "helm/accord/templates/NOTES.txt", "crds/")
NOT_FOR_USERS = (
    "docs/adr/",
    "tests/",
    "tools/",
    "requirements/",
    "ARCHITECTURE.md",
    "examples/service/requirements.txt",
)
"""Records of decisions, and what is for those who work on Accord."""
STRINGS = "operator/accord/"


class Found(NamedTuple):
    """A phrase and where it stands."""

    place: str
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.phrase!r}: write {self.instead}"


_PHRASES = [
    (re.compile("(?<![\\w-])(?:" + phrase.replace(" ", r"\s+") + ")(?![\\w-])", re.IGNORECASE), instead)
    for phrase, instead in INSTEAD.items()
]


def in_text(text: str, name: str, line: int = 1) -> Iterator[Found]:
    """The phrases in a text that begins in that line of a file."""
    for pattern, instead in _PHRASES:
        for match in pattern.finditer(text):
            at = line + text.count("\n", 0, match.start())
            yield Found(f"{name}:{at}", " ".join(match[0].split()), instead)


def in_strings(source: str, name: str) -> Iterator[Found]:
    """The phrases in the string literals of a Python file, parts of f-strings included."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from in_text(node.value, name, node.lineno)


def main() -> int:
    """Print each place; returns the exit code."""
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"]).splitlines()
    found = [place for name in names if (ROOT / name).is_file() for place in _in_file(name)]
    print("\n".join(map(str, found)) or "nothing found")
    return int(bool(found))


def _in_file(name: str) -> Iterator[Found]:
    is_page = name.startswith(OTHER_PAGES) or (name.endswith(PAGES) and not name.startswith(NOT_FOR_USERS))
    if is_page:
        yield from in_text((ROOT / name).read_text(encoding="utf-8"), name)
    elif name.startswith(STRINGS) and name.endswith(".py"):
        yield from in_strings((ROOT / name).read_text(encoding="utf-8"), name)


if __name__ == "__main__":
    sys.exit(main())
