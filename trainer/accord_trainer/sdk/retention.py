"""Which checkpoints a save leaves behind. Names and manifests in, names out: nothing here touches a disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from accord_trainer.sdk.manifest import Checkpoint, step_of

_SUPERSEDED = re.compile(r"\.superseded-(step-[0-9]{8,})-[0-9a-f]+")


@dataclass(frozen=True)
class Retention:
    """`keep` checkpoints, the newest; and those of the steps in `protect`."""

    keep: int
    protect: Collection[int] = ()

    def outdated(self, whole: Sequence[Checkpoint], names: Iterable[str]) -> list[str]:
        """Names to delete among all `names` of the directory.

        `whole` are the checkpoints that count, the newest first. What is damaged or superseded stays, for whoever
        wants to know why, until it is older than everything kept.
        """
        kept = whole[: self.keep]
        if len(kept) < self.keep:
            return []
        floor = min(each.step for each in kept)
        counted = {each.path.name for each in whole}
        leaving = {each.path.name: each.step for each in whole[self.keep :] if each.step not in self.protect}
        old = set(leaving)
        for name in names:
            damaged = step_of(name) if name not in counted else None
            if damaged is not None and damaged < floor and damaged not in self.protect:
                old.add(name)
            superseded = superseded_step(name)
            # It goes with its successor, or before: alone it would be taken for the remains of a crash.
            if superseded is not None and (superseded < floor or superseded in leaving.values()):
                old.add(name)
        return sorted(old)  # `.superseded-` before `step-`


def superseded_name(name: str, token: str) -> str:
    """What a checkpoint is called once another attempt commits the same step. `token` is random, in hexadecimal."""
    return f".superseded-{name}-{token}"


def superseded_step(name: str) -> int | None:
    """The step of a superseded checkpoint; None if that is not such a name."""
    match = _SUPERSEDED.fullmatch(name)
    return step_of(match.group(1)) if match else None
