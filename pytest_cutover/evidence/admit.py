"""May this digest go into this environment now? Asked at deploy time, of evidence, not of an exit code.

The newest decision about the digest and environment counts, so a NO-GO takes back an older GO. Evidence that does not
verify but may be newer refuses as well: damaging a NO-GO must not bring a GO back. So does a run that began later and has
not decided, or has decided later and is not signed (`unsigned`). Pure: bundles, keys and the time are arguments.

**Not seen here:** a run folder that was removed as a whole. Only a transparency log shows that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope
from pytest_cutover.evidence.inclusion import verify_logged
from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.evidence.unsigned import LONGEST_RUN, begun_between, taken_back
from pytest_cutover.evidence.verify import (
    Verification,
    floor_problems,
    signed_decision,
    time_problems,
)
from pytest_cutover.keys.trust import AnchorSource
from pytest_cutover.model import SANDBOX, counted, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.keys.trust import Anchor

_ALGORITHMS = {"sha256": (64,), "sha384": (96,), "sha512": (128,), "gitCommit": (40, 64), "gitTree": (40, 64)}

_SHOWN = 5
"""Runs, and problems of a run, that an answer lists."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Evidence that was found, read when it is needed: hundreds of runs may lie there."""

    name: str
    bundle: Callable[[], bytes | None]  # None: the run is unsigned
    report: Callable[[], bytes | None]
    run_id: str | None = None  # from the folder's name: a hint about how old it is, and nothing more
    first: Callable[[], bytes | None] = lambda: None  # line of the journal; None: there is no journal
    proof: Callable[[], bytes | None] = lambda: None  # that a log holds the bundle; None: there is none


@dataclass(frozen=True, slots=True)
class Question:
    """What a deploy step asks."""

    algorithm: str
    digest: str
    environment: str
    at: datetime
    policy_digest: str | None = None

    @property
    def subject(self) -> str:
        return f"{self.algorithm}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer: admitted only when there is no problem."""

    question: Question
    problems: tuple[EvidenceProblem, ...]
    chosen: str | None  # the evidence the answer rests on
    verification: Verification | None
    anchor: Anchor

    @property
    def is_admitted(self) -> bool:
        return not self.problems and self.verification is not None

    def to_json(self) -> dict[str, Any]:
        found = self.verification
        return {
            "admitted": self.is_admitted,
            "digest": self.question.subject,
            "environment": self.question.environment,
            "at": rfc3339(self.question.at),
            "policy_digest": self.question.policy_digest,
            "evidence": self.chosen,
            "decision": None if found is None or found.decision is None else found.decision.to_json(),
            "trust": {
                "source": self.anchor.source.value,
                "integrity_only": self.anchor.integrity_only,
                "description": self.anchor.description,
            },
            "problems": [p.to_json() for p in self.problems],
        }


def parse_digest(text: str) -> tuple[str, str]:
    """Algorithm and lowercase hex of `sha256:…`, or another of in-toto's digests.

    Raises:
        ValueError: unknown algorithm or not its number of hex digits.
    """
    algorithm, _, digest = text.partition(":")
    lengths = _ALGORITHMS.get(algorithm)
    if lengths is None:
        raise ValueError(f"expected sha256:HEX (or {', '.join(list(_ALGORITHMS)[1:])}), got {text!r}")
    if len(digest) not in lengths or not re.fullmatch("[0-9a-f]+", digest):
        expected = " or ".join(str(n) for n in lengths)
        raise ValueError(f"expected {expected} lowercase hex digits after {algorithm}:, got {digest!r}")
    return algorithm, digest


def admit(question: Question, candidates: Iterable[Candidate], anchor: Anchor) -> Admission:
    """Whether the newest decision about this digest and environment verifies and is an unexpired GO.

    Raises:
        ValueError: `question.at` is naive.
    """
    if question.at.tzinfo is None:
        raise ValueError("at must be timezone-aware")
    found = _Found.among(candidates, question, anchor)
    # Of two decisions made at the same instant the one that refuses counts.
    newest = max(found.fitting, key=lambda pair: (pair[1].decided_at, not pair[1].is_go), default=None)
    since = None if newest is None else newest[1].decided_at
    doubtful = [c for c in found.unreadable if since is None or not _surely_before(c.run_id, since)]
    doubts = [p for c in doubtful[:_SHOWN] for p in _doubt(c, _verify(c, question, anchor))]
    if newest is None:
        problems = doubts or found.strange(question, anchor) or found.nothing_fits(question)
        return Admission(question, tuple(problems), None, None, anchor)
    candidate, decision = newest
    doubts += found.taken_back(question, decision.decided_at)
    verification = _verify(candidate, question, anchor)
    doubts += found.left_out(decision, verification)
    # What was verified was read anew, and may be another file by now.
    own = (
        _refusals(question, decision, verification)
        if verification.is_valid and verification.decision == decision
        else _doubt(candidate, verification)
    )
    return Admission(question, (*own, *doubts), candidate.name, verification, anchor)


@dataclass(slots=True)
class _Found:
    """What lies there, sorted by what a trusted key says about it; only the newest is verified whole."""

    fitting: list[tuple[Candidate, DecisionClaims]] = field(default_factory=list)
    others: list[DecisionClaims] = field(default_factory=list)
    unreadable: list[Candidate] = field(default_factory=list)
    strangers: list[Candidate] = field(default_factory=list)
    unsigned: list[Candidate] = field(default_factory=list)

    @classmethod
    def among(cls, candidates: Iterable[Candidate], question: Question, anchor: Anchor) -> _Found:
        out = cls()
        for candidate in candidates:
            bundle = candidate.bundle()
            if bundle is None:
                out.unsigned.append(candidate)
                continue
            decision = signed_decision(bundle, anchor)
            if decision is None:
                (out.strangers if _is_a_strangers(bundle, anchor) else out.unreadable).append(candidate)
            elif decision.environment == question.environment and _is_about(decision, question):
                out.fitting.append((candidate, decision))
            else:
                out.others.append(decision)
        return out

    def taken_back(self, question: Question, since: datetime) -> list[EvidenceProblem]:
        """The runs without a bundle that began, or came to a NO-GO, after the newest decision."""
        about = (question.environment, question.algorithm, question.digest)
        answers = (
            taken_back(c.name, c.run_id, c.first(), c.report, about=about, since=since) for c in self.unsigned
        )
        return [problem for problem in answers if problem is not None][:_SHOWN]

    def left_out(self, decision: DecisionClaims, verification: Verification) -> list[EvidenceProblem]:
        """Decisions about single shards that a merge should have rested on: a later merge hides no NO-GO."""
        if verification.fleet is None:
            return []
        merged = verification.fleet.fleet.decisions
        runs = {d.run_id for d in merged}
        newest = {d.shard: d.decided_at for d in merged}
        begun = min((d.decided_at for d in merged), default=decision.decided_at)
        out = []
        for candidate, shard in self.fitting:
            if shard.shard is None or shard.plan != decision.plan or shard.run_id in runs:
                continue
            if shard.decided_at > newest.get(shard.shard, begun):
                message = f"shard {shard.shard} was decided in run {shard.run_id} at {rfc3339(shard.decided_at)}, and the merge was made without it"
                out.append(EvidenceProblem(ProblemCode.FLEET_OUTDATED, message, candidate.name))
        return out[:_SHOWN]

    def strange(self, question: Question, anchor: Anchor) -> list[EvidenceProblem]:
        """What is wrong with the newest evidence, when no trusted key signed any."""
        if self.others:
            return []
        return [p for c in self.strangers[:_SHOWN] for p in _of(c, _verify(c, question, anchor))]

    def nothing_fits(self, question: Question) -> list[EvidenceProblem]:
        """Why no decision answers the question."""
        if not self.others:
            found = f"{len(self.unsigned)} unsigned runs" if self.unsigned else "no run at all"
            return [EvidenceProblem(ProblemCode.EVIDENCE_NONE, f"there is {found}")]
        elsewhere = [d for d in self.others if _is_about(d, question)]
        if not elsewhere:
            message = f"{len(self.others)} signed decisions, none about {question.subject}"
            return [EvidenceProblem(ProblemCode.SUBJECT_MISMATCH, message)]
        names = ", ".join(sorted({d.environment for d in elsewhere}))
        message = f"decided for {names}, asked is {question.environment}"
        out = [EvidenceProblem(ProblemCode.ENVIRONMENT_MISMATCH, message)]
        if any(d.sandbox for d in elsewhere):
            message = "what was decided, was decided in the sandbox"
            out.append(EvidenceProblem(ProblemCode.SANDBOX_EVIDENCE, message))
        return out


def _verify(candidate: Candidate, question: Question, anchor: Anchor) -> Verification:
    # A bundle that vanished since it was listed is an empty one: it verifies as little.
    bundle = candidate.bundle() or b""
    return verify_logged(bundle, candidate.report(), candidate.proof(), anchor, log_key_at=question.at)


def _is_about(decision: DecisionClaims, question: Question) -> bool:
    # Without a named subject a statement is about its own report, which nobody deploys.
    named = [s for s in decision.subjects if s.digest.get("sha256") != decision.report_digest]
    return any(s.digest.get(question.algorithm) == question.digest for s in named)


def _refusals(
    question: Question, decision: DecisionClaims, verification: Verification
) -> list[EvidenceProblem]:
    out = []
    if not decision.is_go:
        codes = list(dict.fromkeys(f["code"] for f in decision.findings if f.get("weight") != "note"))
        more = f" and {len(codes) - 5} more" if len(codes) > 5 else ""
        reasons = f": {', '.join(codes[:5])}{more}" if codes else ""
        message = (
            f"run {decision.run_id} is {decision.verdict.value} (exit {int(decision.exit_code)}){reasons}"
        )
        out.append(EvidenceProblem(ProblemCode.DECISION_NOT_GO, message))
    out += time_problems(decision, verification.signers, question.at)
    judged_by = verification.report or verification.fleet
    if judged_by is not None:
        out += floor_problems(judged_by.policy, verification.anchor)
    if question.environment != SANDBOX:
        if decision.sandbox:
            message = f"run {decision.run_id} was made in a sandbox"
            out.append(EvidenceProblem(ProblemCode.SANDBOX_EVIDENCE, message))
        if verification.anchor.source is AnchorSource.DEVELOPMENT:
            message = "the only trusted key is this machine's development key"
            out.append(EvidenceProblem(ProblemCode.TRUST_DEVELOPMENT, message))
    if question.policy_digest is not None and decision.policy_digest != question.policy_digest:
        message = f"decided under {decision.policy_digest}, demanded is {question.policy_digest}"
        out.append(EvidenceProblem(ProblemCode.POLICY_MISMATCH, message))
    return out


# -- evidence that does not verify -----------------------------------------------------------


def _doubt(candidate: Candidate, found: Verification) -> list[EvidenceProblem]:
    """The problems of evidence that could be a newer decision about the same."""
    why = (
        f"has {counted(len(found.problems), 'problem')}"
        if found.problems
        else "it was changed while it was read"
    )
    message = f"it could be a newer decision, and {why}"
    return [EvidenceProblem(ProblemCode.EVIDENCE_DOUBTFUL, message, candidate.name), *_of(candidate, found)]


def _is_a_strangers(bundle: bytes, anchor: Anchor) -> bool:
    """Whether it is undamaged in form and no statement in it names a key of the anchor: not ours at all."""
    try:
        envelopes = [read_envelope(line) for line in bundle.removesuffix(b"\n").split(b"\n")]
    except EvidenceError:
        return False
    signed_by = {s.keyid for e in envelopes if e.payload_type == STATEMENT_TYPE for s in e.signatures}
    return bool(signed_by) and signed_by.isdisjoint(key.keyid for key in anchor.keys)


def _surely_before(run_id: str | None, since: datetime) -> bool:
    begun = begun_between(run_id)
    return begun is not None and begun[1] + LONGEST_RUN < since


def _of(candidate: Candidate, found: Verification) -> list[EvidenceProblem]:
    return [
        EvidenceProblem(
            p.code, p.message, candidate.name if p.where is None else f"{candidate.name} {p.where}"
        )
        for p in found.problems[:_SHOWN]
    ]
