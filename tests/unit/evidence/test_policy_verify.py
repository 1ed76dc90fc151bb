"""A report that tells another policy than the one that was signed: whoever decides cannot change what was asked for."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover import strictjson
from pytest_cutover.evidence.envelope import POLICY_TYPE, sign_envelope
from pytest_cutover.evidence.fleet import seal_fleet
from pytest_cutover.evidence.policy_verify import policy_differences
from pytest_cutover.evidence.problems import ProblemCode as P
from pytest_cutover.evidence.report import policy_of
from pytest_cutover.evidence.statements import encode
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.fleet import decide_fleet
from pytest_cutover.model import EffectivePolicy, Limit, Operator, PolicySignature, Requirement, Runner
from pytest_cutover.resolution import resolve
from tests.unit.evidence import fleets
from tests.unit.evidence.opened_runs import BASE, OpenedRun
from tests.unit.evidence.policies import digest_of, written
from tests.unit.evidence.runs import ANCHOR, KEY, NOW, POLICY_KEY, LyingRun, Run, sealed

if TYPE_CHECKING:
    from pytest_cutover.evidence.problems import EvidenceProblem

SHIPPED = Path(__file__).parents[3] / "configs/policy.json"
GATE = "service.ready"
ASKED = Run(gates=(GATE, "stock.counted"), wanted_log="log.example/shop", cosignatures=1).told_policy()
ASKED = replace(
    ASKED,
    expires_at=datetime(2026, 12, 1, tzinfo=UTC),
    development_key=False,
    min_samples=2,
    gate_code_digest="sha256:" + "1" * 64,
    waiver_persons=2,
    shards=("eu", "us"),
    sections=("perf",),
)
"""What was signed: it asks for everything that a policy can ask for."""

LATENCY = ASKED.limits[GATE]["latency"]

LAXER = {GATE: {"latency": replace(LATENCY, bounds=(Decimal(5),))}}


def limits(**changes: Any) -> dict[str, Any]:
    return {"limits": {**ASKED.limits, GATE: {"latency": replace(LATENCY, **changes)}}}


LIES: dict[str, dict[str, Any]] = {
    "no cosignatures": {"cosignatures": 0},
    "another log": {"log": "log.example/mine"},
    "no log": {"log": None, "cosignatures": 0},
    "the sandbox": {"sandbox": True},
    "a requirement left out": {"requires": (Requirement(GATE),)},
    "fewer instances": {"requires": (Requirement(GATE), Requirement("stock.counted", 1))},
    "a laxer bound": limits(bounds=(Decimal(5),)),
    "another operator": limits(operator=Operator.AT_LEAST),
    "another unit": limits(unit="ms"),
    "fewer samples of one": limits(min_samples=1),
    "an older value": limits(max_age_s=600.0),
    "a limit left out": {"limits": {GATE: ASKED.limits[GATE]}},
    "a limit of an instance": {"limits": {**ASKED.limits, f"{GATE}[eu]": {"latency": LATENCY}}},
    "older values": {"max_age_s": 86400.0},
    "a longer life": {"decision_ttl_s": 31536000.0},
    "longer gates": {"gate_timeout_s": 600.0},
    "a longer run": {"run_deadline_s": 86400.0},
    "any runner": {"runner": Runner.IN_PROCESS},
    "a development key": {"development_key": True},
    "fewer samples": {"min_samples": None},
    "other gate code": {"gate_code_paths": ("elsewhere",)},
    "no pin": {"gate_code_digest": None},
    "no end": {"expires_at": None},
    "clocks apart": {"clock_tolerance_s": 300.0},
    "fewer persons": {"waiver_persons": 1},
    "fewer shards": {"shards": ("eu",)},
    "no fleet": {"shards": None},
    "no sections": {"sections": ()},
    "another name": {"name": "another"},
    "a later version": {"version": 99},
    "another phase": {"phase": "canary"},
}


def problems(bundle: bytes, report: bytes) -> tuple[EvidenceProblem, ...]:
    return verify_bundle(bundle, report, ANCHOR, NOW).problems


class TestDifferences:
    def test_none_from_what_was_signed(self) -> None:
        assert policy_differences(written(ASKED), ASKED) == []

    @pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
    def test_every_lie_is_one(self, lie: dict[str, Any]) -> None:
        found = policy_differences(written(ASKED), replace(ASKED, **lie))

        assert {re.split("[: ]", line)[0] for line in found} <= set(lie)
        assert found

    def test_every_value_is_compared(self) -> None:
        """A field that is new here is a lie that somebody can tell."""
        told = {name for lie in LIES.values() for name in lie}

        # Plan and environment choose what is compared; digest and signature the verifier checks by itself.
        assert {f.name for f in fields(EffectivePolicy)} - told == {
            "plan",
            "environment",
            "digest",
            "signature",
        }

    def test_says_what_was_signed_and_what_is_told_in_ascii(self) -> None:
        told = replace(ASKED, name="\x1b[2K\u202eADMITTED" + "x" * 500)
        (line,) = policy_differences(written(ASKED), told)

        assert line.startswith(r"name: signed is shop, the report says \x1b[2K\u202eADMITTEDxxx")
        assert len(line) < 200

    @pytest.mark.parametrize(
        ("lie", "said"),
        [
            ({"cosignatures": 0}, "cosignatures: signed is 1, the report says 0"),
            ({"log": None}, "log: signed is log.example/shop, the report says none"),
            (LIES["fewer instances"], f"{GATE}, stock.counted, the report says {GATE}, stock.counted (1)"),
            (LIES["any runner"], "runner: signed is supervised, the report says in-process"),
            (LIES["no end"], "expires_at: signed is 2026-12-01T00:00:00.000000Z, the report says none"),
            (LIES["fewer shards"], "shards: signed is eu, us, the report says eu"),
            (
                LIES["fewer samples of one"],
                "for 60.5 s, the report says at most 0.5 s, of 1 samples, for 60.5 s",
            ),
            (LIES["a limit left out"], "limits stock.counted: signed is latency at most 0.5 s, for 60.5 s, "),
        ],
    )
    def test_says_it_in_words(self, lie: dict[str, Any], said: str) -> None:
        (line,) = policy_differences(written(ASKED), replace(ASKED, **lie))

        assert said in line

    def test_none_for_any_plan_of_the_shipped_policy_as_a_report_holds_it(self) -> None:
        raw = SHIPPED.read_bytes()
        document = strictjson.loads(raw)
        asked = [(p, e) for p in document["plans"] for e in document["environments"]]
        for plan, environment in asked:
            policy = resolve(
                document,
                digest=digest_of(raw),
                signature=PolicySignature.TRUSTED,
                plan=plan,
                environment=environment,
            ).effective
            told = policy_of(strictjson.loads(encode(policy.to_json())))

            assert policy_differences(raw, told) == []
        assert asked


class TestRun:
    @pytest.mark.parametrize(
        ("told", "word"),
        [
            (LyingRun(wanted_log="log.example/p", cosignatures=1, lie={"cosignatures": 0}), "cosignatures"),
            (LyingRun(wanted_log="log.example/p", lie={"log": "log.example/mine"}), "log"),
            (LyingRun(wanted_log="log.example/p", lie={"log": None}), "log"),
            (LyingRun(lie={"requires": (Requirement(GATE, 0),)}), "requires"),
            (LyingRun(latency="4", lie={"limits": LAXER}), f"limits {GATE} latency"),
            (LyingRun(lie={"sandbox": True}), "sandbox"),
            (LyingRun(lie={"decision_ttl_s": 31536000.0}), "decision_ttl_s"),
        ],
        ids=lambda x: x if isinstance(x, str) else "",
    )
    def test_goes_by_the_policy_that_was_signed(self, told: LyingRun, word: str) -> None:
        assert problems(*sealed(replace(told, lie={}))) == ()
        (found,) = problems(*sealed(told))

        assert (found.code, found.where) == (P.POLICY_DISAGREES, "line 1")
        assert found.message.startswith(f"{word}: signed is ")

    def test_the_environment_s_own_values_count(self) -> None:
        """Where the document overrides a limit, the one that it replaces is a lie."""
        document = json.loads(Run().document())
        limit = {"at_most": 0.1, "unit": "s"}
        document["environments"]["production"]["limits"] = {GATE: {"latency": limit}}
        lax, tight = Run().told_policy(), {GATE: {"latency": Limit(Operator.AT_MOST, (Decimal("0.1"),), "s")}}
        raw = encode(document)

        assert policy_differences(raw, lax) == [
            f"limits {GATE} latency: signed is at most 0.1 s, the report says at most 0.5 s, for 60.5 s"
        ]
        assert policy_differences(raw, replace(lax, limits=tight)) == []

    @pytest.mark.parametrize(
        "document",
        [
            b"",
            b"[]",
            b"5",
            b"{}",
            b'{"plans": {"preflight": 5}, "environments": {"production": null}}',
            b"\xff",
        ],
    )
    def test_what_is_no_policy_is_a_problem_never_a_traceback(self, document: bytes) -> None:
        class Foreign(Run):
            def document(self) -> bytes:
                return document

        (found,) = problems(*sealed(Foreign()))

        assert found.code is P.POLICY_DISAGREES
        assert found.message.startswith("it cannot be resolved again: ")

    def test_a_plan_that_was_never_signed_is_a_problem(self) -> None:
        bundle, report = sealed(LyingRun(lie={"plan": "mine"}))

        assert P.POLICY_DISAGREES in {p.code for p in problems(bundle, report)}

    def test_a_policy_that_nobody_signed_is_not_compared(self) -> None:
        """There is nothing to hold it against; outside of the sandbox that is no GO."""
        run = Run(environment="sandbox", sandbox=True, signature=PolicySignature.UNSIGNED)

        assert problems(*sealed(run, envelope=None)) == ()


class TestOthers:
    def test_a_merge_goes_by_the_policy_that_was_signed(self) -> None:
        asked = fleets.policy()
        lax = replace(asked, decision_ttl_s=7200.0)
        said = decide_fleet(fleets.fleet(), lax, fleets.MERGED_AT)
        out = seal_fleet(
            fleets.fleet(),
            lax,
            said,
            policy_envelope=sign_envelope(written(asked), POLICY_TYPE, POLICY_KEY),
            signer=KEY,
        )
        assert out.bundle is not None
        found = verify_bundle(out.bundle, out.report, ANCHOR).problems

        assert [(p.code, p.message.partition(":")[0]) for p in found] == [
            (P.POLICY_DISAGREES, "decision_ttl_s")
        ]

    def test_a_merge_takes_no_shard_that_does_not(self) -> None:
        honest = fleets.shard_run("eu")
        told = LyingRun(**{f.name: getattr(honest, f.name) for f in fields(Run)}, lie={"max_age_s": 86400.0})

        assert fleets.evidence_of(honest).problems == ()
        assert fleets.evidence_of(told).problems == (P.POLICY_DISAGREES.code,)

    def test_nothing_is_carried_from_a_run_that_did_not(self) -> None:
        told = LyingRun(**{f.name: getattr(BASE, f.name) for f in fields(Run)}, lie={"max_age_s": 86400.0})
        (found,) = problems(*OpenedRun(base=sealed(told)).seal())

        assert found.code is P.OPENED_INVALID
        assert found.message.startswith("policy.disagrees: max_age_s: ")
