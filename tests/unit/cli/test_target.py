"""Where a command finds its cluster in a pod. Outside of one it is compared with kubectl, in tests/apiserver."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

from accord.cli import connection
from accord.cli.connection import Target
from accord.cli.errors import InputError


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The service account of a pod in the namespace `pods`."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("secret")
    (folder / "namespace").write_text("pods\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def found(account: Path, **given: object) -> Target:
    options = {"kubeconfig": None, "context": None, "namespace": None, **given}
    return connection.find(argparse.Namespace(**options), account)


def kubeconfig(path: Path, namespace: str | None = None, current: str = "dev") -> Path:
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    path.write_text(yaml.safe_dump({"contexts": [{"name": "dev", "context": context}], "current-context": current}))
    return path


def test_a_pod_has_its_service_account_and_its_own_namespace(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(account) == Target(None, None, "pods")
    assert found(account, namespace="other") == Target(None, None, "other")
    monkeypatch.setenv("POD_NAMESPACE", "downward")
    assert found(account) == Target(None, None, "downward")
    monkeypatch.delenv("POD_NAMESPACE")
    (account / "namespace").unlink()
    assert found(account) == Target(None, None, "default")


def test_a_kubeconfig_wins_in_a_pod_too(account: Path, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "shop")
    assert found(account, kubeconfig=path) == Target(str(path), "dev", "shop")
    # As in client-go: what no context says is the pod's.
    assert found(account, kubeconfig=kubeconfig(path)) == Target(str(path), "dev", "pods")
    assert found(account, kubeconfig=kubeconfig(path, current="")) == Target(None, None, "pods")


def test_a_context_that_is_named_is_not_the_pods(account: Path) -> None:
    with pytest.raises(
        InputError, match="no kubeconfig found for context 'dev': use --kubeconfig FILE or set KUBECONF"
    ):
        found(account, context="dev")


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token"])
def test_half_of_a_pod_is_none(missing: str, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(missing, raising=False)
    (account / missing).unlink(missing_ok=True)
    with pytest.raises(InputError, match="no kubeconfig found: use --kubeconfig FILE or set KUBECONFIG"):
        found(account)


def test_without_a_home_there_is_no_file_in_it(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert found(account) == Target(None, None, "pods")


def test_a_file_that_may_not_be_read_is_said(account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    (tmp_path / "home" / ".kube" / "config").mkdir()
    with pytest.raises(InputError, match=r"home/\.kube/config: cannot read: Is a directory"):
        found(account)
