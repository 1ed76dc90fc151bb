"""JSON read strictly: what Python's `json` lets pass silently is an error here.

Duplicate keys, NaN and Infinity, numbers without a finite decimal value, bytes that are not
UTF-8, and anything after the document are refused. Numbers with a fraction or an exponent
become `Decimal`, so a limit of 0.1 means 0.1. No I/O.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

MAX_DIGITS = 64
"""Digits of a number; more is a mistake or an attack, and int() of many digits is slow."""

MAX_EXPONENT = 400
"""Largest decimal exponent either way; IEEE 754 doubles end at 308."""


def loads(data: bytes | str) -> Any:
    """The value of one JSON document.

    Raises:
        ValueError: not strict JSON; the message says what and, where Python's parser knows, the line.
    """
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_int(text: str) -> int:
    """An integer literal of at most `MAX_DIGITS` digits."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"number has {len(text)} digits, at most {MAX_DIGITS} are accepted")
    return int(text)


def parse_decimal(text: str) -> Decimal:
    """A number literal as an exact `Decimal` of sane size."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"number has {len(text)} digits, at most {MAX_DIGITS} are accepted")
    value = Decimal(text)
    if abs(value.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"number {text} is out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value] # set.add is None
        raise ValueError(f"duplicate key {twice!r}")
    return out


_DECODER = json.JSONDecoder(
    parse_int=parse_int,
    parse_float=parse_decimal,
    parse_constant=_refuse_constant,
    object_pairs_hook=_unique,
)
