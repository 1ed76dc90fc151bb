"""Pages of text for people at a terminal of 80 columns."""

from __future__ import annotations

import os
import sys
import textwrap

WIDTH = 80


def wrapped(text: str, first: str = "", then: str = "", width: int = WIDTH) -> list[str]:
    """`text` in lines, the first after `first`, the others after `then`; words and paths stay whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def colour() -> bool:
    """Whether standard output should have colours: NO_COLOR, FORCE_COLOR, else on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
