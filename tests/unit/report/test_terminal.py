"""The terminal's lines: what is said, in colour or without, in ASCII where it must be."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.model import LogHead, Operator, SignerKind
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.report.terminal import (
    Style,
    evidence_lines,
    finding_text,
    gate_extras,
    gate_line,
    relative,
    state_of,
    verdict_block,
)
from pytest_cutover.run.logged import RunLog
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.merkle import EMPTY_ROOT
from pytest_cutover.tlog.note import NoteSigner
from tests.unit import journals
from tests.unit.evidence.runs import anchor, signer, trusted
from tests.unit.journals import gate_finished, measurement
from tests.unit.run.test_conclude import run_in
from tests.unit.test_decision import SCENARIOS, one_gate, with_phases

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.model import Decision

PLAIN = Style(colour=False, unicode=True)
ASCII = Style(colour=False, unicode=False)
COLOUR = Style(colour=True, unicode=True)


def decided(*measured: journals.Event, **changes: Any) -> Decision:
    return journals.decision(one_gate(*measured, **changes))


def line(decision: Decision, style: Style = PLAIN, width: int | None = None) -> str:
    return gate_line(decision.gates[0], style, duration_s=0.214, width=width)


def block(decision: Decision, folder: Path, style: Style = PLAIN) -> list[str]:
    return list(verdict_block(decision, run_in(folder), style))


class TestStyle:
    """What a stream can show."""

    @pytest.mark.parametrize(
        ("encoding", "sign"),
        [
            ("utf-8", "✓"),
            ("UTF8", "✓"),
            ("ascii", "ok"),
            ("latin-1", "ok"),
            (None, "ok"),
            ("no-such-codec", "ok"),
        ],
    )
    def test_signs_are_spelt_where_they_cannot_be_shown(self, encoding: str | None, sign: str) -> None:
        """Without UTF-8 nothing is lost."""
        assert Style.of(encoding, colour=False).plain("✓") == sign

    def test_colour_only_when_wanted(self) -> None:
        """Never colour alone: the sign stands there too."""
        assert COLOUR.paint("✓", "green") == "\x1b[32m✓\x1b[0m"
        assert PLAIN.paint("✓", "green") == "✓"

    @pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "a\nb", "a\x07b", "\u202eb", "\u2028"])
    def test_control_characters_never_reach_the_terminal(self, text: str) -> None:
        """Gate output is untrusted text: it may neither clear the screen nor write another line."""
        assert PLAIN.plain(text).isprintable()
        assert ASCII.plain(text).isascii()

    def test_other_letters_are_escaped_in_ascii(self) -> None:
        """Readable, and never an encoding error."""
        assert ASCII.plain("Größe ≤ 3 → ✗") == r"Gr\xf6\xdfe <= 3 -> X"


class TestGateLine:
    """One line per gate."""

    def test_green(self) -> None:
        """Sign, name, what was measured, how long."""
        assert line(decided()) == "✓ ready                latency 0.2 s  0.21s"

    def test_many_measurements_are_counted(self) -> None:
        """At most four are shown."""
        more = [measurement(f"m{i}", information=True) for i in range(5)]

        assert "· m2 0.2 s · 2 more  " in line(decided(measurement(), *more))

    def test_a_green_line_fits_a_terminal(self) -> None:
        """As many values as its columns take, and one at least."""
        long = [measurement(f"{'x' * 20}{i}", information=True) for i in range(3)]
        one = decided(measurement("y" * 90, information=True), measurement())

        assert line(decided(measurement(), *long), width=80).endswith("latency 0.2 s · 3 more  0.21s")
        assert line(decided(measurement(), *long), width=88).endswith("x0 0.2 s · 2 more  0.21s")
        assert f"{'y' * 90} 0.2 s · 1 more" in line(one, width=80)

    def test_what_is_small_is_not_shown_as_nothing(self) -> None:
        """0.00001 s is not 0.0000 s."""
        assert "latency 0.000012 s" in line(decided(measurement(value="0.0000123")))

    @pytest.mark.parametrize(
        ("raised", "message", "said"),
        [
            ("skip", "not today", "skipped: not today"),
            ("xfail", "a known bug", "expected to fail: a known bug"),
        ],
    )
    def test_what_happened_stands_before_the_author_s_reason(
        self, raised: str, message: str, said: str
    ) -> None:
        """`not today` alone says nothing at three in the morning."""
        decision = journals.decision(with_phases(journals.phase("call", "skipped", raised, message)))

        assert f"! ready                {said}" in line(decision)

    def test_long_fractions_are_cut(self) -> None:
        """The evidence keeps them whole."""
        assert "latency 0.1234 s" in line(decided(measurement(value="0.123456789")))

    def test_red_says_how_far(self) -> None:
        """Measured, limit, distance."""
        assert "✗ ready" in line(decided(measurement(value="0.6")))
        assert "latency = 0.6 s, limit at most 0.5 s (+0.1 s)" in line(decided(measurement(value="0.6")))

    def test_several_findings_are_counted(self) -> None:
        """The first is shown, the rest stands below."""
        assert "(and 1 more)" in line(decided(measurement(value="0.6"), measurement("x")))

    def test_unproven(self) -> None:
        """Another sign than red."""
        assert line(journals.decision(with_phases(journals.CLEAN[0]))).startswith("! ready")

    def test_note_does_not_hide_the_figures(self) -> None:
        """A difference of limits is told in the verdict block."""
        loose = journals.limit(Operator.AT_MOST, Decimal(9)).to_json()

        assert "latency 0.2 s" in line(decided(measurement(limit=loose)))

    def test_ascii(self) -> None:
        """Nothing but ASCII."""
        assert line(decided(measurement(value="0.6")), ASCII).isascii()


class TestExtras:
    """What a gate that is not green had to say besides."""

    def test_notes_and_attachments(self) -> None:
        """Five notes, cut, and where the files are."""
        notes = [f"note {i} " + "x" * 300 for i in range(7)]
        lines = list(gate_extras(notes, [{"file": "abc-log.txt"}], PLAIN))

        assert len(lines) == 7
        assert max(map(len, lines)) <= 206
        assert lines[5] == "      and 2 more notes in report.json"
        assert lines[6] == "      attached: attachments/abc-log.txt"


class TestStates:
    """The word for a gate."""

    def test_every_scenario_has_a_state_that_fits(self) -> None:
        """Heavy exactly where something heavy stands against the gate."""
        for decision in (scenario() for scenario in SCENARIOS.values()):
            for gate in decision.gates:
                heavy = any(f.reason.weight is not Weight.NOTE for f in gate.findings)
                assert (state_of(gate) in ("red", "unproven", "hold")) == heavy


class TestFindingText:
    """One line per finding."""

    @pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=[r.code for r in SCENARIOS])
    def test_never_says_none(self, scenario: Any) -> None:
        """A missing distance is no distance."""
        for finding in scenario().findings:
            assert "None" not in finding_text(finding)
            assert "\n" not in finding_text(finding)

    def test_first_line_of_a_long_message(self) -> None:
        """The rest is in the report."""
        decision = decided(phases=[journals.phase("call", "failed", "assertion", "boom\ntraceback")])

        assert finding_text(decision.findings[0]) == "boom"


class TestVerdictBlock:
    """The last lines of a run."""

    def test_go(self, tmp_path: Path) -> None:
        """Verdict, plan, environment, how many, exit code."""
        lines = block(decided(), tmp_path)

        assert lines[1] == "GO  preflight → sandbox  1 of 1 gates green  exit 0"
        assert len(lines) == 3

    def test_no_go_gives_every_reason_with_its_code(self, tmp_path: Path) -> None:
        """And who has to do what, where."""
        text = "\n".join(block(decided(measurement(value="0.6"), measurement("x")), tmp_path))

        assert "NO-GO  preflight → sandbox  0 of 1 gates green  exit 10" in text
        assert "✗ ready: latency = 0.6 s, limit at most 0.5 s (+0.1 s)  [limit.broken]" in text
        assert "! ready: x = 0.2 has no limit  [measurement.unjudged]" in text
        assert text.count("owner sre · remedy docs/remedy.md · gates/test_gates.py:12") == 1

    def test_not_applicable_gates_are_counted_apart(self, tmp_path: Path) -> None:
        """A skipped gate that nobody requires is neither green nor missing."""
        text = "\n".join(block(SCENARIOS[Reason.GATE_NOT_APPLICABLE](), tmp_path))

        assert "1 of 1 gates green, 1 not applicable" in text
        assert "[gate.not-applicable]" in text

    def test_a_required_gate_that_is_missing_is_counted(self, tmp_path: Path) -> None:
        """`0 of 0 gates green` would read as if there were nothing to show."""
        decision, policy = SCENARIOS[Reason.GATE_NOT_COLLECTED](), journals.policy("ready", "other", "gone")
        text = "\n".join(verdict_block(decision, run_in(tmp_path, policy=policy), PLAIN))

        assert "1 of 2 gates green" in text

    def test_very_many_reasons_are_cut(self, tmp_path: Path) -> None:
        """Twenty, then a pointer to the report."""
        decision = decided(*[measurement(f"m{i}", "9") for i in range(30)])

        assert block(decision, tmp_path)[-2].endswith("more in report.json")

    @pytest.mark.parametrize("style", [ASCII, COLOUR])
    def test_in_every_style_the_words_are_there(self, tmp_path: Path, style: Style) -> None:
        """Colour and signs only underline."""
        text = "\n".join(block(decided(measurement(value="0.6")), tmp_path, style))

        assert "NO-GO" in text
        assert "limit.broken" in text
        assert style is COLOUR or text.isascii()


class TestEvidenceLines:
    """Where the evidence lies and what it is worth."""

    def lines(self, folder: Path, *, sealed: bool = True, **changes: Any) -> str:
        decision, context = decided(), run_in(folder, **changes)
        doubts = context.doubts(decision.decided_at)
        return "\n".join(evidence_lines(decision, context, PLAIN, sealed=sealed, doubts=doubts))

    def test_signed_go(self, tmp_path: Path) -> None:
        """Key, end, command to verify, and that the sandbox opens nothing else."""
        text = self.lines(tmp_path)

        assert "policy    shop v1 (unsigned)\nrunner    in-process · gate code not pinned" in text
        assert "explain" not in text
        assert "until 2026-11-21 09:48:00 UTC · sandbox: counts nowhere else" in text
        assert "verify    cutover verify var/cutover/runs/r" in text

    def test_development_key_is_named_as_such(self, tmp_path: Path) -> None:
        """It proves little."""

        class Development:
            keyid, kind = signer().keyid, SignerKind.DEVELOPMENT

        assert "development key" in self.lines(tmp_path, signer=Development())

    def test_a_key_that_the_trust_file_does_not_know_is_told(self, tmp_path: Path) -> None:
        """The exit code is that of the measurements; nobody who verifies with that file believes them."""
        key = signer()
        text = self.lines(tmp_path / "a", signer=key, anchor=anchor(trusted(signer())))
        assert f"doubted   the key {key.keyid[:16]} may not decide in sandbox, says trust.json" in text
        assert "doubted" not in self.lines(tmp_path / "b", signer=key, anchor=anchor(trusted(key)))
        assert "doubted" not in self.lines(tmp_path / "c", signer=key)

    def test_so_is_a_key_of_the_log_that_it_does_not_know(self, tmp_path: Path) -> None:
        """Its proofs would be none."""
        key, of_log = signer(), signer()
        log = Log(FolderObjects(tmp_path / "log"), "log.example.org", NoteSigner("log.example.org", of_log))
        run_log = RunLog(log, LogHead("log.example.org", 0, EMPTY_ROOT.hex()), None)
        listed = trusted(of_log, name="log", roles=frozenset({"log"}), origin="log.example.org")

        text = self.lines(tmp_path / "a", signer=key, log=run_log, anchor=anchor(trusted(key)))
        assert "doubted   the key of the log log.example.org is none for sandbox, says trust.json" in text
        known = anchor(trusted(key), listed)
        assert "doubted" not in self.lines(tmp_path / "b", signer=key, log=run_log, anchor=known)

    def test_unsigned(self, tmp_path: Path) -> None:
        """Said in capitals."""
        assert "UNSIGNED, admits nothing (no signing key)" in self.lines(tmp_path, signer=None)

    def test_not_sealed(self, tmp_path: Path) -> None:
        """The journal is what there is."""
        text = self.lines(tmp_path, sealed=False)

        assert "none was sealed; the journal is in var/cutover/runs/r" in text
        assert "verify" not in text

    def test_no_go_has_no_end(self, tmp_path: Path) -> None:
        """A NO-GO is valid for ever."""
        red = decided(measurement(value="9"))

        text = "\n".join(evidence_lines(red, run_in(tmp_path), PLAIN, sealed=True))
        assert "until" not in text
        assert "explain   cutover explain var/cutover/runs/r" in text

    def test_every_line_fits_a_terminal(self, tmp_path: Path) -> None:
        """With the name that a run has."""
        run_dir = tmp_path / "var/cutover/runs/20261121T221501.494Z-adc7e49b"
        text = self.lines(tmp_path, run_dir=run_dir, gate_code_digest=f"sha256:{'0' * 64}")

        assert max(map(len, text.splitlines())) <= 80

    def test_folder_outside_of_the_root(self, tmp_path: Path) -> None:
        """Shown whole."""
        assert relative(tmp_path / "a", tmp_path) == "a"
        assert relative(tmp_path, tmp_path / "a") == str(tmp_path)


def test_gate_finished_of_the_scenarios_is_what_the_recorder_writes() -> None:
    """The journals of these tests have the very fields that the engine writes."""
    from pytest_cutover.record import gate_result
    from pytest_cutover.run.events import ended

    event = gate_finished("ready", measurement(samples=3, limit=journals.limit().to_json()))
    written = {"event": "gate.finished", "at": journals.AT} | json.loads(ended(gate_result(event)))

    assert set(written) == set(event)
    assert replace(gate_result(written), duration_s=0) == replace(gate_result(event), duration_s=0)
