"""Resource quantities in the form in which the API server stores them, so that comparing finds no difference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LONGEST = 100
"""Characters. What is longer, or has a larger exponent, is no resource of a pod and would be computed for ever."""
_QUANTITY = re.compile(
    r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$"
)


def canonical_quantity(value: str | int | float) -> str:
    """`0.5` → `500m`, `1024Mi` → `1Gi`. What is not a quantity is returned as it is: the API server says so better.

    Source: k8s.io/apimachinery, pkg/api/resource, Quantity.CanonicalizeBytes.
    """
    text = str(value)
    match = _QUANTITY.match(text) if len(text) <= _LONGEST else None
    if match is None:
        return text
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix in _BINARY:
        number *= 1024 ** _BINARY[suffix]
        # Below 1024 in absolute value, and with a fraction, the decimal form is used.
        if abs(number) >= 1024 and number.denominator == 1:
            return _scaled(number, 1024, {power: unit for unit, power in _BINARY.items()}, 0)
        return _scaled(number, 1000, {power: unit for unit, power in _DECIMAL.items()}, -3)
    if suffix in _DECIMAL:
        number *= Fraction(1000) ** _DECIMAL[suffix]
        return _scaled(number, 1000, {power: unit for unit, power in _DECIMAL.items()}, -3)
    exponent = int(suffix[1:])
    number *= Fraction(10) ** exponent
    return _scaled(number, 1000, {power: f"e{3 * power}" if power else "" for power in range(-3, 7)}, -3)


def _scaled(number: Fraction, base: int, units: Mapping[int, str], lowest: int) -> str:
    """The whole number of the largest unit that needs no fraction; rounded up at the smallest (nano)."""
    if number == 0:
        return "0"
    power = lowest
    mantissa = number / Fraction(base) ** power
    mantissa = Fraction(-((-mantissa.numerator) // mantissa.denominator))
    while power + 1 <= max(units) and mantissa % base == 0:
        mantissa, power = mantissa / base, power + 1
    return f"{mantissa.numerator}{units.get(power, '')}"


def canonical_resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    """core/v1 ResourceRequirements with canonical quantities."""
    return {
        field: {name: canonical_quantity(quantity) for name, quantity in value.items()}
        if field in ("limits", "requests") and isinstance(value, Mapping)
        else value
        for field, value in resources.items()
    }
