"""`accord approve`: which kubeconfig it uses, and what it says of one that is of no use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from accord.adapters.kubernetes import connection
from accord.cli import main


class UsedError(Exception):
    """A kubeconfig was found to be usable, and this one would have been read."""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def load(path: str, context: str | None, *_: object, **__: object) -> None:
        raise UsedError(path, context)

    monkeypatch.setattr(connection.config, "load_kube_config", load)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def kubeconfig(path: Path, current: str = "dev") -> Path:
    context = {"name": "dev", "context": {"cluster": "c", "user": "u"}}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "contexts": [context], "current-context": current}))
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["approve", "p", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_the_variable_kubeconfig_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config")))
    with pytest.raises(UsedError) as used:
        main(["approve", "p", "--context", "dev"])
    assert used.value.args == (str(tmp_path / "config"), "dev")


def test_a_file_that_is_named_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UsedError) as used:
        main(["approve", "p", "--kubeconfig", str(kubeconfig(tmp_path / "config"))])
    assert used.value.args == (str(tmp_path / "config"), "dev")


def test_several_files_are_one_kubeconfig_as_for_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    several = os.pathsep.join(map(str, (tmp_path / "none", kubeconfig(tmp_path / "config"))))
    monkeypatch.setenv("KUBECONFIG", several)
    with pytest.raises(UsedError) as used:
        main(["approve", "p"])
    assert used.value.args == (str(tmp_path / "config"), "dev")


def test_without_any_it_says_how_to_give_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "use --kubeconfig FILE" in said(capsys)
    assert "use --kubeconfig FILE or set KUBECONFIG" in said(capsys, "--context", "dev")


def test_a_kubeconfig_of_no_use_is_named_with_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing, empty, broken = (tmp_path / name for name in ("missing", "empty", "broken"))
    empty.write_text("")
    broken.write_text("a: [")
    assert (
        said(capsys, "--kubeconfig", missing) == f"accord approve: {missing}: cannot read: No such file or directory\n"
    )
    assert "has no current context: use --context NAME" in said(capsys, "--kubeconfig", empty)
    assert f"{broken}: invalid YAML: line 1, column 5: " in said(capsys, "--kubeconfig", broken)
    usable = kubeconfig(tmp_path / "usable")
    assert "has no context 'prod'; it has: dev" in said(capsys, "--kubeconfig", usable, "--context", "prod")
