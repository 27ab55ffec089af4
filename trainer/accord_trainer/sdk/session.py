"""One attempt in a few lines, for a training loop of one's own.

    accord = Session(random, np.random, torch)
    agent, optimizer = ...
    with accord.training({"agent.pt": (write, read)}):
        while accord.running:
            ...                          # collect steps: accord.advance(), accord.reward(r), accord.episode(total)
            ...                          # learn from them: accord.learning_rate, accord.entropy_coef
            accord.update(losses)
    sys.exit(accord.exit_code)

Everything else is done here: what the operator says is read, random numbers are seeded and restored, checkpoints are
written when they are due and resumed from, metrics are served, and a request to stop is heard.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from accord_trainer.sdk.chance import Chance, ChanceState
from accord_trainer.sdk.checkpoints import CheckpointStore
from accord_trainer.sdk.contract import Contract
from accord_trainer.sdk.manifest import Checkpoint, CheckpointError
from accord_trainer.sdk.metrics import Metrics, MetricsState
from accord_trainer.sdk.normalizer import NormalizerState
from accord_trainer.sdk.server import MetricsServer
from accord_trainer.sdk.signals import StopSignal

_log = logging.getLogger(__name__)
FILE = "session.json"
"""What a checkpoint holds beside the files of the training."""
PATIENCE = 30
"""Seconds for Prometheus to see the last step."""

Write = Callable[[Path], object]
Read = Callable[[Path], object] | None
Files = Mapping[str, tuple[Write, Read]]
"""Files of a checkpoint by name: what writes one at the path it is given, and what reads it when training goes on.
None for a file that is for others, say for a service."""


@dataclass(frozen=True)
class _Mark:
    """A moment between two updates."""

    step: int
    normalizer: NormalizerState
    metrics: MetricsState
    means: Mapping[str, float]
    chance: ChanceState

    def render(self) -> bytes:
        state = {"step": self.step, "normalizer": self.normalizer, "metrics": self.metrics, "chance": self.chance}
        return json.dumps(state).encode()


class Session:
    """One attempt, from what the operator says to the exit code.

    `generators` are what the training draws random numbers from (see `Chance`); they are seeded here, so make networks
    afterwards. `versions` goes into every manifest. ContractError if the environment is wrong.
    """

    def __init__(
        self,
        *generators: Any,
        contract: Contract | None = None,
        metrics: Metrics | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.contract = contract or Contract.from_environment()
        self.metrics = metrics or Metrics()
        self.checkpoints = CheckpointStore.of(self.contract, versions)
        self.normalizer = self.contract.reward_normalization.normalizer()
        self.chance = Chance(self.contract, *generators)
        self.step = 0
        """Steps so far, over all attempts."""
        self.resumed: Checkpoint | None = None
        """The checkpoint that this attempt resumes from; None if it starts from step 0."""
        self._in_force = self.contract.schedule_values(0)
        self._files: Files = {}
        self._stop = StopSignal()
        self._mark: _Mark | None = None
        self._saved_at = 0

    @contextmanager
    def training(self, files: Files) -> Iterator[Self]:
        """Context of a training: resumes from the newest checkpoint, serves metrics, handles requests to stop.

        Where it ends without an exception, what the last update left is saved, if that is not done yet. CheckpointError
        if there is no way to go on, or the disk refuses.
        """
        if FILE in files:
            raise ValueError(f"{FILE} is the session's own file; give yours another name")
        self._files = files
        self._resume()
        with self.metrics.serve(self.contract.metrics_port) as server, self._stop:
            _log.info("attempt %d from step %d, metrics on port %d", self.contract.attempt, self.step, server.port)
            self.adopt()
            yield self
            self._save_if_new()
            if self.finished:
                self._wait_for_scrape(server)

    @property
    def running(self) -> bool:
        """Whether to go on: the last step is not reached, and nobody asked to stop."""
        return not self.finished and not self.stopping

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.step >= self.contract.total_steps

    @property
    def stopping(self) -> bool:
        """Whether the trainer was asked to stop. Check it every few seconds; leave the loop, without an update."""
        return self._stop.requested

    @property
    def exit_code(self) -> int:
        """0 where all steps are trained; else that of the signal, or 1. Anything but 0 is gone on with."""
        return 0 if self.finished else self._stop.exit_code or 1

    @property
    def learning_rate(self) -> float:
        """The learning rate in force, as of the last update."""
        return self._in_force["learningRate"]

    @property
    def entropy_coef(self) -> float:
        """The entropy coefficient in force, as of the last update."""
        return self._in_force["entropyCoef"]

    @property
    def environment_seed(self) -> int:
        """The seed for the first reset of an environment: another one in every attempt and at every step."""
        return self.chance.seed_at(self.step)

    def advance(self, steps: int = 1) -> None:
        """So many environment steps were done: with vectorized environments, one in each of them."""
        self.step += steps
        self._report()

    def reward(self, raw: float) -> float:
        """One step was rewarded. Returns what to train with: normalized as the run's spec says."""
        normalized = self.normalizer(raw)
        self.metrics.reward(raw, normalized, self.normalizer)
        return normalized

    def episode(self, total: float) -> None:
        """An episode is over; `total` is its raw, undiscounted return."""
        self.metrics.episode(total)

    def adopt(self) -> None:
        """Put the values of the schedules at the present step in force. `update` does it, too."""
        self._in_force = self.contract.schedule_values(self.step)
        self._report()

    def update(
        self,
        losses: Iterable[float] = (),
        *,
        approx_kl: float | None = None,
        explained_variance: float | None = None,
    ) -> None:
        """The policy was updated, with these losses of its minibatches and, if known, approximate KL divergence and
        explained variance (see `Metrics.update`). Saves when it is time.
        """
        for loss in losses:
            self.metrics.minibatch(loss)
        self.metrics.update(approx_kl=approx_kl, explained_variance=explained_variance)
        self.adopt()
        self._mark = _Mark(
            self.step,
            self.normalizer.state_dict(),
            self.metrics.state_dict(),
            self.metrics.since_last_save(),
            self.chance.state_dict(),
        )
        if self.step // self.contract.save_frequency > self._saved_at // self.contract.save_frequency:
            self._save_if_new()

    def _resume(self) -> None:
        self.resumed = self.checkpoints.resume(self.contract.resume_from)
        if self.resumed is None:
            return
        for name, (_, read) in self._files.items():
            if read is not None:
                read(self.resumed.file(name))
        try:
            state: dict[str, Any] = json.loads(self.resumed.file(FILE).read_bytes())
            self.step = self._saved_at = int(state["step"])
            self.normalizer.load_state_dict(state["normalizer"])
            self.metrics.load_state_dict(state["metrics"])
            # Last: what was read above may have drawn from it.
            self.chance.load_state_dict(state["chance"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.resumed.path.name}/{FILE} is of another trainer: {error!r}") from error
        self.metrics.resumed(self.resumed)

    def _save_if_new(self) -> None:
        """Commit what the last update left; only then the metrics say that there is a checkpoint."""
        mark = self._mark
        if mark is None or mark.step <= self._saved_at:
            return
        saved = self.checkpoints.save(
            mark.step,
            {**{name: write for name, (write, _) in self._files.items()}, FILE: mark.render()},
            schedule=self.contract.schedule_values(mark.step),
            metrics=mark.means,
        )
        self.metrics.saved(saved)
        self._saved_at = mark.step
        _log.info("step %d saved", mark.step)

    def _report(self) -> None:
        self.metrics.step(self.step, entropy_coef=self.entropy_coef, learning_rate=self.learning_rate)

    def _wait_for_scrape(self, server: MetricsServer) -> None:
        _log.info("finished; waiting up to %d s for Prometheus to see the last step", PATIENCE)
        for _ in range(PATIENCE):
            # Who asks to stop now stops a training that is whole.
            if self.stopping or server.wait_for_scrape(1.0):
                return
