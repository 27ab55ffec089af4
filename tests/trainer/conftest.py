"""The trainer's image, built where its inputs changed, and unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo.steps import images
from tests.trainer.rig import TrainerImage

from devcluster import rootfs


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> TrainerImage:
    return TrainerImage(rootfs.unpack(images.build("trainer")), tmp_path_factory.mktemp("trainer"))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"
