"""Sealing while the key is rotated: nothing is kept that was signed with a key that came too late for the log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_cutover.evidence.seal import BUNDLE_FILE
from pytest_cutover.files import write_atomic
from pytest_cutover.model import LogHead, Verdict
from pytest_cutover.reasons import Reason
from pytest_cutover.run import conclude
from pytest_cutover.run.conclude import judge, seal
from tests.unit.keys.rings import Ringed
from tests.unit.run.test_conclude import run_in

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass
class RotatedMeanwhile:
    """A run's log, and a ring that is rotated as often as told between signing and logging."""

    ringed: Ringed
    times: int
    bundles: list[bytes] = field(default_factory=list)
    head: LogHead = LogHead("log.example.org/cutover", 0, "0" * 64)  # noqa: RUF009 # it cannot be changed

    def prove(self, bundle: bytes, *_: Any) -> tuple[int, bytes]:
        self.bundles.append(bundle)
        if len(self.bundles) <= self.times:
            self.ringed.rotate()
        return len(self.bundles) - 1, b"a proof"


def signers(bundle: bytes) -> set[str]:
    return {s["keyid"] for line in bundle.splitlines() for s in json.loads(line)["signatures"]}


def sealed(tmp_path: Path, times: int) -> tuple[Ringed, RotatedMeanwhile, Any, bytes | None]:
    ringed = Ringed(tmp_path / "keys")
    ringed.folder.mkdir()
    ringed.begin()
    log = RotatedMeanwhile(ringed, times)
    context = run_in(tmp_path, signer=ringed.ring.signer(), log=log)
    found = seal(judge(context), context)
    bundle = context.run_dir / BUNDLE_FILE
    return ringed, log, found, bundle.read_bytes() if bundle.exists() else None


class TestSeal:
    def test_without_a_rotation_it_is_sealed_once(self, tmp_path: Path) -> None:
        _, log, found, bundle = sealed(tmp_path, 0)

        assert found.sealed
        assert log.bundles == [bundle]

    def test_a_rotation_before_the_log_had_it_is_sealed_anew(self, tmp_path: Path) -> None:
        ringed, log, found, bundle = sealed(tmp_path, 2)

        assert found.sealed
        assert found.decision.verdict is Verdict.GO
        assert len(log.bundles) == 3
        assert bundle == log.bundles[-1]
        assert signers(log.bundles[-1]) == {ringed.ring.active()}
        assert signers(log.bundles[0]) != signers(log.bundles[-1])

    def test_without_a_log_it_is_sealed_anew_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ringed = Ringed(tmp_path / "keys")
        ringed.folder.mkdir()
        ringed.begin()
        written: list[bytes] = []

        def rotate_once(path: Path, data: bytes) -> None:
            write_atomic(path, data)
            if path.name == BUNDLE_FILE and not written:
                ringed.rotate()
            written.append(data)

        monkeypatch.setattr(conclude, "write_atomic", rotate_once)
        context = run_in(tmp_path, signer=ringed.ring.signer())
        found = seal(judge(context), context)

        assert found.sealed
        assert signers((context.run_dir / BUNDLE_FILE).read_bytes()) == {ringed.ring.active()}

    def test_rotations_without_end_are_no_go(self, tmp_path: Path) -> None:
        _, log, found, bundle = sealed(tmp_path, 99)

        assert len(log.bundles) == 20
        assert not found.sealed
        assert found.decision.verdict is Verdict.NO_GO
        assert found.decision.findings[0].reason is Reason.EVIDENCE_NOT_WRITTEN
        assert bundle is None

    def test_a_ring_that_is_gone_is_no_go(self, tmp_path: Path) -> None:
        ringed = Ringed(tmp_path / "keys")
        ringed.folder.mkdir()
        ringed.begin()
        context = run_in(tmp_path, signer=ringed.ring.signer())
        (ringed.ring.folder / "ring.json").unlink()
        found = seal(judge(context), context)

        assert not found.sealed
        assert found.decision.verdict is Verdict.NO_GO
        assert [f.reason for f in found.decision.findings][:1] == [Reason.EVIDENCE_NOT_WRITTEN]
        assert not (context.run_dir / BUNDLE_FILE).exists()
