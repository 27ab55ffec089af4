"""What kubectl (go.yaml.in/yaml/v2) makes of plain words, and what it must not make of text that is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from accord.api.kubeyaml import KubeDumper, KubeLoader
from accord.cli import documents
from accord.cli.schedule import milestones

READ = {
    "3e-4": 3e-4,
    "1e-08": 1e-8,
    "2e0": 2,
    "1E3": 1000,
    "2.0": 2,
    ".5": 0.5,
    "1.5": 1.5,
    "-2": -2,
    "0": 0,
    "0123": 83,
    "0o17": 15,
    "08": 8,
    "0x1F": 31,
    "0b101": 5,
    "1_000": 1000,
    "1:30": "1:30",
    "2026-01-01": "2026-01-01",
    "y": True,
    "No": False,
    "off": False,
    "yell": "yell",
    "~": None,
    "1e": "1e",
    "0o": "0o",
    "e5": "e5",
    "512MB": "512MB",
}


@pytest.mark.parametrize("text", READ)
def test_a_plain_word_is_what_kubectl_reads(text: str) -> None:
    found = yaml.load(text, KubeLoader)
    assert (found, type(found)) == (READ[text], type(READ[text]))


@pytest.mark.parametrize("text", READ)
def test_text_is_written_so_that_kubectl_reads_text(text: str) -> None:
    written = yaml.dump({"value": text}, Dumper=KubeDumper)
    assert yaml.load(written, KubeLoader) == yaml.safe_load(written) == {"value": text}


@pytest.mark.parametrize("value", [1e-8, 3e-4, 0.1, 1e22, 2.0, 7, True, None])
def test_a_value_is_read_back(value: Any) -> None:
    assert yaml.load(yaml.dump({"value": value}, Dumper=KubeDumper), KubeLoader) == {"value": value}


def test_a_number_of_thousands_of_digits_is_refused_in_words() -> None:
    with pytest.raises(yaml.YAMLError, match="line 1: number out of range"):
        yaml.load("9" * 5000, KubeLoader)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("b: &b {x: 1, w: 2}\nm: {<<: *b, x: 3}", {"x": 3, "w": 2}),
        ("b: [&b {x: 1}, &c {x: 2, w: 4}]\nm: {<<: [*b, *c], z: 3}", {"x": 1, "w": 4, "z": 3}),
        ("b: [&b {x: 1}, &c {w: 4}]\nm: {<<: *b, <<: *c}", {"x": 1, "w": 4}),
        # What is merged has merged something itself, and is read after.
        ("a: &a {x: 1, w: 2}\nd: {e: {f: &f {<<: *a, x: 3}}}\nm: {<<: *f, w: 4}", {"x": 3, "w": 4}),
    ],
)
def test_what_is_merged_into_a_mapping_gives_way_to_its_own_keys(text: str, found: Any) -> None:
    assert yaml.load(text, KubeLoader)["m"] == yaml.safe_load(text)["m"] == found


@pytest.mark.parametrize("text", ["m: {<<: &b {x: 1}, w: 2, w: 3}", "m: {<<: {x: 1, x: 2}}"])
def test_a_merge_hides_no_key_that_is_there_twice(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="line 1: duplicate key"):
        yaml.load(text, KubeLoader)


def test_all_commands_read_the_same(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "apiVersion: accord.dev/v1alpha1\nkind: TrainingRun\nmetadata: {name: zoo}\n"
        "spec: {totalSteps: 1e4, schedules: {learningRate: {initial: 3e-4}},\n"
        "  template: {spec: {containers: [{name: trainer, image: x}]}}}\n",
        encoding="utf-8",
    )
    [document] = documents.read([file], None)
    assert document.manifest["spec"]["totalSteps"] == 10000
    assert document.manifest["spec"]["schedules"]["learningRate"]["initial"] == 3e-4
    assert milestones.load([file]).spec.total_steps == 10000
