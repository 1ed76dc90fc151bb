"""What the gates of this project share."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def syntax_check(gate, command):
    """Run a program that checks a file, keep what it says, and measure its exit code."""

    def run(*argv):
        check = command.run(argv, cwd=PROJECT)
        gate.attach(f"{gate.info.id}.txt", check.stdout + check.stderr)
        gate.measure("exit_code", check.exit_code, observed_at=check.observed_at)

    return run
