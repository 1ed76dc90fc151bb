"""Spans of time as options take them."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def span(text: str) -> timedelta:
    """`12h`, `90d` or `52w`, for argparse."""
    found = _read(text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a span such as 12h, 90d or 52w, got {text!r}")
    return found


def age(text: str) -> timedelta:
    """The same, or none at all: `0d`."""
    found = _read(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected an age such as 12h, 30d or 8w, got {text!r}")
    return found


def _read(text: str) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,5})([hdw])", text)
    return None if found is None else int(found[1]) * _UNITS[found[2]]
