"""The same mistake is answered with the same words and the same exit code by every command that it can be made in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accord.cli import main
from accord.cli.exits import Exit

RUN = """\
apiVersion: accord.dev/v1alpha1
kind: TrainingRun
metadata: {name: r}
spec:
  template: {spec: {containers: [{name: trainer, image: x}]}}
"""
POLICY = """\
---
apiVersion: accord.dev/v1alpha1
kind: CheckpointPolicy
metadata: {name: p}
spec: {trainingRunRef: {name: r}}
"""

Made = Callable[[Path], Path]
"""Makes the mistake in a directory; returns the path that a command is given."""


def holding(content: str | bytes) -> Made:
    def make(directory: Path) -> Path:
        path = directory / "in.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


UNREADABLE: dict[str, tuple[Made, str]] = {
    "a file that is missing": (lambda d: d / "none.yaml", "{}: cannot read: No such file or directory"),
    "no UTF-8": (holding(b"a: \xff\n"), "{}: invalid UTF-8: 'utf-8' codec can't decode byte 0xff in position 3"),
    "no YAML": (holding("a: [1\nb: 2"), "{}: invalid YAML: line 2, column 2: expected ',' or ']', but got ':'"),
    "a character that YAML does not have": (holding("a: \x00"), "{}: invalid YAML: unacceptable character #x0000"),
    "a key that is there twice": (holding("a: 1\na: 2"), "{}: invalid YAML: line 2: duplicate key 'a'"),
    "a template that nobody rendered": (
        holding("a: {{ .Values.a }}"),
        "{}: invalid YAML: line 1, column 5: a list or an object is no key",
    ),
    "a number without end": (holding("a: " + "9" * 5000), "{}: invalid YAML: line 1: number out of range"),
}
UNUSABLE: dict[str, tuple[Made, str]] = {
    "a directory without manifests": (lambda d: d, "{}: no .yaml, .yml, .json files in this directory"),
    "no object": (holding("just text"), "{}, document 1: not a Kubernetes object"),
    "no apiVersion": (holding("kind: X"), "{}, document 1: apiVersion is required"),
    "no kind": (holding("apiVersion: v1"), "{}, document 1: kind is required"),
    "no name": (holding(RUN.replace("{name: r}", "{}")), "{}, document 1, TrainingRun: metadata.name is required"),
    "an object given twice": (
        holding(f"{RUN}---\n{RUN}{POLICY}"),
        "{}, document 2, TrainingRun r: already defined in {}, document 1",
    ),
    "an unknown field": (
        holding(f"{RUN}  totalStep: 5\n{POLICY}"),
        "{}, document 1, TrainingRun r: spec.totalStep: unknown field; did you mean totalSteps?",
    ),
    "a value of another type": (
        holding(f"{RUN}  totalSteps: ten\n{POLICY}"),
        "{}, document 1, TrainingRun r: spec.totalSteps: must be of type integer, not string",
    ),
    "a value that is not one of those there are": (
        holding(f"{RUN}  schedules: {{entropyCoef: {{decayStrategy: Cosin}}}}\n{POLICY}"),
        "{}, document 1, TrainingRun r: spec.schedules.entropyCoef.decayStrategy: must be one of Linear, Cosine, "
        "Constant, not 'Cosin'; did you mean Cosine?",
    ),
    "a rule that is broken": (
        holding(RUN.replace("name: trainer", "name: other") + POLICY),
        "{}, document 1, TrainingRun r: spec.template.spec.containers: template needs a container named trainer",
    ),
    "two mistakes": (
        holding(f"{RUN}  one: 1\n  two: 2\n{POLICY}"),
        "{}, document 1, TrainingRun r: spec.one: unknown field\n"
        "{}, document 1, TrainingRun r: spec.two: unknown field",
    ),
}
READERS = {
    "plan": ("plan", "-f"),
    "schedule": ("schedule", "-f"),
    "backtest": ("backtest", "--csv", "run.csv", "-f"),
    "plan as json": ("plan", "-o", "json", "-f"),
}
CONFIGURED = {"plan": ("plan", "-f", "good.yaml", "--config"), "run": ("run", "--config")}
CONNECTED = {
    "run": ("run", "--kubeconfig"),
    "approve": ("approve", "p", "--kubeconfig"),
    "approve --list": ("approve", "--list", "--kubeconfig"),
    "report": ("report", "--kubeconfig"),
    "doctor": ("doctor", "--kubeconfig"),
}
WRITERS = {
    "schedule": ("schedule", "-f", "good.yaml", "--plot"),
    "backtest": ("backtest", "-f", "good.yaml", "--csv", "run.csv", "--plot"),
    "crds": ("crds", "--write"),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the good files are; the others are below it."""
    (tmp_path / "good.yaml").write_text(RUN + POLICY)
    (tmp_path / "run.csv").write_text("step,loss,reward\n1,1,1\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").mkdir()
    return tmp_path / "bad"


def told(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], path: Path, code: Exit) -> list[str]:
    """What a command says, without its name."""
    assert main([*arguments, str(path)]) == code
    lines = capsys.readouterr().err.splitlines()
    name = f"accord {arguments[0]}: "
    assert all(line.startswith(name) for line in lines), lines
    return [line.removeprefix(name) for line in lines]


def assert_said(lines: list[str], message: str, path: Path) -> None:
    expected = message.replace("{}", str(path)).splitlines()
    assert len(lines) == len(expected), lines
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize("mistake", [*UNREADABLE, *UNUSABLE])
@pytest.mark.parametrize("reader", READERS)
def test_in_manifests(reader: str, mistake: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, message = (UNREADABLE | UNUSABLE)[mistake]
    path = make(place)
    assert_said(told(capsys, READERS[reader], path, Exit.INVALID), message, path)


@pytest.mark.parametrize("mistake", UNREADABLE)
@pytest.mark.parametrize("command", CONFIGURED)
def test_in_the_configuration(command: str, mistake: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, message = UNREADABLE[mistake]
    path = make(place)
    assert_said(told(capsys, CONFIGURED[command], path, Exit.INVALID), message, path)


@pytest.mark.parametrize("command", CONFIGURED)
def test_a_field_that_the_configuration_does_not_have(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = holding("xds: {prot: 1}")(place)
    assert_said(told(capsys, CONFIGURED[command], path, Exit.INVALID), "{}: xds.prot: unknown field", path)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        *UNREADABLE.values(),
        (holding("just text"), "{}: not a kubeconfig"),
        (holding("contexts: {a: b}"), "{}: contexts must be a list of objects"),
        (holding("contexts: []"), "kubeconfig {} has no current context: use --context NAME"),
        (holding("current-context: dev"), "kubeconfig {} has no context 'dev'; it has: none"),
        (
            holding("current-context: dev\ncontexts: [{name: dev, context: {cluster: c, user: u}}]"),
            "invalid kubeconfig {}: ",
        ),
    ],
)
@pytest.mark.parametrize("command", CONNECTED)
def test_in_the_kubeconfig(
    command: str,
    mistake: Made,
    message: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = mistake(place)
    assert_said(told(capsys, CONNECTED[command], path, Exit.INVALID), message, path)


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_that_cannot_be_written(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "file").touch()
    path = place / "file" / "x.svg"
    assert_said(told(capsys, WRITERS[command], path, Exit.FAILED), "{}: cannot write: Not a directory", path)


@pytest.mark.parametrize("arguments", [("backtest", "-f", "good.yaml", "--csv"), ("crds", "--check")])
def test_another_input_that_is_missing(
    arguments: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = UNREADABLE["a file that is missing"][1]
    assert_said(told(capsys, arguments, place / "none", Exit.INVALID), message, place / "none")


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "-f", "good.yaml", "-o", "xml"),
        ("schedule", "-f", "good.yaml", "-o", "xml"),
        ("backtest", "-f", "good.yaml", "--csv", "run.csv", "-o", "xml"),
        ("crds", "-o", "xml"),
        ("approve", "p", "-o", "xml"),
        ("schedule", "-f", "good.yaml", "--plot", "x.png"),
        ("backtest", "-f", "good.yaml", "--csv", "run.csv", "--plot", "x.png"),
        ("backtest", "-f", "good.yaml", "--csv", "run.csv", "--every", "0"),
        ("backtest", "-f", "good.yaml", "--csv", "run.csv", "--every", "soon"),
        ("backtest", "-f", "good.yaml", "--csv", "run.csv", "--speed", "fast"),
        ("report", "-o", "xml"),
        ("doctor", "-o", "xml"),
        ("report", "--range", "0s"),
        ("report", "--range", "soon"),
        ("report", "--max-errors", "-1"),
        ("plan",),
        ("plan", "--nonsense"),
        ("nonsense",),
        (),
    ],
)
def test_an_option_that_is_wrong(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == Exit.INVALID
    said = capsys.readouterr().err
    assert said.startswith("usage: accord")
    value = {"xml": "invalid choice: 'xml'", "x.png": "'x.png' is not a .svg file", "0": "'0' must be a whole number"}
    value |= {
        "-1": "'-1' must be a number, 0 or more",
        "0s": "'0s' must be more than 0s",
        "fast": "'fast' must be a number greater than 0",
    }
    value |= {
        "soon": "'soon' is not a duration" if "--range" in arguments else "'soon' must be a whole number, 1 or more"
    }
    assert value.get(arguments[-1] if arguments else "", "error: ") in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("approve",), "NAME is required, or --list"),
        (("approve", "p", "--list"), "NAME cannot be used with --list"),
        (("approve", "p", "-A"), "--all-namespaces can only be used with --list"),
        (("backtest", "-f", "good.yaml", "--csv", "run.csv", "--end", "x"), "--range and --end can only be used with"),
        (("backtest", "-f", "good.yaml", "--prometheus", "http://x"), "--prometheus needs --range"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == Exit.INVALID
    assert capsys.readouterr().err.startswith(f"accord {arguments[0]}: {message}")


@pytest.mark.parametrize("reader", ["schedule", "backtest"])
def test_an_object_that_is_meant_and_not_there(reader: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind = {"schedule": "TrainingRun", "backtest": "CheckpointPolicy"}[reader]
    assert main([*READERS[reader], "good.yaml", "--name", "z"]) == Exit.INVALID
    assert capsys.readouterr().err == f"accord {reader}: good.yaml: no {kind} named z found\n"


def test_what_does_not_refer_to_an_invalid_run_is_planned(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = RUN.replace("{name: r}", "{name: other}")
    path = holding(f"{RUN}  totalStep: 5\n{POLICY}---\n{other}")(place)
    assert main(["plan", "-f", str(path), "-o", "json"]) == Exit.INVALID
    printed = capsys.readouterr()
    assert '"name": "other-1"' in printed.out
    assert '"kind": "VolumeSnapshot"' not in printed.out
    assert "TrainingRun r not found" not in printed.err
