"""The rights of the operator in the tests: those of the chart, and the policy that holds it to what it does.

A test's namespace gets what `helm install accord --namespace N --set namespaces={N,…}` makes of both, so that whatever
an operator asks for without a right to it, or writes beyond its own fields, is refused, and seen.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import yaml
from tests.apiserver.rig import Api, Namespace, OperatorProcess
from tools.generate import CHART
from tools.programs import go_program

_RELEASE, _WATCHED = "namespace-of-the-release", "namespace-that-is-watched"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": f"{_RBAC}/namespaces/{{}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{}}/rolebindings",
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}
_EVERYWHERE = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}


Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""
used: Counter[Right] = Counter()
"""How often each right was needed by the operators of this process's tests."""


class Audited(Protocol):
    """A control plane that records what is asked."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def recorded(self) -> int: ...

    def requests(self, since: int = 0) -> list[dict[str, Any]]: ...


@contextlib.contextmanager
def account(api: Api, control_plane: Audited, namespace: str, directory: Path) -> Iterator[Path]:
    """A kubeconfig with the rights that the chart gives to an operator of that namespace. At the end: none was lacking,
    as far as the control plane records what is asked.
    """
    began = control_plane.recorded
    give(api, namespace, namespace)
    try:
        yield kubeconfig(api, control_plane.kubeconfig, namespace, directory)
    finally:
        take_away(api, namespace)
    events = list(asked(control_plane, namespace, began))
    used.update(right for event in events for right in needed(event))
    assert not overstepped(events)


@contextlib.contextmanager
def operators(
    api: Api, control_plane: Audited, namespace: Namespace, directory: Path
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that watch only that namespace, with those rights, without an election unless asked for."""
    with contextlib.ExitStack() as stack:
        given = stack.enter_context(account(api, control_plane, namespace.name, directory))

        def start(**config: Any) -> OperatorProcess:
            settings = {"namespaces": [namespace.name], "leaderElection": {"enabled": False}, **config}
            return stack.enter_context(OperatorProcess(given, directory, **settings))

        yield start


def user(namespace: str) -> str:
    """Who the operator of a namespace is."""
    return f"system:serviceaccount:{namespace}:accord"


def policy_name(namespace: str) -> str:
    """Of the ValidatingAdmissionPolicy and its binding."""
    return f"accord.{namespace}"


@functools.cache
def _rendered(watched: str = "") -> str:
    command = [go_program("helm"), "template", "accord", CHART, "--namespace", _RELEASE]
    values = ["--set", "crds.install=false,rbac.aggregate=false"]
    namespaces = ["--set", f"namespaces={{{watched}}}"] if watched else []
    done = subprocess.run([*command, *values, *namespaces], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def give(api: Api, release: str, watched: str) -> None:
    """Make them, or add a namespace that is watched too. What is there already stays as it is."""
    for manifest in yaml.safe_load_all(_rendered(_WATCHED).replace(_RELEASE, release).replace(_WATCHED, watched)):
        if manifest and manifest["kind"] in _COLLECTIONS:
            collection = _COLLECTIONS[manifest["kind"]].format(manifest["metadata"].get("namespace"))
            if api.get(f"{collection}/{manifest['metadata']['name']}") is None:
                api.create(collection, manifest)


def give_everywhere(api: Api, release: str) -> None:
    """The rights of a release that watches all namespaces. The name of what is cluster-wide is the test's own."""
    name = policy_name(release)
    if api.get(f"{_RBAC}/clusterroles/{name}") is not None:
        return
    for manifest in yaml.safe_load_all(_rendered().replace(_RELEASE, release)):
        if manifest and manifest["kind"] in _EVERYWHERE:
            manifest["metadata"]["name"] = name
            if "roleRef" in manifest:
                manifest["roleRef"]["name"] = name
            api.create(f"{_RBAC}/{_EVERYWHERE[manifest['kind']]}", manifest)


def take_away(api: Api, namespace: str) -> None:
    """What is cluster-wide of them: the API server would go on to ask the policy about each write of anybody."""
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        api.delete(f"{_COLLECTIONS[kind]}/{policy_name(namespace)}")
    for plural in _EVERYWHERE.values():
        if api.get(f"{_RBAC}/{plural}/{policy_name(namespace)}") is not None:
            api.delete(f"{_RBAC}/{plural}/{policy_name(namespace)}")


def kubeconfig(api: Api, of: Path, namespace: str, directory: Path) -> Path:
    """A kubeconfig with a token of that account; the server and its certificate are those of `of`."""
    path = f"{_COLLECTIONS['ServiceAccount'].format(namespace)}/accord/token"
    token = api.create(path, {"spec": {"expirationSeconds": 86400}})["status"]["token"]
    config = yaml.safe_load(of.read_text())
    config["users"][0]["user"] = {"token": token}
    written = directory / f"rights-{namespace}.yaml"
    written.write_text(yaml.safe_dump(config))
    return written


def asked(control_plane: Audited, namespace: str, since: int) -> Iterator[dict[str, Any]]:
    """Requests of the operators of a namespace since then, as the API server's audit log has them."""
    account = user(namespace)
    return (event for event in control_plane.requests(since) if event["user"]["username"] == account)


def overstepped(events: Iterable[dict[str, Any]]) -> list[str]:
    """Requests that there is no right for, or that the policy has refused.

    An API server that has just started does not know all roles yet: what is refused once and allowed another time is
    no missing right.
    """
    asked_for = list(events)
    allowed = {_right(event) for event in asked_for if _decision(event) == "allow"}
    found = []
    for event in asked_for:
        said = (event.get("responseStatus") or {}).get("message", "")
        no_right = _decision(event) == "forbid" and _right(event) not in allowed
        if no_right or "ValidatingAdmissionPolicy 'accord." in said:
            found.append(f"{event['verb']} {event['requestURI']}: {said or 'no right'}")
    return found


def needed(event: dict[str, Any]) -> Iterator[Right]:
    """The rights that allowed a request: two where a server-side apply made the object."""
    if _decision(event) != "allow":
        return
    about = event.get("objectRef") or {}
    resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource"))))
    yield about.get("apiGroup", ""), resource, event["verb"]
    if event["verb"] == "patch" and (event.get("responseStatus") or {}).get("code") == 201:
        yield about.get("apiGroup", ""), resource, "create"


def _decision(event: dict[str, Any]) -> str:
    return str((event.get("annotations") or {}).get("authorization.k8s.io/decision", ""))


def _right(event: dict[str, Any]) -> tuple[str, ...]:
    about = event.get("objectRef") or {}
    return (event["verb"], *(str(about.get(key, "")) for key in ("apiGroup", "resource", "subresource", "namespace")))
