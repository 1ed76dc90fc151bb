"""No change to a bundle or its report goes unnoticed.

Every single bit, truncation and change of lines of a bundle through the whole of `verify_bundle`: of a small real one,
and under CUTOVER_SOAK=1 also of those that the shipped gates make, signed with either kind of key. Random
changes of the evidence of random runs besides.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import read_statement
from pytest_cutover.evidence.envelope import (
    POLICY_TYPE,
    STATEMENT_TYPE,
    Envelope,
    Signature,
    format_envelope,
    read_envelope,
    read_foreign_envelope,
    sign_envelope,
)
from pytest_cutover.evidence.report import build_report, read_report
from pytest_cutover.evidence.statements import encode
from pytest_cutover.evidence.verify import verify_bundle
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import PolicySignature, Verdict
from pytest_cutover.record import fold
from tests.properties import cases
from tests.properties.evidence import KEPT, Evidence, real_run, sealed_run
from tests.unit.evidence.runs import (
    ANCHOR,
    KEY,
    POLICY,
    Run,
    anchor,
    resealed,
    signer,
    trusted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.evidence.seal import Sealed
    from pytest_cutover.keys.signer import PemSigner
    from tests.properties.cases import Choices


@dataclass(frozen=True)
class Share:
    """Every `step`-th place, from `first` on: the shares of one step are the whole."""

    first: int
    step: int

    def __str__(self) -> str:
        return f"{self.first + 1} of {self.step}"

    def of(self, count: int) -> range:
        return range(self.first, count, self.step)


def shares(step: int) -> list[Share]:
    return [Share(first, step) for first in range(step)]


REAL_SHARES = shares(48) if cases.SOAK else [Share(0, 500)]


def flips(data: bytes, share: Share) -> Iterator[tuple[str, bytes]]:
    """`data` with each single bit flipped."""
    for at in share.of(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            yield f"bit {bit} of byte {at}", bytes(changed)


def truncations(data: bytes, share: Share) -> Iterator[tuple[str, bytes]]:
    """Every beginning of `data` but the whole."""
    for length in share.of(len(data)):
        yield f"only {length} bytes", data[:length]


def insertions(data: bytes, share: Share) -> Iterator[tuple[str, bytes]]:
    """One byte more, at every place: white space, which a lenient reader skips."""
    for at in share.of(len(data) + 1):
        for extra in b" \n":
            yield f"{extra:#x} before byte {at}", data[:at] + bytes([extra]) + data[at:]


def _line_changes(data: bytes) -> Iterator[tuple[str, bytes]]:
    lines = data.splitlines(keepends=True)
    for keep in range(1, len(lines)):
        for chosen in itertools.permutations(lines, keep):
            yield f"{keep} of {len(lines)} lines", b"".join(chosen)
    for order in itertools.permutations(lines):
        if list(order) != lines:
            yield "another order", b"".join(order)
    for at, again in itertools.product(range(len(lines) + 1), lines):
        yield f"a line twice, at {at}", b"".join([*lines[:at], again, *lines[at:]])


def line_changes(data: bytes, share: Share) -> Iterator[tuple[str, bytes]]:
    """Lines left out, doubled and put in every other order."""
    return itertools.islice(_line_changes(data), share.first, None, share.step)


def changes(evidence: Evidence, share: Share) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Every change to the bundle beside the right report, and the other way round."""
    bundle, report = evidence.bundle, evidence.report
    for change in (flips, truncations, insertions, line_changes):
        yield from ((f"bundle: {what}", changed, report) for what, changed in change(bundle, share))
    for change in (flips, truncations, insertions):
        yield from ((f"report: {what}", bundle, changed) for what, changed in change(report, share))
    yield "report: none", bundle, None


def nothing_survives(evidence: Evidence, share: Share) -> None:
    """Verification accepts the evidence as it is, and no change of this share."""
    survived, tried = [], 0
    assert evidence.verified().problems == ()
    for what, bundle, report in changes(evidence, share):
        tried += 1
        if verify_bundle(bundle, report, evidence.anchor).is_valid:
            survived.append(what)

    assert survived == []
    assert tried >= 11 * (len(evidence.bundle) + len(evidence.report)) // share.step - 22


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return real_run(request.param, tmp_path_factory)


class TestWholeBundle:
    """A bundle, and every change of one place in it."""

    @pytest.mark.parametrize("share", shares(8), ids=str)
    def test_every_change_of_kept_evidence_is_refused(self, share: Share) -> None:
        nothing_survives(Evidence.read(KEPT), share)

    @pytest.mark.parametrize("kind", list(KeyKind), ids=lambda k: k.value)
    def test_every_53rd_change_is_refused(self, kind: KeyKind) -> None:
        """With a signed policy in the bundle, and with either kind of key."""
        key, policy_key = signer(kind), signer()
        sealed = Run().seal(key, sign_envelope(POLICY, POLICY_TYPE, policy_key))
        keys = anchor(trusted(key), trusted(policy_key, roles=frozenset({"policy"})))

        nothing_survives(Evidence.of(sealed, keys), Share(0, 53))

    @pytest.mark.parametrize("share", REAL_SHARES, ids=str)
    @pytest.mark.parametrize("real", list(KeyKind), ids=lambda k: k.value, indirect=True)
    def test_every_change_of_a_real_run_is_refused(self, real: Evidence, share: Share) -> None:
        """`pytest -m preflight` over the shipped gates; but for the soak, every 500th place."""
        nothing_survives(real, share)


def refused(changed: Evidence, whole: Evidence) -> None:
    cases.assume((changed.bundle, changed.report) != (whole.bundle, whole.report))

    assert not changed.verified().is_valid


class TestRandomEvidence:
    """Evidence of whole and faulty runs, alone, over workers, supervised; signed with either kind of key."""

    @cases.cases(sealed_run)
    def test_no_envelope_may_be_missing(self, whole: Evidence, rng: Choices) -> None:
        lines = whole.lines()
        gone = rng.subset(len(lines))

        refused(whole.with_lines([x for i, x in enumerate(lines) if i not in gone]), whole)

    @cases.cases(sealed_run)
    def test_no_envelope_may_be_doubled_or_moved(self, whole: Evidence, rng: Choices) -> None:
        lines = whole.lines()
        if rng.random() < 0.5:
            lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
        else:
            one, other = rng.sample(range(len(lines)), 2)
            lines[one], lines[other] = lines[other], lines[one]

        refused(whole.with_lines(lines), whole)

    @cases.cases(sealed_run, sealed_run)
    def test_no_envelope_or_report_fits_another_run(
        self, whole: Evidence, other: Evidence, rng: Choices
    ) -> None:
        """Each is signed by a trusted key, and together they are nobody's evidence."""
        lines, taken = whole.lines(), other.lines()
        at = rng.randint(0, len(lines))
        if at == len(lines):
            refused(replace(whole, report=other.report), whole)
        else:
            lines[at] = taken[at]
            refused(whole.with_lines(lines), whole)

    @cases.cases(sealed_run)
    def test_no_flipped_bit_or_lost_end_is_accepted(self, whole: Evidence, rng: Choices) -> None:
        """Anywhere in the bundle or the report."""
        in_report = rng.random() < 0.3
        data = bytearray(whole.report if in_report else whole.bundle)
        at = rng.randrange(len(data))
        if rng.random() < 0.75:
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[at:]
        changed = bytes(data)

        refused(replace(whole, report=changed) if in_report else replace(whole, bundle=changed), whole)


def _as_json_has_it(text: str) -> str:
    """Unpaired surrogates too; of a pair JSON makes one character, and no text that was read holds one."""
    read = json.loads(json.dumps(text))
    assert isinstance(read, str)
    return read


TEXTS = (st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lo"]))).map(_as_json_has_it)
ENVELOPES = st.builds(
    Envelope,
    TEXTS,
    st.binary(),
    st.lists(st.builds(Signature, st.none() | TEXTS, st.binary()), min_size=1, max_size=3).map(tuple),
)


class TestParseAfterFormat:
    @cases.drawn()
    @given(ENVELOPES)
    def test_is_identity_for_envelopes(self, envelope: Envelope) -> None:
        line = format_envelope(envelope)

        assert b"\n" not in line
        assert read_envelope(line) == envelope
        assert read_foreign_envelope(line) == envelope

    @cases.drawn()
    @given(st.binary() | st.text().map(str.encode))
    def test_other_bytes_are_evidence_errors(self, data: bytes) -> None:
        for read in (read_envelope, read_foreign_envelope, read_statement, read_report):
            with pytest.raises(EvidenceError):
                read(data)

    @cases.drawn()
    @given(st.lists(st.binary() | st.just(b'{"seq":0}\n') | st.just(b'{"damaged_base64":"AA=="}\n')), TEXTS)
    def test_is_identity_for_journals_of_any_bytes(self, extra: list[bytes], title: str) -> None:
        """Whatever stood in the journal comes back byte for byte, and the report stays JSON."""
        run = Run(title=title)
        events = [*run.events(), *extra]
        record = fold(events)
        report = read_report(build_report(events, record, run.policy(), run.decision(), signed=True))

        assert list(report.journal) == events
        assert report.policy == run.policy()
        assert fold(report.journal) == record

    @cases.drawn()
    @given(TEXTS, TEXTS)
    def test_any_unicode_can_be_sealed_and_verified(self, title: str, environment: str) -> None:
        run = Run(title=title, environment=environment)
        sealed = run.seal(KEY, run.envelope())

        assert Evidence.of(sealed, ANCHOR).verified().problems == ()


def _nonsense() -> tuple[PemSigner, Sealed]:
    key = signer()
    return key, Run(sandbox=True, environment="sandbox", signature=PolicySignature.UNSIGNED).seal(key)


NONSENSE = _nonsense()


class TestSignedNonsense:
    """What a trusted key signed may still be anything: never a traceback, never valid."""

    @cases.drawn()
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
    def test_a_statement_with_any_value_anywhere_is_refused(
        self, value: object, which: int, data: st.DataObject
    ) -> None:
        key, sealed = NONSENSE
        assert sealed.bundle is not None
        lines = sealed.bundle.splitlines()
        document = _loads(read_envelope(lines[which]).payload)
        holder, name = data.draw(st.sampled_from(list(_places(document))))
        assume(holder[name] != value or type(holder[name]) is not type(value))
        holder[name] = value
        lines[which] = sign_envelope(encode(document), STATEMENT_TYPE, key)
        found = verify_bundle(b"".join(line + b"\n" for line in lines), sealed.report, anchor(trusted(key)))

        assert not found.is_valid

    @cases.drawn()
    @given(st.binary(max_size=60), st.integers(min_value=0), st.integers(min_value=0, max_value=200))
    def test_a_report_with_any_bytes_anywhere_is_refused(self, extra: bytes, at: int, cut: int) -> None:
        """Signed as it stands: digests fit, so only its content can be wrong."""
        key, sealed = NONSENSE
        place = at % len(sealed.report)
        report = sealed.report[:place] + extra + sealed.report[place + cut :]
        assume(report != sealed.report)
        old, new = (hashlib.sha256(r).hexdigest().encode() for r in (sealed.report, report))
        assert sealed.bundle is not None
        resigned = resealed(sealed.bundle, old, new, key)
        found = verify_bundle(resigned, report, anchor(trusted(key)))

        if found.is_valid:  # spelling and words that decide nothing may differ, what was recorded may not
            assert found.record == fold(read_report(sealed.report).journal)
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
