"""How old a reading may be: one rule for traffic, training, checkpoints and ratings.

A reading has two ages. That of the samples which it rests on is by the clock of the metrics system, and tells whether
pods are still scraped. That of the look itself is by ours, and tells whether it is still looked at: a replica that has
not led for a while, or a metrics system that hangs, leaves a book of old looks behind. Neither moves anything. Ratings
are counted since their window began, whoever is scraped now: there only the age of the look matters.
"""

from __future__ import annotations

from datetime import datetime, timedelta

LEAST = timedelta(seconds=150)
"""Prometheus scrapes once a minute by default, and one scrape may fail: two minutes and a little more. `interval`, the
time between two looks, may be far less than that.
"""
_LOOKS = 4
_SAMPLES = 2


def of_look(interval: timedelta) -> timedelta:
    """How old a look may be that is acted on: four intervals, and never less than `LEAST`."""
    return max(_LOOKS * interval, LEAST)


def of_sample(interval: timedelta) -> timedelta:
    """How old the newest sample may be that a look rests on: two intervals, and never less than `LEAST`."""
    return max(_SAMPLES * interval, LEAST)


def is_old(at: datetime, interval: timedelta, now: datetime) -> bool:
    """Whether a look is from another time. `at` is when it was made."""
    return now - at > of_look(interval)


def is_unscraped(sampled: float, evaluated: float, interval: timedelta) -> bool:
    """Whether the newest sample is too old. Both in Unix time, by the same clock; NaN is no time."""
    return not evaluated - sampled <= of_sample(interval).total_seconds()
