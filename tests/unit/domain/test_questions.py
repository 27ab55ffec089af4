"""Asked one by one and together over the same data, objects get the same answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain.questions import Scope, matchers, split
from accord.domain.samples import Answer, Sample, Series
from accord.domain.traffic.distribution import Counted, _Template

NOW = datetime(2026, 5, 1, tzinfo=UTC)
_MATCHER = re.compile(r'(\w+)(=~|!~|=)"((?:[^"\\]|\\.)*)"')


def select(promql: str, data: Sequence[Mapping[str, str]]) -> Iterator[int]:
    """What the matchers between these braces select, as Prometheus does: absent is empty, expressions are anchored."""
    found = [(name, how, re.sub(r"\\(.)", r"\1", value)) for name, how, value in _MATCHER.findall(promql)]
    for index, labels in enumerate(data):
        for name, how, value in found:
            has = labels.get(name, "")
            matches = has == value if how == "=" else bool(re.fullmatch(value, has))
            if matches == (how == "!~"):
                break
        else:
            yield index


NAMES = st.sampled_from(["a", "b", "a.b", "a-b", "axb", "r-1", "r-10", "", "x|y", "(", '"', "\\", "+"])
JOBS = st.sampled_from(["r-1", "r-10", "r-1-1", "r", "q.x-1"])
PODS = st.builds(lambda job, suffix: f"{job}-{suffix}", JOBS, st.sampled_from(["abcde", "1", "1-abcde", "AB", ""]))
LABELS = st.fixed_dictionaries({"namespace": NAMES}, optional={"trainer": NAMES, "pod": PODS, "other": NAMES})


@st.composite
def scopes(draw: st.DrawFn) -> list[Scope]:
    """Some that can stand in one query: of the same labels, and all by Job or none."""
    names = draw(st.sampled_from([("namespace",), ("namespace", "trainer")]))
    by_job = draw(st.booleans())
    one = st.builds(
        lambda values, job: Scope(tuple(zip(names, values, strict=True)), job if by_job else None),
        st.tuples(*[NAMES] * len(names)),
        JOBS,
    )
    return draw(st.lists(one, min_size=1, max_size=6, unique=True))


@given(scopes(), st.lists(LABELS, max_size=12))
def test_together_each_gets_what_it_would_get_alone(some: list[Scope], data: list[dict[str, str]]) -> None:
    def answer(chosen: Sequence[Scope]) -> Answer:
        seen = [data[index] for index in select(matchers(chosen), data)]
        samples = tuple(Sample(labels, float(number), NOW) for number, labels in enumerate(data) if labels in seen)
        return Answer(samples, tuple(Series(each.labels, ((1.0, each.value),)) for each in samples))

    together = split(answer(some), some)
    for scope in some:
        assert together[scope] == split(answer([scope]), [scope])[scope]


MODES = st.sampled_from(["fast", "slow", "new"])
ROUTERS = st.sampled_from(["p-router", "q-router", "p.router"])
COUNTED = st.builds(
    Counted,
    st.sampled_from(["a", "b"]),
    st.lists(MODES, min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found))),
    ROUTERS,
)
REQUESTS = st.fixed_dictionaries(
    {"namespace": st.sampled_from(["a", "b"]), "mode": MODES},
    optional={
        "pod": st.sampled_from(["fast-1-a", "p-router-6f-abcde", "q-router-6f-abcde", "pxrouter-6f-a", "p-router"])
    },
)


@given(
    st.lists(COUNTED, min_size=1, max_size=5, unique=True),
    st.lists(st.tuples(REQUESTS, st.integers(0, 9), st.integers(0, 99)), max_size=12),
)
def test_of_traffic_too_whatever_is_read_at_the_routers(
    some: list[Counted], data: list[tuple[dict[str, str], int, int]]
) -> None:
    template = _Template("5m")

    def answer(chosen: Sequence[Counted]) -> Answer:
        """The sums and maxima that the query asks for."""
        samples = []
        for part in template.promql(chosen).split(" or "):
            [by] = re.findall(r"by \(([\w, ]+)\)", part)
            is_count = "increase" in part
            groups: dict[tuple[str, ...], list[float]] = {}
            braces = part[part.index("{") : part.index("}")]
            for index in select(braces, [labels for labels, *_ in data]):
                labels, count, at = data[index]
                key = tuple(labels.get(name, "") for name in by.split(", "))
                groups.setdefault(key, []).append(float(count if is_count else at))
            for key, values in groups.items():
                labels = {name: value for name, value in zip(by.split(", "), key, strict=True) if value}
                labels["accord"] = "requests" if is_count else "sampled"
                samples.append(Sample(labels, sum(values) if is_count else max(values), NOW))
        return Answer(tuple(samples))

    def seen(found: Answer) -> dict[Any, float]:
        return {(each.labels["accord"], each.labels["mode"]): each.value for each in found.samples}

    together = template.parts(answer(some), some)
    for scope in some:
        assert seen(together[scope]) == seen(template.parts(answer([scope]), [scope])[scope])


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a'b", "a\nb", "a→b", "a+b"])
def test_a_label_value_stands_for_itself(value: str) -> None:
    one, two = (Scope((("namespace", "ns"), ("trainer", each))) for each in (value, "other"))
    data = [{"namespace": "ns", "trainer": each} for each in (value, "other", "aab", "abb")]
    assert "\n" not in matchers([one, two])
    assert "\\'" not in matchers([one])
    if "\n" not in value:
        assert list(select(matchers([one]), data)) == [0]
        assert list(select(matchers([one, two]), data)) == [0, 1]
