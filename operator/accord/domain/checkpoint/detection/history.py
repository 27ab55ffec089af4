"""One life of a trainer, from a start to a restart, and the judgement of where it is now.

Nothing is ever compared across two lives: whoever sees a restart, a change of attempt or a rollback makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Detection, LossSpike, RewardDrop, Signal
from accord.domain.checkpoint.detection import adaptive, ratio
from accord.domain.checkpoint.detection.adaptive import Question
from accord.domain.checkpoint.detection.finding import Finding, Outcome
from accord.domain.checkpoint.detection.returns import Returns
from accord.domain.checkpoint.detection.series import Blocks, Kind, Moment, Name, Report, Segment
from accord.domain.checkpoint.reading import SUSPECTED

_NAMES: tuple[Name, ...] = ("reward", "loss")
"""In the order of what they tell: a loss may fall when the policy breaks."""
_SIGNALS: Mapping[Name, Signal] = {"reward": "RewardDrop", "loss": "LossSpike"}
_GRAVITY: tuple[Outcome, ...] = ("Fail", "Suspect", "Pass", "Inconclusive")


@dataclass(frozen=True)
class Judgement:
    """What is known of a training at a step."""

    outcome: Outcome
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
    """A NaN or Inf that was reported at `step`; what was saved before step `before` is from before it."""

    name: Name
    before: int
    step: int


class History:
    """Fed in the order of steps; judged whenever wanted."""

    def __init__(self, detection: Detection, kinds: Mapping[Name, Kind], sick: frozenset[Name] = frozenset()) -> None:
        """`sick` are series that were not finite when this began: that is known, and no news until they were finite."""
        self._detection, self._kinds, self._sick = detection, kinds, set(sick)
        drop = detection.reward_drop
        self._returns = Returns(
            kinds["reward"], drop.threshold, drop.window, drop.baseline_window, detection.sensitivity
        )
        spike = detection.loss_spike
        self._losses = Blocks.of(spike.window)
        self._question = Question(kinds["loss"], 1, spike.threshold - 1, spike.window, spike.baseline_window)
        self._means = {name: ratio.Means() for name in _NAMES}
        self._loss: Finding | None = None
        self._reached: int | None = None
        """Step after which the level was reached that is lost now, as far as its cause was looked for."""
        self._spike: int | None = None
        """Step before which nothing is seen of the spike in the losses that may have done it."""
        self._updates = 0
        self._has_returns = False
        self._enabled = [name for name in _NAMES if _rule(detection, name).enabled]
        self._ratio = detection.method == "Ratio"
        self._finite: dict[Name, int] = {}
        """Step after which each series' newest finite report begins."""
        self.not_finite: NotFinite | None = None
        self.step: int | None = None
        """The newest one."""

    @property
    def sick(self) -> frozenset[Name]:
        """Series that are not finite now."""
        return frozenset(self._sick)

    def add(self, moment: Moment) -> None:
        """What one look shows."""
        # An update is learnt from episodes before it, and from then on the policy is another one.
        reports: tuple[tuple[Name, Report], ...] = (("reward", moment.reward), ("loss", moment.loss))
        for name, report in reports:
            if report == "NotFinite":
                self._add_not_finite(name, moment.step)
            elif report is not None:
                self._add_segment(name, report)
        self.step = moment.step

    def _add_segment(self, name: Name, segment: Segment) -> None:
        self._sick.discard(name)
        self._finite[name] = segment.first
        if self._ratio:
            self._means[name].add(segment)
        elif name == "reward":
            by_updates = self._kinds["loss"] == "updates" and self._updates > 0
            self._returns.add(segment, self._updates if by_updates else None)
            self._has_returns = True
            self._find_cause()
        else:
            self._updates += segment.units
            if self._losses.add(segment):
                self._loss = None

    def _add_not_finite(self, name: Name, step: int) -> None:
        if name in self._sick:
            return
        self._sick.add(name)
        if self.not_finite is None:
            before = (step if self.step is None else self.step) - _rule(self._detection, name).window
            if self._kinds["loss"] == "updates" and "loss" in self._finite:
                # The newest finite update was told what the one before had made of the weights, and no more.
                before = min(before, self._finite["loss"] + 1)
            self.not_finite = NotFinite(name, max(before, 0), step)

    def judge(self) -> Judgement:
        """As of the newest step."""
        if self.not_finite is not None and self._detection.nan_policy == "Fail":
            return self._diverged(self.not_finite)
        findings = {name: self._finding(name) for name in self._enabled}
        if not findings:
            return Judgement("Inconclusive", "InsufficientData", "no signal is enabled", self.step)
        for outcome in _GRAVITY:
            told = [name for name, finding in findings.items() if finding.outcome == outcome]
            if told:
                return self._judgement(told[0], findings)
        raise AssertionError(findings)

    def _finding(self, name: Name) -> Finding:
        rule = _rule(self._detection, name)
        if self._ratio:
            factor = rule.threshold if name == "loss" else 1 - rule.threshold
            return ratio.judge(self._means[name], self.step or 0, _bad(name), factor, rule.window, rule.baseline_window)
        if name == "reward":
            found = self._returns.judge()
            if found.onset is None or self._spike is None:
                return found
            return replace(found, onset=min(found.onset, self._spike))
        if self._loss is None:
            self._loss = adaptive.judge(self._losses, self._question)
        if self._loss.outcome == "Fail" and self._has_returns:
            # A breakthrough looks like that: what it did to the return decides.
            return replace(self._loss, outcome="Suspect", onset=None)
        return self._loss

    def _find_cause(self) -> None:
        """What did harm is often seen in the losses first, and thousands of steps later in the returns.

        A spike from before the level was reached did none. Looked for once, when the harm is found.
        """
        if self._returns.reached == self._reached:
            return
        self._reached = self._returns.reached
        self._spike = None
        if self._reached is not None and "loss" in self._enabled:
            self._spike = adaptive.first_onset(self._losses, self._question, self._reached)

    def _judgement(self, name: Name, findings: Mapping[Name, Finding]) -> Judgement:
        finding = findings[name]
        missing = [f"{each} {other.message}" for each, other in findings.items() if other.outcome == "Inconclusive"]
        if finding.outcome == "Inconclusive":
            return Judgement("Inconclusive", "InsufficientData", "; ".join(missing), self.step)
        wrong = finding.outcome in ("Fail", "Suspect")
        signal = _SIGNALS[name] if wrong else None
        reason = "Healthy" if signal is None else signal if finding.outcome == "Fail" else SUSPECTED[signal]
        return Judgement(
            finding.outcome,
            reason=reason,
            message="; ".join([self._sentence(name, finding), *([] if wrong else missing)]),
            step=self.step,
            signal=signal,
            rule=f"{self._detection.method} on {name} by {self._kinds[name]}",
            onset=finding.onset,
            baseline=finding.baseline,
            recent=finding.recent,
            limit=finding.limit,
            share=finding.share,
            samples=finding.samples,
        )

    def _sentence(self, name: Name, finding: Finding) -> str:
        """Level, samples, baseline, limit and effect, in the units that were judged."""
        over = f" over {_samples(self._kinds[name], finding.samples)}" if finding.samples else ""
        if finding.share is None:
            return f"{name} {_figure(finding.recent)}{over} against {_figure(finding.baseline)} before"
        figures = f"{name} {_figure(finding.recent)}{over}, {_figure(finding.baseline)} at best"
        if finding.outcome == "Pass":
            return f"{figures} before"
        return f"{figures}: {finding.share:.0%} of what was learnt is lost (limit {_figure(finding.limit)})"

    def _diverged(self, found: NotFinite) -> Judgement:
        return Judgement(
            "Fail",
            reason="NonFinite",
            message=f"the trainer reports a {found.name} that is not a finite number",
            step=self.step,
            signal="NonFinite",
            rule=f"NaN or Inf in {found.name}",
            onset=found.before,
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
