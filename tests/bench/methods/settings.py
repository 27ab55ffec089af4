"""The methods by name, and the settings that each may have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.bench.methods import accord_rules, adwin, change_points, cusum, page_hinkley, skip_step
from tests.bench.methods.recorded import Alarm, Run

CHOSEN = Path(__file__).parent / "chosen.json"
"""What was chosen on the half to build on, by method."""
Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """One line of the table."""

    name: str
    module: ModuleType
    setting: Setting | None = None
    """As published, or as the operator has it; None where it is chosen."""
    grid: Mapping[str, Sequence[Any]] | None = None
    """What it is chosen among: all combinations."""

    def settings(self) -> list[Setting]:
        """All that it may have."""
        if self.grid is None:
            return [self.setting or {}]
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]


METHODS = (
    *(
        Method(f"`Adaptive`, {sensitivity}", accord_rules, {"sensitivity": sensitivity})
        for sensitivity in ("Low", "Medium", "High")
    ),
    Method("`Adaptive`, Medium, loss alone", accord_rules, {"loss_alone": True}),
    Method("`Ratio`", accord_rules, {"method": "Ratio"}),
    Method(
        "Page-Hinkley (river)",
        page_hinkley,
        grid={
            "burn_in": (30,),
            "reference": ("start", "past"),
            "slack": (0.005, 0.1, 0.5),
            "limit": (5.0, 10.0, 20.0, 50.0, 100.0, 200.0),
            "memory": (0.9999,),
        },
    ),
    Method(
        "ADWIN (river)",
        adwin,
        grid={
            "burn_in": (30,),
            "reference": ("start", "past"),
            "delta": (5e-2, 2e-3, 1e-4, 1e-6, 1e-9, 1e-14),
            "clock": (4, 32),
            "least": (5, 20),
        },
    ),
    Method(
        "CUSUM",
        cusum,
        grid={
            "burn_in": (20, 100),
            "slack": (0.25, 0.5, 1.0),
            "limit": (5.0, 10.0, 20.0, 40.0, 80.0, 160.0),
            "relearns": (False, True),
        },
    ),
    Method(
        "Bayesian online change points",
        change_points,
        grid={
            "hazard": (1e-2, 1e-4),
            "least": (5, 10, 20, 40),
            "drop": (0.0, 0.5, 1.0, 2.0),
            "mass": (0.5, 0.9, 0.99, 0.9999),
        },
    ),
    Method("OLMo's skip rule, as published", skip_step, {"sigmas": 6.0, "interval": 128, "row": 1}),
    Method(
        "OLMo's skip rule, at its best",
        skip_step,
        grid={"sigmas": (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0), "interval": (16, 32, 64, 128), "row": (1, 2, 3)},
    ),
)


def first_alarms(method: Method, run: Run, settings: Sequence[Setting]) -> Iterator[Alarm | None]:
    """The first one of the run, with each setting. What is not finite is one for every method: that needs none, and the
    operator's rules see to it themselves.
    """
    if hasattr(method.module, "firsts"):
        found = method.module.firsts(run, settings)
    else:
        found = [next(method.module.alarms(run, **setting), None) for setting in settings]
    for alarm in found:
        given = None if method.module is accord_rules else run.not_finite
        yield min((each for each in (alarm, given) if each is not None), default=None)


def frozen() -> dict[str, Setting]:
    """The settings to judge with."""
    chosen: dict[str, Setting] = json.loads(CHOSEN.read_text(encoding="utf-8")) if CHOSEN.exists() else {}
    return {method.name: chosen[method.name] if method.grid else (method.setting or {}) for method in METHODS}


def freeze(chosen: Mapping[str, Setting]) -> None:
    """Write down what was chosen."""
    CHOSEN.write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
