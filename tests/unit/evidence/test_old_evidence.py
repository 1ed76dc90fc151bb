"""Evidence that an earlier release sealed keeps verifying, and admits what it admitted then."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_cutover.cli import main

VECTORS = Path(__file__).parents[2] / "vectors"
FORMATS = sorted(p.name for p in VECTORS.glob("evidence-*"))
DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize("name", FORMATS)
class TestOldEvidence:
    def test_still_verifies(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        """`cutover verify` proves it whole, judges it again, and comes to the same verdict."""
        folder = VECTORS / name

        assert main(["verify", str(folder), "--trust", str(folder / "trust.json")]) == 0
        assert "GO (exit 0)" in capsys.readouterr().out

    def test_admits_while_it_held_and_not_after(self, name: str) -> None:
        """The decision held for an hour; asked about that hour it still answers yes."""
        folder = VECTORS / name
        ask = ["admit", "--digest", DIGEST, "--environment", "sandbox", "--trust", str(folder / "trust.json")]

        assert main([*ask, "--at", "2026-11-21T13:00:00Z", str(folder)]) == 1
        assert main([*ask, "--at", "2026-11-21T11:30:00Z", str(folder)]) == 0


def test_there_is_old_evidence() -> None:
    """An empty list of vectors would prove nothing."""
    assert FORMATS
