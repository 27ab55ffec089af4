"""Proxies of which no pod of a mode passes the check: a NetworkPolicy, the broken network of a node, another zone.

Such a proxy gives the mode's share away for all of its clients, while the others see nothing wrong.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from accord.domain.traffic.observed import CutOff, Sight

LASTING_SECONDS = 60.0
"""Above what the first checks of a new proxy, or of a new pod, take."""


class Blind:
    """Since when each proxy reaches no pod of a mode. Seconds are those of a monotonic clock."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}
        """By proxy and mode: when that was seen first, and last."""

    def enter(self, answers: Mapping[str, Mapping[str, Sight]], at: float) -> None:
        """What the proxies told at that moment. One that did not answer says nothing new."""
        for proxy, sights in answers.items():
            for mode in [mode for name, mode in self._seen if name == proxy and not _is_blind(sights.get(mode))]:
                del self._seen[proxy, mode]
            for mode, sight in sights.items():
                if _is_blind(sight):
                    self._seen[proxy, mode] = (self._seen.get((proxy, mode), (at, at))[0], at)

    def keep(self, proxies: Container[str]) -> None:
        """Forget all others."""
        self._seen = {key: span for key, span in self._seen.items() if key[0] in proxies}

    @property
    def lasting(self) -> frozenset[tuple[str, str]]:
        """Proxies, each with a mode, that have been seen so for long."""
        return frozenset(key for key, (first, last) in self._seen.items() if last - first >= LASTING_SECONDS)

    def cut_off(self, sights: Mapping[str, Mapping[str, Sight]], modes: Iterable[str]) -> dict[str, CutOff]:
        """By mode the proxies that reach none of its pods, where others do. `sights` is what is known, by proxy."""
        found: dict[str, CutOff] = {}
        lasting = self.lasting
        for mode in modes:
            telling = [proxy for proxy, seen in sights.items() if mode in seen]
            blind = tuple(sorted(proxy for proxy in telling if (proxy, mode) in self._seen))
            if blind and any(sights[proxy][mode].passing for proxy in telling):
                found[mode] = CutOff(blind, len(telling), any((proxy, mode) in lasting for proxy in blind))
        return found


def _is_blind(sight: Sight | None) -> bool:
    return sight is not None and sight.pods > 0 and sight.passing == 0
