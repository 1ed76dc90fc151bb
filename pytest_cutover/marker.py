"""Which tests are gates: the `gate` marker, read and checked."""

from __future__ import annotations

import re

import pytest

from pytest_cutover.model import GateInfo
from pytest_cutover.phases import PHASES

GATE_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MARKER_KEYS = ("title", "category", "owner", "remedy", "timeout")


class InvalidMarkerError(pytest.UsageError):  # type: ignore[misc] # "final", and pytest shows a subclass alike
    """A gate marker that cannot be used; pytest ends with 4, a gate run with `gate.invalid`."""


def gate_info(item: pytest.Item) -> GateInfo | None:
    """What the `gate` marker of a test says; None when it has none.

    Raises:
        InvalidMarkerError: the marker cannot be used; the message quotes what is wrong with it.
    """
    marks = list(item.iter_markers())
    marker = next((mark for mark in marks if mark.name == "gate"), None)
    if marker is None:
        return None
    file, line, _ = item.location
    where = f"{file}:{(line or 0) + 1}"
    if len(marker.args) != 1 or not isinstance(marker.args[0], str) or not GATE_ID.fullmatch(marker.args[0]):
        got = ", ".join(repr(a) for a in marker.args) or "nothing"
        raise InvalidMarkerError(
            f"{where}: gate needs one id of lower-case letters, digits, '.', '_' and '-', got {got}"
        )
    gate_id = marker.args[0]
    for key, value in marker.kwargs.items():
        _check_marker(f"{where}: gate {gate_id!r}", key, value)
    if not {mark.name for mark in marks}.intersection(PHASES):
        raise InvalidMarkerError(
            f"{where}: gate {gate_id!r} has no phase marker, such as @pytest.mark.preflight"
        )
    callspec = getattr(item, "callspec", None)
    title = marker.kwargs.get("title") or _first_line(item) or gate_id
    timeout = marker.kwargs.get("timeout")
    return GateInfo(
        id=gate_id,
        key=gate_id if callspec is None else f"{gate_id}[{callspec.id}]",
        nodeid=item.nodeid,
        file=file,
        line=(line or 0) + 1,
        title=title,
        category=marker.kwargs.get("category"),
        owner=marker.kwargs.get("owner"),
        remedy=marker.kwargs.get("remedy"),
        timeout_s=None if timeout is None else float(timeout),
    )


def _check_marker(where: str, key: str, value: object) -> None:
    if key not in _MARKER_KEYS:
        raise InvalidMarkerError(f"{where}: unknown argument {key!r}; known are {', '.join(_MARKER_KEYS)}")
    if key == "timeout":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= 86400:  # type: ignore[operator] # a number here
            raise InvalidMarkerError(f"{where}: timeout needs seconds between 0 and 86400, got {value!r}")
    elif not isinstance(value, str) or not value.strip():
        raise InvalidMarkerError(f"{where}: {key} needs a text, got {value!r}")


def _first_line(item: pytest.Item) -> str | None:
    obj = getattr(item, "obj", None)
    doc = None if obj is None else obj.__doc__  # from 3.13 on None has a docstring of its own
    return doc.strip().splitlines()[0] if isinstance(doc, str) and doc.strip() else None
