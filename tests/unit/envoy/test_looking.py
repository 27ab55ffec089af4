"""What proxies say of the pods, read and put together."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.adapters.routers.envoy import looking
from accord.adapters.routers.envoy.counting import Reading
from accord.adapters.routers.envoy.reaching import LASTING_SECONDS, Blind
from accord.domain.traffic.observed import Counted, CutOff, Sight, Tally


def test_figures_are_read_by_cluster_and_what_is_incomplete_is_left_out() -> None:
    text = """# TYPE envoy_cluster_health_check_healthy gauge
envoy_cluster_health_check_healthy{envoy_cluster_name="fast"} 1
envoy_cluster_membership_healthy{envoy_cluster_name="fast"} 0
envoy_cluster_membership_healthy{envoy_cluster_name="accord/admin"} 1
envoy_cluster_membership_total{envoy_cluster_name="fast"} 3
envoy_cluster_membership_total{envoy_cluster_name="balanced"} 3
"""
    assert looking.parse(text).sights == {"fast": Sight(3, 1, 0)}


def test_counters_are_read_by_cluster_and_figure() -> None:
    text = """envoy_server_uptime{} 71
envoy_cluster_upstream_rq_total{envoy_cluster_name="fast"} 12
envoy_cluster_upstream_rq_completed{envoy_cluster_name="route/fast"} 9
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="route/fast"} 8
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="route/fast"} 1
envoy_cluster_upstream_rq_retry{envoy_cluster_name="route/fast"} 3
envoy_cluster_upstream_rq_total{envoy_cluster_name="all/unchecked"} 2
envoy_cluster_upstream_rq_total{envoy_cluster_name="accord/admin"} 2
"""
    assert looking.parse(text).reading == Reading(
        {
            ("fast", "upstream_rq_total"): 12,
            ("route/fast", "upstream_rq_completed"): 9,
            ("route/fast", "upstream_rq_5xx"): 1,
            ("route/fast", "upstream_rq_retry"): 3,
            ("all/unchecked", "upstream_rq_total"): 2,
        },
        71,
    )


@given(st.text())
def test_no_answer_breaks_the_reader(text: str) -> None:
    looking.parse(text)


def test_a_mode_fails_only_where_no_proxy_sees_a_healthy_pod() -> None:
    one, other = {"fast": Sight(2, 0, 0), "slow": Sight(1, 0, 0)}, {"fast": Sight(2, 2, 1)}
    assert looking.together([one, other], ["fast", "slow", "new"]) == {"fast": Sight(2, 2, 1), "slow": Sight(1, 0, 0)}
    assert looking.together([], ["fast"]) == {}


async def test_a_proxy_that_reaches_no_pod_of_a_mode_is_told_though_others_do() -> None:
    told: list[tuple[str, str]] = []
    looker = looking.Looker(lambda _: None, told.append)
    who, two = ("shop", "assistant"), looking.Target({"a": "http://a", "b": "http://b"}, 10)
    well, cut = looking.Answer({"fast": Sight(2, 2, 2)}), looking.Answer({"fast": Sight(2, 0, 0)})
    assert looker.cut_off(who, ["fast"]) == {}
    looker._enter(who, two, {"a": well, "b": cut}, 100)
    assert looker.cut_off(who, ["fast", "slow"]) == {"fast": CutOff(("b",), 2)}
    assert looker.sights(who, ["fast"]) == {"fast": Sight(2, 2, 2)}
    looker._enter(who, two, {"a": well, "b": cut}, 100 + LASTING_SECONDS)
    assert looker.cut_off(who, ["fast"]) == {"fast": CutOff(("b",), 2, lasting=True)}
    assert told == [who, who], "that it lasts is news, though no figure changed"
    looker._enter(who, two, {"a": well, "b": well}, 200)
    assert looker.cut_off(who, ["fast"]) == {}
    looker._enter(who, two, {"a": cut, "b": cut}, 300)
    assert looker.cut_off(who, ["fast"]) == {}, "dead for all is another matter"
    looker._enter(who, looking.Target({"b": "http://b"}, 10), {}, 400)
    assert looker._books[who].blind.lasting == frozenset(), "who is gone is forgotten"


def test_what_lasts_is_what_was_seen_so_and_not_what_nobody_saw() -> None:
    blind, dead = Blind(), {"fast": Sight(2, 0, 0)}
    blind.enter({"a": dead}, 0)
    blind.enter({}, 2 * LASTING_SECONDS)
    assert blind.lasting == frozenset(), "it has not answered since"
    blind.enter({"a": {"fast": Sight(2, 1, 0)}}, 2 * LASTING_SECONDS)
    blind.enter({"a": dead}, 2 * LASTING_SECONDS + 1)
    assert blind.lasting == frozenset(), "it reached a pod between"
    blind.enter({"a": {}}, 4 * LASTING_SECONDS)
    assert blind.cut_off({"a": dead, "b": {"fast": Sight(1, 1, 1)}}, ["fast"]) == {}, "it does not know the mode now"


def test_looks_are_neither_rare_nor_many() -> None:
    assert [looking.pause(seconds, 300) for seconds in (1, 30, 3600)] == [10, 30, 60]
    assert [looking.pause(30, window) for window in (1, 10, 60)] == [1, 2.5, 15], "several times within the window"


async def test_a_proxy_that_is_silent_for_three_rounds_or_gone_is_not_believed_any_more() -> None:
    told: list[tuple[str, str]] = []
    looker = looking.Looker(lambda _: None, told.append)
    who, dead = ("shop", "assistant"), looking.Answer({"fast": Sight(1, 0, 0)})
    two = looking.Target({"a": "http://a", "b": "http://b"}, 10)
    looker._enter(who, two, {"a": dead, "b": dead}, 0)
    assert told == [who]
    for _ in range(2):
        looker._enter(who, two, {"a": dead}, 0)
    assert told == [who], "nothing is told where nothing changed"
    looker._enter(who, two, {"a": dead}, 0)
    assert list(looker._books[who].sights) == ["a"]
    looker._enter(who, looking.Target({"b": "http://b"}, 10), {}, 0)
    assert looker.sights(who, ["fast"]) == {}


def counted(total: int) -> looking.Answer:
    return looking.Answer(reading=Reading({("fast", "upstream_rq_total"): total}, 5))


async def test_what_the_proxies_counted_is_known_once_each_of_them_tells() -> None:
    two = looking.Target({"a": "http://a", "b": "http://b"}, 10, 300)
    now, who = time.monotonic(), ("shop", "assistant")
    looker = looking.Looker(lambda _: two, lambda _: None)
    assert looker.counted(who, ["fast"], 300) == Counted(), "nobody is looking"
    looker._running = True
    assert looker.counted(who, ["fast"], 300).state == "Pending"
    looker._enter(who, two, {"a": counted(1_000), "b": counted(50)}, now - 30)
    assert looker.counted(who, ["fast"], 300).state == "Pending", "what was counted before may be of any age"
    looker._enter(who, two, {"a": counted(1_010), "b": counted(55)}, now - 20)
    assert looker.counted(who, ["fast"], 300) == Counted("Known", {"fast": Tally(15)})
    for _ in range(2):
        looker._enter(who, two, {"a": counted(1_020)}, now - 10)
    assert looker.counted(who, ["fast"], 300).state == "Known", "one that misses a round is waited for"
    looker._enter(who, two, {"a": counted(1_020)}, now)
    assert looker.counted(who, ["fast"], 300) == Counted(), "what one proxy counts alone is not the traffic"


async def test_a_proxy_that_does_not_tell_at_all_is_not_waited_for() -> None:
    one = looking.Target({"a": "http://a"}, 10, 300)
    looker = looking.Looker(lambda _: one, lambda _: None)
    looker._running = True
    looker._enter(("shop", "assistant"), one, {}, 0)
    assert looker.counted(("shop", "assistant"), ["fast"], 300) == Counted()


async def test_an_error_over_one_policy_ends_neither_its_looks_nor_those_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(looking, "CONFIRM_SECONDS", 0.001)
    monkeypatch.setattr(looking, "_MOST_SECONDS", 0.001)
    asked: Counter[looking.Who] = Counter()

    def target(who: looking.Who) -> looking.Target:
        asked[who] += 1
        if who[1] == "odd":
            raise ValueError(who)
        return looking.Target({}, 0.001)

    looker = looking.Looker(target, lambda _: None)
    running = asyncio.create_task(looker.run([("shop", "odd"), ("shop", "even")]))
    async with asyncio.timeout(120):
        while min(asked["shop", "odd"], asked["shop", "even"]) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1
    assert not looker._broken


def test_failures_are_asked_for_and_read_endpoint_by_endpoint_only_where_they_count() -> None:
    text = """envoy_cluster_endpoint_rq_error{envoy_cluster_name="fast",envoy_endpoint_address="10.0.0.1:8080"} 3
envoy_cluster_endpoint_cx_connect_fail{envoy_cluster_name="fast",envoy_endpoint_address="[fd00::1]:8080"} 1
envoy_cluster_endpoint_rq_total{envoy_cluster_name="fast",envoy_endpoint_address="10.0.0.1:8080"} 9
"""
    assert looking.parse(text).reading.endpoints is None
    assert looking.parse(text, of_endpoints=True).reading.endpoints == {
        ("fast", "rq_error", "10.0.0.1:8080"): 3,
        ("fast", "cx_connect_fail", "[fd00::1]:8080"): 1,
    }
    name = "cluster.fast.endpoint.10.0.0.1:8080.rq_error"
    assert [bool(re.fullmatch(looking._wanted(watched), name)) for watched in ((), ("slow",), ("slow", "fast"))] == [
        False,
        False,
        True,
    ]


async def test_failures_are_news_at_once_and_counted_within_the_span_of_their_breaker() -> None:
    told: list[tuple[str, str]] = []
    one = looking.Target({"a": "http://a"}, 1, 300, {"fast": 10.0})
    looker, who, now = looking.Looker(lambda _: one, told.append), ("shop", "assistant"), time.monotonic()
    looker._running = True

    def look(failed: int, at: float) -> None:
        endpoints = {("fast", "rq_error", "10.0.0.1:8080"): failed}
        looker._enter(who, one, {"a": looking.Answer(reading=Reading({}, 5, endpoints))}, at)

    look(50, now - 20)
    look(57, now - 19)
    look(57, now - 9)
    assert told == [who, who]
    look(60, now - 1)
    assert len(told) == 3
    short, long = (looker.counted(who, ["fast"], window) for window in (10.0, 300.0))
    assert (short.modes["fast"].failures, long.modes["fast"].failures) == (3, 10)
    assert 1 <= short.seconds_old < 60
