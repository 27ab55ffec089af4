"""What an API server answers: which answers are about the object, and how they are said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accord.domain.conditions import Wanted, merge
from accord.domain.plan import Event, ObjectKey, Refusal
from accord.domain.refusals import CONTESTED, REASONS, is_refusal, reason, sentence
from accord.domain.words import MESSAGE_LIMIT, quote, shorten

JOB = ObjectKey("batch/v1", "Job", "ns", "r-1")
SCHEMA = "failed to create typed patch object (ns/r-1; batch/v1, Kind=Job): .spec.template.spec.containers"
CONVERT = "failed to convert new object (ns/r-1; batch/v1, Kind=Job) to proper version: unable to convert unstructured"
# As Kubernetes 1.37 answers.
ANSWERS = [
    (403, 'jobs.batch "r-1" is forbidden: exceeded quota: none, requested: count/jobs.batch=1', "QuotaExceeded"),
    (403, 'jobs.batch "r-1" is forbidden: failed quota: q: must specify limits.cpu', "QuotaExceeded"),
    (403, 'jobs.batch "r-1" is forbidden: User "accord" cannot patch resource "jobs"', "Forbidden"),
    (403, "unable to create new content in namespace x because it is being terminated", "Forbidden"),
    (404, 'namespaces "nope" not found', "NotFound"),
    (413, "Request entity too large: limit is 3145728", "TooLarge"),
    (422, 'Job.batch "r-1" is invalid: spec.template: Required value', "Invalid"),
    (422, "ValidatingAdmissionPolicy 'v' with binding 'v' denied request: no jobs here", "Invalid"),
    (400, 'admission webhook "a.example.com" denied the request: no', "Invalid"),
    (409, 'admission webhook "a.example.com" denied the request: no', "Forbidden"),
    (500, 'admission webhook "a.example.com" denied the request: no', "Forbidden"),
    (500, f'{SCHEMA}[name="t"].enviroment: field not declared in schema', "Invalid"),
    (500, f'{SCHEMA}[name="t"].env[name="X"].value: expected string, got 7', "Invalid"),
    (500, f'{SCHEMA}[name="t"].env: duplicate entries for key [name="A"]', "Invalid"),
    (500, f"{CONVERT} object to batch/v1, Kind=Job: quantities must match the regular expression", "Invalid"),
    (500, f"{CONVERT}: json: cannot unmarshal number 1.5 into Go value of type int32", "Invalid"),
    (500, "etcdserver: request is too large", "Invalid"),
    (500, 'Internal error occurred: failed calling webhook "a": failed to call webhook: refused', "WebhookFailed"),
    (504, 'Timeout: failed calling webhook "a": context deadline exceeded', "WebhookFailed"),
]
PASSING = [
    (409, "Operation cannot be fulfilled on resourcequotas: the object has been modified", "Conflict"),
    (429, "too many requests, please try again later", "TooManyRequests"),
    (500, "etcdserver: leader changed", "ServerError"),
    (500, "rpc error: code = Unavailable", "ServerError"),
    (503, "apiserver not ready", "ServerError"),
    (504, "context deadline exceeded", "ServerError"),
]


@pytest.mark.parametrize(("status", "message", "word"), ANSWERS)
def test_a_refusal_is_told_at_once(status: int, message: str, word: str) -> None:
    refusal = Refusal(status, message)
    assert is_refusal(status, message)
    assert reason(refusal) == word
    assert word in REASONS
    assert sentence(JOB, refusal).startswith(f"cannot apply Job r-1: {message[:40]}")


@pytest.mark.parametrize(("status", "message", "word"), PASSING)
def test_a_fault_of_the_server_says_nothing_about_the_object(status: int, message: str, word: str) -> None:
    assert not is_refusal(status, message)
    assert reason(Refusal(status, message)) == word
    assert word in REASONS
    assert sentence(JOB, Refusal(status, message)) == f"cannot apply Job r-1: {message}"


def test_no_answer_is_no_refusal() -> None:
    assert not is_refusal(0, "connection refused; failed calling webhook")


def test_what_is_contested_is_said_in_its_own_words() -> None:
    assert reason(Refusal(0, "somebody insists")) == CONTESTED
    assert sentence(JOB, Refusal(0, "somebody insists")) == "Job r-1: somebody insists"


def test_a_message_is_cut_at_a_word() -> None:
    text = "word " * 300
    cut = shorten(text)
    assert len(cut) <= MESSAGE_LIMIT
    assert cut.endswith("word…")
    assert shorten("short.") == "short."
    assert len(shorten("x" * 2000)) == MESSAGE_LIMIT


def test_no_condition_and_no_event_is_longer() -> None:
    words = "a word " * 300
    (said,) = merge([], [Wanted("Ready", "False", "Broken", words)], generation=1, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(said["message"]) <= MESSAGE_LIMIT
    assert Event("Warning", "Broken", words).note == said["message"]


def test_of_a_long_answer_the_end_is_quoted_too() -> None:
    answer = f'Job "r-1" is invalid: spec.template: Invalid value: {{{"a b " * 2000}}}: field is immutable.'
    said = quote(answer)
    assert len(said) <= 300
    assert said.startswith('Job "r-1" is invalid: spec.template')
    assert said.endswith("field is immutable")
    assert quote("two\n lines. ") == "two lines"
    assert len(quote("x" * 5000)) <= 300
