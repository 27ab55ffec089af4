"""What `accord plan` says to input that it cannot use, and how it reads what it can."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from accord import cli
from accord.cli.errors import InputError
from accord.cli.plan import planning
from accord.cli.printer import Printer
from accord.config import Config

POLICY = """
apiVersion: accord.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: shop%s}
spec:
  modes: [{name: fast, weight: 100, deploymentRef: {name: fast}, port: 8080}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: fast, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {selector: {matchLabels: {app: fast}}}
"""


def run(*paths: Path, namespace: str | None = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    printer = Printer("accord plan", out, err)
    try:
        code: int = planning.plan(paths, namespace, "yaml", Config(), printer)
    except InputError as error:
        printer.problem(str(error))
        code = error.exit
    return code, out.getvalue(), err.getvalue()


def write(directory: Path, text: str, name: str = "in.yaml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "in.yaml: invalid YAML"),
        ("a: 1\na: 2", "line 2: duplicate key 'a'"),
        ("just text", "document 1: not a Kubernetes object"),
        ("---\n---\nkind: X", "document 2: apiVersion is required"),
        ("apiVersion: v1", "document 1: kind is required"),
        ("apiVersion: v1\nkind: X", "document 1, X: metadata.name is required"),
        ("apiVersion: v1\nkind: X\nmetadata: {name: 7}", "document 1, X: metadata.name is required"),
        (DEPLOYMENT, "none of the 1 objects has apiVersion accord.dev/v1alpha1: nothing to plan"),
        (f"{POLICY % ''}---{POLICY % ''}", "document 2, TrafficPolicy shop: already defined in"),
        (POLICY % ", namespace: other", "metadata.namespace is other, but --namespace is demo"),
    ],
)
def test_input_that_cannot_be_read(tmp_path: Path, text: str, part: str) -> None:
    code, out, err = run(write(tmp_path, text), namespace="demo")
    assert (code, out) == (2, "")
    assert part in err


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing = f"accord plan: {tmp_path}/none.yaml: cannot read: No such file or directory\n"
    assert run(tmp_path / "none.yaml")[::2] == (2, missing)
    code, _, err = run(tmp_path)
    assert code == 2
    assert "no .yaml, .yml, .json files in this directory" in err
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "invalid UTF-8" in run(binary)[2]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("{}", "Deployment fast: spec.selector: is required"),
        ("7", "Deployment fast: spec: must be of type object, not integer"),
        ("{selector: {matchLabels: [a]}}", "spec.selector.matchLabels: must be of type object, not array"),
        ("{selector: {matchLabels: {a: b}}, replicas: two}", "spec.replicas: must be of type integer, not string"),
    ],
)
def test_deployments_without_use(tmp_path: Path, spec: str, part: str) -> None:
    text = f"{POLICY % ''}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: fast}}\nspec: {spec}\n"
    code, out, err = run(write(tmp_path, text))
    assert (code, out) == (2, "")
    assert f"document 2, {part}" in err or part in err


POD = "{containers: [{name: a, ports: 7}]}"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            DEPLOYMENT.replace("}}}", "}}, template: {spec: {containers: [7]}}}"),
            "containers[0]: must be of type object",
        ),
        (DEPLOYMENT.replace("}}}", "}}, template: {spec: " + POD + "}}"), "containers[0].ports: must be of type array"),
        (DEPLOYMENT.replace("name: fast,", "name: fast, labels: [a],"), "metadata.labels: must be of type object"),
        (DEPLOYMENT.replace("name: fast,", "name: fast, namespace: {},"), "metadata.namespace must be a string"),
        (
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {resources: 7}",
            "spec.resources: must",
        ),
        ("apiVersion: v1\nkind: List\nitems: 7", "document 2, List: items must be a list"),
        ("apiVersion: v1\nkind: X\nmetadata: {name: .nan}", "line 10: .nan is not a finite number"),
    ],
)
def test_other_objects_that_a_plan_cannot_read(tmp_path: Path, text: str, part: str) -> None:
    code, out, err = run(write(tmp_path, f"{POLICY % ''}---\n{text.lstrip()}"))
    assert (code, out) == (2, "")
    assert part in err


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("status: {modes: 7}", "TrafficPolicy shop: status.modes: "),
        ("status: 7", "TrafficPolicy shop: status: "),
    ],
)
def test_a_status_that_a_plan_cannot_begin_with(tmp_path: Path, text: str, part: str) -> None:
    code, out, err = run(write(tmp_path, f"{POLICY % ''}{text}\n---{DEPLOYMENT}"))
    assert (code, out) == (2, "")
    assert part in err


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("env", [{"name": "LEVEL", "value": 7}], "env[0].value: must be of type string, not integer"),
        ("resources", {"limits": {"memory": "400MB"}}, "resources.limits.memory: must be of the form"),
    ],
)
def test_the_template_of_a_run_is_read_as_a_pods(tmp_path: Path, field: str, value: object, part: str) -> None:
    text = (Path(__file__).parents[2] / "manifests/examples/trainingrun-linear.yaml").read_text(encoding="utf-8")
    spec = yaml.safe_load(text)
    spec["spec"]["template"]["spec"]["containers"][0][field] = value
    code, out, err = run(write(tmp_path, yaml.safe_dump(spec)))
    assert (code, out) == (2, "")
    assert f"spec.template.spec.containers[0].{part}" in err


def test_directories_lists_and_namespaces(tmp_path: Path) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n- " + DEPLOYMENT.strip().replace("\n", "\n  ")
    write(tmp_path, POLICY % "", "a.yaml")
    write(tmp_path, listed, "b.yml")
    write(tmp_path, "not looked at", "notes.txt")
    code, out, err = run(tmp_path, namespace="demo")
    assert (code, err) == (0, "")
    assert out.startswith("# TrafficPolicy demo/shop\n")
    assert run(tmp_path)[1] == out.replace("demo", "default")


def test_two_policies_that_meet_in_one_name(tmp_path: Path) -> None:
    one = POLICY.replace("name: fast, weight", "name: eu-fast, weight") % ""
    code, _, err = run(write(tmp_path, f"{one}---{POLICY % '-eu'}---{DEPLOYMENT}"))
    assert code == 1
    assert "Service shop-eu-fast already exists and belongs to TrafficPolicy shop: rename mode fast" in err


def test_a_run_gets_a_claim_and_a_job(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "manifests/examples/trainingrun-linear.yaml").read_text(encoding="utf-8")
    code, out, err = run(write(tmp_path, text))
    assert (code, err) == (0, "")
    claim, job = filter(None, yaml.safe_load_all(out))
    assert (claim["kind"], job["kind"]) == ("PersistentVolumeClaim", "Job")
    assert "ownerReferences" not in job["metadata"]


def test_a_policy_whose_deployment_is_not_given(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "manifests/examples/checkpointpolicy-snapshots.yaml").read_text(
        encoding="utf-8"
    )
    code, out, err = run(write(tmp_path, text))
    assert code == 1
    assert "TrainingRun ranker not found: add its manifest" in err
    assert "Deployment ranker not found: add its manifest" in err
    assert "kind: VolumeSnapshot" in out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "envoy: {image: 'registry.example/envoy:9'}", "config")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{POLICY % ''}---{DEPLOYMENT}"))
    assert cli.main(["plan", "-f", "-", "--config", str(config), "-o", "json"]) == 0
    assert "registry.example/envoy:9" in capsys.readouterr().out
    assert cli.main(["plan", "-f", "-", "--config", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err
