"""What a run may carry from an earlier one, and how whoever verifies it finds out that it carried something else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.opened import (
    MAX_CHAIN,
    MadeFor,
    OpenedEvidence,
    altered,
    carriable,
    troubled,
    unfit,
)
from pytest_cutover.evidence.report import chain_length, read_report
from pytest_cutover.evidence.statements import GATE_EVIDENCE
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.model import Runner, SignerKind, Verdict
from tests.unit.evidence.opened_runs import BASE, GATES, OpenedRun, chain
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    NOW,
    TRUSTED_POLICY_KEY,
    Run,
    anchor,
    document_of,
    sealed,
    signer,
    trusted,
)
from tests.unit.journals import clean_run, gate_finished, gate_started, problem, record, sign


def codes(evidence: tuple[bytes, bytes], trust=ANCHOR) -> set[str]:
    return {p.code.code for p in verify_bundle(*evidence, trust).problems}


class TestCarriable:
    def test_is_every_gate_that_ran_once(self):
        journal = sign(clean_run("one", "two"))
        found = carriable(journal)

        assert [f["gate"]["key"] for f in found.values()] == ["one", "two"]
        assert {f["run_id"] for f in found.values()} == {json.loads(journal[0])["run_id"]}

    def test_is_no_gate_that_started_or_ended_twice(self):
        head, *middle, tail = clean_run("one", "two", "three")
        journal = sign([head, *middle, gate_started("one"), gate_finished("two"), tail])

        assert [f["gate"]["key"] for f in carriable(journal).values()] == ["three"]

    def test_is_what_the_run_carried_itself_from_where_it_ran(self):
        journal = read_report(OpenedRun().seal()[1]).journal
        runs = {f["gate"]["key"]: f["run_id"] for f in carriable(journal).values()}

        assert runs == {"one": Run().run_id, "two": BASE.run_id}

    @pytest.mark.parametrize("lines", [[], [b"{\n"], [b"[]\n"], [b'{"run_id":"r","event":[]}\n', b"{}\n"]])
    def test_of_what_is_no_journal_is_refused(self, lines):
        with pytest.raises(EvidenceError, match="the journal of the opened run"):
            carriable(lines)


class TestUnfit:
    NOW_FOR = MadeFor.of(record(clean_run()))

    def test_is_no_run_that_was_made_for_the_same(self):
        assert unfit(record(clean_run()), self.NOW_FOR) is None

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"plan": "canary"}, "another plan: canary, not preflight"),
            ({"environment": "production"}, "another environment: production, not sandbox"),
            ({"shard": "eu"}, "another shard"),
            ({"policy_digest": "sha256:0"}, "another policy"),
            ({"gate_code_digest": "sha256:0"}, "another gate code"),
            ({"versions": {"pytest": "9.3.0"}}, "another version"),
            ({"subjects": []}, "another subject"),
            ({"subjects": [{"name": "shop", "digest": {"sha256": "d" * 64}}]}, "another subject"),
            ({"subjects": [{"name": "shed", "digest": {"sha256": "c" * 64}}]}, "another subject"),
        ],
    )
    def test_is_a_run_that_was_made_for_something_else(self, changes, said):
        first, *rest = clean_run()

        assert said in (unfit(record([{**first, **changes}, *rest]), self.NOW_FOR) or "")

    def test_is_an_in_process_run_for_a_supervised_one(self):
        now = replace(self.NOW_FOR, runner=Runner.SUPERVISED)

        assert unfit(record(clean_run()), now) == "it was in-process, and this run is supervised"

    def test_is_no_supervised_run_for_an_in_process_one(self):
        then = replace(record(clean_run()), runner=Runner.SUPERVISED)

        assert unfit(then, self.NOW_FOR) is None

    @pytest.mark.parametrize("kind", [SignerKind.NONE, SignerKind.DEVELOPMENT])
    def test_is_a_run_under_a_weaker_key(self, kind):
        then = replace(record(clean_run()), signer=kind)

        assert "development key" in (unfit(then, self.NOW_FOR) or "")
        assert unfit(then, replace(self.NOW_FOR, signer=SignerKind.DEVELOPMENT)) is None

    def test_is_a_run_that_was_cut_short(self):
        assert unfit(record(clean_run()[:-1]), self.NOW_FOR) is not None


class TestTroubled:
    def test_is_no_run_whose_gates_alone_were_red_or_missing(self):
        codes = ("limit.broken", "gate.error", "gate.not-collected", "gate.deselected")

        assert troubled([{"code": code, "gate": "one"} for code in codes]) is None
        assert troubled([{"code": "key.missing"}, {"code": "shard.partial"}]) is None

    @pytest.mark.parametrize(
        "code",
        [
            "run.not-clean",
            "run.interrupted",
            "run.clock",
            "gate.code-changed",
            "policy.untrusted",
            "carried.changed",
        ],
    )
    def test_is_a_run_that_something_went_wrong_with(self, code):
        assert troubled([{"code": code}]) == f"it was not a whole, clean run: {code}"

    def test_is_found_by_whoever_verifies(self):
        def alter(events: list[dict[str, Any]]) -> None:
            events.insert(-2, problem("run.clock"))

        middle = OpenedRun(
            replace(BASE, decided_at=BASE.decided_at + timedelta(seconds=15)), alter=alter
        ).seal()

        assert codes(middle) == set()
        assert codes(OpenedRun(base=middle).seal()) == {"opened.unfit"}


class TestAltered:
    def test_finds_nothing_in_what_was_carried_as_it_was(self):
        evidence = OpenedRun()

        assert altered(evidence.events(), read_report(evidence.base[1]).journal) == []

    @pytest.mark.parametrize(
        "lines", [[b"{}\n", b"{}\n"], [b"{}\n", b'{"event":"gate.carried"}\n'], [b"{}\n", b"{"]]
    )
    def test_refuses_what_is_no_journal(self, lines):
        with pytest.raises(EvidenceError, match="a carried gate cannot be read"):
            altered(lines, sign(clean_run()))


class TestReport:
    def test_holds_the_opened_evidence_byte_for_byte(self):
        run = OpenedRun()
        _, report = run.seal()

        assert read_report(report).opened == OpenedEvidence(*run.base)
        assert json.loads(report)["opened"]["report"] == json.loads(run.base[1])
        assert list(read_report(report).journal) == run.events()

    def test_says_what_was_carried_from_where(self):
        told = json.loads(OpenedRun().seal()[1])

        assert (told["run"]["opened"], told["run"]["carried"], told["run"]["finished"]) == (BASE.run_id, 1, 1)
        assert [g.get("carried_from") for g in told["decision"]["gates"]] == [None, BASE.run_id]

    def test_counts_the_runs_that_were_opened(self):
        assert [chain_length(chain(n)[1]) for n in (1, 2, 4)] == [0, 1, 3]

    def test_cut_in_the_opened_part_is_refused(self):
        _, report = OpenedRun().seal()

        with pytest.raises(EvidenceError, match="expected a report"):
            read_report(report[:-4])


class TestVerify:
    def test_a_run_that_carries_what_the_opened_one_says_is_valid(self):
        found = verify_bundle(*OpenedRun().seal(), ANCHOR, NOW)

        assert found.problems == ()
        assert found.decision is not None
        assert found.decision.verdict is Verdict.GO

    def test_the_gate_evidence_names_the_run_and_the_gates(self):
        bundle, _ = OpenedRun().seal()
        statements = [document_of(line) for line in bundle.splitlines()[1:]]
        told = next(s for s in statements if s["predicateType"] == GATE_EVIDENCE)["predicate"]

        assert told["carried"] == [{"gate": "two", "run_id": BASE.run_id}]
        assert told["opened"]["run_id"] == BASE.run_id
        assert told["not_run"] == []

    def test_a_chain_is_valid_up_to_its_longest(self):
        assert codes(chain(3)) == set()
        assert codes(chain(MAX_CHAIN + 1)) == set()
        assert codes(chain(MAX_CHAIN + 2)) == {"opened.unfit"}

    def test_taking_the_opened_evidence_away_is_seen(self):
        bundle, report = OpenedRun().seal()
        at = report.index(b'\n],\n"opened"')

        assert "report.digest" in codes((bundle, report[:at] + b"\n]}\n"))

    @pytest.mark.parametrize("part", [b'"latency"', b"signatures", b"gate.finished"])
    def test_changing_the_opened_evidence_is_seen(self, part):
        bundle, report = OpenedRun().seal()
        at = report.rindex(part, report.index(b'\n],\n"opened"'))

        assert "report.digest" in codes((bundle, report[:at] + b"x" + report[at + 1 :]))


class TestAForger:
    """He holds the key that signs the new run, and makes every digest of it fit."""

    def test_cannot_leave_the_opened_run_out(self):
        assert codes(OpenedRun(keep=False).seal()) == {"opened.missing"}

    def test_cannot_put_another_run_in_its_place(self):
        other = OpenedEvidence(*sealed(replace(BASE, nonce="00" * 16)))

        assert codes(OpenedRun(kept=other).seal()) == {"opened.disagrees"}

    def test_cannot_carry_from_a_run_that_nobody_signed_whom_one_trusts(self):
        run = OpenedRun(base=sealed(BASE, signer()))

        assert codes(run.seal()) == {"opened.invalid"}

    def test_cannot_carry_from_a_run_whose_key_ended_meanwhile(self):
        old = signer()
        until = trusted(old, not_after=BASE.decided_at + timedelta(seconds=1))
        trust = anchor(trusted(KEY), until, TRUSTED_POLICY_KEY)

        assert codes(OpenedRun(base=sealed(BASE, old)).seal(), trust) == {"opened.invalid"}

    @pytest.mark.parametrize(
        "base",
        [
            replace(BASE, environment="staging"),
            replace(BASE, shard="eu"),
            replace(BASE, subjects=[{"name": "shop", "digest": {"sha256": "0" * 64}}]),
            replace(BASE, signer_kind="development"),
            replace(BASE, decided_at=NOW + timedelta(seconds=5)),
        ],
        ids=["environment", "shard", "subject", "key", "later"],
    )
    def test_cannot_carry_from_a_run_that_was_made_for_something_else(self, base):
        assert codes(OpenedRun(base=sealed(base)).seal()) == {"opened.unfit"}

    @pytest.mark.parametrize(
        "path",
        [
            ("result", "measurements", 0, "value"),
            ("result", "measurements", 0, "observed_at"),
            ("result", "notes"),
            ("run_id",),
            ("started_at",),
        ],
        ids=lambda p: str(p[-1]),
    )
    def test_cannot_carry_anything_else_than_was_measured(self, path):
        new = {"value": "0.1", "observed_at": "2026-11-21T08:47:59.000000Z", "notes": ["fine"]}

        def alter(events: list[dict[str, Any]]) -> None:
            value: Any = events[1]
            for name in path[:-1]:
                value = value[name]
            value[path[-1]] = new.get(path[-1], "2026-11-21T08:47:59.000000Z")

        assert codes(OpenedRun(alter=alter).seal()) == {"opened.disagrees"}

    def test_cannot_carry_a_gate_that_never_ran_there(self):
        run = OpenedRun(base=sealed(replace(BASE, gates=("one",), policy_gates=GATES)))
        run.carried = ()

        def alter(events: list[dict[str, Any]]) -> None:
            known = carriable(read_report(sealed(BASE)[1]).journal)
            events[0]["opened"]["carried"] = 1
            events.insert(
                1, {"event": "gate.carried", "at": events[0]["at"], **known["gates/preflight.py::test_two"]}
            )
            events[:] = [e for e in events if e.get("nodeid") != "gates/preflight.py::test_two"]

        run.alter = alter
        assert codes(run.seal()) == {"opened.disagrees"}

    def test_cannot_name_another_run(self):
        def alter(events: list[dict[str, Any]]) -> None:
            events[0]["opened"]["nonce"] = "00" * 16

        assert codes(OpenedRun(alter=alter).seal()) == {"opened.disagrees"}

    def test_cannot_keep_the_evidence_of_a_run_that_was_not_opened(self):
        def alter(events: list[dict[str, Any]]) -> None:
            del events[0]["opened"], events[1]

        assert "opened.missing" in codes(OpenedRun(alter=alter).seal())
