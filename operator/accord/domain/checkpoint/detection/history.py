"""One life of a trainer, from a start to a restart, and the judgement of where it is now.

Nothing is ever compared across two lives: whoever sees a restart, a change of attempt or a rollback makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from accord.api.v1alpha1.checkpointpolicy import Detection, KLSpike
from accord.api.v1alpha1.checkpointpolicy import Signal as SignalName
from accord.domain.checkpoint.detection import ratio
from accord.domain.checkpoint.detection.adaptive import Question, Watch
from accord.domain.checkpoint.detection.finding import Finding, Outcome
from accord.domain.checkpoint.detection.returns import PROOF, Returns
from accord.domain.checkpoint.detection.series import Kind, Moment, Name, Segment
from accord.domain.checkpoint.detection.signals import OF_SERIES, SIGNALS, Signal

_GRAVITY: tuple[Outcome, ...] = ("Fail", "Suspect", "Pass", "Inconclusive")
_FAULTS: tuple[Outcome, ...] = ("Fail", "Suspect")


@dataclass(frozen=True)
class Judgement:
    """What is known of a training at a step."""

    outcome: Outcome
    reason: str
    message: str
    step: int | None = None
    signal: SignalName | None = None
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
        self._detection, self._sick = detection, set(sick)
        self._kinds = {name: kinds.get(name, signal.unit) for name, signal in OF_SERIES.items()}
        drop = detection.reward_drop
        self._returns = Returns(
            self._kinds["reward"], drop.threshold, drop.window, drop.baseline_window, detection.sensitivity
        )
        self._seen = [signal for signal in SIGNALS if signal.is_seen(detection)]
        self._watches = {
            signal.series: Watch(self._question(signal)) for signal in self._seen if signal.series != "reward"
        }
        self._means = {signal.series: ratio.Means() for signal in self._seen}
        self._reached: int | None = None
        """Step after which the level was reached that is lost now, as far as its cause was looked for."""
        self._spike: int | None = None
        """Step before which nothing is seen of the spike in the losses that may have done it."""
        self._updates = 0
        self._has_returns = False
        self._enabled = [signal for signal in SIGNALS if signal.rule(detection).enabled]
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
        for signal in self._seen:
            report = moment.report(signal.series)
            if isinstance(report, Segment):
                self._add_segment(signal.series, _bounded(report, signal.least))
            elif report is not None and signal.is_proof:
                self._add_not_finite(signal.series, moment.step)
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
            if name == "loss":
                self._updates += segment.units
            self._watches[name].add(segment)

    def _add_not_finite(self, name: Name, step: int) -> None:
        if name in self._sick:
            return
        self._sick.add(name)
        if self.not_finite is None:
            before = (step if self.step is None else self.step) - OF_SERIES[name].rule(self._detection).window
            if self._kinds["loss"] == "updates" and "loss" in self._finite:
                # The newest finite update was told what the one before had made of the weights, and no more.
                before = min(before, self._finite["loss"] + 1)
            self.not_finite = NotFinite(name, max(before, 0), step)

    def judge(self) -> Judgement:
        """As of the newest step."""
        if self.not_finite is not None and self._detection.nan_policy == "Fail":
            return self._diverged(self.not_finite)
        findings = {signal: self._finding(signal) for signal in self._enabled}
        if not findings:
            return Judgement("Inconclusive", "InsufficientData", "no signal is enabled", self.step)
        for outcome in _GRAVITY:
            told = [signal for signal, finding in findings.items() if finding.outcome == outcome]
            if told:
                return self._judgement(told[0], findings)
        raise AssertionError(findings)

    def _question(self, signal: Signal) -> Question:
        rule = signal.rule(self._detection)
        return Question(
            self._kinds[signal.series],
            signal.bad,
            rule.threshold - 1 if signal.scale is None else rule.threshold,
            rule.window,
            rule.baseline_window,
            scale=signal.scale,
            limit=rule.minimum if isinstance(rule, KLSpike) else None,
            beyond=PROOF[self._detection.sensitivity].deeper if signal.is_proof else None,
        )

    def _finding(self, signal: Signal) -> Finding:
        if self._ratio:
            found = self._ratio_of(signal)
            return found if signal.is_proof else _suspect(found)
        if signal.series == "reward":
            found = self._returns.judge()
            if found.onset is None or self._spike is None:
                return found
            return replace(found, onset=min(found.onset, self._spike))
        found = self._watches[signal.series].judge()
        # A breakthrough looks like that: what it did to the return decides.
        return found if found.outcome == "Fail" and not self._has_returns else _suspect(found)

    def _ratio_of(self, signal: Signal) -> Finding:
        rule, step = signal.rule(self._detection), self.step or 0
        factor = rule.threshold if signal.bad == 1 or signal.scale is not None else 1 - rule.threshold
        found = ratio.judge(
            self._means[signal.series], step, signal.bad, factor, rule.window, rule.baseline_window, signal.scale
        )
        if found.recent is not None and self._question(signal).is_allowed(found.recent):
            return replace(found, outcome="Pass", onset=None)
        return found

    def _find_cause(self) -> None:
        """What did harm is often seen in the losses first, and thousands of steps later in the returns.

        A spike from before the level was reached did none. Looked for once, when the harm is found.
        """
        if self._returns.reached == self._reached:
            return
        self._reached = self._returns.reached
        self._spike = None
        if self._reached is not None and OF_SERIES["loss"] in self._enabled:
            self._spike = self._watches["loss"].first_onset(self._reached)

    def _judgement(self, told: Signal, findings: Mapping[Signal, Finding]) -> Judgement:
        finding, kind = findings[told], self._kinds[told.series]
        missing = [
            f"{each.words} {other.message}" for each, other in findings.items() if other.outcome == "Inconclusive"
        ]
        if finding.outcome == "Inconclusive":
            return Judgement("Inconclusive", "InsufficientData", "; ".join(missing), self.step)
        wrong = finding.outcome in _FAULTS
        reason = "Healthy" if not wrong else told.name if finding.outcome == "Fail" else told.suspected
        return Judgement(
            finding.outcome,
            reason=reason,
            message="; ".join([_sentence(told.words, kind, finding), *([] if wrong else missing)]),
            step=self.step,
            signal=told.name if wrong else None,
            rule=f"{self._detection.method} on {told.words} by {kind}",
            onset=finding.onset,
            baseline=finding.baseline,
            recent=finding.recent,
            limit=finding.limit,
            share=finding.share,
            samples=finding.samples,
        )

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


def _suspect(found: Finding) -> Finding:
    """The same as a suspicion, if it is a fault."""
    return replace(found, outcome="Suspect", onset=None, limit=None) if found.outcome in _FAULTS else found


def _bounded(segment: Segment, least: float) -> Segment:
    return segment if segment.mean >= least else segment._replace(total=least * segment.values)


def _sentence(words: str, kind: Kind, finding: Finding) -> str:
    """Level, samples, baseline, limit and effect, in the units that were judged."""
    over = f" over {_samples(kind, finding.samples)}" if finding.samples else ""
    if finding.share is None:
        limit = "" if finding.limit is None else f" (limit {_figure(finding.limit)})"
        return f"{words} {_figure(finding.recent)}{over} against {_figure(finding.baseline)} before{limit}"
    figures = f"{words} {_figure(finding.recent)}{over}, {_figure(finding.baseline)} at best"
    if finding.outcome == "Pass":
        return f"{figures} before"
    return f"{figures}: {finding.share:.0%} of what was learnt is lost (limit {_figure(finding.limit)})"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _samples(kind: Kind, count: int) -> str:
    word = "values" if kind == "steps" else kind
    return f"{count} {word[:-1] if count == 1 else word}"
