"""One life of a trainer, from a start to a restart, and the judgement of where it is now.

Nothing is ever compared across two lives: whoever sees a restart, a change of attempt or a rollback makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Detection, LossSpike, RewardDrop, Signal
from accord.domain.checkpoint.detection import adaptive, ratio
from accord.domain.checkpoint.detection.adaptive import Finding, Question
from accord.domain.checkpoint.detection.series import Blocks, Kind, Moment, Name, Report, Segment

_NAMES: tuple[Name, ...] = ("reward", "loss")
"""In the order of what they tell: a loss may fall when the policy breaks."""
_SIGNALS: Mapping[Name, Signal] = {"reward": "RewardDrop", "loss": "LossSpike"}


@dataclass(frozen=True)
class Judgement:
    """What is known of a training at a step."""

    outcome: Literal["Pass", "Fail", "Inconclusive"]
    reason: str
    message: str
    step: int | None = None
    signal: Signal | None = None
    rule: str | None = None
    onset: int | None = None
    baseline: float | None = None
    recent: float | None = None
    limit: float | None = None
    share: float | None = None
    samples: int | None = None


@dataclass(frozen=True)
class NotFinite:
    """A NaN or Inf that was reported at `step`, and the last step before it at which all was finite."""

    name: Name
    before: int
    step: int


class History:
    """Fed in the order of steps; judged whenever wanted."""

    def __init__(self, detection: Detection, kinds: Mapping[Name, Kind], sick: frozenset[Name] = frozenset()) -> None:
        """`sick` are series that were not finite when this began: that is known, and no news until they were finite."""
        self._detection, self._kinds, self._sick = detection, kinds, set(sick)
        self._blocks = {name: Blocks.of(_rule(detection, name).window) for name in _NAMES}
        self._means = {name: ratio.Means() for name in _NAMES}
        self._found: dict[Name, Finding] = {}
        self._enabled = [name for name in _NAMES if _rule(detection, name).enabled]
        self._ratio = detection.method == "Ratio"
        self.not_finite: NotFinite | None = None
        self.step: int | None = None
        """The newest one."""

    @property
    def sick(self) -> frozenset[Name]:
        """Series that are not finite now."""
        return frozenset(self._sick)

    def add(self, moment: Moment) -> None:
        """What one look shows."""
        reports: tuple[tuple[Name, Report], ...] = (("loss", moment.loss), ("reward", moment.reward))
        for name, report in reports:
            if report == "NotFinite":
                self._add_not_finite(name, moment.step)
            elif report is not None:
                self._add_segment(name, report)
        self.step = moment.step

    def _add_segment(self, name: Name, segment: Segment) -> None:
        self._sick.discard(name)
        if self._ratio:
            self._means[name].add(segment)
        elif self._blocks[name].add(segment):
            self._found.pop(name, None)

    def _add_not_finite(self, name: Name, step: int) -> None:
        if name in self._sick:
            return
        self._sick.add(name)
        if self.not_finite is None:
            self.not_finite = NotFinite(name, step if self.step is None else self.step, step)

    def judge(self) -> Judgement:
        """As of the newest step."""
        if self.not_finite is not None and self._detection.nan_policy == "Fail":
            return self._diverged(self.not_finite)
        findings = {name: self._finding(name) for name in self._enabled}
        if not findings:
            return Judgement("Inconclusive", "InsufficientData", "no signal is enabled", self.step)
        for outcome in ("Fail", "Pass", "Inconclusive"):
            told = [name for name, finding in findings.items() if finding.outcome == outcome]
            if told:
                return self._judgement(told[0], findings)
        raise AssertionError(findings)

    def _finding(self, name: Name) -> Finding:
        rule, bad = _rule(self._detection, name), _bad(name)
        if self._ratio:
            return ratio.judge(
                self._means[name], self.step or 0, bad, rule.threshold, rule.window, rule.baseline_window
            )
        if name not in self._found:
            effect = abs(rule.threshold - 1)
            question = Question(self._kinds[name], bad, effect, rule.window, rule.baseline_window)
            self._found[name] = adaptive.judge(self._blocks[name], question)
        return self._found[name]

    def _judgement(self, name: Name, findings: Mapping[Name, Finding]) -> Judgement:
        finding = findings[name]
        missing = [f"{each} {other.message}" for each, other in findings.items() if other.outcome == "Inconclusive"]
        if finding.outcome == "Inconclusive":
            return Judgement("Inconclusive", "InsufficientData", "; ".join(missing), self.step)
        figures = f"{name} {_figure(finding.recent)} against {_figure(finding.baseline)} before"
        if finding.samples:
            figures += f" ({_samples(self._kinds[name], finding.samples)})"
        failed = finding.outcome == "Fail"
        return Judgement(
            finding.outcome,
            reason=_SIGNALS[name] if failed else "Healthy",
            message="; ".join([figures, *([] if failed else missing)]),
            step=self.step,
            signal=_SIGNALS[name] if failed else None,
            rule=f"{self._detection.method} on {name} by {self._kinds[name]}",
            onset=finding.onset,
            baseline=finding.baseline,
            recent=finding.recent,
            samples=finding.samples,
        )

    def _diverged(self, found: NotFinite) -> Judgement:
        window = _rule(self._detection, found.name).window
        return Judgement(
            "Fail",
            reason="NonFinite",
            message=f"the trainer reports a {found.name} that is not a finite number",
            step=self.step,
            signal="NonFinite",
            rule=f"NaN or Inf in {found.name}",
            onset=max(found.before - window, 0),
        )


def _rule(detection: Detection, name: Name) -> LossSpike | RewardDrop:
    return detection.loss_spike if name == "loss" else detection.reward_drop


def _bad(name: Name) -> Literal[1, -1]:
    return 1 if name == "loss" else -1


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _samples(kind: Kind, count: int) -> str:
    word = "values" if kind == "steps" else kind
    return f"{count} {word[:-1] if count == 1 else word}"
