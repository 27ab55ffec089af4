"""The TrainingRun in files, and what its schedules say: as a table, as data, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import documents, pictures
from accord.cli.printer import Table
from accord.cli.schedule.plot import Chart, svg
from accord.domain.training.schedule import milestones, value_at

_SAMPLES = 240  # points of a curve: more than the picture has room for
_HEADINGS = ("PROGRESS", "STEP", "ENTROPY COEF", "LEARNING RATE")


def load(paths: Sequence[Path], name: str | None = None) -> TrainingRun:
    """The TrainingRun in the files, the one called `name` if there are several. Objects of other kinds are passed over.
    InputError that names the file, and the field where one is wrong.
    """
    document = documents.chosen(documents.read(paths, None), TrainingRun.kind, name, paths)
    manifest = documents.checked(document)
    # Its status is of no concern here.
    return TrainingRun.model_validate({"metadata": manifest["metadata"], "spec": manifest["spec"]})


def as_data(training: TrainingRun) -> dict[str, Any]:
    """`{"milestones": [{"step": s, "entropyCoef": e, "learningRate": l}]}`."""
    entries = [
        {"step": each.step, "entropyCoef": each.entropy_coef, "learningRate": each.learning_rate}
        for each in milestones(training.spec)
    ]
    return {"milestones": entries}


def as_table(training: TrainingRun) -> Table:
    """One line a milestone, right-aligned."""
    rows = [
        (f"{each.percent}%", str(each.step), f"{each.entropy_coef:.6g}", f"{each.learning_rate:.6g}")
        for each in milestones(training.spec)
    ]
    return Table([_HEADINGS, *rows], right=True)


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
    """Writes the picture into a file. CommandError that names the file if that cannot be done."""
    pictures.write(path, picture(training))
