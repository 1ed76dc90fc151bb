"""Hooks of pytest-cutover that a conftest or plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_cutover.model import Decision, GateDecision


@pytest.hookspec
def pytest_cutover_gate_judged(config: pytest.Config, gate: GateDecision) -> None:
    """Called when a gate has ended and was judged, as its line is printed; nothing it does moves the verdict."""


@pytest.hookspec
def pytest_cutover_decided(config: pytest.Config, decision: Decision) -> None:
    """Called once with the decision of a run, after it was signed; nothing it does moves the verdict."""
