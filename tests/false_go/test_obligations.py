"""What a release with guards promised and nobody showed: no later run of the environment says GO until it is."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.keys.signer import load_private_key
from tests.false_go.harness import (
    REPORT,
    RUNS,
    SUBJECT_HEX,
    LyingRun,
    Mode,
    Seen,
    build,
    cutover,
    gate_module,
    go_on,
    truly_go,
)
from tests.false_go.projects.bases import GREEN, ONE_FILE, RED, TWO_FILE
from tests.false_go.test_waivers import CONFIRMS, Case, Persons, persons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.false_go.harness import Keys

__all__ = ["persons"]

SOON_S = 1


def gate_two(body: str = GREEN) -> str:
    return gate_module(body, gate="two", phase="postcutover")


def policy() -> str:
    place: dict[str, Any] = {
        "subjects": [{"name": "shop", "sha256": SUBJECT_HEX}],
        "settings": {"waiver_persons": 1},
        "guards": {"command": ["python3", "inject.py"], "timeout_s": 20},
    }
    return json.dumps(
        {
            "format": 1,
            "name": "promised",
            "version": 1,
            "default_environment": "production",
            "plans": {"preflight": {"requires": ["one"]}, "postcutover": {"requires": ["two"]}},
            "limits": {"one": {"v": {"at_most": 1}}, "two": {"v": {"at_most": 1}}},
            "environments": {"production": place, "staging": place},
        }
    )


@dataclass
class Released:
    """A release that went out with guards, on the promise of gate `two`."""

    run: LyingRun
    root: Path
    keys: Keys
    environ: dict[str, str]

    def again(self, phase: str = "preflight", mode: Mode = Mode.ALONE, **environ: str) -> Seen:
        """One more run; its own report alone."""
        before = set((self.root / RUNS).iterdir())
        run = replace(self.run, marker=phase)
        seen = go_on(run, mode, self.root, self.keys, self.environ | environ)
        new = {f.name for f in (self.root / RUNS).iterdir() if f not in before}
        return replace(seen, reports={name: r for name, r in seen.reports.items() if name in new})

    def two(self, body: str) -> None:
        (self.root / TWO_FILE).write_text(gate_two(body))

    def states(self, environment: str = "production") -> tuple[int, list[str]]:
        done = cutover(self.root, self.keys, "obligations", environment, "--json")
        return done.returncode, [each["state"] for each in json.loads(done.stdout)]


@pytest.fixture
def released(tmp_path: Path, persons: Persons) -> Released:
    guard = {"name": "watch", "kind": "observation_window", "seconds": 600}
    promise = {"gate": "two", "within_s": SOON_S}
    case = Case(
        "promised",
        truly_go(""),
        {"guards": [guard | {"obligation": promise}]},
        files={ONE_FILE: gate_module(RED), TWO_FILE: gate_two(), "inject.py": CONFIRMS},
        policy=policy(),
    )
    run = case.run(persons)
    root = tmp_path / "project"
    out = Released(run, root, persons.keys, build(run, root, persons.keys))
    seen = go_on(run, Mode.ALONE, root, persons.keys, out.environ)
    assert seen.verdicts == ("GO-WITH-GUARDS",), seen.summary()
    return out


def test_pending_is_a_note(released: Released) -> None:
    """Before it is due a run says so, and nothing else changes."""
    seen = released.again()

    assert seen.exit in (0, 10)  # the second may pass by meanwhile
    assert seen.codes & {"obligation.pending", "obligation.overdue"}


@pytest.mark.parametrize("mode", list(Mode), ids=lambda m: m.value)
def test_overdue_is_red(mode: Mode, released: Released) -> None:
    """In every run of the environment, also where everything else is as it was."""
    time.sleep(SOON_S)

    seen = released.again(mode=mode)

    assert (seen.exit, seen.verdicts) == (10, ("NO-GO",)), seen.summary()
    assert "obligation.overdue" in seen.codes
    assert released.states() == (1, ["overdue"])


def test_shown_green_it_is_met(released: Released) -> None:
    """By a run of another plan that has the gate, and for all runs after it."""
    time.sleep(SOON_S)

    shown = released.again("postcutover")

    assert (shown.exit, shown.verdicts) == (0, ("GO",)), shown.summary()
    assert "obligation.met" in shown.codes
    assert released.states() == (0, ["met late"])
    after = released.again()
    assert after.verdicts == ("GO-WITH-GUARDS",), after.summary()


class TestDoesNotCount:
    """Each is one step away from showing it."""

    def overdue_after(self, released: Released, shown: Seen) -> None:
        assert "obligation.met" not in shown.codes, shown.summary()
        seen = released.again()
        assert (seen.exit, seen.verdicts) == (10, ("NO-GO",)), seen.summary()
        assert "obligation.overdue" in seen.codes
        assert released.states()[0] == 1

    def test_red(self, released: Released) -> None:
        time.sleep(SOON_S)
        released.two(RED)

        self.overdue_after(released, released.again("postcutover"))

    def test_measured_before_the_release(self, released: Released) -> None:
        time.sleep(SOON_S)
        released.two(
            "from datetime import UTC, datetime, timedelta\n"
            "gate.measure('v', 1, observed_at=datetime.now(UTC) - timedelta(seconds=300))"
        )

        self.overdue_after(released, released.again("postcutover"))

    def test_in_another_environment(self, released: Released) -> None:
        time.sleep(SOON_S)

        self.overdue_after(released, released.again("postcutover", CUTOVER_ENV="staging"))

    def test_unsigned(self, released: Released) -> None:
        """The run itself sees the gate green; what it leaves behind proves it to nobody."""
        time.sleep(SOON_S)
        released.again("postcutover", CUTOVER_KEY="none")

        seen = released.again()

        assert seen.exit == 10
        assert "obligation.overdue" in seen.codes

    def test_altered_afterwards(self, released: Released) -> None:
        time.sleep(SOON_S)
        released.again("postcutover")
        newest = max((released.root / RUNS).iterdir())
        report = newest / REPORT
        report.write_bytes(report.read_bytes().replace(b"promised", b"Promised", 1))

        seen = released.again()

        assert seen.exit == 10
        assert "obligation.overdue" in seen.codes


@pytest.mark.parametrize(
    "life",
    [
        {"state": "retired"},
        {"state": "revoked", "revoked_at": "2026-01-01T00:00:00Z", "reason": "lost"},
    ],
    ids=lambda life: life["state"],
)
def test_a_promise_outlives_the_key_that_signed_it(
    life: dict[str, str], released: Released, tmp_path: Path
) -> None:
    """Else rotating keys would be a way to be rid of it."""
    time.sleep(SOON_S)
    made = cutover(tmp_path, released.keys, "keys", "new", "next.pem", "--name", "next")
    trust = json.loads(released.keys.trust.read_text())
    old = load_private_key(released.keys.decision).keyid
    for entry in trust["keys"]:
        if entry["keyid"] == old:
            entry |= life | {"roles": ["decision"]}
    trust["keys"].append(json.loads(made.stdout))
    (tmp_path / "trust.json").write_text(json.dumps(trust))

    seen = released.again(CUTOVER_TRUST=str(tmp_path / "trust.json"), CUTOVER_KEY=str(tmp_path / "next.pem"))

    assert (seen.exit, seen.verdicts) == (10, ("NO-GO",)), seen.summary()
    assert "obligation.overdue" in seen.codes
