"""One check of one policy: the question to Prometheus, and the reading of its answer.

The question is one instant query of a range selector, so the answer holds the raw samples. What was before lies in the
checkpoints (see `memory`). Nothing is remembered from check to check: an operator that was restarted judges the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accord.api.base import format_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain import age, questions
from accord.domain.checkpoint.detection import memory, scrapes
from accord.domain.checkpoint.detection.history import History, Judgement
from accord.domain.checkpoint.detection.memory import Interval
from accord.domain.checkpoint.detection.scrapes import Target
from accord.domain.checkpoint.detection.series import Life, Moment, Name, Segment
from accord.domain.checkpoint.reading import Reading, Saved
from accord.domain.checkpoint.subject import Subject
from accord.domain.questions import Question, Scope, Shared, matcher, split
from accord.domain.samples import Answer

_CHECKS = 240
"""How far back the question reaches, in checks, as long as no checkpoint remembers anything."""
_LEAST_REACH, _MOST_REACH = timedelta(minutes=15), timedelta(hours=24)
_OVERLAP = timedelta(minutes=5)
"""How far it reaches back behind what the newest checkpoint remembers: to the last scrape before, and over clocks that
are apart."""
_REACHES = (6, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 960, 1440)
"""In minutes."""
_CLOCKS_APART = timedelta(seconds=30)
"""How far the clock of Prometheus may be from that of the API server."""
_AFTER_THE_END = timedelta(minutes=1)


def schedule(subject: Subject, now: datetime) -> timedelta | None:
    """Time between two checks; None where there is nothing to see: before the first attempt, or after the end."""
    if subject.policy.spec.training_run_ref is not None and subject.attempt is None:
        return None
    if subject.ended is not None and not subject.is_unknown and now - subject.ended > _AFTER_THE_END:
        return None
    return subject.policy.spec.detection.interval


@dataclass(frozen=True)
class _Template:
    """What was scraped of trainers over so long, in one answer of the shape `matrix`."""

    reach: timedelta
    kind: tuple[tuple[str, ...], bool]
    """What tells the trainers apart: a run by the pods of its Job, a source by labels, be it the namespace alone."""
    series: tuple[str, ...]
    """Names of what is asked for."""

    def promql(self, scopes: Sequence[Scope]) -> str:
        """Of these trainers."""
        return _selector(self.series, [questions.matchers(scopes)], format_duration(self.reach))

    def parts(self, answer: Answer, scopes: Sequence[Scope]) -> Mapping[Scope, Answer]:
        """By label, or by pod."""
        return split(answer, scopes)


def ask(subject: Subject, now: datetime) -> Shared:
    """About what the newest attempt reported that no checkpoint remembers."""
    interval = subject.policy.spec.detection.interval
    reach = max(_CHECKS * interval, _LEAST_REACH)
    if subject.ended is not None:
        # In whole minutes, so that the question changes rarely: in the first it is that of before.
        reach += timedelta(minutes=max(now - subject.ended, timedelta()) // timedelta(minutes=1))
    if subject.remembered is not None:
        since = timedelta(seconds=max(now.timestamp() - subject.remembered, 0.0))
        reach = _rounded(since + _OVERLAP)
    scope = _scope(subject)
    series = scrapes.names(subject.policy.spec.detection)
    return Shared(_Template(min(reach, _MOST_REACH), scope.kind, series), scope)


def query(subject: Subject, now: datetime) -> str:
    """PromQL for one policy."""
    return ask(subject, now).promql


def _rounded(reach: timedelta) -> timedelta:
    """Up to one of few values, so that the trainers whose checkpoints are about as old are asked about together."""
    minutes = math.ceil(reach / timedelta(minutes=1))
    return timedelta(minutes=next((few for few in _REACHES if few >= minutes), minutes))


def selector(policy: CheckpointPolicy, labels: Sequence[str], reach: str) -> str:
    """The range selector of a trainer's series with these label matchers, in the policy's namespace."""
    series = scrapes.names(policy.spec.detection)
    return _selector(series, [f'namespace="{policy.metadata.namespace}"', *labels], reach)


def _selector(series: Sequence[str], labels: Sequence[str], reach: str) -> str:
    matchers = [f'__name__=~"{"|".join(series)}"', *labels]
    return f"{{{','.join(matchers)}}}[{reach}]"


def _scope(subject: Subject) -> Scope:
    policy = subject.policy
    namespace = ("namespace", policy.metadata.namespace)
    if policy.spec.training_run_ref is not None:
        return Scope((namespace,), subject.job)
    return Scope((namespace, *_own(policy.spec.source.selector if policy.spec.source is not None else {})))


def source_labels(labels: dict[str, str]) -> list[str]:
    """Matchers of a policy's `source.selector`."""
    return [matcher(name, [value]) for name, value in _own(labels)]


def _own(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The namespace is not for the user to choose."""
    return sorted((name, value) for name, value in labels.items() if name != "namespace")


def interpret(subject: Subject, answer: Answer, now: datetime) -> Reading:
    """What an answer says. Total: everything that Prometheus may say becomes an outcome with a sentence."""
    return replace(_interpret(subject, answer, now), run=subject.run)


def _interpret(subject: Subject, answer: Answer, now: datetime) -> Reading:
    attempt = subject.attempt
    if answer.failure is not None:
        reason = "NoEndpoint" if answer.failure == "UnknownEndpoint" else "QueryFailed"
        return Reading("QueryFailed", now, answer.problem, reason, attempt)
    found = [target for target in scrapes.targets(answer.series) if not _is_of_earlier_run(subject, target)]
    if not found:
        return Reading("Inconclusive", now, _where_to_look(subject), "NoMetrics", attempt)
    newest = found[-1]
    interval = subject.policy.spec.detection.interval
    each = subject.policy.spec.detection.method == "Ratio"
    lives = scrapes.lives(newest, each=each)
    saved = _saved(subject, [target for target in found if target.newest > _since(subject)])
    step = lives[-1].moments[-1].step
    if twin := _twin(found, age.of_sample(interval)):
        words = (
            f"two trainers report at the same time ({_name(twin)} and {_name(newest)}): cannot tell which one to check"
        )
        return Reading("Inconclusive", now, words, "InsufficientData", attempt, step)
    # A training that has ended reports nothing more: what it reported last is judged whenever it can be had.
    until = now if subject.ended is None else min(now, subject.ended)
    if age.is_unscraped(newest.newest, until.timestamp(), interval):
        words = "the trainer's metrics are no longer scraped"
        return Reading("Inconclusive", now, words, "Stale", attempt, step, saved=saved)
    return _reading(_judge(subject, lives[-1]), now, attempt, saved)


def _is_of_earlier_run(subject: Subject, target: Target) -> bool:
    """Whether these are of a pod that is older than the run: one of an earlier run of its name, which ends slowly."""
    return subject.began is not None and target.scrapes[0][0] < (subject.began - _CLOCKS_APART).timestamp()


def _judge(subject: Subject, life: Life) -> Judgement:
    """Of the newest life, and what checkpoints remember from before it: nothing is judged across a restart that lost
    what was learnt, or from before a rollback.
    """
    detection = subject.policy.spec.detection
    since = _since(subject)
    remembered = _remembered(subject, life)
    after = remembered[-1].at if remembered else float("-inf")
    before = History(detection, life.kinds)
    history: History | None = None
    for moment in (*(interval.moment() for interval in remembered), *_after(life, after)):
        if moment.at is not None and moment.at <= since:
            before.add(moment)
            continue
        # What is not finite since before the rollback is the same fault still.
        history = history or History(detection, life.kinds, before.sick)
        history.add(moment)
    if history is None:
        step = life.moments[-1].step
        return Judgement("Inconclusive", "InsufficientData", "no metrics since the rollback yet", step)
    return history.judge()


def _remembered(subject: Subject, life: Life) -> list[Interval]:
    """What checkpoints remember from before this life, or of it."""
    if subject.remembered is None:
        return []
    begin = life.moments[0]
    own = [i for i in subject.memory if i.attempt == (subject.attempt or 0) and begin.at and i.at >= begin.at]
    former = memory.chain((i for i in subject.memory if i not in own), begin.step, _since(subject))
    return memory.chain((*former, *own), life.moments[-1].step, _since(subject))


def _after(life: Life, at: float) -> Iterator[Moment]:
    """The looks that no checkpoint remembers."""
    return (moment for moment in life.moments if moment.at is None or moment.at > at)


def _since(subject: Subject) -> float:
    """Unix time. Pods that ended before it may be those of an earlier run of the same name."""
    return subject.since.timestamp() if subject.since is not None else float("-inf")


def _reading(judgement: Judgement, now: datetime, attempt: int | None, saved: tuple[Saved, ...]) -> Reading:
    return Reading(
        judgement.outcome,
        now,
        judgement.message,
        judgement.reason,
        attempt,
        judgement.step,
        signal=judgement.signal,
        rule=judgement.rule,
        onset=judgement.onset,
        baseline=judgement.baseline,
        recent=judgement.recent,
        limit=judgement.limit,
        share=judgement.share,
        samples=judgement.samples,
        saved=saved,
    )


def _twin(found: Sequence[Target], patience: timedelta) -> Target | None:
    """Another trainer that reports still. One pod that two scrape jobs look at is one trainer."""
    newest = found[-1]
    pod = newest.labels.get("pod")
    begin = newest.scrapes[0][0]
    for other in found[:-1]:
        alive = newest.newest - other.newest < patience.total_seconds()
        together = other.newest > begin
        if alive and together and not (pod and other.labels.get("pod") == pod):
            return other
    return None


def _name(target: Target) -> str:
    return target.labels.get("pod") or target.labels.get("instance") or "one without a name"


def _saved(subject: Subject, found: Sequence[Target]) -> tuple[Saved, ...]:
    """Checkpoints with the means since the one before, or over a baseline's window where that is not seen."""
    window = subject.policy.spec.detection.reward_drop.baseline_window
    moments = [moment for target in found for life in scrapes.lives(target, each=False) for moment in life.moments]
    moments.sort(key=lambda moment: moment.at or 0.0)
    since = max(subject.remembered or float("-inf"), _since(subject))
    result: list[Saved] = []
    numbers = scrapes.numbers(found)
    seen_at = None
    for step, at, _ in scrapes.saved(found):
        after = max(result[-1].step if result else 0, step - window)
        within = [each for each in moments if after < each.step <= step and (each.at or 0.0) <= at]
        result.append(Saved(step, _mean(within, "loss"), _mean(within, "reward"), number=numbers.get(step)))
        seen_at = at
    newest = None if seen_at is None else memory.between(moments, since, seen_at, subject.attempt or 0)
    if newest is not None:
        # Only the newest can still be kept.
        result[-1] = replace(result[-1], sums=newest.encode())
    return tuple(result)


def _mean(moments: Sequence[Moment], name: Name) -> float | None:
    segments = [report for report in (each.report(name) for each in moments) if isinstance(report, Segment)]
    count = sum(segment.values for segment in segments)
    return sum(segment.total for segment in segments) / count if count else None


def _where_to_look(subject: Subject) -> str:
    if subject.job is None:
        return "Prometheus has no ppo_training_step with the labels of source.selector in this namespace"
    return (
        f"Prometheus has no ppo_training_step of pods {subject.job}-…: check that the trainer is scraped with labels "
        "namespace and pod"
    )


QUESTION = Question(ask, interpret, schedule, "matrix")
