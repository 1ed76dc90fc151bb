"""The index: canonical, signed, and it remembers."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_cutover.errors import EvidenceError, VerificationError
from pytest_cutover.evidence.envelope import read_foreign_envelope, sign_envelope
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.objects.protocol import ObjectConflictError, StoreUnavailableError
from pytest_cutover.store.index import (
    INDEX_TYPE,
    Collected,
    Index,
    Indexed,
    build_index,
    environments_in,
    format_index,
    index_before,
    index_runs,
    read_index,
    signed_index,
)
from pytest_cutover.store.index import write_index as write_next
from pytest_cutover.store.layout import run_of
from pytest_cutover.store.putting import put_set
from tests.unit.evidence.runs import KEY, NOW, anchor, signer, trusted
from tests.unit.keys.rings import Ringed
from tests.unit.store.stores import (
    LATER,
    checked,
    codes,
    files_at,
    filled,
    reindexed,
    run_at,
    trust,
    write_index,
)

FIRST, SECOND = (f"history/{run_at(number).run_id}" for number in (0, 1))


@pytest.fixture
def store(tmp_path):
    return filled(tmp_path / "evidence")


def states(index):
    return {e.key: (e.state, e.tampered) for e in index.objects}


class TestBuild:
    def test_it_has_every_file_of_every_run(self, store):
        index = build_index(store, None, LATER)

        assert [e.key for e in index.objects] == [h.key for h in store.list("history/")]
        assert all(
            e.sha256 == store.stat(e.key).tag and e.bytes == store.stat(e.key).size for e in index.objects
        )
        assert set(states(index).values()) == {("WIP", False)}

    def test_it_says_what_is_locked_and_held(self, store):
        store.retain(f"{FIRST}/report.json", LATER)
        store.hold(f"{SECOND}/report.json", True)

        found = build_index(store, None, LATER).by_key()

        assert (found[f"{FIRST}/report.json"].state, found[f"{FIRST}/report.json"].retain_until) == (
            "LOCKED",
            LATER,
        )
        assert found[f"{SECOND}/report.json"].legal_hold
        assert found[f"{SECOND}/report.json"].state == "WIP"

    def test_what_the_document_does_not_expect_is_tampered(self, store):
        (Path(store.where) / FIRST / "report.json").write_bytes(b"{}")

        found = build_index(store, None, LATER).by_key()

        entry = found.pop(f"{FIRST}/report.json")
        assert entry.tampered
        assert entry.sha256 != store.stat(entry.key).tag
        assert not any(e.tampered for e in found.values())

    def test_what_an_earlier_index_does_not_expect_is_tampered(self, store):
        """Also where the document was changed along."""
        before = build_index(store, None, LATER)
        shutil.rmtree(Path(store.where) / FIRST)
        put_set(store, run_at(0, title="Something else").files())

        after = build_index(store, before, LATER).by_key()

        assert {k for k, e in after.items() if e.tampered} == {
            f"{FIRST}/{name}" for name in ("bundle.intoto.jsonl", "report.json", "evidence.json")
        }
        assert after[f"{FIRST}/report.json"].sha256 == before.by_key()[f"{FIRST}/report.json"].sha256

    def test_what_is_gone_is_tampered_and_whole_again_when_restored(self, store):
        before = build_index(store, None, LATER)
        file = Path(store.where) / FIRST / "report.json"
        data = file.read_bytes()
        file.unlink()

        gone = build_index(store, before, LATER)
        assert gone.by_key()[f"{FIRST}/report.json"].tampered

        file.write_bytes(data)
        assert build_index(store, gone, LATER) == before

    def test_a_promise_that_the_store_lost_stays_known(self, store):
        """Else one more index would make evidence that lost its lock look as if it had never had one."""
        store.retain(f"{FIRST}/report.json", LATER + timedelta(days=1))
        store.hold(f"{SECOND}/report.json", True)
        before = reindexed(store)
        shutil.rmtree(Path(store.where) / ".objects/kept")

        after = reindexed(store, before=before)
        again = index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)

        assert after == again == before
        assert codes(checked(store)) == [
            ("store.unlocked", f"{FIRST}/report.json"),
            ("store.unlocked", f"{SECOND}/report.json"),
        ]

    def test_a_lock_that_was_put_off_and_a_hold_that_was_lifted_are_told(self, store):
        key = f"{FIRST}/report.json"
        store.retain(key, LATER + timedelta(days=1))
        store.hold(key, True)
        reindexed(store)
        store.retain(key, LATER + timedelta(days=2))
        store.hold(key, False)

        index = index_runs(
            store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER, released=True
        )

        assert index.by_key()[key].retain_until == LATER + timedelta(days=2)
        assert not index.by_key()[key].legal_hold
        assert checked(store).findings == ()

    def test_a_lock_that_has_ended_is_missed_no_more(self, store):
        store.retain(f"{FIRST}/report.json", LATER)
        before = reindexed(store)
        shutil.rmtree(Path(store.where) / ".objects/kept")

        assert checked(store).findings == ()
        assert reindexed(store, before=before) == before

    def test_what_was_collected_stays_known(self, store):
        gone = Collected("x", "", NOW)

        assert build_index(store, Index(NOW, (), (gone,)), LATER).collected == (gone,)

    def test_progress_is_told(self, store):
        told = []

        build_index(store, None, LATER, progress=lambda done, total: told.append((done, total)))

        assert told == [(0, 2), (1, 2)]


class TestFormat:
    def index(self):
        entry = Indexed("history/a/b", "0" * 64, 3, True, LATER, True)
        return Index(NOW, (entry, replace(entry, key="history/a/c")), (Collected("x", "1" * 64, NOW),))

    def test_what_is_written_is_read(self):
        for index in (self.index(), Index(NOW, ())):
            assert read_index(format_index(index)) == index

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"format":1', b'"format":2'),
            (b"index", b"list"),
            (b'"tampered":true', b'"tampered":1'),
            (b'"bytes":3', b'"bytes":"3"'),
            (b'"bytes":3', b'"bytes":3,"more":1'),
            (b'"state":"LOCKED"', b'"state":"WIP"'),
            (b"history/a/b", b"../b"),
            (b"history/a/b", b"latest.json"),
            (b"history/a/b", b"history/a/d"),
            (b"history/a/c", b"history/a/b"),
            (b"0" * 64, b"0" * 63),
            (b"\n", b""),
            (b"2026", b"2o26"),
        ],
    )
    def test_anything_else_is_refused(self, old, new):
        data = format_index(self.index())
        assert old in data

        with pytest.raises(EvidenceError, match=r"^x: expected an index"):
            read_index(data.replace(old, new, 1), "x")

    def test_it_is_plain_json(self):
        assert json.loads(format_index(self.index()))["objects"][0]["state"] == "LOCKED"


class TestSignature:
    def envelope(self, at=LATER, key=KEY, payload_type=INDEX_TYPE):
        return sign_envelope(format_index(Index(at, ())), payload_type, key) + b"\n"

    def test_a_key_that_decides_or_keeps_stores_may_sign(self):
        for role in ("decision", "store"):
            keys = anchor(trusted(KEY, roles=frozenset({role})))
            assert signed_index(self.envelope(), keys, {"production"}, LATER).at == LATER

    def test_others_may_not(self):
        policy = anchor(trusted(KEY, roles=frozenset({"policy"})))
        elsewhere = anchor(trusted(KEY, environments=frozenset({"staging"})))
        over = anchor(trusted(KEY, not_after=NOW - timedelta(days=1)))

        for keys in (policy, elsewhere, over):
            with pytest.raises(VerificationError, match=r"no key of trust\.json may sign an index"):
                signed_index(self.envelope(), keys, {"production"}, LATER)
        with pytest.raises(VerificationError, match="no trusted key has the id"):
            signed_index(self.envelope(key=signer()), trust(), {"production"}, LATER)

    def test_persons_that_the_trust_file_asks_for_are_asked_for(self):
        keys = replace(trust(), thresholds={"store": 2})

        with pytest.raises(VerificationError, match="expected signatures of 2 persons in role store"):
            signed_index(self.envelope(), keys, {"production"}, LATER)

    def test_a_key_in_grace_counts_until_the_grace_is_over(self):
        """Else no run after a rotation could go on from the index of one before, or of one that was under way."""
        rotation = Rotation("log.example", 7, LATER - timedelta(minutes=1))
        until = LATER + timedelta(days=7)
        grace = replace(
            trusted(KEY, roles=frozenset({"store"})),
            state=KeyState.GRACE,
            rotated=rotation,
            grace_until=until,
        )

        def index(now, at=LATER, **changes):
            return signed_index(self.envelope(at), anchor(replace(grace, **changes)), {"production"}, now)

        for at in (rotation.at - timedelta(minutes=1), rotation.at, LATER):
            assert index(LATER + timedelta(days=1), at).at == at
        refused = [
            {"not_after": LATER + timedelta(hours=23)},
            {"state": KeyState.RETIRED, "grace_until": None},
            {"state": KeyState.RETIRED},
            {"state": KeyState.REVOKED, "grace_until": None},
            {"state": KeyState.REVOKED},
            {"roles": frozenset({"policy"})},
            {"environments": frozenset({"staging"})},
        ]
        for changes in refused:
            with pytest.raises(VerificationError, match="may sign an index"):
                index(LATER + timedelta(days=1), **changes)
        with pytest.raises(VerificationError, match="may sign an index"):
            index(until + timedelta(seconds=1))

    @pytest.mark.parametrize(
        "envelope", ["", "{}\n", "x", "no newline", "another type", "another payload"], ids=str
    )
    def test_what_is_no_signed_index_is_refused(self, envelope):
        data = {
            "no newline": self.envelope()[:-1],
            "another type": self.envelope(payload_type="application/json"),
            "another payload": sign_envelope(b"{}", INDEX_TYPE, KEY) + b"\n",
        }.get(envelope, envelope.encode())

        with pytest.raises(EvidenceError):
            signed_index(data, trust(), (), LATER)

    def test_one_from_the_future_is_refused(self):
        assert signed_index(self.envelope(LATER + timedelta(seconds=4)), trust(), (), LATER)
        with pytest.raises(EvidenceError, match="yet to come"):
            signed_index(self.envelope(LATER + timedelta(seconds=6)), trust(), (), LATER)

    def test_another_tool_can_check_it(self, store):
        reindexed(store)

        envelope = read_foreign_envelope(store.read("index.json.dsse")[0])
        assert envelope.payload == store.read("index.json")[0]


def then_indexed(store, others):
    """A clock; whoever asks it the first time of an attempt is overtaken by the next of the other runs."""
    asked = []

    def clock():
        asked.append(None)
        if others and len(asked) % 2:
            put_set(store, files_at(others[-1]))
            reindexed(store, before=read_index(store.read("index.json")[0]))
            others.pop()
        return LATER

    return clock


class TestGoingOn:
    def test_there_may_be_none_yet(self, store):
        assert index_before(store, trust(), (), lambda: LATER).index is None

    def test_one_that_does_not_verify_is_not_gone_on_from(self, store):
        """Signing what follows from it would make it look true."""
        write_index(store, build_index(store, None, LATER), signer())

        with pytest.raises(VerificationError, match="no trusted key") as caught:
            index_before(store, trust(), (), lambda: LATER)
        assert "--anew" in str(caught.value.hint)
        with pytest.raises(VerificationError, match="there is no trusted key"):
            index_before(store, None, (), lambda: LATER)
        with pytest.raises(VerificationError, match="no trusted key"):
            index_runs(store, [run_at(0).run_id], {"production"}, KEY, trust(), lambda: LATER)

    def test_a_run_that_was_put_is_brought_in(self, store):
        before = reindexed(store)
        put_set(store, files_at(2))

        after = index_runs(store, [run_at(2).run_id], {"production"}, KEY, trust(), lambda: LATER)

        assert after == build_index(store, before, LATER)
        assert signed_index(store.read("index.json.dsse")[0], trust(), {"production"}, LATER) == after

    def test_what_it_does_not_look_at_stays_as_it_was_said(self, store):
        before = reindexed(store)
        (Path(store.where) / FIRST / "report.json").write_bytes(b"{}")
        put_set(store, files_at(2))

        after = index_runs(store, [run_at(2).run_id], {"production"}, KEY, trust(), lambda: LATER)

        assert after.by_key()[f"{FIRST}/report.json"] == before.by_key()[f"{FIRST}/report.json"]

    def test_the_first_one_is_of_everything(self, store):
        index = index_runs(store, [run_at(1).run_id], {"production"}, KEY, trust(), lambda: LATER)

        assert index == build_index(store, None, LATER)

    def test_one_that_had_to_be_waited_for_is_not_yet_to_come(self, store, monkeypatch):
        now, real = [LATER], store.exclusive
        reindexed(store)
        put_set(store, files_at(2))

        @contextmanager
        def waited(name):
            with real(name):
                now.append(LATER + timedelta(minutes=1))
                reindexed(store, now[-1])
                yield

        monkeypatch.setattr(store, "exclusive", waited)

        index = index_runs(store, [run_at(2).run_id], {"production"}, KEY, trust(), lambda: now[-1])
        assert (index.at, len(now)) == (now[-1], 2)

    def test_the_key_that_is_active_by_then_signs_it(self, store, tmp_path):
        """A key that was rotated because somebody took it may have no grace at all."""
        ringed = Ringed(tmp_path).begin(environments=["production"])
        first = ringed.ring.signer()
        write_index(store, build_index(store, None, LATER), first)
        put_set(store, files_at(2))
        asked = []

        def clock():
            asked.append(None)
            if len(asked) == 2:
                ringed.rotate(LATER, grace=timedelta())
            return LATER

        before = load_trust(ringed.trust)
        index_runs(store, [run_at(2).run_id], {"production"}, first, before, clock)

        after = index_before(
            store, load_trust(ringed.trust), {"production"}, lambda: LATER + timedelta(days=1)
        )
        assert run_of(max(after.index.by_key()))[0] == run_at(2).run_id
        assert ringed.ring.signer().keyid != first.keyid

    def test_one_that_another_wrote_meanwhile_is_gone_on_from(self, store):
        """As a lock is lost by a process that was stopped for long."""
        reindexed(store)
        others = [2]

        index = index_runs(
            store, [run_at(1).run_id], {"production"}, KEY, trust(), then_indexed(store, others)
        )

        assert others == []
        assert index == build_index(store, index, LATER)
        assert {run_of(key)[0] for key in index.by_key()} == {run_at(n).run_id for n in (0, 1, 2)}
        assert checked(store).findings == ()

    def test_one_that_others_go_on_writing_stays_theirs(self, store):
        reindexed(store)
        others = [5, 4, 3, 2]

        with pytest.raises(ObjectConflictError, match="somebody else wrote the index meanwhile") as caught:
            index_runs(store, [run_at(1).run_id], {"production"}, KEY, trust(), then_indexed(store, others))

        assert (others, caught.value.hint) == ([5], "run it again")
        assert checked(store).findings == ()

    def test_the_first_one_does_not_take_the_place_of_another_first(self, store):
        before = index_before(store, trust(), (), lambda: LATER)
        first = reindexed(store)
        put_set(store, files_at(2))

        with pytest.raises(ObjectConflictError):
            write_next(store, build_index(store, before.index, LATER), KEY, before)

        assert signed_index(store.read("index.json.dsse")[0], trust(), {"production"}, LATER) == first

    def test_until_the_envelope_is_written_the_old_index_counts(self, store, monkeypatch):
        """What fails has not happened: nobody is told of files that are taken out again then."""
        before = reindexed(store)
        put_set(store, files_at(2))
        write = store.write

        def fails(key, data, *, expected):
            if key == "index.json.dsse":
                raise StoreUnavailableError("killed")
            return write(key, data, expected=expected)

        monkeypatch.setattr(store, "write", fails)
        with pytest.raises(StoreUnavailableError):
            reindexed(store)

        assert signed_index(store.read("index.json.dsse")[0], trust(), {"production"}, LATER) == before
        monkeypatch.undo()
        reindexed(store)
        assert checked(store).findings == ()


def test_environments_are_those_of_documents_that_can_be_read(store):
    put_set(store, run_at(2, environment="staging").files())
    (Path(store.where) / FIRST / "evidence.json").write_bytes(b"{}")

    assert environments_in(store) == {"production", "staging"}
