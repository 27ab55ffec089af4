"""A release is made of a commit alone, and is the same bytes wherever and whenever it is made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tools.programs import ROOT, go_program

from tools import release, sbom

MADE = {
    "CHANGELOG.md",
    "SHA256SUMS",
    "accord-1.2.3-rc.1.tgz",
    "accord-crds-1.2.3-rc.1.yaml",
    "accord_operator-1.2.3rc1-py3-none-any.whl",
    "accord_trainer-1.2.3rc1-py3-none-any.whl",
    "accord_operator-1.2.3rc1.cdx.json",
    "accord_trainer-1.2.3rc1.cdx.json",
}


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        env={
            "PATH": os.environ["PATH"],
            "GIT_AUTHOR_DATE": "2026-05-03T12:00:00Z",
            "GIT_COMMITTER_DATE": "2026-05-03T12:00:00Z",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        },
    )


def checkout(root: Path) -> Path:
    """A repository of one commit, with the files of this one as they are now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Everything")
    return root


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same commit made into a release in two places: with another umask, mode and age of the files."""
    made = []
    for number, umask in enumerate((0o022, 0o077)):
        before = os.umask(umask)
        try:
            root = checkout(tmp_path_factory.mktemp(f"place-{number}"))
            for path in root.joinpath("operator").rglob("*.py"):
                os.utime(path, (number * 1e9, number * 1e9))
            made.append(release.release("1.2.3-rc.1", root))
        finally:
            os.umask(before)
    return made[0], made[1]


def test_two_runs_give_the_same_bytes(places: tuple[Path, Path]) -> None:
    sums = [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()} for place in places]
    assert set(sums[0]) == MADE
    assert sums[0] == sums[1]
    told = dict(reversed(line.split()) for line in (places[0] / "SHA256SUMS").read_text().splitlines())
    assert told == {name: digest for name, digest in sums[0].items() if name != "SHA256SUMS"}


def test_every_part_has_the_version(places: tuple[Path, Path]) -> None:
    chart = places[0] / "accord-1.2.3-rc.1.tgz"
    with tarfile.open(chart) as packed:
        names = packed.getnames()
        about = yaml.safe_load(packed.extractfile("accord/Chart.yaml"))  # type: ignore[arg-type]
    assert (about["version"], about["appVersion"]) == ("1.2.3-rc.1", "1.2.3-rc.1")
    assert names[0] == "accord/Chart.yaml"
    assert not [name for name in names if name.endswith(".md")]
    shown = subprocess.run(
        [str(go_program("helm")), "template", "accord", str(chart)], capture_output=True, text=True, check=True
    )
    assert "image: accord/operator:1.2.3-rc.1" in shown.stdout
    for name, module in (("accord_operator", "accord/app.py"), ("accord_trainer", "accord_trainer/sdk/__init__.py")):
        with zipfile.ZipFile(places[0] / f"{name}-1.2.3rc1-py3-none-any.whl") as wheel:
            assert module in wheel.namelist()
            assert "Version: 1.2.3rc1" in wheel.read(f"{name}-1.2.3rc1.dist-info/METADATA").decode()
    crds = list(yaml.safe_load_all((places[0] / "accord-crds-1.2.3-rc.1.yaml").read_text()))
    assert sorted(crd["spec"]["names"]["kind"] for crd in crds) == ["CheckpointPolicy", "TrafficPolicy", "TrainingRun"]


@pytest.mark.parametrize("name", ["operator", "trainer"])
def test_the_sbom_names_every_package_that_the_image_installs(places: tuple[Path, Path], name: str) -> None:
    listed = json.loads((places[0] / f"accord_{name}-1.2.3rc1.cdx.json").read_text())
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = {line.split(" ")[0].replace("_", "-") for line in lines if "==" in line and not line.startswith("#")}
    assert {f"{each['name']}=={each['version']}" for each in listed["components"]} == pins
    assert all(each["externalReferences"][0]["hashes"] for each in listed["components"])
    about = listed["metadata"]
    assert about["timestamp"] == "2026-05-03T12:00:00Z"
    assert about["component"]["purl"] == f"pkg:pypi/accord-{name}@1.2.3rc1"
    # Whatever is there is asked for by something that is there, down from the wheel.
    needs = {each["ref"]: set(each["dependsOn"]) for each in listed["dependencies"]}
    reached, left = set(), {about["component"]["bom-ref"]}
    while left:
        reached |= left
        left = {needed for ref in left for needed in needs[ref]} - reached
    assert reached == {about["component"]["bom-ref"], *(each["bom-ref"] for each in listed["components"])}


def test_a_package_is_asked_for_by_whom_the_lock_names() -> None:
    text = (
        "a==1 \\\n    --hash=sha256:"
        + "0" * 64
        + "\n    # via -r requirements/x.in\nB_c[d]==2\n    # via\n    #   a\n    #   e\n"
    )
    found = list(sbom.pinned(text))
    assert found == [("a", "1", ("0" * 64,), ("-r requirements/x.in",)), ("b-c", "2", (), ("a", "e"))]


def test_a_tree_with_changes_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=Nothing")
    (tmp_path / "new.py").write_text("")
    with pytest.raises(release.ReleaseError, match=r"changes that are in no commit:\n\?\? new.py"):
        release.release("1.2.3", tmp_path)
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("version", ["", "v1.2.3", "1.2", "latest", "1.2.3 "])
def test_what_is_no_version_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(release.ReleaseError, match="is no version"):
        release.release(version, tmp_path)


@pytest.mark.parametrize(
    ("version", "spelled"), [("1.2.3", "1.2.3"), ("1.2.3-rc.1", "1.2.3rc1"), ("1.2.3-alpha2", "1.2.3a2")]
)
def test_python_spells_a_prerelease_in_its_own_way(version: str, spelled: str) -> None:
    assert release.python_version(version) == spelled


def test_the_changelog_has_what_is_new_since_the_tag_by_what_it_is_about(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for tag, subject, file in (
        ("v1.0.0", "Old", "operator/accord/a.py"),
        ("", "A field is new", "crds/x.yaml"),
        ("", "A command says more", "operator/accord/b.py"),
        ("", "A page is clearer", "docs/a.md"),
        ("v1.1.0", "A test waits", "tests/a.py"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(subject)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", f"--message={subject}")
        if tag:
            git(tmp_path, "tag", tag)
    said = release.changelog("1.1.0", datetime(2026, 5, 3, tzinfo=UTC), release.changes(tmp_path))
    assert said == (
        "# Accord 1.1.0 (2026-05-03)\n\n"
        "## Kinds and chart\n\n- A field is new\n\n"
        "## Operator and commands\n\n- A command says more\n\n"
        "## Documentation\n\n- A page is clearer\n\n"
        "## Tests, demo and tools\n\n- A test waits\n"
    )


def test_the_workflow_does_what_every_other_machine_does() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert {".ci/run", "site"} <= {step["run"].split()[-1] for step in job["steps"] if "run" in step}
