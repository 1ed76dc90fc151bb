from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_cutover.cli import main
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.keys.life import into_grace
from pytest_cutover.keys.signer import development_signer
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.model import PolicySignature, rfc3339
from tests.unit.evidence.opened_runs import BASE, OpenedRun
from tests.unit.evidence.runs import KEY, NOW, POLICY_KEY, Run, sealed

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    keys = [
        trust_entry(KEY.public, name="release"),
        trust_entry(POLICY_KEY.public, name="p", roles=("policy",)),
    ]
    (tmp_path / "trust.json").write_text(json.dumps({"format": 1, "keys": keys}))
    monkeypatch.setenv("CUTOVER_TRUST", str(tmp_path / "trust.json"))


@pytest.fixture
def rundir(tmp_path: Path) -> Path:
    return write(tmp_path / "run", *sealed())


def write(folder: Path, bundle: bytes | None, report: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    if bundle is not None:
        (folder / BUNDLE_FILE).write_bytes(bundle)
    (folder / REPORT_FILE).write_bytes(report)
    return folder


def verify(*argv: str | Path) -> int:
    return main(["verify", *map(str, argv)])


class TestVerify:
    def test_says_what_was_carried_from_which_run(self, tmp_path: Path, capsys: Capture) -> None:
        assert verify(write(tmp_path / "run", *OpenedRun().seal())) == 0

        assert f"carried  1 of 2 results, from {BASE.run_id}; " in capsys.readouterr().out

    def test_valid_evidence_is_0_and_says_what_it_holds(self, rundir: Path, capsys: Capture) -> None:
        for path in (rundir, rundir / BUNDLE_FILE):
            assert verify(path) == 0
            out = capsys.readouterr().out
            assert out.startswith("VALID ")
            assert "verdict  GO (exit 0)" in out
            assert "proves that a key you trust signed this" in out

    def test_a_no_go_is_valid_and_loud(self, tmp_path: Path, capsys: Capture) -> None:
        assert verify(write(tmp_path / "red", *sealed(Run(latency="9")))) == 0
        out = capsys.readouterr().out
        assert "verdict  NO-GO (exit 10)" in out
        assert "reason   limit.broken service.ready latency" in out

    def test_long_lists_are_counted_not_printed(self, tmp_path: Path, capsys: Capture) -> None:
        run = Run(latency="9", gates=[f"g.{n}" for n in range(20)])

        assert verify(write(tmp_path / "red", *sealed(run))) == 0
        out = capsys.readouterr().out
        assert out.count("reason   limit.broken") == 8
        assert "reason   and 12 more: --json shows all" in out

    def test_changed_evidence_is_1_with_codes(self, rundir: Path, capsys: Capture) -> None:
        (rundir / REPORT_FILE).write_bytes(b"{}")

        assert verify(rundir) == 1
        out = capsys.readouterr().out
        assert out.startswith("INVALID ")
        assert "  report.digest " in out
        assert "do not rely on this evidence" in out
        assert "claimed  GO" in out

    def test_a_missing_report_is_1(self, rundir: Path, capsys: Capture) -> None:
        (rundir / REPORT_FILE).unlink()

        assert verify(rundir) == 1
        assert "report.missing" in capsys.readouterr().out

    def test_the_report_may_lie_elsewhere(self, rundir: Path) -> None:
        moved = (rundir / REPORT_FILE).rename(rundir.parent / "preflight.json")

        assert verify(rundir / BUNDLE_FILE, "--report", moved) == 0

    def test_unsigned_evidence_is_1(self, tmp_path: Path, capsys: Capture) -> None:
        sealed_ = Run().seal(None)

        assert verify(write(tmp_path / "run", sealed_.bundle, sealed_.report)) == 1
        assert "bundle.missing" in capsys.readouterr().out

    def test_expiry_counts_only_when_a_time_is_asked_about(self, rundir: Path, capsys: Capture) -> None:
        assert verify(rundir, "--at", rfc3339(NOW)) == 0
        assert verify(rundir, "--at", rfc3339(NOW + timedelta(hours=2))) == 1
        assert "decision.expired" in capsys.readouterr().out

    def test_a_shard_of_a_key_in_grace_is_whole_until_that_is_over(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        """Counted from now on, not from the time that is asked about."""
        trust = tmp_path / "trust.json"
        shard = write(tmp_path / "shard", *sealed(Run(shard="eu", shards=("eu", "us"))))
        before, day = trust.read_bytes(), timedelta(days=1)
        for grace, code in ((2 * day, 0), (day / 2, 1)):
            at = datetime.now(UTC).replace(microsecond=0) - day
            trust.write_bytes(
                into_grace(before, KEY.keyid, origin="x", size=0, at=at, grace=grace, where="trust.json")
            )
            assert verify(shard) == code
            assert ("signature.rotated" in capsys.readouterr().out) is bool(code)
            assert verify(shard, "--at", rfc3339(NOW)) == code

    def test_weak_trust_is_said(
        self, rundir: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("CUTOVER_TRUST")
        key = development_signer(tmp_path / "repo", say=lambda _: None)
        run = Run(environment="sandbox", sandbox=True, signature=PolicySignature.UNSIGNED)
        write(rundir, *sealed(run, key=key, envelope=None))

        assert verify(rundir) == 0
        assert "proves only that nothing changed since this machine signed" in capsys.readouterr().out

        (tmp_path / "repo/configs").mkdir()
        (tmp_path / "trust.json").rename(tmp_path / "repo/configs/trust.json")
        write(rundir, *sealed())
        assert verify(rundir) == 0
        assert "proves little" in capsys.readouterr().out

    def test_json_holds_the_same(self, rundir: Path, capsys: Capture) -> None:
        (rundir / REPORT_FILE).unlink()
        assert verify(rundir, "--json") == 1
        value = json.loads(capsys.readouterr().out)

        assert value["valid"] is False
        assert value["problems"][0]["code"] == "report.missing"
        assert value["decision"]["verdict"] == "GO"

    def test_hostile_text_does_not_reach_the_terminal(self, tmp_path: Path, capsys: Capture) -> None:
        """Escape sequences that would draw a false verdict, and characters no terminal can print."""
        run = Run(environment="prod\x1b[2K\rADMITTED\u202e\ud800", run_id="a\nVALID b")
        verify(write(tmp_path / "run", *sealed(run)))
        out = capsys.readouterr().out

        assert "\x1b" not in out
        assert "\\x1b[2K\\rADMITTED\\u202e\\ud800" in out
        assert len([line for line in out.splitlines() if line.startswith("VALID")]) == 1


class TestLast:
    """The newest run folder, by name."""

    def test_is_verified(self, tmp_path: Path, capsys: Capture) -> None:
        runs = tmp_path / "repo/var/cutover/runs"
        runs.mkdir(parents=True)
        for name in (
            "20261121T084700Z-1a2b3c4d",
            "20261121T084800.125Z-1a2b3c4d",
            "20261121T084800.124Z-ffffffff",
        ):
            write(runs / name, *sealed())
        (runs / "latest").mkdir()
        (runs / "20991121T084800.125Z-1a2b3c4d").write_text("a file")

        assert verify("--last") == 0
        assert "var/cutover/runs/20261121T084800.125Z-1a2b3c4d/" in capsys.readouterr().out

    def test_is_not_the_one_before_when_it_was_never_decided(self, tmp_path: Path, capsys: Capture) -> None:
        runs = tmp_path / "repo/var/cutover/runs"
        (runs / "20261121T084801.000Z-1a2b3c4d").mkdir(parents=True)
        write(runs / "20261121T084700.000Z-1a2b3c4d", *sealed())

        assert verify("--last") == 2
        assert "20261121T084801.000Z-1a2b3c4d" in capsys.readouterr().err

    def test_without_runs_is_2(self, capsys: Capture) -> None:
        assert verify("--last") == 2
        assert "var/cutover/runs holds no runs" in capsys.readouterr().err

    def test_without_runs_no_key_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """Before the first run there is neither: what comes first is said."""
        monkeypatch.chdir(tmp_path)

        assert verify("last") == 2
        assert "var/cutover/runs holds no runs" in capsys.readouterr().err

    def test_or_a_run_by_its_id(self, tmp_path: Path, capsys: Capture) -> None:
        """As `cutover show` and `explain` take them."""
        runs = tmp_path / "repo/var/cutover/runs"
        runs.mkdir(parents=True)
        write(runs / "20261121T084800.125Z-1a2b3c4d", *sealed())

        assert verify("last") == verify("20261121T084800.125Z-1a2b3c4d") == 0

    @pytest.mark.parametrize("argv", [[], ["run", "--last"]], ids=str)
    def test_is_asked_for_alone(self, argv: list[str], capsys: Capture) -> None:
        with pytest.raises(SystemExit) as ended:
            verify(*argv)

        assert ended.value.code == 64
        assert "give a bundle or run folder, or --last" in capsys.readouterr().err


class TestUnusable:
    def test_no_such_file_is_2(self, tmp_path: Path, capsys: Capture) -> None:
        for path in (tmp_path / "gone", tmp_path, "a\0b", "x" * 5000):
            assert verify(path) == 2
        assert "hint: give a run folder or a bundle" in capsys.readouterr().err

    @pytest.mark.parametrize("data", [b"", b"hello", b"\x7fELF", b"{}", b'{"payloa'])
    def test_no_bundle_at_all_is_2(self, data: bytes, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "file").write_bytes(data)

        assert verify(tmp_path / "file") == 2
        assert "is not a bundle" in capsys.readouterr().err

    def test_nothing_to_trust_is_2(
        self, rundir: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CUTOVER_TRUST")

        assert verify(rundir) == 2
        assert "no trusted key" in capsys.readouterr().err

    def test_a_bad_trust_file_is_2(self, rundir: Path, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "bad.json").write_text("{")

        assert verify(rundir, "--trust", tmp_path / "bad.json") == 2
        assert "bad.json" in capsys.readouterr().err

    @pytest.mark.parametrize("argv", [[], ["a", "b"], ["a", "--at", "noon"], ["a", "--wat"]])
    def test_usage_is_64(self, argv: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            verify(*argv)
        assert caught.value.code == 64

    def test_endless_input_is_2(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        monkeypatch.setattr("pytest_cutover.cli._evidence.MAX_FILE_BYTES", 1_000_000)

        assert verify("/dev/zero") == 2
        assert "larger than" in capsys.readouterr().err

    @given(
        st.lists(
            st.sampled_from([b'{"payload"', b":", b"{", b"}", b"[", b"]", b'"', b",", b"\n", b"\xff", b"\0"])
            | st.binary(max_size=8)
        ).map(b"".join),
        st.none() | st.binary(max_size=50),
    )
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_bytes_are_refused_in_words(
        self, tmp_path: Path, bundle: bytes, report: bytes | None
    ) -> None:
        (tmp_path / "file").write_bytes(bundle)
        (tmp_path / REPORT_FILE).write_bytes(report or b"")

        assert verify(tmp_path / "file") in (1, 2)


class TestImports:
    @pytest.mark.parametrize("verb", ["verify", "admit"])
    def test_the_deploy_step_loads_nothing_heavy(self, verb: str, rundir: Path) -> None:
        """pytest, pydantic and httpx need not even be installed where evidence is checked."""
        arguments = (
            ["verify", str(rundir)]
            if verb == "verify"
            else ["admit", "--digest", "sha256:" + "0" * 64, "--environment", "x", str(rundir)]
        )
        code = (
            "import sys; from pytest_cutover.cli import main; main(sys.argv[1:]);"
            "print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr);"
            "print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        loaded = done.stderr.split()

        assert "VALID" in done.stdout or "REFUSED" in done.stdout
        heavy = {
            "pytest",
            "pydantic",
            "httpx",
            "jsonschema",
            "asyncio",
            "cryptography.hazmat.primitives.serialization",
        }
        assert not heavy & set(loaded)
        assert "cryptography" in loaded
