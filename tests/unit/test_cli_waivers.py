"""`cutover waivers`, as a person calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.cli import main
from pytest_cutover.evidence.waivers import given_waiver
from pytest_cutover.model import Operator
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

HEX = "ab" * 32
ABOUT = ("--environment", "production", "--subject", f"shop@sha256:{HEX}")
WHY = ("--reason", "a batch runs", "--risk", "low", "--ticket", "OPS-1")
FILE = "configs/waivers/OPS-1-canary.health.dsse"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with the keys of two persons and a trust file that names them."""
    monkeypatch.chdir(tmp_path)
    for name in ("CUTOVER_KEY", "CUTOVER_KEY_PEM", "CUTOVER_TRUST"):
        monkeypatch.delenv(name, raising=False)
    entries = []
    for name in ("bea", "chris"):
        assert main(["keys", "new", f"{name}.pem", "--name", name, "--role", "waiver"]) == 0
        entries.append(json.loads(capsys.readouterr().out) | {"person": name})
    (tmp_path / "trust.json").write_text(json.dumps({"format": 1, "keys": entries}))
    return tmp_path


def new(*more: str, guard: tuple[str, ...] = ("--observe", "60"), key: str = "bea.pem") -> int:
    return main(["waivers", "new", "canary.health", *ABOUT, *WHY, *guard, "--key", key, *more])


def made(place: Path, file: str = FILE) -> Any:
    from datetime import UTC, datetime

    return given_waiver((place / file).read_bytes(), None, at=datetime.now(UTC), where=file).waiver


class TestOldKeys:
    def test_a_key_that_was_revoked_signs_no_waiver(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        trust = json.loads((place / "trust.json").read_text())
        trust["keys"][0] |= {"state": "revoked", "revoked_at": "2026-01-01T00:00:00Z", "reason": "stolen"}
        (place / "trust.json").write_text(json.dumps(trust))
        monkeypatch.setenv("CUTOVER_TRUST", str(place / "trust.json"))

        assert new() == 2
        assert "key 'bea' signs no more" in capsys.readouterr().err
        assert not (place / FILE).exists()


class TestNew:
    def test_writes_what_was_asked_for(self, place: Path) -> None:
        more = (
            "--accept",
            "limit.broken",
            "--accept",
            "measurement.stale",
            "--within",
            "burst=between:1,2.5:x",
        )

        assert (
            new(*more, "--canary", "5,25,100:600", "--flag", "new=off", "--obligation", "later.ok:3600") == 0
        )

        waiver = made(place)
        assert (waiver.gate, waiver.environment, waiver.ticket) == ("canary.health", "production", "OPS-1")
        assert waiver.accepts == {Reason.LIMIT_BROKEN, Reason.MEASUREMENT_STALE}
        assert waiver.within["burst"].operator is Operator.BETWEEN
        assert [g.name for g in waiver.guards] == ["canary", "observation", "flags"]
        assert {g.obligation.gate for g in waiver.guards} == {"later.ok"}

    def test_takes_guards_from_a_file(self, place: Path) -> None:
        (place / "guards.json").write_text('[{"name": "w", "kind": "observation_window", "seconds": 9}]')

        assert new("--guards", "guards.json", guard=()) == 0
        assert [g.settings for g in made(place).guards] == [{"seconds": 9}]

    def test_takes_environment_and_change_from_a_run(self, place: Path) -> None:
        run = {"environment": "staging", "subjects": [{"name": "app", "digest": {"sha256": HEX}}]}
        (place / "run").mkdir()
        (place / "run/report.json").write_text(json.dumps({"run": run}))

        assert (
            main(
                [
                    "waivers",
                    "new",
                    "canary.health",
                    "--run",
                    "run",
                    *WHY,
                    "--observe",
                    "5",
                    "--key",
                    "bea.pem",
                ]
            )
            == 0
        )
        assert (made(place).environment, made(place).subjects[0].name) == ("staging", "app")

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (("--accept", "gate.skipped"), "cannot be waived by anybody"),
            (("--accept", "no.such"), "unknown reason code"),
            (("--within", "burst"), "--within: expected a limit"),
            (("--within", "burst=at_most:nan"), "--within: expected a limit"),
            (("--expires", "tomorrow"), "--expires"),
            (("--expires", "2020-01-01T00:00:00Z"), "within 30 days"),
            (("--canary", "5,25"), "--canary: expected"),
            (("--obligation", "later.ok"), "--obligation: expected"),
            (("--key", "no-such.pem"), "no-such.pem"),
            (("--guards", "no-such.json"), "no-such.json"),
            (("--subject", "shop"), "expected a subject"),
        ],
        ids=lambda v: v[0] if isinstance(v, tuple) else "",
    )
    def test_that_cannot_be_used_writes_nothing(
        self, place: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], says: str
    ) -> None:
        assert new(*more) == 2
        assert says in capsys.readouterr().err
        assert not (place / "configs").exists()

    def test_needs_a_guard(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert new(guard=()) == 2
        assert "at least one guard" in capsys.readouterr().err

    def test_needs_a_key_of_a_person(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["waivers", "new", "canary.health", *ABOUT, *WHY, "--observe", "5"]

        assert main(arguments) == 2
        assert "a development key belongs to nobody" in capsys.readouterr().err

    def test_needs_to_know_what_for(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["waivers", "new", "canary.health", *WHY, "--observe", "5", "--key", "bea.pem"]) == 2
        assert "expected an environment" in capsys.readouterr().err

    def test_overwrites_nothing(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert new() == 0
        before = (place / FILE).read_bytes()

        assert new() == 2
        assert "already there" in capsys.readouterr().err
        assert (place / FILE).read_bytes() == before


class TestSignAndShow:
    def test_two_persons_sign_one_file(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        new()
        assert main(["waivers", "sign", FILE, "--key", "chris.pem"]) == 0
        capsys.readouterr()

        assert main(["waivers", "show", FILE, "--trust", "trust.json"]) == 0
        assert "signed by  bea, chris" in capsys.readouterr().out

    def test_one_person_signs_once(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        new()

        assert main(["waivers", "sign", FILE, "--key", "bea.pem"]) == 2
        assert "already" in capsys.readouterr().err

    def test_flags_are_shown_as_they_were_given(
        self, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No dictionary of a programming language."""
        assert new("--flag", "slow=on", guard=()) == 0
        main(["waivers", "show", FILE, "--trust", "trust.json"])

        assert "flags slow=on" in capsys.readouterr().out

    def test_shows_that_nobody_who_counts_has_signed(
        self, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["keys", "new", "stranger.pem"])
        new(key="stranger.pem")

        assert main(["waivers", "show", FILE, "--trust", "trust.json"]) == 1
        assert "nobody who counts" in capsys.readouterr().out

    def test_shows_that_it_has_ended(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        new()

        assert main(["waivers", "show", FILE, "--trust", "trust.json", "--at", "2999-01-01T00:00:00Z"]) == 1
        assert "its time is over" in capsys.readouterr().out

    def test_shows_no_other_file(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["waivers", "show", "trust.json", "--trust", "trust.json"]) == 2
        assert "error:" in capsys.readouterr().err
