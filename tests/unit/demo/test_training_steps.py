"""What the demo holds a training against is what the spec says, by another hand than the operator's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from demo.steps.cluster import Cluster
from demo.steps.experiments import training
from demo.steps.images import Image
from demo.steps.prometheus import Prometheus
from demo.steps.training import EXAMPLES, Scrape, Training

from accord.api.v1alpha1.trainingrun import TrainingRunSpec
from accord.domain.training.schedule import value_at

SPEC = TrainingRunSpec.model_validate(yaml.safe_load((EXAMPLES / "trainingrun-linear.yaml").read_text())["spec"])


@pytest.mark.parametrize("step", [0, 1, 499, 500, 2500, 5000, 9999, 10_000, 12_000])
def test_both_agree_on_the_schedules_of_the_example(step: int) -> None:
    assert training.entropy_coef(step) == pytest.approx(value_at(SPEC.schedules.entropy_coef, step))
    assert training.learning_rate(step) == pytest.approx(value_at(SPEC.schedules.learning_rate, step))


def test_a_scrape_may_show_the_values_of_the_update_before_but_none_that_is_older() -> None:
    def at(step: int, since: int) -> bool:
        scrape = Scrape(step, training.entropy_coef(since), training.learning_rate(since))
        return training._on_schedule(scrape)

    assert at(5000, 5000)
    assert at(5499, 5000)
    assert not at(5499, 4500)
    assert not at(5000, 5500)
    assert not training._on_schedule(Scrape(5000, training.entropy_coef(5000), 3e-4))


def test_the_table_shows_the_scrapes_next_to_each_quarter() -> None:
    scrapes = [Scrape(step, 0.01, 2e-4) for step in range(3, 10_001, 190)]
    assert [scrape.step for scrape in training._quarters(scrapes)] == [3, 2473, 4943, 7413, 9883]
    assert list(training._quarters([])) == []


@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLES.glob("trainingrun-*.yaml")))
def test_the_examples_run_with_the_image_of_the_demo(file: str, tmp_path: Path) -> None:
    cluster = Cluster.__new__(Cluster)
    run = Training.example(
        cluster, Prometheus(cluster, "ns"), "ns", Image("localhost/accord-trainer:dev"), file, ACCORD_DISTURB_AT=7
    )
    [trainer] = run._manifest["spec"]["template"]["spec"]["containers"]
    assert trainer["image"] == "localhost/accord-trainer:dev"
    assert {"name": "ACCORD_DISTURB_AT", "value": "7"} in trainer["env"]
    assert "ACCORD_ENV" in {entry["name"] for entry in trainer["env"]}
