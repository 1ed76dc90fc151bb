"""Single figures and texts out of output: one, or none at all. Pure.

What is not exactly one figure is no measurement. A pattern that takes a part of a number would
measure something that nobody printed, so that is refused as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_cutover.declared import jsonpath
from pytest_cutover.errors import SourceError
from pytest_cutover.strictjson import parse_decimal

if TYPE_CHECKING:
    from decimal import Decimal

FLAGS = re.MULTILINE
"""`^` and `$` stand for the ends of lines, as in grep."""

MAX_TEXT_CHARS = 500
"""A measured text is compared with an expected one; more than this nobody writes into a policy."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GOES_ON = re.compile(r"\d|[.,]\d|[eE][+-]?\d", re.ASCII)
_BEGAN_BEFORE = re.compile(r"\d$|\d[.,]$|(?:^|[^\w.])[-\u2212]$|(?:^|\D)\.$", re.ASCII)


def figure(pattern: str, text: str, where: str) -> Decimal:
    """The one number that the group of `pattern` takes from `text`; the same number twice is one number.

    Raises:
        SourceError: no match, different numbers, something that is no number, or a part of one.
    """
    matches = _matches(pattern, text, where)
    numbers = [_number(match, pattern, where) for match in matches]
    if len(set(numbers)) > 1:
        got = " and ".join(dict.fromkeys(_short(m[1]) for m in matches))
        raise SourceError(
            f"expected one figure from {pattern!r} in {where}, got {len(set(numbers))}: {got:.100}",
            hint="write more of the line into the pattern",
        )
    return numbers[0]


def one_text(pattern: str, text: str, where: str) -> str:
    """The one text that the group of `pattern` takes from `text`.

    Raises:
        SourceError: no match, or different texts.
    """
    found = list(dict.fromkeys(match[1] or "" for match in _matches(pattern, text, where)))
    if len(found) > 1:
        got = " and ".join(_short(t) for t in found)
        raise SourceError(f"expected one text from {pattern!r} in {where}, got {len(found)}: {got:.100}")
    return whole_text(found[0], where)


def whole_text(text: str, where: str) -> str:
    """A short text without the line ends behind it.

    Raises:
        SourceError: nothing, or too much to be compared with anything.
    """
    text = text.rstrip("\r\n")
    if not text.strip():
        raise SourceError(f"expected a text in {where}, got nothing")
    if len(text) > MAX_TEXT_CHARS:
        raise SourceError(
            f"expected at most {MAX_TEXT_CHARS} characters in {where}, got {len(text)}",
            hint="take the part that matters with a pattern",
        )
    return text


def count(pattern: str, text: str) -> int:
    """How often `pattern` matches."""
    return sum(1 for _ in re.finditer(pattern, text, FLAGS))


def json_value(document: Any, query: jsonpath.Query, where: str) -> object:
    """The number or text at `query`; true and false are the texts `true` and `false`.

    Raises:
        SourceError: nothing stands there, or null, a list or an object.
    """
    value = _selected(document, query, where)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, dict | list):
        raise SourceError(
            f"expected a number or a text at {jsonpath.shown(query)} in {where}, got {jsonpath.kind(value)}",
            hint="items counts what a list or an object holds" if value is not None else None,
        )
    return whole_text(value, where) if isinstance(value, str) else value


def json_items(document: Any, query: jsonpath.Query, where: str) -> int:
    """How many items the list (or members the object) at `query` holds.

    Raises:
        SourceError: there is no list or object.
    """
    value = _selected(document, query, where)
    if not isinstance(value, dict | list):
        raise SourceError(
            f"expected a list or an object at {jsonpath.shown(query)} in {where}, got {jsonpath.kind(value)}"
        )
    return len(value)


def _selected(document: Any, query: jsonpath.Query, where: str) -> Any:
    try:
        return jsonpath.select(document, query)
    except LookupError as exc:
        raise SourceError(f"{exc.args[0]} in {where}") from None


def _matches(pattern: str, text: str, where: str) -> list[re.Match[str]]:
    found = list(re.finditer(pattern, text, FLAGS))
    if not found:
        raise SourceError(f"expected one match of {pattern!r} in {where}, found none")
    return found


def _number(match: re.Match[str], pattern: str, where: str) -> Decimal:
    taken = match[1]
    if taken is None or not _NUMBER.fullmatch(taken):
        raise SourceError(f"expected a number from {pattern!r} in {where}, got {_short(taken)}")
    line_begin = match.string.rfind("\n", 0, match.start(1)) + 1
    before = match.string[line_begin : match.start(1)]
    # What the pattern itself names behind its group was meant to be left out.
    goes_on = match.end() == match.end(1) and _GOES_ON.match(match.string, match.end(1))
    if goes_on or _BEGAN_BEFORE.search(before):
        end = re.compile(r"[\w.,+-]*", re.ASCII).match(match.string, match.end(1))
        whole = (re.findall(r"[\w.,+-]*$", before, re.ASCII) or [""])[0] + taken + (end[0] if end else "")
        raise SourceError(
            f"expected a whole number from {pattern!r} in {where}, got {taken!r} out of {whole!r:.60}",
            hint=r"let the group take all of it, e.g. (-?[0-9.]+)",
        )
    try:
        return parse_decimal(taken)
    except (ValueError, ArithmeticError) as exc:
        raise SourceError(f"expected a number from {pattern!r} in {where}: {exc}") from exc


def _short(text: str | None) -> str:
    return repr(text if text is None or len(text) <= 40 else text[:37] + "…")
