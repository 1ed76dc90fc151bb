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
        said = check.stdout + check.stderr
        print(said)  # pytest shows it when the gate is not green
        gate.attach(f"{argv[0]}.txt", said)
        gate.measure("exit_code", check.exit_code, observed_at=check.observed_at)

    return run
