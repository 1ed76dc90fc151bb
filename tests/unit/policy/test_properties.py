"""What holds for every policy that `check` accepts."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_cutover.evidence.policy_verify import policy_differences
from pytest_cutover.model import EffectivePolicy, Limit, Operator, PolicySignature, ValueKind
from pytest_cutover.policy.check import check
from pytest_cutover.policy.positions import Located, parse
from pytest_cutover.policy.resolve import Identity, resolve
from pytest_cutover.resolution import limit_of
from tests.unit.policy.documents import FILE, GOOD, NOW

NUMBERS = st.integers(-(10**9), 10**9) | st.floats(-1e12, 1e12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
BOUNDS = NUMBERS | TEXTS | st.booleans()
SECONDS = st.integers(0, 10**6) | st.floats(0, 1e6)

# Some of what is drawn is refused on purpose: the properties are about what is left.
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "at_least": BOUNDS,
        "at_most": BOUNDS,
        "between": st.lists(NUMBERS, min_size=2, max_size=2),
        "equals": BOUNDS,
        "one_of": st.lists(BOUNDS, max_size=3),
        "unit": st.sampled_from(["1", "s", "x", " s", ""]),
        "min_samples": st.integers(-1, 100),
        "max_age_s": SECONDS,
    },
)
ONE_OPERATOR = st.one_of(
    NUMBERS.map(lambda v: {"at_least": v}),
    NUMBERS.map(lambda v: {"at_most": v, "unit": "s"}),
    st.lists(NUMBERS, min_size=2, max_size=2).map(lambda v: {"between": v}),
    BOUNDS.map(lambda v: {"equals": v}),
    st.lists(BOUNDS, max_size=4).map(lambda v: {"one_of": v, "min_samples": 3}),
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "max_age_s": SECONDS,
        "decision_ttl_s": SECONDS,
        "gate_timeout_s": SECONDS,
        "run_deadline_s": SECONDS,
        "clock_tolerance_s": st.floats(0, 300),
        "runner": st.sampled_from(["in-process", "supervised"]),
        "development_key": st.booleans(),
        "min_samples": st.integers(1, 10**6),
        "gate_code": st.fixed_dictionaries(
            {},
            optional={
                "paths": st.lists(st.sampled_from(["gates", "a/b", "/a"]), min_size=1, max_size=2),
                "sha256": st.just("0" * 64),
            },
        ),
    },
)
GATES = st.sampled_from(["a", "b.c", "b.c[eu]"])
MEASURED = st.dictionaries(st.sampled_from(["x", "y", "z w"]), ONE_OPERATOR, min_size=1, max_size=3)
REQUIRES = st.lists(
    st.sampled_from(["a", "b.c"])
    | st.fixed_dictionaries(
        {"gate": st.sampled_from(["a", "b.c"])}, optional={"instances": st.just(["eu"]) | st.integers(0, 3)}
    ),
    min_size=1,
    max_size=2,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "format": st.just(1),
        "name": st.sampled_from(["shop", "Länder 2", " x"]),
        "version": st.integers(1, 10**6),
        "plans": st.fixed_dictionaries(
            {"preflight": st.fixed_dictionaries({"requires": REQUIRES}, optional={"settings": SETTINGS})}
        ),
        "limits": st.fixed_dictionaries({"a": MEASURED, "b.c": MEASURED}, optional={"b.c[eu]": MEASURED}),
        "environments": st.fixed_dictionaries(
            {"sandbox": st.fixed_dictionaries({"sandbox": st.just(True)}, optional={"settings": SETTINGS})},
            optional={
                "prod": st.fixed_dictionaries(
                    {}, optional={"limits": st.dictionaries(GATES, MEASURED, max_size=2)}
                )
            },
        ),
    },
    optional={"defaults": SETTINGS, "expires": st.just("2030-01-01T00:00:00Z")},
)


def located(document: Any) -> Located:
    return parse(json.dumps(document).encode(), FILE)


def holds(limit: Limit, value: Decimal | str) -> bool:
    """A second, independent reading of the limits."""
    if isinstance(value, str) or isinstance(limit.bounds[0], str):
        return value in limit.bounds
    low, high = Decimal(limit.bounds[0]), Decimal(limit.bounds[-1])
    if limit.operator is Operator.AT_LEAST:
        return value >= low
    if limit.operator is Operator.AT_MOST:
        return value <= high
    if limit.operator is Operator.BETWEEN:
        return low <= value <= high
    return value in limit.bounds


class TestAcceptedPolicies:
    @settings(
        max_examples=60,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        deadline=None,
    )
    @given(DOCUMENTS)
    def test_round_trip_through_json(self, document: Any) -> None:
        read = located(document)
        checked, issues = check(read, now=NOW)
        assume(checked is not None)
        assert checked is not None, issues
        identity = Identity("sha256:" + "0" * 64, PolicySignature.UNSIGNED)
        for environment in checked.environments:
            policy = resolve(read, identity, plan="preflight", environment=environment).effective

            told = EffectivePolicy.from_json(json.loads(json.dumps(policy.to_json())))
            assert told == policy
            assert policy_differences(json.dumps(document).encode(), told) == []

    @settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
    @given(LIMITS | ONE_OPERATOR)
    def test_any_accepted_limit_can_hold(self, limit: Any) -> None:
        document = copy.deepcopy(GOOD)
        document["limits"]["app.ready"] = {"new": limit}
        del document["environments"]["prod"]["limits"]
        read = located(document)
        checked, _ = check(read, now=NOW)
        assume(checked is not None)
        entry = limit_of(read.value["limits"]["app.ready"]["new"])
        value = entry.bounds[0]

        assert holds(entry, value)
        assert isinstance(value, str) is (entry.kind is ValueKind.TEXT)
        assert entry.max_age_s is None or entry.max_age_s > 0
        assert entry.min_samples is None or entry.min_samples >= 1

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_no_document_makes_check_fail(self, data: st.DataObject) -> None:
        """Whatever stands anywhere in a policy, the answer is a list of mistakes."""
        document = copy.deepcopy(GOOD)
        paths = [n.path for n in located(document).root.walk() if n.path]
        path = data.draw(st.sampled_from(paths))
        node: Any = document
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = data.draw(
            st.none()
            | BOUNDS
            | st.lists(BOUNDS, max_size=2)
            | st.dictionaries(TEXTS, BOUNDS | st.just({}), max_size=2)
        )
        read = located(document)
        checked, issues = check(read, now=NOW)

        assert (checked is None) is any(not i.note for i in issues)
        assert all(i.line >= 1 and i.message and i.hint for i in issues)
