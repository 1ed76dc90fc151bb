"""A witness cosigns only what goes on from what it cosigned last: the statuses that C2SP tlog-witness demands."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pytest_cutover.errors import AdapterError, EvidenceError, VerificationError
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import ObjectConflictError, StoreUnavailableError
from pytest_cutover.tlog.checkpoint import Checkpoint, parse_checkpoint
from pytest_cutover.tlog.cosignature import CosignatureSigner
from pytest_cutover.tlog.note import Note, NoteSignature, NoteVerifier, parse_note, sign_note, verify_note
from pytest_cutover.tlog.proof import verify_proof
from pytest_cutover.tlog.witness import Request, Witness, parse_request
from pytest_cutover.tlog.witness_client import Witnesses, cosign
from tests.unit.tlog.logs import ORIGIN, OTHER, entries, entry, log_of, signer

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
KEY = CosignatureSigner("witness.example", load_private_pem(generate(KeyKind.ED25519), where="w"))
HASH = hashlib.sha256(ORIGIN.encode()).hexdigest()


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def store(tmp_path):
    return FolderObjects(tmp_path / "witness")


@pytest.fixture
def witness(store):
    return Witness(store, KEY, [signer().verifier], Clock())


def request(log, old, proof=None):
    checkpoint, signed = log.signed_checkpoint()
    return Request(
        old, tuple(log.consistency_proof(old, checkpoint)) if proof is None else proof, signed
    ).to_bytes()


def asked(witness, log, old, proof=None):
    answer = witness.add_checkpoint(request(log, old, proof))
    return answer.status, answer.body.decode()


def size_of(witness):
    kept = witness.latest(HASH)
    return None if kept is None else parse_checkpoint(kept)[0].size


class TestCosigning:
    def test_a_log_that_grows(self, witness):
        before = 0
        for size in (1, 5, 256, 300, 300):
            log = log_of(size)
            status, line = asked(witness, log, before)

            assert status == 200
            text = log.checkpoint().text()
            cosigned = parse_note(f"{text}\n{line}".encode())
            assert verify_note(cosigned, [KEY.verifier]) == (KEY.verifier,)
            assert size_of(witness) == size
            before = size

    def test_its_time_is_its_own(self, witness):
        _, line = asked(witness, log_of(3), 0)

        stamped = parse_note(f"x\n\n{line}".encode()).signatures[0].signature
        assert int.from_bytes(stamped[:8], "big") == (NOW + timedelta(seconds=1)).timestamp()

    def test_what_it_serves_carries_both_signatures_and_no_stranger_s(self, witness):
        checkpoint = log_of(3).checkpoint()
        signed = sign_note(checkpoint.text(), [signer(), signer("stranger", OTHER)]).to_bytes()
        assert witness.add_checkpoint(Request(0, (), signed).to_bytes()).status == 200

        kept = parse_note(witness.latest(HASH))

        assert [s.name for s in kept.signatures] == [ORIGIN, "witness.example"]

    def test_the_empty_log(self, witness):
        empty = Checkpoint(ORIGIN, 0, hashlib.sha256(b"").digest())
        signed = sign_note(empty.text(), [signer()]).to_bytes()

        assert witness.add_checkpoint(Request(0, (), signed).to_bytes()).status == 200
        assert size_of(witness) == 0

    def test_of_requests_at_once_from_one_size_one_is_cosigned(self, witness):
        """Else a later answer could roll the memory back."""
        asked(witness, log_of(5), 0)
        bodies = [request(log_of(size), 5) for size in range(6, 14)]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(witness.add_checkpoint, bodies))

        winner = [a.status for a in answers].index(200)
        assert sorted(a.status for a in answers) == [200] + [409] * 7
        assert {a.body for a in answers if a.status == 409} == {b"%d\n" % (6 + winner)}
        assert size_of(witness) == 6 + winner

    def test_another_process_goes_on(self, witness, store):
        asked(witness, log_of(5), 0)

        other = Witness(store, KEY, [signer().verifier], Clock())

        assert asked(other, log_of(9), 5)[0] == 200


class TestRefusals:
    @pytest.fixture(autouse=True)
    def at_five(self, witness):
        assert asked(witness, log_of(5), 0)[0] == 200
        yield
        assert size_of(witness) == 5, "a refusal changes nothing"

    def test_another_old_size_is_409_with_the_size(self, witness):
        for old in (0, 4, 6):
            answer = witness.add_checkpoint(request(log_of(9), old))

            assert (answer.status, answer.body, answer.media_type) == (409, b"5\n", "text/x.tlog.size")

    def test_a_rollback(self, witness):
        """The log was set back: its size then is smaller than what the witness has seen."""
        assert asked(witness, log_of(3), 3) == (409, "5\n")
        assert asked(witness, log_of(3), 5, ())[0] == 400

    def test_a_fork(self, witness):
        fork = log_of()
        fork.append([b"another", *entries(1, 9)])

        assert asked(witness, fork, 5) == (422, "the tree of size 9 does not begin with the tree of size 5\n")

    def test_another_log_of_the_same_size(self, witness):
        other = log_of()
        other.append([b"another", *entries(1, 5)])

        assert asked(witness, other, 5)[0] == 422

    @pytest.mark.parametrize("proof", [(), (bytes(32),), (bytes(32),) * 63])
    def test_a_proof_that_does_not_fit(self, witness, proof):
        assert asked(witness, log_of(9), 5, proof)[0] == 422

    def test_a_proof_where_none_belongs(self, witness, tmp_path):
        fresh = Witness(FolderObjects(tmp_path / "fresh"), KEY, [signer().verifier], Clock())

        assert asked(fresh, log_of(5), 0, (bytes(32),))[0] == 422
        assert asked(witness, log_of(5), 5, (bytes(32),))[0] == 422
        assert fresh.latest(HASH) is None

    def test_an_empty_tree_with_another_root(self, tmp_path):
        fresh = Witness(FolderObjects(tmp_path / "fresh"), KEY, [signer().verifier], Clock())
        signed = sign_note(Checkpoint(ORIGIN, 0, bytes(32)).text(), [signer()]).to_bytes()

        assert fresh.add_checkpoint(Request(0, (), signed).to_bytes()).status == 422

    def test_an_unknown_log_is_404(self, witness):
        signed = sign_note(Checkpoint("other", 9, bytes(32)).text(), [signer("other")]).to_bytes()

        assert witness.add_checkpoint(Request(5, (), signed).to_bytes()).status == 404

    def test_no_known_signature_or_a_wrong_one_is_403(self, witness):
        text = log_of(9).checkpoint().text()
        good = signer().sign(text)
        bad = NoteSignature(good.name, good.key_id, bytes(64))
        for signatures in ((signer(raw=OTHER).sign(text),), (bad,), (good, bad)):
            signed = Note(text, signatures).to_bytes()
            assert witness.add_checkpoint(Request(5, (), signed).to_bytes()).status == 403

    def test_a_rotated_key_of_the_log_signs_no_larger_tree(self, store):
        rotated = NoteVerifier(ORIGIN, signer().verifier.public, max_size=8)

        assert asked(Witness(store, KEY, [rotated], Clock()), log_of(9), 5)[0] == 403

    @pytest.mark.parametrize(
        "change",
        [
            lambda b: b"",
            lambda b: b.replace(b"old 5", b"old 05"),
            lambda b: b.replace(b"old 5", b"old -5"),
            lambda b: b.replace(b"old 5", b"OLD 5"),
            lambda b: b.replace(b"old 5", b"old  5"),
            lambda b: b.replace(b"old 5", b"old 5 "),
            lambda b: b.replace(b"old 5\n", b"old 5\r\n"),
            lambda b: b.replace(b"old 5\n", b"old 5\nAAAA\n"),
            lambda b: b.replace(b"old 5\n", b"old 5\n" + b"A" * 43 + b"=\n" * 1),
            lambda b: b.replace(b"old 5\n", b"old 5\n" + (b"A" * 43 + b"=\n") * 64),
            lambda b: b.replace(b"\n\n", b"\n", 1),
            lambda b: b[:-1],
            lambda b: b + b"\n",
            lambda b: b.replace(b"old 5", b"old 99999999999999999999"),
            lambda b: b + b"x" * 300_000,
        ],
    )
    def test_what_is_no_request_is_400(self, witness, change):
        good = request(log_of(9), 5)

        status = witness.add_checkpoint(change(good)).status

        assert status == (422 if change(good).count(b"AAAA=\n") == 1 else 400)

    def test_a_memory_that_was_changed_is_not_believed(self, witness, tmp_path):
        """It carries the witness's own cosignature: an older state or another log's is refused, not signed on."""
        path = tmp_path / "witness" / HASH / "checkpoint"
        good = path.read_bytes()
        for bad in (good.replace(b"\n5\n", b"\n3\n"), log_of(3).signed_checkpoint()[1], b""):
            path.write_bytes(bad)
            with pytest.raises(EvidenceError):
                witness.add_checkpoint(request(log_of(9), 5))
        path.write_bytes(good)

    def test_no_memory_no_cosignature(self, witness, store, monkeypatch):
        def fails(*arguments, **options):
            raise StoreUnavailableError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(store, "write", fails)
            with pytest.raises(StoreUnavailableError):
                witness.add_checkpoint(request(log_of(9), 5))

    @pytest.mark.parametrize("name", ["", "..", "x" * 64, HASH.upper(), "0" * 64])
    def test_nothing_else_is_served(self, witness, name):
        assert witness.latest(name) is None


class TestRequest:
    def test_the_specification_s_example(self):
        body = b"""old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\xe2\x80\x94 example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""
        read = parse_request(body)

        assert (read.old, len(read.proof)) == (20852014, 4)
        assert parse_checkpoint(read.signed)[0].size == 20852163
        assert read.to_bytes() == body


def posted(*witnesses):
    """Sends to the witness whose number the URL ends with."""

    def post(url, body):
        assert url.endswith("/add-checkpoint")
        answer = witnesses[int(url.split("/")[-2])].add_checkpoint(body)
        return answer.status, answer.body

    return post


class TestClient:
    def test_the_log_keeps_what_witnesses_signed(self, tmp_path):
        keys = [
            CosignatureSigner(f"w{n}", load_private_pem(generate(KeyKind.ED25519), where="w"))
            for n in range(2)
        ]
        known = [k.verifier for k in keys]
        witnesses = [
            Witness(FolderObjects(tmp_path / str(n)), key, [signer().verifier], Clock())
            for n, key in enumerate(keys)
        ]
        log = log_of(3)
        for size in (4, 260):
            log.append(entries(log.checkpoint().size, size))
            cosign(log, ["http://0/", "http://1"][:1], known, posted(*witnesses))
            signed = cosign(log, ["x/0", "x/1/"], known, posted(*witnesses))

            assert log.signed_checkpoint()[1] == signed
            assert log.verify().is_valid
            done = verify_proof(log.prove(2), entry(2), [signer().verifier], witnesses=known, threshold=2)
            assert done.witnesses == ("w0", "w1")

    def test_a_log_that_was_set_back_is_noticed(self, witness):
        asked(witness, log_of(5), 0)

        with pytest.raises(EvidenceError, match="at least 5 entries, got 3: the witness has seen more"):
            cosign(log_of(3), ["x/0"], [KEY.verifier], posted(witness))

    def test_a_refusal_is_told(self, witness):
        asked(witness, log_of(5), 0)
        fork = log_of()
        fork.append([b"another", *entries(1, 9)])

        with pytest.raises(AdapterError, match=r"refuses \(422\): the tree of size 9 does not begin"):
            cosign(fork, ["x/0"], [KEY.verifier], posted(witness))

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ((200, b""), "expected text, a blank line"),
            ((200, b"ok\n"), "expected a signature line"),
            ((500, b"\xff"), "refuses"),
            ((409, b"x"), "expected a log of at least -1"),
            ((200, b"more\n\n\xe2\x80\x94 witness.example AAAAAAAA\n"), "expected signature lines"),
            ((200, b"\xe2\x80\x94 stranger AAAAAAAA\n"), "known key"),
        ],
    )
    def test_answers_that_are_none(self, answer, said):
        log = log_of(3)
        before = log.signed_checkpoint()

        with pytest.raises((EvidenceError, AdapterError), match=said):
            cosign(log, ["x"], [KEY.verifier], lambda url, body: answer)
        assert log.signed_checkpoint() == before

    def test_a_cosignature_of_another_checkpoint_does_not_count(self):
        log = log_of(3)
        line = KEY.sign(log_of(4).checkpoint().text(), NOW).line().encode()

        with pytest.raises(VerificationError, match="does not fit"):
            cosign(log, ["x"], [KEY.verifier], lambda url, body: (200, line))

    def test_a_log_that_grew_meanwhile_keeps_its_checkpoint(self):
        log = log_of(3)
        signed = log.signed_checkpoint()[1]
        log.append([entry(3)])

        with pytest.raises(ObjectConflictError, match="has grown"):
            log.add_cosignatures(signed)
        assert log.checkpoint().size == 4


class TestWitnesses:
    """What a run asks for: so many cosignatures, from whoever answers."""

    @pytest.fixture
    def three(self, tmp_path):
        """Three witnesses, the last of which is not trusted as one, and who is asked."""
        keys = [
            CosignatureSigner(f"w{n}", load_private_pem(generate(KeyKind.ED25519), where="w"))
            for n in range(3)
        ]
        there = [
            Witness(FolderObjects(tmp_path / str(n)), key, [signer().verifier], Clock())
            for n, key in enumerate(keys)
        ]
        return there, tuple(k.verifier for k in keys[:2])

    def test_those_who_answer_are_enough(self, three):
        there, known = three
        log = log_of(3)
        signed = Witnesses(("x/0", "x/1"), known, 2, posted(*there)).cosigned(log)

        done = verify_proof(
            log.prove(2, signed=signed), entry(2), [signer().verifier], witnesses=known, threshold=2
        )
        assert done.witnesses == ("w0", "w1")
        assert log.signed_checkpoint()[1] == signed

    @pytest.mark.parametrize(
        ("urls", "wanted", "said"),
        [
            (("x/0", "x/9"), 2, "got 1; x/9: no answer"),
            (("x/0", "x/2"), 2, "got 1; x/2: "),
            (("x/0", "x/0"), 2, "got 1"),
            ((), 1, "got 0"),
        ],
        ids=["one is down", "one is not trusted", "one asked twice", "nobody is asked"],
    )
    def test_fewer_are_not(self, three, urls, wanted, said):
        there, known = three
        ask = posted(*there)

        def post(url, body):
            if "/9/" in url:
                raise AdapterError("x/9: no answer")
            return ask(url, body)

        with pytest.raises(VerificationError) as caught:
            Witnesses(urls, known, wanted, post).cosigned(log_of(3))
        assert said in str(caught.value)

    def test_one_that_is_down_is_no_matter_when_it_is_not_needed(self, three):
        there, known = three

        def post(url, body):
            if "/1/" in url:
                raise AdapterError("no answer")
            return posted(*there)(url, body)

        signed = Witnesses(("x/1", "x/0"), known, 1, post).cosigned(log_of(3))
        assert [s.name for s in parse_note(signed).signatures] == [ORIGIN, "w0"]

    def test_a_log_that_grows_meanwhile_is_cosigned_as_it_is_then(self, three):
        there, known = three
        log, grown = log_of(3), []

        def post(url, body):
            if not grown:
                grown.append(log.append([b"another writer's"]))
                there[0].add_checkpoint(request(log, 0))
            return posted(*there)(url, body)

        signed = Witnesses(("x/0",), known, 1, post).cosigned(log)
        assert parse_checkpoint(signed)[0].size == 4

    def test_a_witness_that_has_seen_another_history_is_heard(self, three):
        there, known = three
        fork = log_of()
        fork.append([b"another", *entries(1, 9)])
        cosign(fork, ["x/0"], known, posted(*there))

        with pytest.raises(VerificationError, match="the witness has seen more"):
            Witnesses(("x/0",), known, 1, posted(*there)).cosigned(log_of(3))
