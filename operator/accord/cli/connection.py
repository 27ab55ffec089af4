"""Which cluster and namespace a command works on: by kubectl's own rules, as client-go has them.

`--kubeconfig`, else the files of `$KUBECONFIG`, else `~/.kube/config`. Of several files the first to say something
wins: for the current context, and for each context, cluster and user. Files that are missing are passed over, but for
one that is named. Where none says a context: the service account of the pod.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.cli.documents import yaml_documents
from accord.cli.errors import CommandError, InputError

if TYPE_CHECKING:
    from accord.adapters.kubernetes.connection import Connection

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Target:
    """Where a command works."""

    kubeconfig: str | None
    """Files to be merged, written like the variable KUBECONFIG; None: the service account of the pod."""
    context: str | None
    namespace: str


def find(args: argparse.Namespace, account: Path = _ACCOUNT) -> Target:
    """By the options of `options.cluster` and `options.namespace`. InputError where there is no usable cluster.

    `account`: the folder in which a pod finds its service account.
    """
    files = dict(_read(args.kubeconfig))
    contexts = _contexts(files)
    currents = (content.get("current-context") for content in files.values())
    name = args.context or next((str(each) for each in currents if each), None)
    named, namespace = os.pathsep.join(map(str, files)), getattr(args, "namespace", None)
    if name is None:
        if _is_in_pod(account):
            return Target(None, None, namespace or _of_pod(account))
        raise InputError(
            f"kubeconfig {named} has no current context: use --context NAME"
            if files
            else "no kubeconfig found: use --kubeconfig FILE or set KUBECONFIG"
        )
    if name not in contexts:
        if not files:
            raise InputError(f"no kubeconfig found for context {name!r}: use --kubeconfig FILE or set KUBECONFIG")
        known = ", ".join(sorted(contexts)) or "none"
        raise InputError(f"kubeconfig {named} has no context {name!r}; it has: {known}")
    own = contexts[name].get("namespace")
    rest = _of_pod(account) if _is_in_pod(account) else "default"
    # What is empty would not be merged: the client takes each for a map.
    usable = os.pathsep.join(str(path) for path, content in files.items() if content)
    return Target(usable, name, namespace or (str(own) if own else rest))


def kubectl(args: argparse.Namespace, *words: str) -> str:
    """A command of kubectl for the same cluster, to be pasted into a shell."""
    where = [f"--{option}={value}" for option in ("kubeconfig", "context") if (value := getattr(args, option))]
    return shlex.join(["kubectl", *where, *words])


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Connection]:
    """A connection to the cluster, closed in the end. CommandError for what the API server refuses meanwhile, or if it
    is not reachable; InputError for a kubeconfig that cannot be used.
    """
    from accord.ports.cluster import ClusterError

    connection = await opened(target)
    try:
        yield connection
    except ClusterError as error:
        raise CommandError(str(error)) from error
    finally:
        await connection.close()


async def opened(target: Target) -> Connection:
    """A connection that the caller closes. InputError for a kubeconfig that cannot be used."""
    from accord.adapters.kubernetes.connection import Connection, ConnectionNotFoundError
    from accord.observability.metrics import OperatorMetrics

    try:
        return await Connection.open(OperatorMetrics(), target.kubeconfig, target.context)
    except ConnectionNotFoundError as error:
        raise InputError(str(error)) from error


def _read(explicit: Path | None) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The files that there are, in their order; nothing in one that is empty. InputError."""
    if explicit is not None:
        paths = [explicit]
    else:
        named = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
        paths = [path for path in named or _at_home() if path.exists()]
    for path in paths:
        found = next(iter(yaml_documents(path)), None)
        if not isinstance(found, dict | None):
            raise InputError(f"{path}: not a kubeconfig")
        yield path, found or {}


def _at_home() -> list[Path]:
    home = os.environ.get("HOME")
    return [Path(home, ".kube", "config")] if home else []


def _contexts(files: Mapping[Path, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By name. InputError where one is not as it should be."""
    found: dict[str, Mapping[str, Any]] = {}
    for path, content in files.items():
        entries = content.get("contexts") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{path}: contexts must be a list of objects")
        for entry in entries:
            context = entry.get("context")
            found.setdefault(str(entry.get("name")), context if isinstance(context, dict) else {})
    return found


def _is_in_pod(account: Path) -> bool:
    variables = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
    return all(os.environ.get(name) for name in variables) and (account / "token").is_file()


def _of_pod(account: Path) -> str:
    """The pod's own namespace."""
    if os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    try:
        return (account / "namespace").read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"
