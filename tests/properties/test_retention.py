"""`cutover prune` never helps: whatever it takes away, and wherever it is stopped, no new yes of `cutover admit`."""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import pytest_cutover.evidence.admit as admit_module
from pytest_cutover.evidence import unsigned
from pytest_cutover.evidence.admit import Candidate, Question, admit
from pytest_cutover.retention.facts import Facts, facts
from pytest_cutover.retention.rules import Limits, choose
from tests.properties.cases import Choices, assume, cases
from tests.unit.evidence.fleets import MERGED_AT, sealed_fleet, shard_run
from tests.unit.evidence.runs import ANCHOR, KEY, NOW, SHA, Run, sealed, signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_cutover.keys.trust import Anchor

OTHER_SHA = hashlib.sha256(b"shop 2.0").hexdigest()
ENVIRONMENTS = ("production", "staging")
STRANGER = signer()
KINDS = ("go", "no-go", "undecided", "unsigned go", "unsigned no-go", "tampered", "torn", "foreign")
STEP = timedelta(hours=7)
"""Several within the day for which evidence that does not verify is doubted."""

TODAY = NOW + timedelta(days=6)


@dataclass(frozen=True)
class Folder:
    """A run folder: what `cutover admit` and `cutover prune` read of it."""

    name: str
    head: bytes | None
    bundle: bytes | None
    report: bytes | None

    def candidate(self) -> Candidate:
        return Candidate(self.name, lambda: self.bundle, lambda: self.report, self.name, lambda: self.head)

    @functools.cache  # noqa: B019 # there are a few hundred
    def facts(self, anchor: Anchor | None) -> Facts:
        return facts(
            self.name,
            head=self.head,
            bundle=self.bundle,
            report=self.report,
            changed=NOW,
            anchor=anchor,
        )


@functools.cache
def folder(kind: str, step: int, environment: str, sha: str, ttl_s: float) -> Folder:
    at = NOW + step * STEP
    mark = hashlib.sha256(repr((kind, step, environment, sha, ttl_s)).encode()).hexdigest()
    run = Run(
        environment=environment,
        latency="0.2" if kind in ("go", "unsigned go", "tampered") else "9",
        subjects=[{"name": "shop", "digest": {"sha256": sha}}],
        run_id=f"{at - timedelta(seconds=20):%Y%m%dT%H%M%S.000Z}-{mark[:8]}",
        decided_at=at,
        nonce=mark[:32],
        ttl_s=ttl_s,
        signer_kind="none" if kind.startswith("unsigned") else "configured",
    )
    head = run.events()[0]
    if kind == "undecided":
        return Folder(run.run_id, head, None, None)
    if kind.startswith("unsigned"):
        return Folder(run.run_id, head, None, run.seal(None).report)
    bundle, report = sealed(run, STRANGER if kind == "foreign" else KEY)
    damaged = {"tampered": bundle.replace(b'"sig":"', b'"sig":"AAAA'), "torn": bundle[: len(bundle) // 3]}
    return Folder(run.run_id, head, damaged.get(kind, bundle), report)


@functools.cache
def fleet() -> tuple[Folder, ...]:
    """A fleet's GO and its shards; one of them was run once more before the merge, red, and left out of it.

    The first is a later run of that shard, about something else.
    """
    again = shard_run("eu", latency="9", decided_at=NOW + timedelta(seconds=15), nonce="ab" * 16)
    again = replace(again, run_id="20261121T084800.000Z-abababab")
    later = replace(
        again,
        subjects=[{"name": "shop", "digest": {"sha256": OTHER_SHA}}],
        run_id="20261121T104800.000Z-cdcdcdcd",
        decided_at=NOW + timedelta(hours=2),
        nonce="cd" * 16,
    )
    runs = [later, *(shard_run(name) for name in ("eu", "us", "ap")), again]
    shards = [Folder(run.run_id, run.events()[0], *sealed(run)) for run in runs]
    return (*shards, Folder("20261121T084830.000Z-f1ee7f1e", None, *sealed_fleet(at=MERGED_AT)))


def place(choices: Choices) -> list[Folder]:
    """Up to nine runs, and sometimes a part of a fleet."""
    some = {
        (
            f := folder(
                choices.choice(KINDS),
                choices.randrange(13),
                choices.choice(ENVIRONMENTS),
                choices.choice((SHA, OTHER_SHA)),
                choices.choice((3600.0, 30 * 86400.0)),
            )
        ).name: f
        for _ in range(choices.randint(1, 9))
    }
    parts = choices.choice((choices.subset(6), range(6))) if choices.random() < 0.3 else ()
    return [*some.values(), *(fleet()[i] for i in parts)]


def limits(choices: Choices) -> Limits:
    return Limits(choices.randint(1, 2), choices.choice((timedelta(), timedelta(days=5))))


def anchor(choices: Choices) -> Anchor | None:
    """Of whoever tidies up: they may trust nothing."""
    return ANCHOR if choices.random() < 0.8 else None


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The pure function with a memory; there are few anchors, and they live as long as this module."""
    known: dict[tuple[object, ...], Any] = {}

    def ask(*arguments: Any, **options: Any) -> Any:
        key = (*(a if a is None or isinstance(a, bytes) else id(a) for a in arguments), *options.items())
        if key not in known:
            known[key] = function(*arguments, **options)
        return known[key]

    return ask


@pytest.fixture(autouse=True, scope="module")
def quickly() -> Iterator[None]:
    """The same few bundles are verified again and again."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((admit_module, "verify_logged"), (admit_module, "signed_decision")):
            patch.setattr(module, name, _remembered(getattr(module, name)))
        patch.setattr(unsigned, "read_report", _remembered(unsigned.read_report))
        yield


def admitted(folders: Sequence[Folder]) -> set[tuple[str, str, datetime]]:
    """Every question to which the answer is yes."""
    times = (TODAY, NOW + timedelta(minutes=1), NOW + 7 * STEP + timedelta(minutes=1))
    return {
        (sha, environment, at)
        for sha, environment, at in itertools.product((SHA, OTHER_SHA), ENVIRONMENTS, times)
        if admit(
            Question("sha256", sha, environment, at), [f.candidate() for f in folders], ANCHOR
        ).is_admitted
    }


class TestPruning:
    @cases(place, anchor, limits)
    def test_no_run_that_is_taken_away_makes_a_yes(
        self, folders: list[Folder], anchor: Anchor | None, limits: Limits, rest: Choices
    ) -> None:
        choice = choose([f.facts(anchor) for f in folders], limits, TODAY)
        assume(choice.removed)
        before = admitted(folders)

        left = {f.name: f for f in folders}
        for gone in choice.removed:
            del left[gone.name]
            assert admitted(list(left.values())) <= before

    @cases(place, anchor, limits)
    def test_what_is_promised_to_stay_stays(
        self, folders: list[Folder], anchor: Anchor | None, limits: Limits, rest: Choices
    ) -> None:
        all_facts = [f.facts(anchor) for f in folders]
        choice = choose(all_facts, limits, TODAY)

        assert set(choice.kept) | {r.name for r in choice.removed} == {f.name for f in folders}
        groups = {f.made: max(o.name for o in all_facts if o.made == f.made) for f in all_facts}
        assert set(groups.values()) <= set(choice.kept)
        for run in choice.removed:
            assert run.begun is not None
            assert run.begun <= TODAY - limits.age
            assert run.in_force_until is None or run.in_force_until <= TODAY
            assert not any(run.name in f.names for f in all_facts if f.name in choice.kept)

    @cases(place, limits)
    def test_pruning_again_takes_nothing_more(
        self, folders: list[Folder], limits: Limits, rest: Choices
    ) -> None:
        choice = choose([f.facts(ANCHOR) for f in folders], limits, TODAY)
        left = [f.facts(ANCHOR) for f in folders if f.name in choice.kept]

        assert choose(left, limits, TODAY).removed == ()


class TestThatItCouldFail:
    """Guards the properties above: there are sets of runs in which a careless removal makes a yes."""

    @pytest.mark.parametrize("kind", ["no-go", "undecided", "unsigned no-go", "tampered", "torn"])
    def test_without_what_takes_it_back_a_go_counts_again(self, kind: str) -> None:
        go = folder("go", 0, "production", SHA, 30 * 86400.0)
        other = folder(kind, 1, "production", SHA, 3600.0)

        assert admitted([go, other]) < admitted([go])

    def test_a_fleet_without_the_shard_that_was_left_out_counts_again(self) -> None:
        _, *shards, again, merged = fleet()

        assert admitted([*shards, again, merged]) < admitted([*shards, merged])

    def test_so_that_shard_stays_with_the_merge(self) -> None:
        *_, again, merged = fleet()
        choice = choose([f.facts(ANCHOR) for f in fleet()], Limits(1, timedelta()), TODAY)

        assert choice.kept[again.name] == f"takes back a GO: {merged.name}"

    def test_something_is_taken_away_at_all(self) -> None:
        runs = [folder(kind, n, "production", SHA, 3600.0) for n, kind in enumerate(KINDS)]
        choice = choose([f.facts(ANCHOR) for f in runs], Limits(1, timedelta()), TODAY)

        assert len(choice.removed) >= 2

    def test_a_go_goes_before_what_takes_it_back(self) -> None:
        go, no_go = (folder(k, n, "production", SHA, 3600.0) for n, k in enumerate(("go", "no-go")))
        newest = folder("go", 9, "production", OTHER_SHA, 3600.0)
        choice = choose([f.facts(ANCHOR) for f in (no_go, go, newest)], Limits(1, timedelta()), TODAY)

        assert [r.name for r in choice.removed] == [go.name, no_go.name]
