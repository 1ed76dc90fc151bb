"""Which phase a marker expression asks for (`-m preflight`), and what a misspelt one meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PHASES = ("preflight", "rehearsal", "canary", "postcutover", "rollback", "orr", "bigbang")
"""Phase markers, in the order a cutover meets them (requirement A1)."""

_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d][\w:.+\-\[\]/\\]*)|(?P<sign>[()])|(?P<other>\S))")


def asked_phases(expression: str) -> set[str]:
    """Phases that the expression names positively: `preflight`, but not `not preflight`."""
    return {name for name, positive in _names(expression) if positive and name in PHASES}


def misspelt(expression: str, registered: Iterable[str]) -> tuple[str, str] | None:
    """The first name that is no registered marker and looks like a phase, with that phase."""
    import difflib

    known = set(registered)
    for name, _ in _names(expression):
        close = difflib.get_close_matches(name.lower(), PHASES, n=1, cutoff=0.75)
        if name not in known and name not in PHASES and close:
            return name, close[0]
    return None


def _names(expression: str) -> list[tuple[str, bool]]:
    """Every marker name with whether it stands under an even number of `not`s.

    pytest's own parser reports syntax errors; here the rest of a wrong expression is ignored.
    """
    out: list[tuple[str, bool]] = []
    outer = [True]  # the sign that holds inside each open parenthesis
    sign = True
    arguments = 0  # depth inside of name(key=value), whose words are no markers
    previous = ""
    for match in _TOKEN.finditer(expression):
        word = match["name"] or match["sign"] or match["other"]
        if arguments:
            arguments += {"(": 1, ")": -1}.get(word, 0)
        elif word == "not":
            sign = not sign
        elif word == "(" and previous == "name":
            arguments = 1
        elif word == "(":
            outer.append(sign)
        elif word == ")":
            sign = outer.pop() if len(outer) > 1 else True
        elif word in ("and", "or"):
            sign = outer[-1]
        elif match["name"] and word not in ("True", "False", "None"):
            out.append((word, sign))
            previous = "name"
            continue
        previous = word
    return out
