"""What applies, and where it comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pytest_cutover.model import EffectivePolicy, Limit, Operator, PolicySignature, Requirement, Runner
from pytest_cutover.policy.check import check
from pytest_cutover.policy.positions import parse
from pytest_cutover.policy.resolve import Identity, Resolved, resolve
from pytest_cutover.resolution import Layer
from tests.unit.policy.documents import FILE, GOOD, MISSING, NOW, changed, line_of, text_of


def resolved(document: Any, plan: str = "preflight", environment: str = "sandbox") -> Resolved:
    located = parse(text_of(document).encode(), FILE)
    checked, issues = check(located, now=NOW)
    assert checked is not None, [i.text for i in issues]
    identity = Identity("sha256:" + "0" * 64, PolicySignature.UNSIGNED)
    return resolve(located, identity, plan=plan, environment=environment)


def effective(document: Any, plan: str = "preflight", environment: str = "sandbox") -> EffectivePolicy:
    return resolved(document, plan, environment).effective


class TestSettings:
    def test_built_in_values_hold_when_nobody_says_otherwise(self) -> None:
        bare = changed((("defaults",), MISSING), (("plans", "preflight", "settings"), MISSING))
        policy = effective(bare)

        assert (policy.max_age_s, policy.decision_ttl_s) == (900, 3600)
        assert (policy.gate_timeout_s, policy.run_deadline_s, policy.clock_tolerance_s) == (60, 1800, 5)
        assert policy.runner is Runner.IN_PROCESS
        assert policy.min_samples is None
        assert policy.gate_code_paths == ("gates", "conftest.py")
        assert policy.gate_code_digest is None

    def test_development_keys_are_for_the_sandbox_unless_said_otherwise(self) -> None:
        assert effective(GOOD, environment="sandbox").development_key is True
        assert effective(GOOD, environment="prod").development_key is False
        forbidden = changed((("defaults", "development_key"), False))
        assert effective(forbidden, environment="sandbox").development_key is False

    @pytest.mark.parametrize(
        ("changes", "value", "layer"),
        [
            ([], 900, Layer.BUILT_IN),
            ([("defaults",)], 1, Layer.DEFAULTS),
            ([("defaults",), ("plans", "preflight", "settings")], 2, Layer.PLAN),
            ([("defaults",), ("plans", "preflight", "settings"), ("environments", "prod", "settings")], 3, Layer.ENVIRONMENT),
            ([("environments", "prod", "settings")], 1, Layer.ENVIRONMENT),
        ],
    )  # fmt: skip
    def test_the_nearest_layer_wins(self, changes: list[tuple[str, ...]], value: float, layer: Layer) -> None:
        bare = [
            (("defaults", "max_age_s"), MISSING),
            (("environments", "prod", "settings", "max_age_s"), MISSING),
        ]
        settings = [((*path, "max_age_s"), at) for at, path in enumerate(changes, start=1)]
        document = changed(*bare, *settings)
        outcome = resolved(document, environment="prod")
        origin = outcome.origins["max_age_s"]

        assert outcome.effective.max_age_s == value
        assert origin.layer is layer
        assert origin.line == (line_of(document, (*changes[-1], "max_age_s")) if changes else None)

    def test_the_gate_code_is_replaced_whole(self) -> None:
        """A pin belongs to its paths; kept beside other paths it would pin nothing that exists."""
        document = changed(
            (("defaults", "gate_code"), {"paths": ["a"], "sha256": "1" * 64}),
            (("environments", "prod", "settings", "gate_code"), {"paths": ["b"]}),
        )

        assert effective(document).gate_code_digest == "sha256:" + "1" * 64
        assert effective(document, environment="prod").gate_code_paths == ("b",)
        assert effective(document, environment="prod").gate_code_digest is None


class TestLimits:
    def test_an_environment_replaces_one_limit_whole(self) -> None:
        limits = effective(GOOD, environment="prod").limits["app.ready"]

        assert limits["latency"] == Limit(Operator.AT_MOST, (Decimal("0.2"),), "s")
        assert limits["status"] == Limit(Operator.ONE_OF, ("ready", "ok"))

    def test_origins_name_line_and_what_was_replaced(self) -> None:
        origins = resolved(GOOD, environment="prod").origins
        path = ("environments", "prod", "limits", "app.ready", "latency")

        assert origins["app.ready", "latency"].line == line_of(GOOD, path)
        assert origins["app.ready", "latency"].layer is Layer.ENVIRONMENT
        assert origins["app.ready", "latency"].instead_of == Limit(
            Operator.AT_MOST, (Decimal("0.5"),), "s", 3, 60.0
        )
        assert origins["app.ready", "status"].layer is Layer.POLICY

    def test_limits_of_an_instance_stand_beside_those_of_the_gate(self) -> None:
        limits = effective(GOOD).limits

        assert limits["region.ready"]["ratio"].operator is Operator.BETWEEN
        assert limits["region.ready[eu]"]["ratio"] == Limit(Operator.AT_LEAST, (Decimal("0.95"),))

    def test_an_environment_may_add_an_instance(self) -> None:
        path = ("environments", "prod", "limits", "region.ready[us]")
        document = changed((path, {"ratio": {"at_least": 0.8}}))

        assert "region.ready[us]" in effective(document, environment="prod").limits
        assert "region.ready[us]" not in effective(document).limits


class TestRequires:
    def test_instances_are_named_counted_or_left_open(self) -> None:
        assert effective(GOOD).requires == (
            Requirement("app.ready"),
            Requirement("region.ready", ("eu", "us")),
        )
        assert effective(GOOD, plan="nightly").requires == (Requirement("app.ready", 3),)

    def test_an_environment_replaces_them_whole_and_says_what_it_left_out(self) -> None:
        outcome = resolved(GOOD, plan="nightly", environment="prod")

        assert outcome.effective.requires == (Requirement("region.ready"),)
        assert outcome.left_out == ("app.ready",)
        assert [o.layer for o in outcome.required] == [Layer.ENVIRONMENT]

    def test_every_entry_knows_its_line(self) -> None:
        path = ("plans", "preflight", "requires")

        assert [o.line for o in resolved(GOOD).required] == [line_of(GOOD, (*path, at)) for at in (0, 1)]


class TestIdentity:
    def test_the_rest_is_taken_over(self) -> None:
        policy = effective(GOOD, plan="nightly", environment="prod")

        assert (policy.name, policy.version, policy.plan, policy.phase) == ("shop", 3, "nightly", "canary")
        assert (policy.environment, policy.sandbox) == ("prod", False)
        assert effective(GOOD).phase == "preflight"
        assert effective(GOOD).sandbox is True
        assert policy.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
        assert effective(changed((("expires",), MISSING))).expires_at is None


class TestFromJson:
    @pytest.mark.parametrize("key", list(effective(GOOD).to_json()))
    def test_a_missing_key_is_refused(self, key: str) -> None:
        """Taking a pin, a minimum or an end date away must not make a weaker policy."""
        data = effective(GOOD).to_json()
        del data[key]

        with pytest.raises(KeyError, match=key):
            EffectivePolicy.from_json(data)

    def test_an_unknown_key_is_refused(self) -> None:
        with pytest.raises(TypeError, match="more"):
            EffectivePolicy.from_json({**effective(GOOD).to_json(), "more": 1})
