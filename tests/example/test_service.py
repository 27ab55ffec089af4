"""The example service, as a process."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable

from tests.example.conftest import Process

Start = Callable[..., Process]


def test_it_answers_with_its_mode_and_pod(start_service: Start) -> None:
    service = start_service(MODE="creative")
    status, text = service.call("/generate", "POST", b'{"prompt": "the creative"}')
    assert status == 200
    answer = json.loads(text)
    assert (answer["mode"], answer["pod"], len(answer["text"].split())) == ("creative", "pod-1", 24)


def test_a_body_that_is_no_object_is_refused_and_says_what_to_send(start_service: Start) -> None:
    service = start_service()
    status, text = service.call("/generate", "POST", b"[1]")
    assert status == 400
    assert "JSON object" in json.loads(text)["error"]


def test_only_answers_are_counted(start_service: Start) -> None:
    service = start_service()
    assert service.counted() == {"200": 0}
    for path in ("/", "/generate?prompt=the", "/healthz", "/livez", "/metrics"):
        assert service.call(path)[0] == 200
    assert service.counted() == {"200": 2}


def test_a_fault_fails_requests_but_not_the_health_check_and_ends_by_itself(start_service: Start) -> None:
    service = start_service()
    for seconds in (0.5, 2, 8, 32):  # on a busy machine a short one may be over before it is seen
        assert service.call(f"/fault?mode=503&for={seconds}", "POST")[0] == 200
        if (seen := service.call("/")[0]) == 503:
            break
    assert seen == 503
    assert service.call("/healthz")[0] == 200
    deadline = time.monotonic() + 60
    while service.call("/")[0] != 200:
        assert time.monotonic() < deadline, "the fault did not end"
        time.sleep(0.02)
    assert service.counted()["503"] >= 1


def test_a_fault_can_be_ended_and_wrong_ones_say_what_is_wrong(start_service: Start) -> None:
    service = start_service(FAULT_CODE="500")
    assert service.call("/")[0] == 500
    assert service.call("/fault?mode=off", "POST")[0] == 200
    assert service.call("/")[0] == 200
    for query, word in (("mode=200", "400 to 599"), ("mode=500&for=soon", "seconds"), ("mode=500&for=99999", "3600")):
        status, text = service.call(f"/fault?{query}", "POST")
        assert status == 400
        assert word in text


def test_on_sigterm_it_drains_finishes_and_closes_connections(start_service: Start) -> None:
    service = start_service(LATENCY_MS="700", DRAIN_SECONDS="4")
    kept = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b"ok\n"

    slow: list[int] = []
    under_way = threading.Thread(target=lambda: slow.append(service.call("/")[0]))
    under_way.start()
    time.sleep(0.1)
    service.terminate()
    deadline = time.monotonic() + 60
    while service.call("/healthz")[0] != 503:
        assert time.monotonic() < deadline, "a stopping process must stop being ready"

    kept.request("GET", "/")
    late = kept.getresponse()
    late.read()
    assert late.status == 200
    assert late.getheader("Connection") == "close"
    under_way.join(60)
    assert slow == [200]
    assert service.popen.wait(60) == 0
