"""Stopping in the grace period: the signal only sets a flag, the training loop saves and leaves."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self


class StopSignal:
    """Within `with StopSignal() as stop:`, SIGTERM and SIGINT set `stop.requested` instead of ending the process.

    Look at it between steps, at least every few seconds; then save a checkpoint and leave with `stop.exit_code`. The
    kubelet kills the process when `terminationGracePeriodSeconds` (30 by default) are over, and a save that is cut
    short there is harmless: the checkpoint before it counts.

    The exit code matters: a pod that was told to stop and answers 0 counts as a *finished* Job (kubernetes #120182),
    while any other code lets the training be resumed. A second signal does what it always did.

    Works in the main thread only, as signal handlers in Python do.
    """

    signals = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        """Whether this process was asked to stop."""
        return self._received is not None

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal, as shells report it (143 for SIGTERM); 0 when none came."""
        return 0 if self._received is None else 128 + self._received

    def __enter__(self) -> Self:
        for number in self.signals:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)  # type: ignore[arg-type]  # what signal.signal returned, it takes
