"""Cases to judge again, from journals in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_cutover.rejudge.case import Case
from tests.unit.journals import NOW, clean_run, policy, record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_cutover.model import EffectivePolicy
    from tests.unit.journals import Event


def case(
    events: Iterable[Event] | None = None, judged_by: EffectivePolicy | None = None, **changes: Any
) -> Case:
    """These events (else a clean run) under `judged_by` (else `policy()`) with `changes`."""
    return Case(
        record(clean_run() if events is None else events), replace(judged_by or policy(), **changes), NOW
    )
