"""The report as one page that needs nothing else: a table, and pictures as inline SVG. Light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from accord.api.base import format_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import EntropySchedule, LearningRateSchedule, TrainingRun
from accord.cli import pictures
from accord.cli.report.facts import Facts, Limits, Line
from accord.cli.report.lines import summary
from accord.domain.conditions import timestamp
from accord.domain.traffic import movement
from accord.domain.training.retuning import effective
from accord.domain.training.schedule import value_at

_WIDTH, _LEFT, _RIGHT = 720, 110, 70
_BAR, _GAP = 18, 16
_POINTS = 60
_CURVE, _TOP, _FLOOR = 190, 34, 150
_STYLE = """\
:root { color-scheme: light dark; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0; --back: #fff; --bar: #0969da;
  --pass: #1a7f37; --warn: #9a6700; --fail: #cf222e; --unknown: #59636e; --band: #1a7f3733 }
@media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --back: #0d1117;
  --bar: #4493f8; --pass: #3fb950; --warn: #d29922; --fail: #f85149; --unknown: #9198a1; --band: #3fb95044 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto; padding: 1rem;
  max-width: 72rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem } p, .note { color: var(--quiet) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; font-weight: 600; padding: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line) }
.pass, .warn, .fail, .unknown { font-weight: 600 }
.pass { color: var(--pass) } .warn { color: var(--warn) } .fail { color: var(--fail) }
.unknown { color: var(--unknown) }
svg { max-width: 100%; height: auto; display: block } svg text { font: 12px system-ui, sans-serif; fill: var(--text) }
svg .title { font-size: 14px; font-weight: 600 } svg .axis { stroke: var(--quiet); fill: none }
svg .bar { fill: var(--bar) } svg .band { fill: var(--band) } svg .goal { stroke: var(--pass); stroke-width: 2 }
svg .curve { fill: none; stroke: var(--pass); stroke-width: 2 } svg .seen { fill: var(--bar) }
svg .kept { fill: var(--bar) } svg .bad { fill: var(--fail) } svg .pending { fill: var(--unknown) }
svg .ring { fill: none; stroke: var(--pass); stroke-width: 2 }"""


def render(facts: Facts, found: Sequence[Line], limits: Limits) -> str:
    """The whole page."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary(found).items())
    title = f"Accord report, namespace {facts.namespace}"
    drawn = "\n".join(f"<figure>\n{picture}</figure>" for picture in _pictures(facts, limits))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        f"<p>{timestamp(facts.now)}, the last {format_duration(facts.range)}: {counts}</p>\n"
        f'<div class="wide">\n{_table(found)}</div>\n<h2>Pictures</h2>\n{drawn}\n</main>\n</body>\n</html>\n'
    )


def _table(found: Sequence[Line]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Result", "Check", "Figure", "Expected", "From"))
    parts = []
    for name in dict.fromkeys(line.object for line in found):
        rows = "".join(_row(line) for line in found if line.object == name)
        parts.append(f"<table>\n<caption>{escape(name)}</caption>\n<tr>{heads}</tr>\n{rows}</table>\n")
    return "".join(parts)


def _row(line: Line) -> str:
    note = f'<br><span class="note">{escape(line.note)}</span>' if line.note else ""
    cells = "".join(f"<td>{escape(text)}</td>" for text in (line.check, line.figure, line.expected))
    return f'<tr><td class="{line.outcome}">{line.outcome}</td>{cells}<td>{escape(line.source)}{note}</td></tr>\n'


def _pictures(facts: Facts, limits: Limits) -> Iterator[str]:
    for policy in facts.policies:
        yield _shares(policy, limits)
    for run in facts.runs:
        spec = effective(run).spec
        yield _curve(run, "entropy coefficient", spec.schedules.entropy_coef, "entropy_coef")
        yield _curve(run, "learning rate", spec.schedules.learning_rate, "learning_rate")
    for each in facts.checkpoints:
        if each.status.checkpoints:
            yield _timeline(each)


def _svg(title: str, height: int, body: Sequence[str]) -> str:
    drawn = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<text class="title" x="0" y="16">{escape(title)}</text>\n{drawn}\n</svg>\n'
    )


def _across(share: float) -> float:
    """Place of a part of 1."""
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _shares(policy: TrafficPolicy, limits: Limits) -> str:
    """A bar for each mode, and where it should end."""
    actual = {mode.name: mode.actual for mode in policy.status.modes}
    weights = movement.weights(policy)
    body, top = [], _TOP
    for mode in policy.spec.modes:
        share, weight = actual.get(mode.name), weights[mode.name]
        goal, low, high = (_across((weight + side * limits.share_within) / 100) for side in (0, -1, 1))
        middle = top + _BAR - 5
        body.append(f'<text x="0" y="{middle}">{escape(mode.name)}</text>')
        if share is not None:
            width = _across(share / 100) - _LEFT
            body.append(f'<rect class="bar" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}"/>')
        body.append(
            f'<rect class="band" x="{low:.1f}" y="{top - 4}" width="{high - low:.1f}" height="{_BAR + 8}"/>'
            f'<path class="goal" d="M{goal:.1f} {top - 4}v{_BAR + 8}"/>'
        )
        said = "not measured" if share is None else f"{share:.1f} %"
        body.append(f'<text x="{_WIDTH}" y="{middle}" text-anchor="end">{said}</text>')
        top += _BAR + _GAP
    return _svg(f"Traffic of {policy.metadata.name}: measured shares and targets", top, body)


def _curve(run: TrainingRun, what: str, schedule: EntropySchedule | LearningRateSchedule, field: str) -> str:
    """The schedule as a line, the values at milestones and now as dots."""
    total = run.spec.total_steps
    steps = [total * index / _POINTS for index in range(_POINTS + 1)]
    values = [value_at(schedule, step) for step in steps]
    reported = [(each.step, getattr(each, field)) for each in run.status.milestones]
    if run.status.step is not None:
        reported.append((run.status.step, getattr(run.status, field)))
    dots = [(step, value) for step, value in reported if value is not None]
    low, high = pictures.axis([*values, *(value for _, value in dots)])

    def up(value: float) -> float:
        return _FLOOR - (value - low) / (high - low) * (_FLOOR - _TOP)

    places = " ".join(f"{_across(step / total):.1f},{up(value):.1f}" for step, value in zip(steps, values, strict=True))
    body = [
        f'<path class="axis" d="M{_LEFT} {_TOP}V{_FLOOR}H{_across(1):.0f}"/>',
        f'<polyline class="curve" points="{places}"/>',
        *(
            f'<circle class="seen" cx="{_across(min(step / total, 1)):.1f}" cy="{up(value):.1f}" r="4"/>'
            for step, value in dots
        ),
        *(
            f'<text x="{_LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
            for value in dict.fromkeys((values[0], values[-1]))
        ),
        f'<text x="{_LEFT}" y="{_FLOOR + 18}">0</text>',
        f'<text x="{_across(1):.0f}" y="{_FLOOR + 18}" text-anchor="middle">step {total}</text>',
    ]
    return _svg(f"Training {run.metadata.name}: {what}, schedule and reported values", _CURVE, body)


def _timeline(policy: CheckpointPolicy) -> str:
    """A dot for each checkpoint by its step; a ring around the served one."""
    status = policy.status
    last = max(max(each.step for each in status.checkpoints), 1)
    line = 60
    body = [f'<path class="axis" d="M{_LEFT} {line}H{_across(1):.0f}"/>']
    for each in status.checkpoints:
        usable = each.ready and each.verified
        kind = "bad" if each.quarantined else "kept" if usable else "pending"
        body.append(f'<circle class="{kind}" cx="{_across(each.step / last):.1f}" cy="{line}" r="5"/>')
    served = status.serving.step if status.serving is not None else None
    for label, step, height in (("best", status.best_step, line - 14), ("served", served, line + 24)):
        if step is None:
            continue
        at = _across(min(step / last, 1))
        if label == "served":
            body.append(f'<circle class="ring" cx="{at:.1f}" cy="{line}" r="9"/>')
        body.append(f'<text x="{at:.1f}" y="{height}" text-anchor="middle">{label}: {step}</text>')
    return _svg(f"Checkpoints of {policy.metadata.name} by step", line + 40, body)
