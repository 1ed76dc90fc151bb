"""No change to a bundle or its report goes unnoticed.

`CUTOVER_SOAK=1` runs every case (over 10^5) through the whole verification; else a spread sample of them,
and every single-bit flip through the reader and the signature check of the line it is in.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    STATEMENT_TYPE,
    Envelope,
    Signature,
    format_envelope,
    read_envelope,
    read_foreign_envelope,
    sign_envelope,
    verify_strict,
)
from pytest_cutover.evidence.report import build_report, read_report
from pytest_cutover.evidence.statements import encode, read_statement
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import PolicySignature, Verdict
from pytest_cutover.record import fold
from tests.unit.evidence.runs import POLICY, Run, anchor, resealed, signer, trusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.evidence.seal import Sealed
    from pytest_cutover.keys.signer import PemSigner
    from pytest_cutover.keys.trust import Anchor

SOAK = os.environ.get("CUTOVER_SOAK") == "1"
SAMPLE_EVERY = 53  # a prime, so that every bit of a byte and every kind of change has its turn

Case = tuple[str, bytes, bytes | None]


def flips(data: bytes) -> Iterator[tuple[str, bytes]]:
    """`data` with each single bit flipped."""
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            yield f"bit {bit} of byte {at}", bytes(changed)


def truncations(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Every beginning of `data` but the whole."""
    for length in range(len(data)):
        yield f"only {length} bytes", data[:length]


def insertions(data: bytes) -> Iterator[tuple[str, bytes]]:
    """One byte more, at every place: white space, which a lenient reader skips."""
    for at in range(len(data) + 1):
        for extra in b" \n":
            yield f"{extra:#x} before byte {at}", data[:at] + bytes([extra]) + data[at:]


def line_changes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Lines left out, doubled and put in every other order."""
    lines = data.splitlines(keepends=True)
    for keep in range(1, len(lines)):
        for chosen in itertools.permutations(lines, keep):
            yield f"{keep} of {len(lines)} lines", b"".join(chosen)
    for order in itertools.permutations(lines):
        if list(order) != lines:
            yield "another order", b"".join(order)
    for at, again in itertools.product(range(len(lines) + 1), lines):
        yield f"a line twice, at {at}", b"".join([*lines[:at], again, *lines[at:]])


def cases(sealed: Sealed) -> Iterator[Case]:
    """Every change to the bundle beside the right report, and the other way round."""
    bundle, report = sealed.bundle, sealed.report
    assert bundle is not None
    for change in (flips, truncations, insertions, line_changes):
        yield from ((f"bundle: {what}", changed, report) for what, changed in change(bundle))
    for change in (flips, truncations, insertions):
        yield from ((f"report: {what}", bundle, changed) for what, changed in change(report))
    yield "report: none", bundle, None


def accepted(sealed: Sealed, keys: Anchor, *, whole: bool) -> tuple[list[str], int]:
    """The changes that verification did not notice, and how many were tried."""
    noticed_not, tried = [], 0
    for index, (what, bundle, report) in enumerate(cases(sealed)):
        if whole or index % SAMPLE_EVERY == 0:
            tried += 1
            if verify_bundle(bundle, report, keys).is_valid:
                noticed_not.append(what)
    return noticed_not, tried


@pytest.fixture(scope="module", params=list(KeyKind), ids=lambda k: k.value)
def evidence(request: pytest.FixtureRequest) -> tuple[Sealed, Anchor]:
    key, policy_key = signer(request.param), signer()
    sealed = Run().seal(key, sign_envelope(POLICY, POLICY_TYPE, policy_key))
    return sealed, anchor(trusted(key), trusted(policy_key, roles=frozenset({"policy"})))


class TestTampering:
    def test_the_untouched_evidence_is_valid(self, evidence: tuple[Sealed, Anchor]) -> None:
        sealed, keys = evidence
        assert sealed.bundle is not None

        assert verify_bundle(sealed.bundle, sealed.report, keys).problems == ()

    def test_every_change_is_refused(self, evidence: tuple[Sealed, Anchor]) -> None:
        noticed_not, tried = accepted(*evidence, whole=SOAK)

        assert noticed_not == []
        assert tried > (100_000 if SOAK else 1_900)

    def test_every_flipped_bit_of_a_statement_fails_its_own_line(
        self, evidence: tuple[Sealed, Anchor]
    ) -> None:
        """The policy's line is not ours alone: its outside is bound by the manifest's digest of it."""
        sealed, keys = evidence
        assert sealed.bundle is not None
        lines = sealed.bundle.splitlines()[1:]
        if keys.keys[0].public.kind is KeyKind.ECDSA_P256:  # the lines differ in nothing but the signature
            lines = lines[-1:]
        survived = [what for line in lines for what, changed in flips(line) if _still_verifies(changed, keys)]

        assert survived == []


def _still_verifies(line: bytes, keys: Anchor) -> bool:
    try:
        return bool(verify_strict(read_envelope(line), keys.keys))
    except EvidenceError:
        return False


TEXTS = st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lo"]))  # unpaired surrogates too
ENVELOPES = st.builds(
    Envelope,
    TEXTS,
    st.binary(),
    st.lists(st.builds(Signature, st.none() | TEXTS, st.binary()), min_size=1, max_size=3).map(tuple),
)


class TestParseAfterFormat:
    @given(ENVELOPES)
    def test_is_identity_for_envelopes(self, envelope: Envelope) -> None:
        line = format_envelope(envelope)

        assert b"\n" not in line
        assert read_envelope(line) == envelope
        assert read_foreign_envelope(line) == envelope

    @given(st.binary() | st.text().map(str.encode))
    def test_other_bytes_are_evidence_errors(self, data: bytes) -> None:
        for read in (read_envelope, read_foreign_envelope, read_statement, read_report):
            with pytest.raises(EvidenceError):
                read(data)

    @given(st.lists(st.binary() | st.just(b'{"seq":0}\n') | st.just(b'{"damaged_base64":"AA=="}\n')), TEXTS)
    @settings(deadline=None)
    def test_is_identity_for_journals_of_any_bytes(self, extra: list[bytes], title: str) -> None:
        """Whatever stood in the journal comes back byte for byte, and the report stays JSON."""
        run = Run(title=title)
        events = [*run.events(), *extra]
        record = fold(events)
        report = read_report(build_report(events, record, run.policy(), run.decision(), signed=True))

        assert list(report.journal) == events
        assert report.policy == run.policy()
        assert fold(report.journal) == record

    @given(TEXTS, TEXTS)
    @settings(deadline=None, max_examples=50)
    def test_any_unicode_can_be_sealed_and_verified(self, title: str, environment: str) -> None:
        key = signer()
        sealed = Run(title=title, environment=environment).seal(key, sign_envelope(POLICY, POLICY_TYPE, key))
        assert sealed.bundle is not None
        keys = anchor(trusted(key, roles=frozenset({"decision", "policy"})))

        assert verify_bundle(sealed.bundle, sealed.report, keys).problems == ()


def _nonsense() -> tuple[PemSigner, Sealed]:
    key = signer()
    return key, Run(sandbox=True, environment="sandbox", signature=PolicySignature.UNSIGNED).seal(key)


NONSENSE = _nonsense()


class TestSignedNonsense:
    """What a trusted key signed may still be anything: never a traceback, never valid."""

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        st.integers(min_value=0, max_value=3),
        st.data(),
    )
    @settings(deadline=None, max_examples=300)
    def test_a_statement_with_any_value_anywhere_is_refused(
        self, value: object, which: int, data: st.DataObject
    ) -> None:
        key, sealed = NONSENSE
        assert sealed.bundle is not None
        lines = sealed.bundle.splitlines()
        document = _loads(read_envelope(lines[which]).payload)
        holder, name = data.draw(st.sampled_from(list(_places(document))))
        if holder[name] == value and type(holder[name]) is type(value):
            return
        holder[name] = value
        lines[which] = sign_envelope(encode(document), STATEMENT_TYPE, key)
        found = verify_bundle(b"".join(line + b"\n" for line in lines), sealed.report, anchor(trusted(key)))

        assert not found.is_valid

    @given(st.binary(max_size=60), st.integers(min_value=0), st.integers(min_value=0, max_value=200))
    @settings(deadline=None, max_examples=300)
    def test_a_report_with_any_bytes_anywhere_is_refused(self, extra: bytes, at: int, cut: int) -> None:
        """Signed as it stands: digests fit, so only its content can be wrong."""
        key, sealed = NONSENSE
        place = at % len(sealed.report)
        report = sealed.report[:place] + extra + sealed.report[place + cut :]
        if report == sealed.report:
            return
        old, new = (hashlib.sha256(r).hexdigest().encode() for r in (sealed.report, report))
        assert sealed.bundle is not None
        resigned = resealed(sealed.bundle, old, new, key)
        found = verify_bundle(resigned, report, anchor(trusted(key)))

        if found.is_valid:  # words that decide nothing may differ, what was measured may not
            assert read_report(report).journal == read_report(sealed.report).journal
            assert found.decision is not None
            assert found.decision.verdict is Verdict.GO


def _loads(data: bytes) -> dict[str, object]:
    document = json.loads(data)
    assert isinstance(document, dict)
    return document


def _places(value: object) -> Iterator[tuple[dict[str, object], str]]:
    """Every key of every object inside `value`."""
    if isinstance(value, dict):
        for name in value:
            yield value, name
            yield from _places(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from _places(item)
