"""From facts to the lines of the checklist. Pure, and total: whatever is missing becomes a line that is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import Condition
from accord.api.v1alpha1.trafficpolicy import Mode, TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.report import questions
from accord.cli.report.facts import Asked, Facts, Limits, Line, Outcome
from accord.domain.checkpoint.detection.signals import optional
from accord.domain.conditions import find, timestamp
from accord.domain.samples import Answer
from accord.domain.traffic import movement
from accord.domain.traffic.judgement import chance
from accord.domain.training.retuning import effective
from accord.domain.training.schedule import value_at
from accord.domain.training.schedule_compliance import follows, margin

NOTHING = "–"
_SILENT = timedelta(minutes=2)
"""The operator renews its Lease every few seconds; clocks may differ by less than this."""
_BY_CHANCE = 0.01
_WHOLE = 100
_EPSILON = 1e-9
_NO_PROMETHEUS = "give --prometheus URL"


def lines(facts: Facts, limits: Limits) -> list[Line]:
    """The whole checklist."""
    found = [line for policy in facts.policies for line in _of_policy(policy, facts, limits)]
    found += [line for run in facts.runs for line in _of_run(run, facts)]
    found += [line for policy in facts.checkpoints for line in _of_checkpoints(policy, facts, limits)]
    return found


def summary(found: Sequence[Line]) -> dict[Outcome, int]:
    """How many lines are what."""
    outcomes: tuple[Outcome, ...] = ("pass", "warn", "fail", "unknown")
    return {outcome: sum(line.outcome == outcome for line in found) for outcome in outcomes}


def _of_policy(policy: TrafficPolicy, facts: Facts, limits: Limits) -> Iterator[Line]:
    name = f"TrafficPolicy {policy.metadata.name}"
    told = _outdated(policy, facts)
    for mode in policy.spec.modes:
        yield _as_told(_share(name, policy, mode, limits), told)
    yield _as_told(_breakers(name, policy), told)
    yield _uptime(name, policy, facts)
    asked: tuple[tuple[Asked, str, str, float, str, str], ...] = (
        (
            "errors",
            "error rate",
            "%",
            limits.max_errors,
            "http_requests_total",
            "no requests counted by http_requests_total with labels namespace, mode and code; give --errors-query",
        ),
        (
            "latency",
            "latency, 95th percentile",
            "s",
            limits.max_latency,
            "http_request_duration_seconds",
            "no histogram http_request_duration_seconds with labels namespace and mode; give --latency-query",
        ),
        (
            "cache",
            "cache hit rate",
            "%",
            limits.min_cache_hits,
            "cache_hits_total",
            "no counters cache_hits_total and cache_misses_total with labels namespace and mode; give --cache-query",
        ),
    )
    for which, check, unit, limit, series, missing in asked:
        expected = f"> {limit:g} {unit}" if which == "cache" else f"< {limit:g} {unit}"
        query = getattr(facts.queries, which)
        line = Line(name, check, "unknown", NOTHING, expected, f"Prometheus: {series if query is None else query}")
        answer = _answer(facts, policy.metadata.name, which)
        if answer is None:
            yield replace(line, note=_NO_PROMETHEUS)
            continue
        figure = questions.single(answer, missing if query is None else "the query returned no series")
        if figure.value is None:
            yield replace(line, note=figure.note)
            continue
        good = figure.value > limit if which == "cache" else figure.value < limit
        yield replace(line, outcome="pass" if good else "fail", figure=f"{_number(figure.value)} {unit}")


def _share(name: str, policy: TrafficPolicy, mode: Mode, limits: Limits) -> Line:
    weight = movement.weights(policy)[mode.name]
    low, high = max(weight - limits.share_within, 0), min(weight + limits.share_within, _WHOLE)
    expected, source = f"{low:g}–{high:g} %", "status.modes[].actual"
    line = Line(name, f"share of {mode.name}", "unknown", NOTHING, expected, source)
    within = find(policy.status.conditions, "WithinTarget")
    status = next((each for each in policy.status.modes if each.name == mode.name), None)
    if status is None or status.actual is None:
        return replace(line, note=_message(within) or "not measured yet")
    line = replace(line, figure=f"{status.actual:.1f} %")
    if within is None or within.status == "Unknown":
        return replace(line, note=_message(within) or "not measured yet")
    off = abs(status.actual - weight)
    if off <= limits.share_within + _EPSILON:
        return replace(line, outcome="pass")
    requests = [each.requests for each in policy.status.modes if each.requests is not None]
    if requests:
        sticky = policy.spec.sticky_session.enabled
        choices = sum(requests) / (policy.spec.monitoring.requests_per_session if sticky else 1)
        if chance(status.actual / 100, weight / 100, choices) > _BY_CHANCE:
            return replace(line, note=f"{sum(requests)} requests are too few to rule out chance")
    why = "; another mode takes over, see condition ModesAvailable" if within.reason == "Fallback" else ""
    note = f"off by {off:.1f} points{why}"
    return replace(line, outcome="warn" if off <= limits.share_limit + _EPSILON else "fail", note=note)


def _breakers(name: str, policy: TrafficPolicy) -> Line:
    source = "status.circuitBreakers, status.modes[].ejectedPods"
    line = Line(name, "circuit breakers open", "unknown", NOTHING, "0", source)
    status, known = policy.status, {breaker.mode: breaker for breaker in policy.status.circuit_breakers}
    open_ = [f"mode {mode} is downshifted" for mode, breaker in known.items() if breaker.share < _WHOLE]
    ejected = {mode.name: mode.ejected_pods for mode in status.modes}
    open_ += [f"{count} pods of mode {mode} are ejected" for mode, count in ejected.items() if count]
    if open_:
        return replace(line, outcome="fail", figure=str(len(open_)), note="; ".join(open_))
    accepted = find(status.conditions, "Accepted")
    unseen = [breaker.mode for breaker in policy.spec.breakers if breaker.mode not in known]
    if policy.spec.breakers and (unseen or accepted is None or accepted.status != "True"):
        return replace(line, note=_message(accepted) or "the circuit breaker has no status yet")
    if not ejected or None in ejected.values():
        return replace(line, note="the proxies cannot be read: allow the operator to reach port 8081 of their pods")
    return replace(line, outcome="pass", figure="0")


def _uptime(name: str, policy: TrafficPolicy, facts: Facts) -> Line:
    line = Line(name, "uptime", "unknown", NOTHING, "100 %", "Prometheus: accord_condition")
    answer = _answer(facts, policy.metadata.name, "uptime")
    if answer is None:
        return replace(line, note=_NO_PROMETHEUS)
    found = questions.uptime(policy, answer, facts.range, facts.now)
    if found.value is None:
        return replace(line, note=found.note)
    # Rounded down: what is not all of it must not read as 100 %.
    line = replace(line, figure=f"{math.floor(100 * found.value) / 100:g} %", note=found.note)
    if found.value < 100 - _EPSILON:
        return replace(line, outcome="fail", note="no mode had ready pods in the rest of the time")
    return line if found.partial else replace(line, outcome="pass")


def _of_run(run: TrainingRun, facts: Facts) -> Iterator[Line]:
    name = f"TrainingRun {run.metadata.name}"
    told = _outdated(run, facts)
    yield _as_told(_progress(name, run), told)
    yield from (_as_told(line, told) for line in _schedules(name, run))
    if run.spec.reward_normalization.enabled:
        yield from _normalizer(name, run, facts)


def _progress(name: str, run: TrainingRun) -> Line:
    status, total = run.status, run.spec.total_steps
    line = Line(name, "training steps", "unknown", NOTHING, str(total), "status.step")
    failed = find(status.conditions, "Failed")
    figure = NOTHING if status.step is None else str(status.step)
    if status.phase == "Failed" or (failed is not None and failed.status == "True"):
        return replace(line, outcome="fail", figure=figure, note=_message(failed) or "the run failed")
    if status.phase == "Succeeded":
        return replace(line, outcome="pass", figure=str(total) if status.step is None else figure)
    if status.phase == "Running":
        blind = _blind(run)
        if status.step is None or blind is not None:
            return replace(line, figure=figure, note=blind or "no step is reported yet")
        end = status.estimated_completion
        return replace(line, outcome="warn", figure=figure, note=f"in progress, until {end}" if end else "in progress")
    ready = _message(find(status.conditions, "Suspended")) or _message(find(status.conditions, "Ready"))
    return replace(line, outcome="warn" if status.phase else "unknown", figure=figure, note=ready or "not started")


def _schedules(name: str, run: TrainingRun) -> Iterator[Line]:
    status, spec = run.status, effective(run).spec
    condition = find(status.conditions, "OnSchedule")
    blind = _blind(run)
    for check, field, schedule, value in (
        ("entropy coefficient", "entropyCoef", spec.schedules.entropy_coef, status.entropy_coef),
        ("learning rate", "learningRate", spec.schedules.learning_rate, status.learning_rate),
    ):
        strategy = schedule.decay_strategy
        line = Line(name, check, "unknown", NOTHING, f"{strategy}: unknown step", f"status.{field}")
        if status.step is not None:
            expected = value_at(schedule, status.step)
            line = replace(line, expected=f"{expected:.4g} ({strategy}, step {status.step})")
        if value is None or status.step is None:
            yield replace(line, note=blind or _message(condition) or "not reported yet")
            continue
        line = replace(line, figure=f"{value:.4g}")
        if blind is not None or condition is None or condition.status == "Unknown":
            yield replace(line, note=blind or _message(condition) or "not measured yet")
        elif follows(schedule, status.step, value, margin(spec)):
            yield replace(line, outcome="pass")
        else:
            yield replace(line, outcome="fail", note=f"deviates from spec.schedules.{field}")


def _normalizer(name: str, run: TrainingRun, facts: Facts) -> Iterator[Line]:
    wanted = run.spec.reward_normalization
    mean = Line(name, "normalizer mean", "unknown", NOTHING, "a finite number", "Prometheus: reward_normalizer_mean")
    std = Line(name, "normalizer std", "unknown", NOTHING, "> 0", "Prometheus: reward_normalizer_std")
    window = Line(
        name, "normalizer window", "unknown", NOTHING, f"{wanted.window} rewards", "Prometheus: reward_raw_bucket"
    )
    answer = _answer(facts, run.metadata.name, "normalizer")
    if answer is None:
        yield from (replace(line, note=_NO_PROMETHEUS) for line in (mean, std, window))
        return
    found = questions.normalizer(run, answer, facts.now)
    for line, value, good in (
        (mean, found.mean, found.mean is not None and math.isfinite(found.mean)),
        (std, found.std, found.std is not None and math.isfinite(found.std) and found.std > 0),
    ):
        if value is None:
            yield replace(line, note=found.note or "not reported")
        else:
            yield replace(line, outcome="pass" if good else "fail", figure=f"{value:.3f}")
    if found.rewards is None or not math.isfinite(found.rewards):
        yield replace(window, note=found.note or "not reported")
        return
    held = int(min(found.rewards, wanted.window))
    if held == wanted.window:
        yield replace(window, outcome="pass", figure=f"{held}/{wanted.window}")
        return
    note = "rewards since this pod started" if (run.status.attempt or 1) > 1 else "not full yet"
    if held < wanted.bootstrap.size:
        note += "; the bootstrap statistics may be in use"
    yield replace(window, outcome="warn", figure=f"{held}/{wanted.window}", note=note)


def _of_checkpoints(policy: CheckpointPolicy, facts: Facts, limits: Limits) -> Iterator[Line]:
    name = f"CheckpointPolicy {policy.metadata.name}"
    told = _outdated(policy, facts)
    yield _as_told(_stable(name, policy), told)
    yield _as_told(_kept(name, policy), told)
    yield _as_told(_best(name, policy), told)
    if policy.spec.serving is not None:
        yield _as_told(_served(name, policy), told)
    yield _as_told(_rollbacks(name, policy, limits), told)


def _stable(name: str, policy: CheckpointPolicy) -> Line:
    verdict, healthy = policy.status.detection, find(policy.status.conditions, "Healthy")
    figure = NOTHING if verdict is None else verdict.outcome
    line = Line(name, _signals(policy), "unknown", figure, "stable or better", "status.detection")
    if healthy is None or healthy.status == "Unknown":
        return replace(line, note=_message(healthy) or "not checked yet")
    good = healthy.status == "True"
    return replace(line, outcome="pass" if good else "fail", note="" if good else healthy.message)


def _signals(policy: CheckpointPolicy) -> str:
    """What is checked, as a list."""
    *some, last = "loss", "reward", *(signal.words for signal in optional(policy.spec.detection))
    return f"{', '.join(some)} and {last}"


def _kept(name: str, policy: CheckpointPolicy) -> Line:
    status, most = policy.status, policy.spec.retention.max
    line = Line(name, "checkpoints", "unknown", NOTHING, f"1–{most} usable", "status.checkpoints")
    if status.observed_generation is None:
        return replace(line, note="no status yet")
    usable = [each for each in status.checkpoints if each.ready and each.verified and not each.quarantined]
    bad = sum(each.quarantined for each in status.checkpoints)
    figure = f"{len(usable)} usable of {len(status.checkpoints)}" + (f", {bad} quarantined" if bad else "")
    taken = find(status.conditions, "Snapshotted")
    line = replace(line, figure=figure)
    if taken is not None and taken.status == "False":
        return replace(line, outcome="fail", note=taken.message)
    if not usable:
        if status.checkpoints:
            return replace(line, outcome="fail", note=_message(taken) or "no checkpoint can be rolled back to")
        return replace(line, note=_message(taken) or "no checkpoint has been saved yet")
    if taken is None or taken.status == "Unknown":
        return replace(line, note=_message(taken) or "not known whether the newest has a snapshot")
    note = f"{status.passed_over} have no snapshot, because a newer one was saved before" if status.passed_over else ""
    return replace(line, outcome="pass", note=note)


def _best(name: str, policy: CheckpointPolicy) -> Line:
    status, metric = policy.status, policy.spec.best_model.metric.lower()
    line = Line(name, "best checkpoint", "unknown", NOTHING, f"known by {metric}", "status.bestStep, status.bestValue")
    if status.best_step is None or status.best_value is None:
        return replace(line, note="no verified checkpoint with a value yet")
    return replace(line, outcome="pass", figure=f"step {status.best_step}, {metric} {status.best_value:.4g}")


def _served(name: str, policy: CheckpointPolicy) -> Line:
    status, promoted = policy.status, find(policy.status.conditions, "Promoted")
    line = Line(name, "served checkpoint", "unknown", NOTHING, "as serving.follow selects", "status.serving")
    if status.serving is None or status.serving.step is None:
        return replace(line, note=_message(promoted) or "no checkpoint is served yet")
    line = replace(line, figure=f"step {status.serving.step}")
    if promoted is None or promoted.status == "Unknown":
        return replace(line, note=_message(promoted) or "not known")
    good = promoted.status == "True"
    return replace(line, outcome="pass" if good else "warn", note="" if good else promoted.message)


def _rollbacks(name: str, policy: CheckpointPolicy, limits: Limits) -> Line:
    count, most, record = policy.status.rollbacks, policy.spec.rollback.max, policy.status.rollback
    expected = f"0–{limits.max_rollbacks}" if limits.max_rollbacks else "0"
    line = Line(name, "rollbacks", "unknown", NOTHING, expected, "status.rollbacks")
    if count is None:
        return replace(line, note="no status yet")
    line = replace(line, figure=f"{count} of {most}")
    if count > limits.max_rollbacks or count >= most:
        note = "spec.rollback.max is reached" if count >= most else ""
        return replace(line, outcome="fail" if count >= most else "warn", note=note)
    if record is not None:
        waits = record.phase == "AwaitingApproval"
        note = f"one is waiting for approval: accord approve {policy.metadata.name}" if waits else "one is in progress"
        return replace(line, outcome="warn", note=note)
    return replace(line, outcome="pass")


def _blind(run: TrainingRun) -> str | None:
    """Why the figures of a run that is training are not those of now."""
    available = find(run.status.conditions, "MetricsAvailable")
    if run.status.phase != "Running" or (available is not None and available.status == "True"):
        return None
    return _message(available) or "its metrics are not read yet"


def _outdated(resource: TrafficPolicy | TrainingRun | CheckpointPolicy, facts: Facts) -> str | None:
    """Why a status says nothing of now."""
    seen, wanted = resource.status.observed_generation, resource.metadata.generation
    if seen != wanted:
        return f"the operator has not processed generation {wanted} of the spec"
    return silence(facts.renewed, facts.now)


def silence(renewed: datetime | None, now: datetime) -> str | None:
    """Why no status is of now: the operator is not running."""
    if renewed is None or now - renewed <= _SILENT:
        return None
    return f"the operator has not been running since {timestamp(renewed)}, so the status is outdated"


def _as_told(line: Line, outdated: str | None) -> Line:
    return line if outdated is None else replace(line, outcome="unknown", note=outdated)


def _answer(facts: Facts, name: str, asked: Asked) -> Answer | None:
    """None where no Prometheus was given."""
    if facts.answers is None:
        return None
    return facts.answers.get((name, asked), Answer(failure="Malformed", message="not queried"))


def _message(condition: Condition | None) -> str:
    return "" if condition is None else condition.message


def _number(value: float) -> str:
    """Three digits of what is small, two decimals of what is not."""
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
