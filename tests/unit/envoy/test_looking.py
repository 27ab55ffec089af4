"""What proxies say of the pods, read and put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accord.adapters.routers.envoy import looking
from accord.domain.traffic.observed import Sight


def test_figures_are_read_by_cluster_and_what_is_incomplete_is_left_out() -> None:
    text = """# TYPE envoy_cluster_health_check_healthy gauge
envoy_cluster_health_check_healthy{envoy_cluster_name="fast"} 1
envoy_cluster_membership_healthy{envoy_cluster_name="fast"} 0
envoy_cluster_membership_healthy{envoy_cluster_name="accord/admin"} 1
envoy_cluster_membership_total{envoy_cluster_name="fast"} 3
envoy_cluster_membership_total{envoy_cluster_name="balanced"} 3
"""
    assert looking.parse(text) == {"fast": Sight(3, 1, 0)}


@given(st.text())
def test_no_answer_breaks_the_reader(text: str) -> None:
    looking.parse(text)


def test_a_mode_fails_only_where_no_proxy_sees_a_healthy_pod() -> None:
    one, other = {"fast": Sight(2, 0, 0), "slow": Sight(1, 0, 0)}, {"fast": Sight(2, 2, 1)}
    assert looking.together([one, other], ["fast", "slow", "new"]) == {"fast": Sight(2, 2, 1), "slow": Sight(1, 0, 0)}
    assert looking.together([], ["fast"]) == {}


def test_looks_are_neither_rare_nor_many() -> None:
    assert [looking.pause(seconds) for seconds in (1, 30, 3600)] == [10, 30, 60]


async def test_a_proxy_that_is_silent_for_three_rounds_or_gone_is_not_believed_any_more() -> None:
    told: list[tuple[str, str]] = []
    looker = looking.Looker(lambda _: None, told.append)
    who, dead = ("shop", "assistant"), {"fast": Sight(1, 0, 0)}
    two = looking.Target({"a": "http://a", "b": "http://b"}, 10)
    looker._enter(who, two, {"a": dead, "b": dead})
    assert told == [who]
    for _ in range(2):
        looker._enter(who, two, {"a": dead})
    assert told == [who], "nothing is told where nothing changed"
    looker._enter(who, two, {"a": dead})
    assert list(looker._books[who].answers) == ["a"]
    looker._enter(who, looking.Target({"b": "http://b"}, 10), {})
    assert looker.sights(who, ["fast"]) == {}
