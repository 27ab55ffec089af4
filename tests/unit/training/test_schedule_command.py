"""`accord schedule`: the table, the JSON, the picture, and what it says when a file cannot be used."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from accord.cli import main

EXAMPLES = Path(__file__).parents[3] / "manifests/examples"
RUN = """
apiVersion: accord.dev/v1alpha1
kind: TrainingRun
metadata: {name: demo}
spec:
  template: {spec: {containers: [{name: trainer, image: trainer}]}}
"""


def _file(tmp_path: Path, text: str = RUN) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return str(path)


def test_the_milestones_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "-f", str(EXAMPLES / "trainingrun-linear.yaml")]) == 0
    assert capsys.readouterr().out == (
        "PROGRESS    STEP   ENTROPY COEF   LEARNING RATE\n"
        "      0%       0           0.02          0.0003\n"
        "     25%    2500        0.01625     0.000270711\n"
        "     50%    5000         0.0125          0.0002\n"
        "     75%    7500        0.00875     0.000129289\n"
        "    100%   10000          0.005          0.0001\n"
    )


def test_the_milestones_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "-f", str(EXAMPLES / "trainingrun-cosine.yaml"), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["milestones"]
    assert [each["step"] for each in found["milestones"]] == [0, 2500, 5000, 7500, 10_000]
    assert [each["entropyCoef"] for each in found["milestones"]] == pytest.approx(
        [0.01, 0.00868198, 0.0055, 0.00231802, 0.001], rel=1e-5
    )
    assert set(found["milestones"][0]) == {"step", "entropyCoef", "learningRate"}


def test_standard_input_and_numbers_as_kubectl_reads_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules = "  schedules: {learningRate: {initial: 3e-4, final: 1E-5, decayStrategy: Linear}}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(RUN + schedules))
    assert main(["schedule", "-f", "-", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["milestones"]
    assert (found[0]["learningRate"], found[-1]["learningRate"]) == (3e-4, 1e-5)


def test_null_means_the_default_as_on_the_api_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "-f", _file(tmp_path, RUN + "  totalSteps: null\n  schedules: null\n")]) == 0
    assert "10000          0.005" in capsys.readouterr().out


def test_the_picture_shows_both_curves_and_every_milestone(tmp_path: Path) -> None:
    picture = tmp_path / "schedule.svg"
    example = str(EXAMPLES / "trainingrun-linear.yaml")
    assert main(["schedule", "-f", example, "--plot", str(picture)]) == 0
    root = ElementTree.parse(picture).getroot()
    space = {"svg": "http://www.w3.org/2000/svg"}
    texts = [each.text for each in root.iterfind(".//svg:text", space)]
    assert root.findtext("svg:title", namespaces=space) == "Schedules of TrainingRun ppo-linear"
    assert len(root.findall("svg:polyline", space)) == 2
    assert len(root.findall("svg:circle", space)) == 10
    assert {"Entropy coefficient (Linear)", "Learning rate (Cosine)", "5,000", "0.0125", "training step"} <= set(texts)
    # The line of the linear schedule is straight and falls across the whole width.
    first = [tuple(map(float, point.split(","))) for point in root.find("svg:polyline", space).get("points").split()]
    slopes = {round((b[1] - a[1]) / (b[0] - a[0]), 1) for a, b in zip(first[:-20:20], first[20::20], strict=False)}
    assert len(slopes) == 1
    assert slopes.pop() > 0, "down, in SVG"


def test_a_constant_schedule_can_be_drawn_too(tmp_path: Path) -> None:
    constant = "  totalSteps: 1\n  schedules: {entropyCoef: {initial: 0, final: 0, decayStrategy: Constant}}\n"
    picture = tmp_path / "schedule.svg"
    assert main(["schedule", "-f", _file(tmp_path, RUN + constant), "--plot", str(picture)]) == 0
    ElementTree.parse(picture)


def test_one_of_several_is_chosen_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = RUN.replace("demo", "other") + "  schedules: {entropyCoef: {initial: 0.5}}\n"
    file = _file(tmp_path, f"{RUN}---\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n---{other}")
    assert main(["schedule", "-f", file, "--name", "other", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["milestones"][0]["entropyCoef"] == 0.5
    assert main(["schedule", "-f", file]) == 2
    assert f"{file}: more than one TrainingRun (demo, other): choose one with --name" in capsys.readouterr().err
    assert main(["schedule", "-f", file, "--name", "third"]) == 2
    assert f"{file}: no TrainingRun named third" in capsys.readouterr().err


def test_a_schedule_may_rise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warm_up = "{initial: 0, final: 0.0004, decaySteps: 5000, decayStrategy: Linear}"
    assert main(["schedule", "-f", _file(tmp_path, RUN + f"  schedules: {{learningRate: {warm_up}}}\n")]) == 0
    rates = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rates == ["0", "0.0002", "0.0004", "0.0004", "0.0004"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RUN + "  schedules: {entropyCoef: {decayStrategy: Exponential}}\n",
            "TrainingRun demo: spec.schedules.entropyCoef.decayStrategy: must be one of Linear, "
            "Cosine, Constant, not 'Exponential'",
        ),
        (
            RUN + "  schedules: {entropyCoef: {intial: 0.02}}\n",
            "spec.schedules.entropyCoef.intial: unknown field; did you mean initial?",
        ),
        (RUN + "  totalSteps: ten\n", "spec.totalSteps: "),
        (
            RUN + "  schedules: {learningRate: {initial: 0, decayStrategy: Constant}}\n",
            "spec.schedules.learningRate.initial: initial must be greater than 0",
        ),
        (RUN.replace("name: trainer", "name: other"), "template needs a container named trainer"),
        (RUN.replace("{name: demo}", "demo"), "document 1, TrainingRun: metadata.name is required"),
        ("apiVersion: v1\nkind: TrafficPolicy\nmetadata: {name: p}\n", "no TrainingRun found"),
        ("", "no TrainingRun found"),
        ("just text", "document 1: not a Kubernetes object"),
        ("a: [1\nb: 2", "invalid YAML: line 2, column 2: expected "),
        ("a: \x00", "invalid YAML: "),
    ],
)
def test_what_is_wrong_is_said_with_file_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = _file(tmp_path, text)
    assert main(["schedule", "-f", file]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith((f"accord schedule: {file}: ", f"accord schedule: {file}, document 1"))
    assert message in captured.err


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "-f", "missing.yaml"]) == 2
    assert capsys.readouterr().err == "accord schedule: missing.yaml: cannot read: No such file or directory\n"
    (tmp_path / "run.bin").write_bytes(b"\xff\xfe\x00")
    assert main(["schedule", "-f", str(tmp_path / "run.bin")]) == 2
    assert "run.bin: invalid UTF-8" in capsys.readouterr().err
    assert main(["schedule", "-f", _file(tmp_path), "--plot", str(tmp_path / "no/where.svg")]) == 3
    assert "no/where.svg: cannot write: No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["schedule", "-f", _file(tmp_path), "--plot", "picture.png"])
    assert "'picture.png' is not a .svg file" in capsys.readouterr().err
