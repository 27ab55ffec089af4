"""What a run reports while it goes on, as CSV."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path

from tests.bench.corpus.record.planned import Fault

HEADER = "step,loss,reward,kl,explained_variance"


class Events:
    """The rows of a run, its step, and the fault that it still has before it.

    The environments count the steps and hand in the returns, so that both are the same for every trainer; a trainer
    hands in one row an update.
    """

    def __init__(self, environments: int, fault: Fault | None) -> None:
        self.step = 0
        self.fault_step: int | None = None
        """Where the fault took effect: at once in an environment, otherwise with the first update from there on."""
        self._environments = environments
        self._fault = fault
        self._rows: list[str] = []

    def stepped(self) -> None:
        """An environment made a step."""
        self.step += 1

    def episode(self, undiscounted: float) -> None:
        """An episode ended. Environments side by side count as if they stepped at once."""
        step = math.ceil(self.step / self._environments) * self._environments
        self._rows.append(f"{step},,{undiscounted:.5g},,")

    def update(self, loss: float, kl: float, explained_variance: float) -> None:
        """An update was made: the means over its minibatches."""
        self._rows.append(f"{self.step},{loss:.5g},,{kl:.5g},{explained_variance:.5g}")

    def due(self, *kinds: str) -> Fault | None:
        """The fault, if it is one of these kinds and its step has come; once only."""
        fault = self._fault
        if fault is None or fault.kind not in kinds or self.step < fault.step:
            return None
        self._fault = None
        self.fault_step = self.step
        return fault

    def write(self, path: Path) -> None:
        """All rows, gzipped without a time and a name, so that the same run is the same file."""
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(("\n".join([HEADER, *self._rows]) + "\n").encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(buffer.getvalue())
        unfinished.rename(path)
