"""`accord backtest --runs DIR`: a team's own recorded runs, judged at each sensitivity."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy, CheckpointPolicySpec
from accord.cli.backtest import recording as recordings
from accord.cli.backtest.input import paced, read_policy
from accord.cli.errors import InputError, unreadable
from accord.cli.printer import Printer
from accord.domain.checkpoint.detection import rows
from accord.domain.checkpoint.detection.replay import Replayed, Rollback, replay
from accord.domain.checkpoint.detection.series import Life, Segment

INDEX = "index.csv"
_SUFFIXES = (".csv", ".csv.gz")
_SENSITIVITIES = ("Low", "Medium", "High")

Label = Literal["healthy", "harmed", "harmless", "collapsed"]
"""Whether the return stayed up; stayed down after a fault; did not stay down after one; or stayed down by itself."""


@dataclass(frozen=True)
class Run:
    """A file, and what is known of it."""

    path: Path
    name: str
    """As the index has it: below the directory."""
    label: Label = "healthy"
    fault: int | None = None
    """Step from which on something was wrong; None where nothing was, or where that is not known."""


@dataclass(frozen=True)
class Directory:
    """Runs to be judged."""

    path: Path
    runs: Sequence[Run]
    has_index: bool
    unnamed: int = 0
    """Files that the index does not name: what they are is not known."""


@dataclass(frozen=True)
class Setting:
    """A policy with one sensitivity."""

    name: str
    spec: CheckpointPolicySpec
    own: bool
    """Whether it is what the policy has."""


@dataclass(frozen=True)
class Lag:
    """From a fault until it was caught."""

    episodes: int
    updates: int | None
    """None where the losses do not tell them."""


@dataclass(frozen=True)
class Verdict:
    """What one setting would have done to one run."""

    run: Run
    checks: int
    paused: int
    lacking: str | None
    """What there was too little of, if no check could say anything."""
    false: Rollback | None
    """The first one that nothing was a reason for."""
    caught: Rollback | None
    """The first one after the fault."""
    lag: Lag | None


@dataclass(frozen=True)
class Judged:
    """All of it."""

    policy: CheckpointPolicy
    directory: Directory
    verdicts: Mapping[str, Sequence[Verdict]]
    """By the name of the setting, in the order of the runs."""
    settings: Sequence[Setting]
    notes: Sequence[str]


def judge(args: argparse.Namespace, printer: Printer) -> Judged:
    """Judge every run below the directory. InputError for what cannot be used; it names all files that cannot be."""
    for option in ("range", "end", "plot"):
        if getattr(args, option) is not None:
            raise InputError(f"--{option} cannot be used with --runs")
    policy, frequency = read_policy(args)
    directory = find(args.runs)
    settings = _settings(policy.spec)
    verdicts: dict[str, list[Verdict]] = {setting.name: [] for setting in settings}
    notes, errors = [], []
    for run in printer.counted(directory.runs, "runs"):
        try:
            recording = recordings.read(run.path)
        except InputError as error:
            errors.append(str(error))
        if errors:
            # Nothing will come of it, but the other files that are wrong should be known, too.
            continue
        if recording.note:
            notes.append(recording.note)
        found, pace = paced(recording, policy, args, frequency)
        lives: dict[bool, list[Life]] = {}
        for setting in settings:
            each = setting.spec.detection.method == "Ratio"
            if each not in lives:
                lives[each] = rows.lives(found, each=each, events=recording.events)
            verdicts[setting.name].append(_verdict(run, lives[each], replay(setting.spec, lives[each], pace)))
    if errors:
        raise InputError("\n".join(errors))
    return Judged(policy, directory, verdicts, settings, notes)


def find(directory: Path) -> Directory:
    """The runs below a directory. InputError where there are none, or for an index that cannot be used."""
    if not directory.is_dir():
        raise InputError(f"{directory}: not a directory")
    index = directory / INDEX
    files = sorted(path for path in directory.rglob("*") if path.name.endswith(_SUFFIXES) and path.is_file())
    paths = {path.relative_to(directory).as_posix(): path for path in files if path != index}
    if not paths:
        raise InputError(f"{directory}: no {' or '.join(_SUFFIXES)} files found")
    if not index.is_file():
        return Directory(directory, [Run(path, name) for name, path in paths.items()], has_index=False)
    runs = list(_indexed(index, paths))
    if not runs:
        raise InputError(f"{index}: no files listed")
    return Directory(directory, runs, has_index=True, unnamed=len(paths) - len(runs))


def _indexed(index: Path, paths: Mapping[str, Path]) -> Iterator[Run]:
    try:
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            if "file" not in (reader.fieldnames or ()):
                raise InputError(f"{index}: line 1: column file is required (optional: fault_step, label)")
            seen: set[str] = set()
            for found in reader:
                run = _run(found, paths, f"{index}: line {reader.line_num}")
                if run.name in seen:
                    raise InputError(f"{index}: line {reader.line_num}: duplicate entry {run.name}")
                seen.add(run.name)
                yield run
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{index}: cannot read: {error}") from error
    except OSError as error:
        raise unreadable(index, error) from error


def _run(found: Mapping[str, str | None], paths: Mapping[str, Path], place: str) -> Run:
    name = (found["file"] or "").strip()
    path = paths.get(name)
    if path is None:
        raise InputError(f"{place}: file {name!r} not found in this directory")
    text = (found.get("fault_step") or "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise InputError(f"{place}, column fault_step: {text!r} must be a whole number, 0 or more")
    fault = int(text) if text else None
    given = (found.get("label") or "").strip()
    label = next((each for each in get_args(Label) if each == given), None)
    if given and label is None:
        raise InputError(f"{place}, column label: {given!r} must be one of {', '.join(get_args(Label))}")
    if label == "harmed" and fault is None:
        raise InputError(f"{place}: fault_step is required with label harmed")
    return Run(path, name, label or ("healthy" if fault is None else "harmed"), None if label == "healthy" else fault)


def _settings(spec: CheckpointPolicySpec) -> list[Setting]:
    """Each sensitivity with the policy's other fields, and the policy itself where it has another method."""
    rollback = spec.rollback.model_copy(update={"enabled": True})
    detection = spec.detection
    adaptive = detection.method == "Adaptive"
    settings = [
        Setting(
            name,
            spec.model_copy(
                update={
                    "rollback": rollback,
                    "detection": detection.model_copy(update={"method": "Adaptive", "sensitivity": name}),
                }
            ),
            own=adaptive and detection.sensitivity == name,
        )
        for name in _SENSITIVITIES
    ]
    if not adaptive:
        settings.append(Setting(detection.method, spec.model_copy(update={"rollback": rollback}), own=True))
    return settings


def _verdict(run: Run, lives: Sequence[Life], result: Replayed) -> Verdict:
    lacking = None
    if result.checks == result.inconclusive:
        lacking = result.last.message if result.last is not None else "no values reported"
    # Of a run that fell over by itself it may not be known where.
    begin = run.fault if run.fault is not None else 0
    is_healthy = run.label == "healthy"
    early = [each for each in result.rollbacks if is_healthy or each.step < begin]
    late = [each for each in result.rollbacks if not is_healthy and each.step >= begin]
    return Verdict(
        run,
        result.checks,
        result.paused,
        lacking,
        false=early[0] if early else None,
        caught=late[0] if late else None,
        lag=_lag(lives, run.fault, late[0].step) if late and run.fault is not None else None,
    )


def _lag(lives: Sequence[Life], fault: int, caught: int) -> Lag:
    episodes = updates = 0
    for life in lives:
        for moment in life.moments:
            if fault < moment.step <= caught:
                episodes += moment.reward.values if isinstance(moment.reward, Segment) else 0
                updates += moment.loss.units if isinstance(moment.loss, Segment) else 0
    known = all(life.kinds.get("loss") == "updates" and any(each.loss for each in life.moments) for life in lives)
    return Lag(episodes, updates if known else None)
