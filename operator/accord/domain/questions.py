"""What is asked of a metrics system about the objects of a kind, so that one query can be about many of them.

A kind declares a `Question` for each thing that it wants to know. What is asked for one object is either `Custom`, a
query that its author wrote and that is asked by itself; or `Shared`: a template, and the scope that is this object's.
Objects whose templates are equal are asked together: the template writes one query for all of their scopes, and takes
its answer apart again, so that each object gets what a query of its own would have got it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from accord.domain import podnames
from accord.domain.samples import Answer, Sample, Series, Shape

S = TypeVar("S")
R = TypeVar("R")
PART = "accord"
"""Label that tells the parts of one of our own queries apart."""
_REGEXP = re.compile(r"([\\.+*?()|\[\]{}^$])")
"""What has a meaning in a regular expression (RE2); a backslash before any other letter may be an error there."""


class Template(Protocol):
    """A query of Accord's own without those that it is about. Equal ones are one query."""

    def promql(self, scopes: Sequence[Any]) -> str:
        """The query about all of these; they are different."""

    def parts(self, answer: Answer, scopes: Sequence[Any]) -> Mapping[Any, Answer]:
        """What of an answer to that query each of them would have got alone. Total."""

    def __hash__(self) -> int:
        """As `__eq__` says."""


@dataclass(frozen=True)
class Custom:
    """A query that is written in the object. It is asked by itself, and in the name of the object's namespace."""

    promql: str


@dataclass(frozen=True)
class Shared:
    """A query of Accord's own."""

    template: Template
    scope: Hashable
    """Which series are this object's, in the words of the template."""

    @property
    def promql(self) -> str:
        """About this object alone."""
        return self.template.promql([self.scope])


Ask = Custom | Shared


@dataclass(frozen=True)
class Question(Generic[S, R]):
    """One thing that a kind wants to know of each of its objects, again and again."""

    ask: Callable[[S, datetime], Ask]
    """What to ask now."""
    interpret: Callable[[S, Answer, datetime], R]
    """What an answer says. Total: everything that a metrics system may say becomes a reading."""
    schedule: Callable[[S, datetime], timedelta | None]
    """Time between two measurements; None: no more, until the object changes."""
    shape: Shape = "vector"
    """What the query returns."""


@dataclass(frozen=True)
class Scope:
    """Series by their labels: those with exactly these values, and with the pods of a Job where there is one."""

    labels: tuple[tuple[str, str], ...]
    job: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of its labels."""
        return tuple(name for name, _ in self.labels)

    @property
    def kind(self) -> tuple[tuple[str, ...], bool]:
        """What tells it from others: names of labels, and whether the pods of a Job do. Those in one query are alike:
        a template whose scopes may differ in that holds it.
        """
        return self.names, self.job is not None


def matchers(scopes: Sequence[Scope]) -> str:
    """Label matchers that select the series of all scopes, and possibly some of others."""
    found = [
        matcher(name, [dict(scope.labels)[name] for scope in scopes])
        for name in dict.fromkeys(name for scope in scopes for name in scope.names)
    ]
    jobs = sorted({literally(scope.job) for scope in scopes if scope.job is not None})
    if jobs:
        some = jobs[0] if len(jobs) == 1 else f"({'|'.join(jobs)})"
        found.append(f'pod=~"{quoted(podnames.of_job(some))}"')
    return ",".join(found)


def matcher(name: str, values: Iterable[str], *, always_regexp: bool = False) -> str:
    """A label matcher for one of these values."""
    some = sorted(set(values))
    if len(some) == 1 and not always_regexp:
        return f'{name}="{quoted(some[0])}"'
    return f'{name}=~"{quoted("|".join(map(literally, some)))}"'


def split(answer: Answer, scopes: Sequence[Scope]) -> dict[Scope, Answer]:
    """Each scope with its samples and series. Of one scope all are."""
    if len(scopes) == 1:
        return {scopes[0]: answer}
    samples: dict[Scope, list[Sample]] = {scope: [] for scope in scopes}
    series: dict[Scope, list[Series]] = {scope: [] for scope in scopes}
    names, by_job = scopes[0].kind
    for sample in answer.samples:
        if (owner := _owner(sample.labels, names, by_job)) in samples:
            samples[owner].append(sample)
    for each in answer.series:
        if (owner := _owner(each.labels, names, by_job)) in series:
            series[owner].append(each)
    return {scope: replace(answer, samples=tuple(samples[scope]), series=tuple(series[scope])) for scope in scopes}


def by_labels(samples: Iterable[Sample], *names: str) -> dict[tuple[str, ...], list[Sample]]:
    """Samples by the values of these labels. A label that is absent is empty (Prometheus)."""
    found: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        found.setdefault(tuple(sample.labels.get(name, "") for name in names), []).append(sample)
    return found


def _owner(labels: Mapping[str, str], names: tuple[str, ...], by_job: bool) -> Scope:
    """The scope of these names that a series with these labels is in. A label that is absent is empty (Prometheus)."""
    job = podnames.job_of(labels.get("pod", "")) if by_job else None
    return Scope(tuple((name, labels.get(name, "")) for name in names), job)


def literally(text: str) -> str:
    """A regular expression (RE2) that matches just this text."""
    return _REGEXP.sub(r"\\\1", text)


def quoted(text: str) -> str:
    """`text` for the inside of a PromQL string in double quotes, where no other character may be escaped."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def labelled(expression: str, value: str, label: str = PART) -> str:
    """PromQL for the series of `expression` with one label more."""
    return f'label_replace({expression}, "{label}", "{value}", "", "")'


def filled(query: str, values: Mapping[str, str]) -> str:
    """A query of a user's own with `$name` and `${name}` replaced, for these names and no others."""
    return _variables(values).sub(lambda match: values[match[1] or match[2]], query)


def uses(query: str, name: str) -> bool:
    """Whether `filled` replaces this name anywhere in the query."""
    return _variables((name,)).search(query) is not None


def _variables(names: Iterable[str]) -> re.Pattern[str]:
    some = "|".join(names)
    return re.compile(rf"\$(?:({some})\b|\{{({some})\}})")
