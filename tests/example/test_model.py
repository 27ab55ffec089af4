"""The example service with a model behind it, as two processes."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.example.conftest import Process

Start = Callable[..., Process]
TTL = "x-accord-cache-ttl"


def looks(service: Process) -> tuple[float, float]:
    """Hits and misses of the cache."""
    hits, misses = (service.counted(f"cache_{each}_total", "mode") for each in ("hits", "misses"))
    return sum(hits.values()), sum(misses.values())


def test_an_answer_of_the_model_is_reused_for_as_long_as_the_request_says(
    start_service: Start, start_model: Start
) -> None:
    # Given a mode with a model behind it
    service = start_service(MODE="creative", LLM_URL=start_model().url)
    # When the same is asked again and again
    first, again = (json.loads(service.call("/?prompt=the")[1])["text"] for _ in range(2))
    # Then the model answers once
    assert first == again
    assert len(first.split()) == 24
    assert looks(service) == (1, 1)
    # And an answer that must not be reused is asked for anew
    service.call("/?prompt=the", **{TTL: "0"})
    assert looks(service) == (1, 2)


def test_what_the_model_fails_is_counted_and_what_is_in_the_cache_is_answered(
    start_service: Start, start_model: Start
) -> None:
    # Given a mode that has one answer in its cache
    model = start_model()
    service = start_service(MODE="creative", LLM_URL=model.url)
    assert service.counted("llm_failures_total", "mode") == {"creative": 0}
    assert service.call("/?prompt=known")[0] == 200
    # When the model fails
    assert model.call("/fault?mode=503&for=600", "POST")[0] == 200
    # Then only what it was asked for is lost
    assert service.call("/?prompt=known")[0] == 200
    status, text = service.call("/?prompt=new")
    assert (status, json.loads(text)["error"]) == (502, "the model answered 503")
    assert service.counted("llm_failures_total", "mode") == {"creative": 1}
    assert service.counted() == {"200": 2, "502": 1}
    # And all is well again with the model
    assert model.call("/fault?mode=off", "POST")[0] == 200
    assert service.call("/?prompt=new")[0] == 200


def test_a_model_that_is_not_there_is_a_failure_too(start_service: Start, start_model: Start) -> None:
    model = start_model()
    service = start_service(MODE="creative", LLM_URL=model.url)
    model.popen.kill()
    model.popen.wait()
    status, text = service.call("/")
    assert status == 502
    assert json.loads(text)["error"].startswith("the model did not answer: ")
    assert service.counted("llm_failures_total", "mode") == {"creative": 1}


def test_a_header_that_is_no_number_of_seconds_counts_as_none(start_service: Start, start_model: Start) -> None:
    service = start_service(LLM_URL=start_model().url, CACHE_TTL_SECONDS="0")
    for ttl in ("soon", "-1", "1e3", ""):
        assert service.call("/", **{TTL: ttl})[0] == 200
    assert looks(service) == (0, 4)
