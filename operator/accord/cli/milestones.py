"""The TrainingRun in a file, and what its schedules say: as a table, as JSON, as a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.api.validation import stored, validate
from accord.cli.kubeyaml import KubeLoader
from accord.cli.plot import Chart, svg
from accord.domain.training.schedule import milestones, value_at

_SAMPLES = 240  # points of a curve: more than the picture has room for
_HEADINGS = ("PROGRESS", "STEP", "ENTROPY COEF", "LEARNING RATE")


class InputError(Exception):
    """The file cannot be used; the text names the file and the field."""


def load(filename: str, name: str | None = None) -> TrainingRun:
    """The TrainingRun in a file, `-` for stdin; the one called `name` if there are several. Objects of other kinds are
    passed over. InputError that names the file, and the field where one is wrong.
    """
    runs = [each for each in _documents(filename) if isinstance(each, dict) and each.get("kind") == TrainingRun.kind]
    chosen = [each for each in runs if name is None or _name(each) == name]
    if not chosen:
        wanted = TrainingRun.kind if name is None else f"{TrainingRun.kind} named {name}"
        raise InputError(f"{filename}: no {wanted} found")
    if len(chosen) > 1:
        names = ", ".join(_name(each) for each in chosen)
        raise InputError(f"{filename}: more than one TrainingRun ({names}): choose one with --name")
    manifest = chosen[0]
    if errors := validate(manifest):
        lines = "\n  ".join(str(error) for error in errors)
        raise InputError(f"{filename}: TrainingRun {_name(manifest)} is invalid:\n  {lines}")
    # A manifest need not say its namespace, and its status is of no concern here.
    metadata = {"namespace": "default", **manifest["metadata"]}
    return TrainingRun.model_validate({"metadata": metadata, "spec": stored(manifest)["spec"]})


def as_json(training: TrainingRun) -> str:
    """`{"milestones": [{"step": s, "entropyCoef": e, "learningRate": l}]}`."""
    entries = [
        {"step": each.step, "entropyCoef": each.entropy_coef, "learningRate": each.learning_rate}
        for each in milestones(training.spec)
    ]
    return json.dumps({"milestones": entries}, indent=2) + "\n"


def as_table(training: TrainingRun) -> str:
    """One line a milestone, right-aligned."""
    rows = [
        (f"{each.percent}%", str(each.step), f"{each.entropy_coef:.6g}", f"{each.learning_rate:.6g}")
        for each in milestones(training.spec)
    ]
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    lines = (
        "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (_HEADINGS, *rows)
    )
    return "\n".join(lines) + "\n"


def picture(training: TrainingRun) -> str:
    """Both schedules over the run, as SVG."""
    spec = training.spec
    steps = sorted({spec.total_steps * index / _SAMPLES for index in range(_SAMPLES + 1)})
    found = milestones(spec)
    charts = [
        Chart(
            f"Entropy coefficient ({spec.schedules.entropy_coef.decay_strategy})",
            [(step, value_at(spec.schedules.entropy_coef, step)) for step in steps],
            [(each.step, each.entropy_coef) for each in found],
        ),
        Chart(
            f"Learning rate ({spec.schedules.learning_rate.decay_strategy})",
            [(step, value_at(spec.schedules.learning_rate, step)) for step in steps],
            [(each.step, each.learning_rate) for each in found],
        ),
    ]
    return svg(f"Schedules of TrainingRun {training.metadata.name}", "training step", charts)


def draw(training: TrainingRun, path: Path) -> None:
    """Writes the picture into a file. InputError that names the file if that cannot be done."""
    try:
        path.write_text(picture(training), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror}") from error


def _name(manifest: Manifest) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "(no name)")) if isinstance(metadata, dict) else "(no name)"


def _documents(filename: str) -> list[Any]:
    try:
        text = sys.stdin.read() if filename == "-" else Path(filename).read_text(encoding="utf-8")
        return list(yaml.load_all(text, Loader=KubeLoader))
    except OSError as error:
        raise InputError(f"{filename}: cannot read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{filename}: invalid UTF-8: {error}") from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark
        where = f"line {place.line + 1}, column {place.column + 1}: " if place else ""
        raise InputError(f"{filename}: invalid YAML: {where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{filename}: invalid YAML: {error}") from error
