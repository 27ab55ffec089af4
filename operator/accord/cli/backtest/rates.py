"""What came of `accord backtest --runs`: false and true alarms at each sensitivity, as a table or data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from accord.cli.backtest.runs import INDEX, Judged, Run, Setting, Verdict
from accord.cli.printer import Block, Table
from accord.cli.tables import plural

_HEADINGS = ("SENSITIVITY", "RUNS", "HEALTHY ROLLED BACK", "FAULTS CAUGHT", "MEDIAN LAG", "SUSPECT")


@dataclass(frozen=True)
class _Rates:
    """Of one setting."""

    setting: Setting
    healthy: Sequence[Verdict]
    faulty: Sequence[Verdict]
    harmless: Sequence[Verdict]

    @property
    def alarms(self) -> list[Verdict]:
        """Runs that were rolled back without a reason, those before their fault among them."""
        return [each for each in (*self.healthy, *self.faulty, *self.harmless) if each.false is not None]

    @property
    def rolled_back(self) -> int:
        return sum(each.false is not None for each in self.healthy)

    @property
    def missed(self) -> list[Verdict]:
        return [each for each in self.faulty if each.caught is None]

    @property
    def caught(self) -> int:
        return len(self.faulty) - len(self.missed)

    @property
    def spared(self) -> list[Verdict]:
        """Faults that did no harm, and were answered by a rollback."""
        return [each for each in self.harmless if each.caught is not None]

    @property
    def episodes(self) -> float | None:
        """Median until a fault was caught."""
        found = [each.lag.episodes for each in self.faulty if each.lag is not None]
        return median(found) if found else None

    @property
    def updates(self) -> float | None:
        found = [each.lag.updates for each in self.faulty if each.lag is not None and each.lag.updates is not None]
        return median(found) if found else None

    @property
    def suspect(self) -> float | None:
        """Share of the checks of healthy runs after which promotion is paused."""
        checks = sum(each.checks for each in self.healthy)
        return sum(each.paused for each in self.healthy) / checks if checks else None


def notes(judged: Judged) -> Iterator[str]:
    """What a reader of the figures should know."""
    unnamed = judged.directory.unnamed
    if unnamed:
        yield f"skipped {plural(unnamed, 'file')} not listed in {INDEX}"
    yield from judged.notes


def as_table(judged: Judged) -> list[Block]:
    """A sentence, a line a sensitivity, and which runs were false alarms or were missed."""
    found = [_rates(judged, setting) for setting in judged.settings]
    meta, runs = judged.policy.metadata, plural(len(judged.directory.runs), "run")
    lines: list[Block] = [
        f"CheckpointPolicy {meta.namespace}/{meta.name} on {runs}: {_what(judged, found[0])}.",
        Table([_HEADINGS, *(_line(each) for each in found)]),
    ]
    because = ("SENSITIVITY", "FILE", "STEP", "REASON")
    for title, rows in (
        ("False alarms", [because, *_alarms(found)]),
        ("Missed faults", [("FILE", "FAULT AT", "SENSITIVITY"), *_missed(found)]),
        ("Rolled back after a fault that did no lasting harm", [because, *_spared(found)]),
        ("Too short to judge", [("SENSITIVITY", "FILE", "REASON"), *_short(judged)]),
    ):
        if len(rows) > 1:
            lines += ["", f"{title}:", Table(rows)]
    return lines


def _what(judged: Judged, rates: _Rates) -> str:
    if not judged.directory.has_index:
        return f"all counted as healthy: {judged.directory.path} has no {INDEX}"
    parts = [f"{len(rates.healthy)} healthy", f"{len(rates.faulty)} with a fault"]
    if rates.harmless:
        parts.append(f"{len(rates.harmless)} with a fault that did no lasting harm")
    return ", ".join(parts)


def as_data(judged: Judged) -> dict[str, Any]:
    """The same for programs; `medianLag` holds null where nothing was caught, or where updates are not known."""
    return {
        "directory": str(judged.directory.path),
        "indexed": judged.directory.has_index,
        "runs": len(judged.directory.runs),
        "sensitivities": [_object(_rates(judged, setting)) for setting in judged.settings],
    }


def _object(rates: _Rates) -> dict[str, Any]:
    return {
        "sensitivity": rates.setting.name,
        "policy": rates.setting.own,
        "healthy": {"runs": len(rates.healthy), "rolledBack": rates.rolled_back},
        "faults": {"runs": len(rates.faulty), "caught": rates.caught},
        "harmless": {"runs": len(rates.harmless), "rolledBack": len(rates.spared)},
        "medianLag": {"episodes": rates.episodes, "updates": rates.updates},
        "suspect": rates.suspect,
        "falseAlarms": [
            {"file": each.run.name, "step": each.false.step, "message": each.false.judgement.message}
            for each in rates.alarms
            if each.false is not None
        ],
        "missed": [{"file": each.run.name, "faultStep": each.run.fault} for each in rates.missed],
        "tooShort": [
            {"file": each.run.name, "message": each.lacking}
            for each in (*rates.healthy, *rates.faulty, *rates.harmless)
            if each.lacking is not None
        ],
    }


def _rates(judged: Judged, setting: Setting) -> _Rates:
    verdicts = judged.verdicts[setting.name]
    return _Rates(
        setting,
        healthy=[each for each in verdicts if each.run.label == "healthy"],
        faulty=[each for each in verdicts if each.run.label in ("harmed", "collapsed")],
        harmless=[each for each in verdicts if each.run.label == "harmless"],
    )


def _line(rates: _Rates) -> tuple[str, ...]:
    return (
        _name(rates.setting),
        str(len(rates.healthy) + len(rates.faulty) + len(rates.harmless)),
        _part(rates.rolled_back, len(rates.healthy)),
        _part(rates.caught, len(rates.faulty)),
        _lag(rates),
        "–" if rates.suspect is None else f"{rates.suspect:.1%}",
    )


def _name(setting: Setting) -> str:
    return f"{setting.name} (policy)" if setting.own else setting.name


def _part(count: int, whole: int) -> str:
    return f"{count}/{whole} ({count / whole:.1%})" if whole else "–"


def _lag(rates: _Rates) -> str:
    if rates.episodes is None:
        return "–"
    parts = [(rates.episodes, "episode"), *([] if rates.updates is None else [(rates.updates, "update")])]
    return ", ".join(f"{count:g} {word}" if count == 1 else f"{count:g} {word}s" for count, word in parts)


def _alarms(found: Sequence[_Rates]) -> Iterator[tuple[str, ...]]:
    for rates in found:
        for each in rates.alarms:
            if each.false is not None:
                early = "" if each.run.label == "healthy" else f" (the fault begins at {each.run.fault})"
                because = f"{each.false.signal}: {each.false.judgement.message}{early}"
                yield rates.setting.name, each.run.name, str(each.false.step), because


def _missed(found: Sequence[_Rates]) -> Iterator[tuple[str, ...]]:
    """A line a run, with all of the settings that missed it."""
    names: dict[Run, list[str]] = {}
    for rates in found:
        for each in rates.missed:
            names.setdefault(each.run, []).append(rates.setting.name)
    for run, missed in names.items():
        yield run.name, "unknown" if run.fault is None else str(run.fault), ", ".join(missed)


def _spared(found: Sequence[_Rates]) -> Iterator[tuple[str, ...]]:
    for rates in found:
        for each in rates.spared:
            if each.caught is not None:
                because = f"{each.caught.signal}: {each.caught.judgement.message}"
                yield rates.setting.name, each.run.name, str(each.caught.step), because


def _short(judged: Judged) -> Iterator[tuple[str, ...]]:
    for setting in judged.settings:
        for each in judged.verdicts[setting.name]:
            if each.lacking is not None:
                yield setting.name, each.run.name, each.lacking
