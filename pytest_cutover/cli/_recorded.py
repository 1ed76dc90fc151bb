"""What the verbs that judge again share: evidence found, verified, and read back as a case to be decided."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import _evidence, _runs
from pytest_cutover.errors import ConfigError, CutoverError, EvidenceError
from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.report import KIND, read_report
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.verify import looks_like_bundle
from pytest_cutover.model import Verdict, parse_rfc3339, rfc3339
from pytest_cutover.record import fold
from pytest_cutover.rejudge.case import Case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_cutover.cli import Parser
    from pytest_cutover.evidence.report import Report
    from pytest_cutover.evidence.verify import Verification
    from pytest_cutover.model import Decision, Finding

_SHOWN = 5
"""Problems of evidence that an error lists; `cutover verify` lists all."""


class Standing(Enum):
    """How far the evidence that is judged again was proven."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run's evidence: what was judged, and what it came to then."""

    path: Path
    standing: Standing
    case: Case
    decision: Decision
    claimed: str  # the verdict that stands in the report
    said: str  # who vouches for it, in one line
    trust: str | None = None  # and what that is worth

    @property
    def run_id(self) -> str:
        return self.case.record.run_id

    def lines(self) -> Iterator[str]:
        """Which run this is and what it is worth, for people."""
        record, decision = self.case.record, self.decision
        yield f"run       {record.run_id or '(unnamed)'}  {record.plan} → {record.environment}"
        yield f"evidence  {self.said}"
        if self.trust is not None:
            yield f"trust     {self.trust}"
        if self.claimed != decision.verdict.value:
            yield f"          the report claims {self.claimed}: its own journal does not give that"

    def to_json(self) -> dict[str, Any]:
        record = self.case.record
        return {
            "evidence": str(self.path),
            "standing": self.standing.value,
            "run_id": record.run_id,
            "plan": record.plan,
            "environment": record.environment,
        }


def add_evidence(parser: Parser, name: str = "evidence") -> None:
    """The argument that names evidence, and the options that say how it is believed."""
    parser.add_argument(
        name,
        metavar="RUN",
        help=f"a run folder, its {BUNDLE_FILE} or {REPORT_FILE}; or a run id, the beginning of one, or last",
    )


def add_belief(parser: Parser) -> None:
    """How evidence is believed: by which keys, or not at all."""
    parser.add_argument(
        "--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)"
    )
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="go on with evidence that does not verify; what is said then rests on nothing",
    )


def load(name: str, options: argparse.Namespace) -> Recorded:
    """The evidence at `name`, verified; unsigned evidence is taken for what it is.

    Raises:
        ConfigError: it cannot be read, or does not verify and `--unverified` was not given.
    """
    bundle_path, report_path = _places(_named(name))
    report = _evidence.read_if_there(report_path)
    bundle = _evidence.read_if_there(bundle_path)
    if bundle is None and report is None:
        raise ConfigError(
            f"expected {BUNDLE_FILE} and {REPORT_FILE} in {name}, got neither",
            hint="give a run folder, a bundle, or the report beside it",
        )
    if bundle is None and report is not None:
        return _unsigned(report_path, report, unverified=options.unverified)
    assert bundle is not None  # for the type checker: both None was refused above
    if not looks_like_bundle(bundle) and not options.unverified:
        raise ConfigError(f"{bundle_path} is not a bundle: no line of it is a DSSE envelope")
    return _signed(bundle_path, bundle, report, options)


def _named(name: str) -> Path:
    """A path; or `last`, a run id or the beginning of one, as `cutover show` takes them."""
    if "/" in name or os.path.lexists(name):  # Path raises for names no file can have
        return Path(name)
    return _runs.find_run(name) if name == "last" or _runs.RUNS.is_dir() else Path(name)


def _places(path: Path) -> tuple[Path, Path]:
    """Where the bundle and the report are, whichever of them, or their folder, was named."""
    if path.suffix == ".json" and not os.path.isdir(path):  # noqa: PTH112 # Path.is_dir raises for names no file can have
        return path.with_name(BUNDLE_FILE), path
    bundle = _evidence.bundle_of(path)
    return bundle, bundle.with_name(REPORT_FILE)


def _signed(path: Path, bundle: bytes, report: bytes | None, options: argparse.Namespace) -> Recorded:
    try:
        proof = _evidence.read_if_there(path.with_name(PROOF_FILE))
        found = verify_logged(bundle, report, proof, _evidence.anchor(options.trust))
    except CutoverError:
        if not options.unverified or report is None:
            raise
        return _read(path, report, Standing.UNVERIFIED, "NOT VERIFIED: there is no trusted key")
    if found.fleet is not None:
        raise ConfigError(
            f"{path} is the evidence of a merge: a fleet is green when its shards are",
            hint="name the run of one of its shards; `cutover verify` lists them",
        )
    if found.is_valid and found.report is not None and found.record is not None:
        who = ", ".join(k.name for k in found.signers)
        said = f"verified: whole, unchanged, signed by {who}"
        return _of(path, found.report, Standing.VERIFIED, said, found)
    if not options.unverified or report is None:
        raise ConfigError(
            f"{path} does not verify:\n{_told(found)}",
            hint="`cutover verify` says more; --unverified goes on all the same, and proves nothing",
        )
    codes = ", ".join(dict.fromkeys(p.code.code for p in found.problems))
    return _read(path, report, Standing.UNVERIFIED, f"NOT VERIFIED, it proves nothing: {codes}")


def _told(found: Verification) -> str:
    lines = list(_evidence.problem_lines(found.problems))
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(_evidence.plain(line) for line in [*lines[:_SHOWN], *more])


def _unsigned(path: Path, data: bytes, *, unverified: bool) -> Recorded:
    recorded = _read(path, data, Standing.UNSIGNED, "UNSIGNED: anybody can have written this report")
    if not _parsed(path, data).signed:
        return recorded
    if not unverified:
        raise ConfigError(
            f"{path} says that it was signed, and there is no {BUNDLE_FILE} beside it",
            hint="give the run folder; --unverified goes on without, and proves nothing",
        )
    return _read(path, data, Standing.UNVERIFIED, "NOT VERIFIED, it proves nothing: its bundle is not there")


def _read(path: Path, data: bytes, standing: Standing, said: str) -> Recorded:
    return _of(path, _parsed(path, data), standing, said)


def _parsed(path: Path, data: bytes) -> Report:
    try:
        return read_report(data)
    except EvidenceError as exc:
        raise ConfigError(
            f"{path} is not a report of a run: {exc}", hint=f"expected the kind {KIND!r}"
        ) from None


def _of(
    path: Path, report: Report, standing: Standing, said: str, found: Verification | None = None
) -> Recorded:
    try:
        record = None if found is None else found.record
        folded = fold(report.journal) if record is None else record
        decided_at = parse_rfc3339(report.decision["decided_at"])
        case = Case(folded, report.policy, decided_at, report.waivers)
        decision, claimed = case.decide(), str(report.decision["verdict"])
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"{path} holds no decision that can be judged again: {ascii(str(exc))[:100]}"
        ) from None
    trust = None if found is None else found.anchor.description
    return Recorded(path, standing, case, decision, claimed, said, trust)


def is_go(decision: Decision) -> bool:
    """Whether a decision would let something through."""
    return decision.verdict in (Verdict.GO, Verdict.GO_WITH_GUARDS)


def verdict_json(decision: Decision) -> dict[str, Any]:
    """A decision in short, with every reason."""
    return {
        "verdict": decision.verdict.value,
        "exit_code": int(decision.exit_code),
        "at": rfc3339(decision.decided_at),
        "findings": [f.to_json() for f in decision.findings],
    }


def finding_line(finding: Finding) -> str:
    """One finding in one line: its code, gate and message."""
    gate = "" if finding.gate is None else f"{finding.gate}: "
    message = (finding.message.splitlines() or [""])[0]
    return f"[{finding.reason.code}] {gate}{message}"
