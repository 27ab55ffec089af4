"""The composition root hands everything over when it makes a part: each can be followed from where it is made."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

from accord import app

_CHANGING = frozenset({"append", "extend", "insert", "add", "update", "setdefault", "pop", "remove"})


def set_from_outside(source: str) -> Iterator[str]:
    """Attributes of objects other than `self` that are assigned to, or whose content is changed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            changed: ast.expr = node
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            changed = node.func.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            changed = node
        else:
            continue
        if isinstance(changed, ast.Call) or (isinstance(changed, ast.Attribute) and not _is_self(changed.value)):
            yield ast.unparse(node)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


@pytest.mark.parametrize(
    "line",
    [
        "metrics.by_status.statuses = self._reported",
        "self._watches.restarted = ask",
        "self._watches.down: int = 1",
        "self._dispatcher.gone.append(forget)",
        "self._watches.heard['x'] = 1",
        "setattr(self._watches, 'restarted', ask)",
    ],
)
def test_what_is_set_from_outside_is_noticed(line: str) -> None:
    assert list(set_from_outside(line))


def test_the_composition_root_sets_nothing_of_a_part_that_is_made() -> None:
    assert list(set_from_outside(inspect.getsource(app))) == []
