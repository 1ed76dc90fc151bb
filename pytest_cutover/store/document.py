"""The evidence document of a run: what was decided, every file of the set with its SHA-256, and the sections.

Everything in it follows from the bundle, the report and the attachments, so whoever has those makes the same bytes
again: that is how it is checked, and why nothing signs it. **Building it verifies no signature.** No I/O.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.claims import (
    digest_of,
    fields_of,
    read_decision,
    read_statement,
    subject_of,
    typed,
)
from pytest_cutover.evidence.envelope import STATEMENT_TYPE, read_envelope
from pytest_cutover.evidence.report import is_fleet_report, read_report
from pytest_cutover.evidence.statements import DECISION, encode
from pytest_cutover.model import SECTION_TYPE, SECTIONS, ExitCode, Verdict, parse_rfc3339, rfc3339
from pytest_cutover.objects.names import is_name
from pytest_cutover.record import fold
from pytest_cutover.store.layout import ATTACHMENTS, BUNDLE_FILE, PROOF_FILE, REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.model import Subject

FORMAT = 1
KIND = "pytest-cutover evidence document"

_NAMES = (
    *("format", "kind", "run_id", "verdict", "exit_code", "decided_at", "expires_at", "plan", "environment"),
    *("sandbox", "subjects", "policy_digest", "files", "log", "sections"),
)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of the set."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LogIndex:
    """Which log holds the decision, and as which entry."""

    origin: str
    index: int


@dataclass(frozen=True, slots=True)
class Section:
    """One gate's part of a section; `content` is None when what the gate attached is no JSON object."""

    gate: str
    file: str
    content: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class EvidenceDocument:
    """A document that was read. Believe it only after it was made again from verified files."""

    run_id: str
    verdict: Verdict
    exit_code: ExitCode
    decided_at: datetime
    expires_at: datetime
    plan: str
    environment: str
    sandbox: bool
    subjects: tuple[Subject, ...]
    policy_digest: str
    files: Mapping[str, FileDigest]
    log: LogIndex | None
    sections: Mapping[str, tuple[Section, ...]]

    @property
    def order(self) -> tuple[datetime, str]:
        """What the newest document is found by."""
        return self.decided_at, self.run_id


# -- writing ---------------------------------------------------------------------------------


def build_document(files: Mapping[str, bytes]) -> bytes:
    """The document of a run, from the files of its set by name; see `without_lost`.

    Raises:
        EvidenceError: there is no signed decision among them, they cannot be read, or an attachment is another one, or
            that of a GO is missing.
    """
    decision = claimed_decision(files)
    if not is_name(decision.run_id):
        raise EvidenceError(
            f"expected a run's id of letters, digits, `.`, `_` and `-`, got {decision.run_id!r:.100}"
        )
    attached = tuple(attachments_of(files))
    for name, gate in _lost(files, attached).items():
        if name in files or decision.exit_code is ExitCode.GO:
            state = "another one" if name in files else "missing"
            file = name.removeprefix(ATTACHMENTS)
            raise EvidenceError(f"expected the attachment {file} of gate {gate}, it is {state}")
    head = {
        "format": FORMAT,
        "kind": KIND,
        "run_id": decision.run_id,
        "verdict": decision.verdict.value,
        "exit_code": int(decision.exit_code),
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
        "plan": decision.plan,
        "environment": decision.environment,
        "sandbox": decision.sandbox,
        "subjects": [{"name": s.name, "digest": dict(s.digest)} for s in decision.subjects],
        "policy_digest": decision.policy_digest,
        "files": {name: _digest(data) for name, data in sorted(files.items())},
        "log": _log(files.get(PROOF_FILE)),
    }
    lines = [b"%s:%s" % (encode(name), encode(value)) for name, value in head.items()]
    lines.append(b'"sections":{%s}' % b",".join(_sections(files, attached)))
    return b"{" + b",\n".join(lines) + b"}\n"


def without_lost(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The set of a run as it can be stored, and the names of the attachments that it lost.

    A NO-GO may take back a GO, so it is stored without what is missing or was changed since the gate attached it. Of a GO
    nothing is left out.

    Raises:
        EvidenceError: there is no signed decision among the files, or they cannot be read.
    """
    if claimed_decision(files).exit_code is ExitCode.GO:
        return dict(files), ()
    lost = tuple(_lost(files, attachments_of(files)))
    return {name: data for name, data in files.items() if name not in lost}, lost


def _lost(files: Mapping[str, bytes], attached: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The attachments that are not what the report says, by name, and whose they are."""
    found = {}
    for gate, fields in attached:
        name = f"{ATTACHMENTS}{fields['file']}"
        if hashlib.sha256(files.get(name, b"")).hexdigest() != fields["sha256"]:
            found[name] = gate
    return found


def claimed_decision(files: Mapping[str, bytes]) -> DecisionClaims:
    """What the bundle says was decided; **no signature is verified**.

    Raises:
        EvidenceError: there is no bundle, or no decision in it.
    """
    if BUNDLE_FILE not in files or REPORT_FILE not in files:
        missing = BUNDLE_FILE if BUNDLE_FILE not in files else REPORT_FILE
        raise EvidenceError(
            f"expected a decided and signed run, it has no {missing}",
            hint="a store keeps what can be proven: give the run a key",
        )
    for line in reversed(files[BUNDLE_FILE].split(b"\n")):
        try:
            envelope = read_envelope(line)
            if envelope.payload_type == STATEMENT_TYPE:
                statement = read_statement(envelope.payload)
                if statement.predicate_type == DECISION:
                    return read_decision(statement)
        except EvidenceError:
            continue
    raise EvidenceError(f"expected a decision in {BUNDLE_FILE}, there is none that can be read")


def attachments_of(files: Mapping[str, bytes]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The gate and the fields of each attachment that the journal in the report names; a merge has none.

    Raises:
        EvidenceError: the report cannot be read, or names a file that cannot be one.
    """
    if is_fleet_report(files[REPORT_FILE]):
        return
    record = fold(read_report(files[REPORT_FILE]).journal)
    keys = {info.nodeid: info.key for info in record.collected}
    for result in record.results:
        for fields in result.attachments:
            if not is_name(str(fields.get("file"))):
                raise EvidenceError(f"expected the name of an attachment, got {fields.get('file')!r:.100}")
            yield keys.get(result.nodeid, result.nodeid), fields


def _sections(
    files: Mapping[str, bytes], attached: tuple[tuple[str, Mapping[str, str]], ...]
) -> Iterator[bytes]:
    for name in SECTIONS:
        parts = [
            b'{"gate":%s,"file":%s,"content":%s}' % (encode(gate), encode(fields["file"]), content)
            for gate, fields in attached
            if fields.get("media_type") == SECTION_TYPE and fields.get("name") == name
            for data in [files.get(f"{ATTACHMENTS}{fields['file']}")]
            if data is not None
            for content in [_content(data)]
        ]
        if parts:
            yield b"%s:[%s]" % (encode(name), b",\n".join(parts))


def _content(data: bytes) -> bytes:
    """The attachment as it is: writing its numbers anew could change them."""
    try:
        return data.strip() if isinstance(strictjson.loads(data), dict) else b"null"
    except ValueError:
        return b"null"


def _digest(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _log(proof: bytes | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    from pytest_cutover.tlog.checkpoint import parse_checkpoint  # few runs that are read have a proof
    from pytest_cutover.tlog.proof import parse_proof

    parsed = parse_proof(proof, PROOF_FILE)
    return {"origin": parse_checkpoint(parsed.checkpoint, PROOF_FILE)[0].origin, "index": parsed.index}


# -- reading ---------------------------------------------------------------------------------


def read_document(data: bytes, where: str) -> EvidenceDocument:
    """The document in its bytes; **nothing is verified**.

    Raises:
        EvidenceError: not an evidence document of format 1; the message begins with `where`.
    """
    try:
        return _document(strictjson.loads(data))
    except (EvidenceError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise EvidenceError(f"{where}: expected an evidence document: {ascii(str(exc))[1:-1]:.200}") from None


def _document(value: Any) -> EvidenceDocument:
    fields = fields_of(value, "document", _NAMES)
    if fields["kind"] != KIND or type(fields["format"]) is not int or fields["format"] != FORMAT:
        raise EvidenceError(f"expected {KIND!r} of format {FORMAT}, got {fields['kind']!r:.60}")
    if set(fields["sections"]) - set(SECTIONS):
        raise EvidenceError(f"unknown section {min(set(fields['sections']) - set(SECTIONS))!r:.60}")
    return EvidenceDocument(
        run_id=typed(fields["run_id"], str),
        verdict=Verdict(fields["verdict"]),
        exit_code=ExitCode(typed(fields["exit_code"], int)),
        decided_at=parse_rfc3339(fields["decided_at"]),
        expires_at=parse_rfc3339(fields["expires_at"]),
        plan=typed(fields["plan"], str),
        environment=typed(fields["environment"], str),
        sandbox=typed(fields["sandbox"], bool),
        subjects=tuple(subject_of(s) for s in typed(fields["subjects"], list)),
        policy_digest=typed(fields["policy_digest"], str),
        files={name: _file(entry) for name, entry in typed(fields["files"], dict).items()},
        log=None if fields["log"] is None else _log_index(fields["log"]),
        sections={
            name: tuple(_section(part) for part in typed(parts, list))
            for name, parts in fields["sections"].items()
        },
    )


def _file(value: object) -> FileDigest:
    fields = fields_of(value, "file", ("sha256", "bytes"))
    return FileDigest(digest_of({"sha256": fields["sha256"]}), typed(fields["bytes"], int))


def _log_index(value: object) -> LogIndex:
    fields = fields_of(value, "log", ("origin", "index"))
    return LogIndex(typed(fields["origin"], str), typed(fields["index"], int))


def _section(value: object) -> Section:
    fields = fields_of(value, "section", ("gate", "file", "content"))
    content = fields["content"]
    return Section(
        typed(fields["gate"], str),
        typed(fields["file"], str),
        None if content is None else typed(content, dict),
    )
