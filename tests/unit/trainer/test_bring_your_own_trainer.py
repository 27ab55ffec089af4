"""The program in docs/how-to/bring-your-own-trainer.md, taken from the page and run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.ports import free_port

from accord_trainer.sdk import CheckpointStore
from accord_trainer.sdk.manifest import read

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/bring-your-own-trainer.md").read_text(encoding="utf-8")


RUN_HERE = re.findall(r"<!-- this block is run by the tests -->\n```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The one made of pieces."""
    path = tmp_path / "my_trainer.py"
    path.write_text(RUN_HERE[1])
    return path


@pytest.fixture
def session_program(tmp_path: Path) -> Path:
    """The one with a session."""
    path = tmp_path / "my_trainer.py"
    path.write_text(RUN_HERE[0])
    return path


def _environment(directory: Path, **changes: str) -> dict[str, str]:
    own = {"PYTHONPATH": str(ROOT / "trainer"), "CHECKPOINT_DIR": str(directory / "checkpoints"), "METRICS_PORT": "0"}
    return {**os.environ, **own, **changes}


def _wait_for(directory: Path, step: int) -> None:
    """Until there is a checkpoint of that step or of a later one: those before it do not stay for long."""
    deadline = time.monotonic() + 300
    while max((int(found.name[5:]) for found in directory.glob("checkpoints/step-*")), default=0) < step:
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.01)


def test_it_trains_stops_and_resumes_past_a_torn_checkpoint(program: Path, tmp_path: Path) -> None:
    environment = _environment(tmp_path, PPO_TOTAL_STEPS="1000000000")
    with subprocess.Popen([sys.executable, program], env=environment) as first:
        _wait_for(tmp_path, 1000)
        first.send_signal(signal.SIGTERM)
        assert first.wait(300) == 143
    store = CheckpointStore(tmp_path / "checkpoints")
    stopped = store.latest_verified()
    assert stopped is not None
    assert stopped.metrics["rewardCount"] == stopped.step % 500 or stopped.step % 500 == 0
    os.truncate(stopped.file("state.json"), 10)
    before = store.latest_verified()
    assert before is not None
    assert before.step == (stopped.step - 1) // 500 * 500

    end = before.step + 700
    port = free_port()
    changes = {"PPO_TOTAL_STEPS": str(end), "METRICS_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, program], env=_environment(tmp_path, **changes), stderr=subprocess.PIPE, text=True
    ) as second:
        _wait_for(tmp_path, end)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
            assert f"ppo_training_step {float(end)}\n" in answer.read().decode()
        _, log = second.communicate(timeout=600)
    assert second.returncode == 0
    assert "state.json has 10 bytes" in log
    assert "falling back to the one before" in log


def test_the_one_with_a_session_stops_and_goes_on_to_its_end(session_program: Path, tmp_path: Path) -> None:
    environment = _environment(tmp_path, PPO_TOTAL_STEPS="1000000000")
    with subprocess.Popen([sys.executable, session_program], env=environment) as first:
        _wait_for(tmp_path, 1000)
        first.send_signal(signal.SIGTERM)
        assert first.wait(300) == 143
    stopped = CheckpointStore(tmp_path / "checkpoints").latest_verified()
    assert stopped is not None
    end, port = stopped.step + 1000, free_port()
    changes = {"PPO_TOTAL_STEPS": str(end), "METRICS_PORT": str(port), "ACCORD_ATTEMPT": "2"}
    with subprocess.Popen([sys.executable, session_program], env=_environment(tmp_path, **changes)) as second:
        _wait_for(tmp_path, end)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
            assert f"ppo_training_step {float(end)}\n" in answer.read().decode()
        assert second.wait(600) == 0
    newest = CheckpointStore(tmp_path / "checkpoints").load(end)
    assert newest.attempt == 2
    assert newest.metrics["rewardCount"] == 500


def test_the_lines_on_the_page_are_those_of_the_program() -> None:
    (shown,) = re.findall(r"lines of examples/own-trainer/(?:.*?)```text\n(.*?)```", PAGE, re.DOTALL)
    program = iter((ROOT / "examples/own-trainer/cleanrl_style.py").read_text(encoding="utf-8").splitlines())
    for line in shown.splitlines():
        assert line in program, f"{line!r} is not in the program, or not in this order"


def test_the_manifest_on_the_page_is_accepted(tmp_path: Path) -> None:
    (content,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    directory = tmp_path / "step-00000500"
    directory.mkdir()
    (directory / "manifest.json").write_text(content)
    (directory / "model.bin").write_bytes(b"abc")
    found = read(directory)
    assert found == CheckpointStore(tmp_path).latest_verified()
    assert found.metrics == json.loads(content)["metrics"]
