"""The program: `python -m accord_trainer.sb3 --env CartPole-v1`. What else it needs comes from the environment."""

from __future__ import annotations

import argparse
import logging
import os
import sys

import gymnasium
import stable_baselines3
import torch

from accord_trainer.sb3.pacing import Pace
from accord_trainer.sb3.training import Training
from accord_trainer.sdk import CheckpointError, CheckpointStore, Contract, ContractError, Metrics, StopSignal
from accord_trainer.sdk.server import MetricsServer

_log = logging.getLogger("accord_trainer")
ENVIRONMENT_VARIABLE = "ACCORD_ENV"
PACE_VARIABLE = "ACCORD_STEPS_PER_SECOND"
FAULT_VARIABLE = "ACCORD_DISTURB_AT"
CANNOT_START = 2
"""Exit code where it would go wrong again the same way."""
FAILED = 1
PATIENCE = 30
"""Seconds for Prometheus to see the last step."""


def main(arguments: list[str] | None = None) -> int:
    """Train to the end, or until told to stop. Only the end is a success: exit code 0."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    options = _parser().parse_args(arguments)
    name = options.env
    metrics = Metrics()
    with StopSignal() as stop:
        try:
            contract = Contract.from_environment()
            checkpoints = CheckpointStore.of(contract, _versions())
            pace = Pace(options.steps_per_second)
            training = Training(contract, name, metrics, pace=pace, disturb_at=options.disturb_at)
            if (resumed := checkpoints.resume(contract.resume_from)) is not None:
                training.restore(resumed)
        except (ContractError, CheckpointError) as error:
            _log.critical("%s", error)
            return CANNOT_START
        except (gymnasium.error.Error, ImportError) as error:
            _log.critical("the environment %r cannot be made: %s", name, error)
            return CANNOT_START
        with metrics.serve(contract.metrics_port) as server:
            _log.info("attempt %d on %s from step %d", contract.attempt, name, training.step)
            return _train(training, checkpoints, stop, server)


def _train(training: Training, checkpoints: CheckpointStore, stop: StopSignal, server: MetricsServer) -> int:
    try:
        finished = training.run(checkpoints, stop)
    except CheckpointError as error:
        _log.critical("%s", error)
        return FAILED
    if not finished:
        _log.info("told to stop at step %d", training.step)
        return stop.exit_code
    _log.info("finished; waiting up to %d s for Prometheus to see the last step", PATIENCE)
    for _ in range(PATIENCE):
        # Who asks to stop now stops a training that is whole: it leaves at once, with success.
        if stop.requested or server.wait_for_scrape(1.0):
            break
    return 0


def _versions() -> dict[str, str]:
    return {
        "stable-baselines3": stable_baselines3.__version__,
        "gymnasium": gymnasium.__version__,
        "torch": torch.__version__,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m accord_trainer.sb3", description="Trains PPO under a TrainingRun.")
    parser.add_argument(
        "--env",
        default=os.environ.get(ENVIRONMENT_VARIABLE) or "CartPole-v1",
        metavar="ID",
        help=f"Gymnasium id of the environment, say accord/Ratings-v0 (default: ${ENVIRONMENT_VARIABLE}, CartPole-v1)",
    )
    parser.add_argument(
        "--steps-per-second",
        type=_positive,
        default=os.environ.get(PACE_VARIABLE) or None,
        metavar="N",
        help=f"hold training back to this pace, to watch it (default: ${PACE_VARIABLE}, as fast as can be)",
    )
    parser.add_argument(
        "--disturb-at",
        type=int,
        default=os.environ.get(FAULT_VARIABLE) or None,
        metavar="STEP",
        help="break the policy on purpose with the first update at or after this step, once, in attempt 1 only: to see "
        f"what watches over the training (default: ${FAULT_VARIABLE}, never)",
    )
    return parser


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
