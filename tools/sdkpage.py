"""The reference page of what a trainer in Python uses, from the sources: nothing of it has to be importable here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

TRAINER = Path(__file__).parents[1] / "trainer" / "accord_trainer"
PARTS = (
    ("sdk/session.py", "Session"),
    ("sb3/callback.py", "AccordCallback"),
    ("sdk/contract.py", "Contract"),
    ("sdk/contract.py", "Ppo"),
    ("sdk/contract.py", "RewardNormalization"),
    ("sdk/schedules.py", "Schedule"),
    ("sdk/chance.py", "Chance"),
    ("sdk/checkpoints.py", "CheckpointStore"),
    ("sdk/manifest.py", "Checkpoint"),
    ("sdk/metrics.py", "Metrics"),
    ("sdk/server.py", "MetricsServer"),
    ("sdk/normalizer.py", "RewardNormalizer"),
    ("sdk/signals.py", "StopSignal"),
    ("sdk/serving.py", "served"),
    ("sdk/serving.py", "find"),
    ("sdk/serving.py", "copy"),
)
"""In the order in which a reader needs them."""
_SHOWN = ("__init__", "__call__")
_FOR_REGISTRIES = ("describe", "collect")
"""Methods that prometheus-client calls."""


def render() -> str:
    """The page docs/reference/trainer-sdk.md."""
    sections = "\n".join("\n".join(_section(*part)) for part in PARTS)
    return f"""\
<!-- Generated from the docstrings of trainer/accord_trainer. Do not edit. -->

# The SDK of a trainer

`pip install ./trainer`, and for `AccordCallback` also stable-baselines3 (`pip install './trainer[sb3]'`). Names
without a module are in `accord_trainer.sdk`. How they fit together:
[bring your own trainer](../how-to/bring-your-own-trainer.md).

{sections}"""


def _section(file: str, name: str) -> Iterator[str]:
    tree = ast.parse((TRAINER / file).read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name)
    module = f"accord_trainer.{file.removesuffix('.py').replace('/', '.')}"
    yield f"## {name}\n"
    if isinstance(found, ast.FunctionDef):
        returns = "" if found.returns is None else f" → {ast.unparse(found.returns)}"
        yield f"`{module}.{name}({ast.unparse(found.args)}){returns}`\n"
        yield f"{_words(found)}\n"
        return
    if file.startswith("sb3/") or name in ("MetricsServer", "Ppo", "RewardNormalization"):
        yield f"In `{module}`.\n"
    yield f"{_words(found)}\n"
    members = [*_members(found)]
    if members:
        yield "| member | what it is |\n| --- | --- |"
        yield from members
        yield ""


def _members(found: ast.ClassDef) -> Iterator[str]:
    for index, node in enumerate(found.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = found.body[index + 1] if index + 1 < len(found.body) else None
            default = "" if node.value is None else f" = {ast.unparse(node.value)}"
            yield _row(f"{node.target.id}: {ast.unparse(node.annotation)}{default}", _text_of(after))
        if not isinstance(node, ast.FunctionDef) or (node.name.startswith("_") and node.name not in _SHOWN):
            continue
        if node.name in _FOR_REGISTRIES:
            continue
        decorators = {ast.unparse(each) for each in node.decorator_list}
        returns = "" if node.returns is None else ast.unparse(node.returns)
        if "property" in decorators:
            yield _row(f"{node.name}: {returns}", _words(node))
            continue
        name = {"__init__": found.name, "__call__": f"{found.name}(…)"}.get(node.name, node.name)
        gives = "" if node.name == "__init__" or returns in ("", "None") else f" → {returns}"
        yield _row(f"{name}({_arguments(node)}){gives}", _words(node))
        if node.name == "__init__":
            yield from _attributes(node)


def _attributes(node: ast.FunctionDef) -> Iterator[str]:
    """What `__init__` sets and says a word about."""
    for index, statement in enumerate(node.body[:-1]):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        words = _text_of(node.body[index + 1])
        if isinstance(targets[0], ast.Attribute) and words:
            annotation = getattr(statement, "annotation", None)
            yield _row(targets[0].attr + ("" if annotation is None else f": {ast.unparse(annotation)}"), words)


def _arguments(node: ast.FunctionDef) -> str:
    text = ast.unparse(node.args)
    return text.removeprefix("self").removeprefix("cls").removeprefix(", ")


def _words(node: ast.ClassDef | ast.FunctionDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


def _text_of(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _row(code: str, words: str) -> str:
    cells = [" ".join(text.split()).replace("|", "\\|") for text in (code, words)]
    return f"| `{cells[0]}` | {cells[1]} |"
