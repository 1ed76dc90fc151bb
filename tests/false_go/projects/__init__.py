"""Every lie, by theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.false_go.projects import (
    assertions,
    declared,
    distorted,
    environment,
    hooks,
    inifiles,
    journal,
    markers,
    overlapping,
    policies,
    processes,
    repeats,
    selection,
    skipping,
    values,
)

if TYPE_CHECKING:
    from tests.false_go.harness import LyingRun

THEMES = (
    selection,
    inifiles,
    skipping,
    assertions,
    values,
    hooks,
    processes,
    repeats,
    markers,
    policies,
    environment,
    journal,
    declared,
    overlapping,
    distorted,
)

LIES: tuple[LyingRun, ...] = tuple(lie for theme in THEMES for lie in theme.LIES)
