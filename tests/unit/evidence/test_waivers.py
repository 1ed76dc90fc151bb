"""Waivers on paper: what is written can be read, and nothing else can."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, sign_envelope
from pytest_cutover.evidence.waivers import (
    given_from_json,
    given_to_json,
    given_waiver,
    read_waiver,
    waiver_statement,
)
from pytest_cutover.keys.trust import Anchor, AnchorSource
from pytest_cutover.model import Limit, Operator, Subject
from pytest_cutover.reasons import Reason
from pytest_cutover.waiver import Guard, GuardKind, Obligation, Waiver
from tests.unit.evidence.runs import NOW, SHA, anchor, signer, trusted

WAIVER = Waiver(
    gate="region.ready[eu]",
    environment="production",
    subjects=(Subject("shop", {"sha256": SHA}),),
    accepts=frozenset({Reason.LIMIT_BROKEN, Reason.MEASUREMENT_STALE}),
    reason="the batch runs until six",
    risk="medium",
    ticket="OPS-1",
    issued_at=NOW - timedelta(hours=1),
    expires_at=NOW + timedelta(hours=5),
    guards=(
        Guard("canary", GuardKind.CANARY_PLAN, {"stages": [5, 100], "hold_s": 600}),
        Guard("watch", GuardKind.OBSERVATION_WINDOW, {"seconds": 60}, Obligation("later.ok", 3600)),
        Guard("flags", GuardKind.FLAGS, {"flags": {"new": False, "level": 2, "name": "x"}}),
    ),
    within={"burst": Limit(Operator.AT_MOST, (Decimal("2.5"),), "x")},
)


def changed(**changes: Any) -> bytes:
    document = json.loads(waiver_statement(WAIVER))
    for name, value in changes.items():
        if value is None:
            del document["predicate"][name]
        else:
            document["predicate"][name] = value
    return json.dumps(document).encode()


def people(person: str | None = "Bea", **changes: Any) -> tuple[Any, Anchor]:
    key = signer()
    entry = trusted(key, roles=("waiver",))
    return key, Anchor((replace(entry, person=person, **changes),), AnchorSource.GIVEN, "trust.json")


class TestReadWaiver:
    def test_gives_back_what_was_written(self) -> None:
        assert read_waiver(waiver_statement(WAIVER)) == WAIVER

    @pytest.mark.parametrize(
        "changes",
        [
            {"gate": "Region"},
            {"gate": None},
            {"environment": "pro duction"},
            {"accepts": []},
            {"accepts": ["limit.broken", "limit.broken"]},
            {"accepts": ["gate.not-collected"]},
            {"accepts": ["policy.unsigned"]},
            {"accepts": ["no.such"]},
            {"within": {"v": {"operator": "at_most", "bounds": ["nan"], "kind": "number", "unit": "1"}}},
            {"reason": " "},
            {"reason": "a\x1b[31m"},
            {"reason": "x" * 2001},
            {"risk": "none"},
            {"ticket": ""},
            {"ticket": 5},
            {"issued_at": "2026-11-21T08:00:00+00:00"},
            {"expires_at": "2026-11-21T08:00:00"},
            {"expires_at": None},
            {"expires_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "2027-01-01T00:00:00Z"},
            {"guards": []},
            {"guards": [{"name": "w", "kind": "prayer"}]},
            {"guards": [{"name": "w", "kind": "observation_window"}]},
            {"guards": [{"name": "w", "kind": "observation_window", "seconds": 0}]},
            {"guards": [{"name": "w", "kind": "observation_window", "seconds": True}]},
            {"guards": [{"name": "w", "kind": "observation_window", "seconds": 5, "extra": 1}]},
            {"guards": [{"name": "w", "kind": "observation_window", "seconds": 5}] * 2},
            {"guards": [{"name": "c", "kind": "canary_plan", "stages": [50, 5], "hold_s": 1}]},
            {"guards": [{"name": "c", "kind": "canary_plan", "stages": [], "hold_s": 1}]},
            {"guards": [{"name": "c", "kind": "canary_plan", "stages": [101], "hold_s": 1}]},
            {"guards": [{"name": "f", "kind": "flags", "flags": {}}]},
            {"guards": [{"name": "f", "kind": "flags", "flags": {"a": 1.5}}]},
            {"guards": [{"name": "f", "kind": "flags", "flags": {"a": None}}]},
            {
                "guards": [
                    {"name": "w", "kind": "observation_window", "seconds": 5, "obligation": {"gate": "g"}}
                ]
            },
            {"approved": True},
        ],
        ids=str,
    )
    def test_is_strict(self, changes: dict[str, Any]) -> None:
        with pytest.raises(EvidenceError):
            read_waiver(changed(**changes))

    def test_of_another_kind_is_none(self) -> None:
        document = json.loads(waiver_statement(WAIVER))
        document["predicateType"] = "https://slsa.dev/verification_summary/v1"

        with pytest.raises(EvidenceError, match="expected a waiver"):
            read_waiver(json.dumps(document).encode())

    def test_nobody_can_sign_what_nobody_could_read(self) -> None:
        with pytest.raises(EvidenceError, match="at least one guard"):
            waiver_statement(replace(WAIVER, guards=()))


class TestGivenWaiver:
    def test_names_who_signed(self) -> None:
        key, known = people()
        envelope = sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, key)

        given = given_waiver(envelope, known, at=NOW, where="w.dsse")

        assert (given.waiver, given.persons, given.refused, given.envelope) == (
            WAIVER,
            ("Bea",),
            None,
            envelope,
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"person": None},
            {"roles": frozenset({"decision"})},
            {"environments": frozenset({"staging"})},
            {"not_after": NOW - timedelta(seconds=1)},
        ],
        ids=["no-person", "another-role", "another-environment", "no-longer-valid"],
    )
    def test_refuses_a_key_that_may_not(self, changes: dict[str, Any]) -> None:
        key, known = people(**changes)
        envelope = sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, key)

        given = given_waiver(envelope, known, at=NOW, where="w.dsse")

        assert given.refused is not None
        assert (given.refused[0], given.persons) == (Reason.WAIVER_UNTRUSTED, ())

    def test_refuses_everybody_without_an_anchor(self) -> None:
        envelope = sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, signer())

        assert given_waiver(envelope, None, at=NOW, where="w").refused is not None
        assert given_waiver(envelope, anchor(trusted(signer())), at=NOW, where="w").refused is not None

    def test_is_no_policy(self) -> None:
        with pytest.raises(EvidenceError, match="expected a application"):
            given_waiver(sign_envelope(b"{}", "application/json", signer()), None, at=NOW, where="w")

    @pytest.mark.parametrize("refused", [None, (Reason.WAIVER_UNTRUSTED, "no key")])
    def test_survives_a_report(self, refused: Any) -> None:
        key, known = people()
        given = given_waiver(
            sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, key), known, at=NOW, where="w"
        )
        given = replace(given, refused=refused)

        assert given_from_json(json.loads(json.dumps(given_to_json(given)))) == given

    def test_in_a_report_is_strict(self) -> None:
        key, known = people()
        given = given_waiver(
            sign_envelope(waiver_statement(WAIVER), STATEMENT_TYPE, key), known, at=NOW, where="w"
        )
        value = given_to_json(given)

        for bad in (
            {**value, "extra": 1},
            {**value, "envelope": value["envelope"] + " "},
            {**value, "persons": "Bea"},
        ):
            with pytest.raises((EvidenceError, TypeError)):
                given_from_json(bad)
