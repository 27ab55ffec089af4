"""What `accord backtest` is given: a policy, a recorded run, and the pace of the checks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import documents, trainers
from accord.cli.backtest import recording as recordings
from accord.cli.backtest.recording import Recording
from accord.cli.documents import Document
from accord.cli.errors import CommandError, InputError
from accord.domain.checkpoint.detection import rows, scrapes
from accord.domain.checkpoint.detection.replay import Pace
from accord.domain.checkpoint.detection.rows import Row
from accord.domain.checkpoint.detection.series import Life

_SAVE_FREQUENCY = 500
_SPEED = 10.0
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
_TIMEOUT = 60.0
_MOST_MIB = 1024


@dataclass(frozen=True)
class Given:
    """All of it."""

    policy: CheckpointPolicy
    lives: Sequence[Life]
    pace: Pace
    note: str | None = None
    """What a reader of the figures should know of the recording."""


def read(args: argparse.Namespace) -> Given:
    """Read what the arguments name. InputError for what cannot be used."""
    policy, frequency = read_policy(args)
    each = policy.spec.detection.method == "Ratio"
    if args.csv is not None:
        if args.range or args.end:
            raise InputError("--range and --end can only be used with --prometheus")
        recording = recordings.read(args.csv)
        found, pace = paced(recording, policy, args, frequency)
        return Given(policy, rows.lives(found, each=each, events=recording.events), pace, recording.note)
    lives, saved = _from_prometheus(policy, args, each)
    # The checks of the operator come with the scrapes or less often: each scrape is one here.
    pace = Pace(args.every or 1, args.speed or _SPEED, saved or _multiples(frequency, _last(lives)))
    return Given(policy, lives, pace)


def read_policy(args: argparse.Namespace) -> tuple[CheckpointPolicy, int]:
    """The policy, and the steps between two checkpoints. InputError for what cannot be used."""
    found = documents.read(args.filename, None)
    document = documents.chosen(found, CheckpointPolicy.kind, args.name, args.filename)
    policy = CheckpointPolicy.model_validate(documents.checked(document))
    return policy, args.save_frequency or _save_frequency(policy, found)


def paced(
    recording: Recording, policy: CheckpointPolicy, args: argparse.Namespace, frequency: int
) -> tuple[Sequence[Row], Pace]:
    """The rows, with their times unless `--speed` stands for those; looked at as often as the operator would."""
    interval = policy.spec.detection.interval.total_seconds()
    speed = args.speed or _SPEED
    found = recording.rows
    if args.speed is not None and recording.has_times:
        found = [row._replace(at=None) for row in found]
    timed = found[0].at is not None and args.every is None
    saved = _multiples(frequency, max(row.step for row in found))
    return found, Pace(args.every or interval * speed, speed, saved, interval if timed else None)


def _save_frequency(policy: CheckpointPolicy, found: Sequence[Document]) -> int:
    """That of the policy's TrainingRun, where its manifest is given too."""
    ref = policy.spec.training_run_ref
    for document in found:
        if ref and document.manifest["kind"] == TrainingRun.kind and document.manifest["metadata"]["name"] == ref.name:
            return TrainingRun.model_validate(documents.checked(document)).spec.checkpoints.save_frequency
    return _SAVE_FREQUENCY


def _multiples(frequency: int, last: int) -> range:
    return range(frequency, last + 1, frequency)


def _last(lives: Sequence[Life]) -> int:
    return max((moment.step for life in lives for moment in life.moments), default=0)


def _from_prometheus(
    policy: CheckpointPolicy, args: argparse.Namespace, each: bool
) -> tuple[Sequence[Life], Sequence[int]]:
    if not args.range or not _DURATION.fullmatch(args.range):
        raise InputError("--prometheus needs --range, for example 90m or 1d")
    promql = trainers.query(policy, args.range)
    if args.end:
        promql += f" @ {_seconds(args.end):.3f}"
    client = PrometheusEndpoint(Endpoint(args.prometheus, timeout=_TIMEOUT, most_mib=_MOST_MIB))
    try:
        answer = client.query(promql, "matrix")
    finally:
        client.close()
    if answer.failure is not None:
        raise CommandError(f"{args.prometheus}: {answer.message}")
    targets = scrapes.targets(answer.series)
    if not targets:
        raise InputError(f"{args.prometheus}: no data in that range for {promql}")
    # In the order in which the pods began.
    targets.sort(key=lambda target: target.scrapes[0][0])
    lives = [life for target in targets for life in scrapes.lives(target, each=each)]
    return lives, [step for step, _, _ in scrapes.saved(targets)]


def _seconds(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--end {text}: not a time such as 2026-05-01T12:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
