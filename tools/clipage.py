"""The reference page of the commands, from their parsers: nothing of it depends on how argparse formats its help."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from accord.cli.command import Command
from accord.cli.commands import COMMANDS
from accord.cli.exits import Exit


def render(commands: tuple[Command, ...] = COMMANDS) -> str:
    """The page docs/reference/cli.md."""
    return "\n".join(
        [
            "<!-- Generated from operator/accord/cli. Do not edit. -->",
            "",
            "# Commands",
            "",
            "`accord` and `kubectl accord` are one program: `kubectl-accord` on the `PATH` is all that kubectl needs.",
            "`pip install '.[cli]'` installs both. Without the extra `cli`, as in the operator's image,",
            "manifests cannot be checked and output has no colors.",
            "",
            *_list(commands),
            *_exits(),
            *_shared(),
            *(line for command in commands for line in _section(command)),
        ]
    )


def _list(commands: tuple[Command, ...]) -> Iterator[str]:
    yield from ("| command | what it does |", "| --- | --- |")
    for command in commands:
        yield f"| [`{command.name}`](#accord-{command.name}) | {command.summary} |"
    yield ""


def _exits() -> Iterator[str]:
    yield from ("## Exit codes", "", "| code | meaning |", "| --- | --- |")
    for code in Exit:
        yield f"| {code.value} | {code.meaning} |"
    yield from (
        "",
        "The same mistake has the same message and exit code in all commands. Messages go to stderr, each line after",
        "the name of the command; stdout has only what was asked for.",
        "",
    )


def _shared() -> Iterator[str]:
    yield from (
        "## Cluster and namespace",
        "",
        "As for kubectl: `--kubeconfig`, else the files in `$KUBECONFIG`, else `~/.kube/config`, else the service",
        "account in a pod. Several files are merged: the first to define a context, a cluster, a user or the current",
        "context is used. The namespace is that of `-n`, else of the context, else `default` (in a pod, its own).",
        "`crds`, `plan`, `schedule` and `backtest` need no cluster.",
        "",
        "## Output",
        "",
        "`-o table` is for people, `-o json` and `-o yaml` are for programs. Colors are used on a terminal only, and",
        "not if `NO_COLOR` is set.",
        "",
    )


def _section(command: Command) -> Iterator[str]:
    parser = argparse.ArgumentParser(prog=f"accord {command.name}", add_help=False)
    command.arguments(parser)
    actions = list(parser._actions)  # noqa: SLF001  argparse tells nobody
    yield from (f"## accord {command.name}", "", command.description, "")
    if actions:
        yield from ("| argument | meaning |", "| --- | --- |")
        yield from (f"| {_name(action)} | {_meaning(action, parser)} |" for action in actions)
        yield ""


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar}`"
    value = "" if action.nargs == 0 else f" {action.metavar or _choices(action)}"
    return ", ".join(f"`{option}`" for option in action.option_strings)[:-1] + f"{value}`"


def _choices(action: argparse.Action) -> str:
    return "|".join(map(str, action.choices or ())).replace("|", "\\|") or action.dest.upper()


def _meaning(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {"default": action.default}
    if action.required:
        text += "; required"
    for group in parser._mutually_exclusive_groups:  # noqa: SLF001
        members = group._group_actions  # noqa: SLF001
        others = [f"`{each.option_strings[-1]}`" for each in members if each is not action]
        if action in members:
            text += f"; {'this or' if group.required else 'not with'} {' or '.join(others)}"
            text += " is required" if group.required else ""
    return text.replace("|", "\\|")
