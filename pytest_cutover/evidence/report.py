"""report.json: one run in plain JSON, for people and tools; the bundle signs its digest.

Layout (format 1): top-level keys one per line, journal events verbatim, one per line. A journal line that
is not JSON, or was cut off, is kept as `{"damaged_base64": "…"}`; the journal comes back byte for byte. A run
that was opened from an earlier one ends with that run's bundle and report, verbatim too.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import EvidenceError
from pytest_cutover.evidence.statements import encode, text_of, texts
from pytest_cutover.model import EffectivePolicy, rfc3339
from pytest_cutover.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_cutover.evidence.opened import OpenedEvidence
    from pytest_cutover.model import Decision, GateDecision, JudgedMeasurement, Limit, RunRecord
    from pytest_cutover.waiver import GivenWaiver

FORMAT = 1
KIND = "pytest-cutover evidence report"
FLEET_KIND = "pytest-cutover fleet report"

_JOURNAL = b'\n"journal":[\n'
_END = b"\n]}\n"
_OPENED = (
    b'\n],\n"opened":{"bundle":[\n'  # no line of a journal or bundle holds a newline, so it is found once
)
_OPENED_REPORT = b'\n],\n"report":\n'
_OPENED_END = b"}}\n"
_DAMAGED = re.compile(rb'\{"damaged_base64":"([A-Za-z0-9+/]*={0,2})"\}')


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was read back. Believe it only after its digest was found in a verified bundle."""

    signed: bool
    run: Mapping[str, Any]
    policy: EffectivePolicy
    decision: Mapping[str, Any]
    journal: tuple[bytes, ...]
    waivers: tuple[GivenWaiver, ...] = ()
    opened: OpenedEvidence | None = None


def build_report(
    events: Sequence[bytes],
    record: RunRecord,
    policy: EffectivePolicy,
    decision: Decision,
    *,
    signed: bool,
    waivers: Sequence[GivenWaiver] = (),
    opened: OpenedEvidence | None = None,
) -> bytes:
    """The report's bytes; `events` are the journal's lines as they were written, each with its newline.

    `waivers` are all that were given, also those that do not count; `opened` is what carried gates come from.
    """
    limits: dict[int, str] = {}
    gates = [_gate(g, limits) for g in decision.gates]
    findings = [encode(f.to_json()).decode("ascii") for f in decision.findings]
    verdict = {
        "verdict": decision.verdict.value,
        "exit_code": int(decision.exit_code),
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
    }
    return b"".join(
        (
            b'{"format":%d,\n"kind":%b,\n"signed":%b,\n' % (FORMAT, encode(KIND), encode(signed)),
            b'"run":%b,\n' % encode(run_summary(record)),
            b'"policy":%b,\n' % encode(policy.to_json()),
            _waivers_section(waivers) if waivers else b"",
            b'"decision":%b,\n' % encode(verdict)[:-1],
            b'"findings":%b,\n"gates":%b},' % (by_line(findings), by_line(gates)),
            _JOURNAL,
            b",\n".join(_journal_lines(events, record)),
            _END if opened is None else _opened_section(opened),
        )
    )


def _waivers_section(waivers: Sequence[GivenWaiver]) -> bytes:
    from pytest_cutover.evidence.waivers import given_to_json

    return b'"waivers":%b,\n' % encode([given_to_json(w) for w in waivers])


def _opened_section(opened: OpenedEvidence) -> bytes:
    bundle = opened.bundle.removesuffix(b"\n").replace(b"\n", b",\n")
    return b"".join((_OPENED, bundle, _OPENED_REPORT, opened.report.removesuffix(b"\n"), _OPENED_END))


def chain_length(report: bytes) -> int:
    """How many runs the run of this report was opened from, one from the other."""
    return report.count(_OPENED)


def is_fleet_report(data: bytes) -> bool:
    """Whether `data` calls itself the report of a merge; what it is, its reader says."""
    return data.startswith(b'{"format":%d,\n"kind":%b,\n' % (FORMAT, encode(FLEET_KIND)))


def run_summary(record: RunRecord) -> dict[str, Any]:
    """The run in short; everything in it follows from the journal."""
    return {
        "run_id": record.run_id,
        "nonce": record.nonce,
        "plan": record.plan,
        "environment": record.environment,
        "sandbox": record.sandbox,
        "runner": record.runner.value,
        "signer": record.signer.value,
        "shard": None if record.shard is None else text_of(record.shard),
        "subjects": [{"name": text_of(s.name), "digest": texts(s.digest)} for s in record.subjects],
        "policy_digest": record.policy_digest,
        "gate_code_digest": record.gate_code_digest,
        "started_at": rfc3339(record.started_at),
        "finished_at": None if record.finished_at is None else rfc3339(record.finished_at),
        "complete": record.complete,
        "collected": len(record.collected),
        "deselected": len(record.deselected),
        "finished": sum(r.carried_from is None for r in record.results),
        "versions": texts(record.versions),
        "target": texts(record.target),
        **_opened_summary(record),
    }


def _opened_summary(record: RunRecord) -> dict[str, Any]:
    if record.opened is None:
        return {}
    carried = sum(r.carried_from is not None for r in record.results)
    return {"opened": record.opened.run_id, "carried": carried}


def read_report(data: bytes) -> Report:
    """The report in `data`, its journal byte for byte.

    Raises:
        EvidenceError: not a report of format 1.
    """
    head, found, rest = data.partition(_JOURNAL)
    rest, opened = _split_opened(rest)
    if not found or not rest.endswith(_END[1:]):
        raise EvidenceError("expected a report that ends with its journal")
    try:
        document = strictjson.loads(head + b'\n"journal":[]}')
    except ValueError as exc:
        raise EvidenceError(f"expected a report in JSON: {exc}") from None
    names = ("format", "kind", "signed", "run", "policy", "decision", "journal")
    if not isinstance(document, dict) or tuple(n for n in document if n != "waivers") != names:
        raise EvidenceError(f"expected a report with {', '.join(names)}")
    if type(document["format"]) is not int or document["format"] != FORMAT or document["kind"] != KIND:
        raise EvidenceError(f"expected a report of format {FORMAT}, got {document['format']!r:.40}")
    for name, kind in (("signed", bool), ("run", dict), ("decision", dict)):
        if not isinstance(document[name], kind):
            raise EvidenceError(f"expected {name} to be of type {kind.__name__}")
    return Report(
        document["signed"],
        document["run"],
        policy_of(document["policy"]),
        document["decision"],
        _journal(rest[: -len(_END)] if rest != _END[1:] else b""),
        _waivers(document["waivers"]) if "waivers" in document else (),
        opened,
    )


def _split_opened(rest: bytes) -> tuple[bytes, OpenedEvidence | None]:
    """What follows the journal's beginning, up to its end, and the evidence of the run that was opened."""
    journal, found, opened = rest.partition(_OPENED)
    if not found:
        return rest, None
    bundle, found, report = opened.partition(_OPENED_REPORT)
    if not found or not report.endswith(_OPENED_END):
        raise EvidenceError("expected a report that ends with the report of the run that was opened")
    from pytest_cutover.evidence.opened import OpenedEvidence  # few runs carry gates

    evidence = OpenedEvidence(bundle.replace(b",\n", b"\n") + b"\n", report.removesuffix(_OPENED_END) + b"\n")
    return journal + _END, evidence


def _waivers(value: Any) -> tuple[GivenWaiver, ...]:
    from pytest_cutover.evidence.waivers import given_from_json  # few runs are given any

    try:
        return tuple(given_from_json(w) for w in value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise EvidenceError(f"the report's waivers are malformed: {ascii(str(exc))[:100]}") from None


def policy_of(value: object) -> EffectivePolicy:
    try:
        return EffectivePolicy.from_json(_floats(value))
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as exc:
        raise EvidenceError(f"the report's policy is malformed: {ascii(str(exc))[:100]}") from None


def _floats(value: Any) -> Any:
    """The policy's durations as the floats they were written from; its limits are texts already."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {k: _floats(v) for k, v in value.items()}
    return [_floats(v) for v in value] if isinstance(value, list) else value


# As in `statements`: one text per gate, no containers for the garbage collector to walk.


def by_line(items: Sequence[str]) -> bytes:
    """A JSON array with one item per line."""
    lines = ",\n".join(items)
    return f"[\n{lines}]".encode("ascii") if items else b"[]"


def _gate(gate: GateDecision, limits: dict[int, str]) -> str:
    duration = f"{gate.duration_s:.6f}" if math.isfinite(gate.duration_s) else "null"
    measurements = ",".join([_measurement(j, limits) for j in gate.measurements])
    findings = ",".join([f'"{f.reason.code}"' for f in gate.findings])
    return (
        f'{{"gate":{quote(gate.key)},"title":{quote(gate.title)},"required":{_word(gate.required)},'
        f'"green":{_word(gate.green)},"category":{_word(gate.category)},"owner":{_word(gate.owner)},'
        f'"duration_s":{duration},"measurements":[{measurements}],"findings":[{findings}]'
        + (f',"carried_from":{quote(gate.carried_from)}}}' if gate.carried_from is not None else "}")
    )


def _measurement(judged: JudgedMeasurement, limits: dict[int, str]) -> str:
    m = judged.measurement
    return (
        f'{{"name":{quote(m.name)},"measured":{quote(m.value)},"unit":{quote(m.unit)},'
        f'"limit":{_limit(judged.limit, limits)},"green":{_word(judged.green)}}}'
    )


def _limit(limit: Limit | None, known: dict[int, str]) -> str:
    text = known.get(id(limit))
    if text is None:
        text = known[id(limit)] = _word(None if limit is None else limit.text())
    return text


def _word(value: str | bool | None) -> str:
    if isinstance(value, str):
        return quote(value)
    return "null" if value is None else "true" if value else "false"


# -- the journal inside the report -----------------------------------------------------------


def _journal_lines(events: Sequence[bytes], record: RunRecord) -> list[bytes]:
    # fold() has parsed every line already: only where it found damage is a line looked at again.
    if any(p.reason is Reason.RUN_JOURNAL_DAMAGED for p in record.problems):
        return [_kept(line) for line in events]
    lines = [line[:-1] for line in events]
    return lines if not any(b"\n" in line for line in lines) else [_kept(line) for line in events]


def _kept(line: bytes) -> bytes:
    body = line[:-1]
    if line.endswith(b"\n") and b"\n" not in body and _is_json(body) and not _DAMAGED.fullmatch(body):
        return body
    return b'{"damaged_base64":"%b"}' % binascii.b2a_base64(line, newline=False)


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(_DECODER.decode(body.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _journal(section: bytes) -> tuple[bytes, ...]:
    return tuple(_restored(line) for line in section.split(b",\n")) if section else ()


def _restored(line: bytes) -> bytes:
    damaged = _DAMAGED.fullmatch(line)
    if damaged is None:
        return line + b"\n"
    try:
        return binascii.a2b_base64(damaged[1], strict_mode=True)
    except binascii.Error:
        raise EvidenceError("a damaged journal line is not kept in base64") from None
