"""What the exit codes of all commands mean."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """As for `kubectl diff`: 1 is an answer, more than 1 is a failure."""

    def __new__(cls, code: int, meaning: str) -> Exit:
        """A number with a word about it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    meaning: str

    OK = 0, "done"
    FINDINGS = (
        1,
        "the command worked, and the answer is no: files differ, a plan has problems, something is not Ready, no "
        "rollback waits for approval, a line of a report or a check of the installation failed",
    )
    INVALID = 2, "an input is invalid: an option, a file or an object in it, a configuration, a kubeconfig"
    FAILED = (
        3,
        "it could not be done: the API server or Prometheus refused or is unreachable, a file cannot be written, a "
        "package is missing, the operator stopped by an error",
    )
    INTERRUPTED = 130, "interrupted with Ctrl-C"
