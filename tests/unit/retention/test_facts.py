"""What a folder says of itself, whatever stands in it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.retention.facts import LATEST, LONGEST_RUN, Facts, facts
from tests.properties.cases import drawn
from tests.unit.evidence.fleets import SHARDS, sealed_fleet, shard_run
from tests.unit.evidence.runs import ANCHOR, NOW, SHA, Run, anchor, sealed, signer, trusted

NAME = Run().run_id
BUNDLE, REPORT = sealed()
HEAD = Run().events()[0]


def of(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "head": HEAD,
        "bundle": BUNDLE,
        "report": REPORT,
        "changed": NOW,
        "anchor": ANCHOR,
    }
    return facts(changes.pop("name", NAME), **(given | changes))


class TestFacts:
    def test_a_signed_go(self) -> None:
        found = of()

        assert found.problem is None
        assert str(found.made) == "preflight → production"
        assert (found.latest, found.go_since) == (NOW, NOW)
        assert found.in_force_until == NOW + timedelta(hours=1)
        assert found.about is not None
        assert ("production", f"sha256:{SHA}") in found.about

    def test_a_no_go_is_never_admitted(self) -> None:
        bundle, report = sealed(Run(latency="9"))

        assert of(bundle=bundle, report=report).go_since is None

    @pytest.mark.parametrize("who", [None, anchor(trusted(signer()))], ids=["nobody", "strangers"])
    def test_what_nobody_here_vouches_for_could_be_a_go_about_anything(self, who: Any) -> None:
        found = of(anchor=who)

        assert found.go_since == NOW
        assert found.about is None
        assert found.latest == NOW + LONGEST_RUN

    def test_half_a_bundle_could_be_about_anything(self) -> None:
        found = of(bundle=BUNDLE[: len(BUNDLE) // 3])

        assert (found.about, found.go_since) == (None, None)

    def test_a_report_that_cannot_be_read_could_be_later(self) -> None:
        assert of(report=b"{").latest == NOW + LONGEST_RUN

    def test_a_merge_names_its_shards(self) -> None:
        bundle, report = sealed_fleet()
        found = of(name="20261121T084830.000Z-f1ee7f1e", head=None, bundle=bundle, report=report)

        assert found.is_fleet
        assert found.names == {shard_run(name).run_id for name in SHARDS}
        assert str(found.made) == "preflight → production"

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"name": "notes"}, "its name is no run's"),
            ({"head": None, "bundle": None, "report": None}, "it is no run's folder"),
        ],
    )
    def test_what_is_no_run(self, changes: dict[str, Any], problem: str) -> None:
        assert of(**changes).problem == problem

    def test_a_decision_at_the_end_of_time(self) -> None:
        document = json.loads(REPORT)
        document["decision"]["decided_at"] = "9999-12-31T23:59:59.000000Z"

        assert of(report=json.dumps(document).encode(), anchor=None).latest == LATEST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [("decision",), ("decision", "decided_at"), ("run",), ("run", "plan"), ("run", "shard"), ("fleet",)]


class TestWhateverStandsThere:
    @given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
    @drawn()
    def test_bytes(self, head: bytes, bundle: bytes, report: bytes) -> None:
        found = of(head=head, bundle=bundle, report=report)

        assert found.go_since is None
        assert found.about is None

    @given(st.sampled_from(PLACES), JSON)
    @drawn()
    def test_json_of_another_shape(self, place: tuple[str, ...], value: Any) -> None:
        document = json.loads(REPORT)
        holder = document
        for name in place[:-1]:
            holder = holder[name]
        holder[place[-1]] = value

        hash(of(report=json.dumps(document).encode(), head=None, bundle=None))
