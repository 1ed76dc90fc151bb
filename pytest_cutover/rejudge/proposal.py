"""A change that would take a reason away, in words and as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_cutover.model import Finding
from pytest_cutover.rejudge.case import Case


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change, in words and as a function; `have` and `need` are what it changes from and to."""

    what: str
    apply: Callable[[Case], Case]
    have: str | None = None
    need: str | None = None
    by: str | None = None


Recipe = Callable[[Case, Finding], Proposal | None]
"""Makes the proposal for one finding; None where nobody can say one."""
