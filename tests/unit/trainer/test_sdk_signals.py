"""SIGTERM: saved and gone in the grace period, and never mistaken for a finished run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import accord_trainer
from accord_trainer.sdk import CheckpointStore, StopSignal

TRAINER = """
import os, sys
from accord_trainer.sdk import CheckpointStore, StopSignal
store, step = CheckpointStore(sys.argv[1]), 0
with StopSignal() as stop:
    os.write(1, b"training\\n")
    while not stop.requested:
        step += 1
    store.save(step, {"state": str(step).encode()})
sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_trainer_saves_and_says_that_it_is_not_finished(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(accord_trainer.__file__).parents[1])}
    command = [sys.executable, "-c", TRAINER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"training\n"
        trainer.send_signal(number)
        assert trainer.wait(300) == 128 + number
    found = CheckpointStore(tmp_path).latest_verified()
    assert found is not None
    assert found.file("state").read_bytes() == str(found.step).encode()


def test_without_a_signal_nothing_is_requested_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal() as stop:
        assert signal.getsignal(signal.SIGTERM) not in before
        assert (stop.requested, stop.exit_code) == (False, 0)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_signal_does_what_it_always_did() -> None:
    # What is started in the background by a shell, as in many CI systems, ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_twice() -> None:
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.exit_code == 130
