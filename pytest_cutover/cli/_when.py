"""Times and spans as options take them."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_cutover.model import parse_rfc3339

if TYPE_CHECKING:
    from datetime import datetime

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def time(text: str) -> datetime:
    """A UTC time, for argparse."""
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a UTC time such as 2027-11-21T00:00:00Z, got {text!r}"
        ) from None


def span(text: str) -> timedelta:
    """`12h`, `90d` or `52w`, for argparse."""
    found = re.fullmatch(r"([0-9]{1,5})([hdw])", text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"expected a span such as 12h, 90d or 52w, got {text!r}")
    return int(found[1]) * _UNITS[found[2]]
