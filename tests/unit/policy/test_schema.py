"""The published schemas say what the code does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import parse_trust, trust_entry
from pytest_cutover.policy.schema import policy_schema, schema_bytes
from tests.unit.policy.documents import GOOD, changed, mistakes_of, signer
from tests.unit.policy.test_shape import ABSENT, REFUSED

CONFIGS = Path(__file__).parents[3] / "configs"
POLICY_SCHEMA = CONFIGS / "schemas" / "policy-1.schema.json"
TRUST_SCHEMA = CONFIGS / "schemas" / "trust-1.schema.json"

# What one value says about itself is in the schema, but for the few things JSON Schema cannot say:
# true is no number to it either, but 1.0 is an integer.
BROKEN = [(path, value) for path, value, _, _ in REFUSED]


ROTATED = {"origin": "log.example.org", "size": 5, "at": "2026-11-21T00:00:00Z"}


def validator(path: Path) -> Draft202012Validator:
    schema = json.loads(path.read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def trust(**changes: Any) -> dict[str, Any]:
    entry = trust_entry(signer().public, name="release", roles=("policy",))
    return {"format": 1, "keys": [{**entry, **changes}]}


class TestPolicySchema:
    def test_the_committed_file_is_the_generated_one(self) -> None:
        """Otherwise: python -m pytest_cutover.policy.schema > configs/schemas/policy-1.schema.json."""
        assert POLICY_SCHEMA.read_bytes() == schema_bytes()

    def test_accepts_the_shipped_policy(self) -> None:
        policy = json.loads((CONFIGS / "policy.json").read_bytes())

        assert (CONFIGS / policy["$schema"]).resolve() == POLICY_SCHEMA
        assert list(validator(POLICY_SCHEMA).iter_errors(policy)) == []

    def test_accepts_the_good_document(self) -> None:
        assert list(validator(POLICY_SCHEMA).iter_errors(GOOD)) == []

    @pytest.mark.parametrize(("path", "value"), BROKEN)
    def test_refuses_what_the_models_refuse(self, path: Any, value: Any) -> None:
        document = changed((path, value))

        assert mistakes_of(document) != []
        assert not validator(POLICY_SCHEMA).is_valid(document)

    @pytest.mark.parametrize("path", [path for path, _, _ in ABSENT])
    def test_refuses_a_missing_key(self, path: Any) -> None:
        document = changed((path, None))

        assert not validator(POLICY_SCHEMA).is_valid(document)

    @pytest.mark.parametrize("limit", [{}, {"at_least": 1, "at_most": 2}, {"one_of": [1, 1]}])
    def test_refuses_a_limit_without_exactly_one_operator(self, limit: Any) -> None:
        document = changed((("limits", "app.ready", "latency"), limit))

        assert not validator(POLICY_SCHEMA).is_valid(document)

    def test_every_key_is_described(self) -> None:
        """An editor shows the description while one types."""
        schema = policy_schema()
        objects = [schema, *schema["$defs"].values()]
        bare = [n for o in objects for n, p in o["properties"].items() if not p.get("description")]

        assert bare == []
        assert all(o["additionalProperties"] is False for o in objects)

    def test_knows_no_null(self) -> None:
        assert '"null"' not in schema_bytes().decode()


class TestTrustSchema:
    def test_accepts_the_shipped_trust_file(self) -> None:
        document = json.loads((CONFIGS / "trust.json").read_bytes())

        assert list(validator(TRUST_SCHEMA).iter_errors(document)) == []

    def test_accepts_every_key_there_is(self) -> None:
        document = trust(person="Ada", not_before="2026-01-01T00:00:00Z", not_after="2027-01-01T00:00:00.5Z")

        assert list(validator(TRUST_SCHEMA).iter_errors(document)) == []
        assert parse_trust(json.dumps(document).encode(), where="trust.json").keys[0].person == "Ada"

    @pytest.mark.parametrize(
        "document",
        [
            trust(state="active"),
            trust(state="grace", rotated=ROTATED, grace_until="2026-12-01T00:00:00Z"),
            trust(state="retired", rotated=ROTATED, grace_until="2026-12-01T00:00:00Z"),
            trust(state="retired"),
            trust(state="revoked", revoked_at="2026-12-01T00:00:00Z", reason="lost", rotated=ROTATED),
            {**trust(), "thresholds": {"policy": {"persons": 2}}, "policies": {"shop": {"min_version": 3}}},
        ],
    )
    def test_accepts_every_state_and_threshold(self, document: Any) -> None:
        assert list(validator(TRUST_SCHEMA).iter_errors(document)) == []
        parse_trust(json.dumps(document).encode(), where="trust.json")

    def test_accepts_the_key_of_a_log(self) -> None:
        document = trust(roles=["log", "store"], origin="log.example.org/cutover")

        assert list(validator(TRUST_SCHEMA).iter_errors(document)) == []
        parse_trust(json.dumps(document).encode(), where="trust.json")

    @pytest.mark.parametrize(
        "document",
        [
            {},
            [],
            {"format": 2, "keys": trust()["keys"]},
            {"format": True, "keys": trust()["keys"]},
            {"format": 1, "keys": []},
            {**trust(), "more": 1},
            trust(keyid="AB"),
            trust(name=" "),
            trust(name=None),
            trust(person=""),
            trust(roles=[]),
            trust(roles=["root"]),
            trust(roles=["policy", "policy"]),
            trust(roles=["log"]),
            trust(roles=["log", "decision"]),
            trust(origin="log.example.org"),
            trust(state="asleep"),
            trust(state="grace"),
            trust(state="grace", rotated=ROTATED),
            trust(rotated=ROTATED, grace_until="2026-12-01T00:00:00Z"),
            trust(state="grace", rotated={**ROTATED, "size": -1}, grace_until="2026-12-01T00:00:00Z"),
            trust(state="revoked"),
            trust(state="revoked", revoked_at="2026-12-01T00:00:00Z", reason=" "),
            trust(revoked_at="2026-12-01T00:00:00Z", reason="lost"),
            trust(state="retired", revoked_at="2026-12-01T00:00:00Z", reason="lost"),
            {**trust(), "thresholds": {"boss": {"persons": 1}}},
            {**trust(), "thresholds": {"log": {"persons": 1}}},
            {**trust(), "thresholds": {"policy": {"persons": 0}}},
            {**trust(), "thresholds": {"policy": {}}},
            {**trust(), "policies": {"shop": {"min_version": 0}}},
            {**trust(), "policies": {"shop": 1}},
            trust(roles=["witness"], origin="a b"),
            trust(environments=[]),
            trust(environments="*"),
            trust(environments=[""]),
            trust(not_before="yesterday"),
            trust(not_after="2026-01-01T00:00:00+02:00"),
            trust(public_key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            trust(public_key=""),
            trust(comment="x"),
        ],
    )
    def test_refuses_what_the_reader_refuses(self, document: Any) -> None:
        assert not validator(TRUST_SCHEMA).is_valid(document)
        with pytest.raises(ConfigError):
            parse_trust(json.dumps(document).encode(), where="trust.json")
