"""A run that is opened from the newest one before it: what is green and fresh there is carried, the rest runs again.

Only the newest run of the plan, environment and shard is looked at. When it does not qualify nothing is carried:
going further back would step over whatever the newest one has found.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import bears_until, decide
from pytest_cutover.errors import ConfigError, CutoverError
from pytest_cutover.evidence.inclusion import PROOF_FILE, verify_logged
from pytest_cutover.evidence.opened import MAX_CHAIN, MadeFor, OpenedEvidence, carriable, troubled, unfit
from pytest_cutover.evidence.report import chain_length, is_fleet_report, read_report
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE
from pytest_cutover.evidence.unsigned import begun_between
from pytest_cutover.evidence.verify import signed_decision
from pytest_cutover.files import read_regular, write_atomic
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.evidence.claims import DecisionClaims
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.model import Decision, EffectivePolicy, GateDecision, RunRecord
    from pytest_cutover.run.context import RunContext

_START_S = 5.0
"""What a run takes besides its gates."""

_MISSING = (Reason.GATE_NOT_COLLECTED, Reason.GATE_DESELECTED, Reason.GATE_INSTANCES)


class NothingCarriedError(Exception):
    """Why no gate is carried; everything runs."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The run that is opened, and the lines with which its gates are carried."""

    folder: Path
    run_id: str
    nonce: str
    evidence: OpenedEvidence
    gates: tuple[Mapping[str, Any], ...]

    def announced(self) -> dict[str, Any]:
        """What the first line of the journal says of it."""
        return {
            "run_id": self.run_id,
            "nonce": self.nonce,
            "report": hashlib.sha256(self.evidence.report).hexdigest(),
            "bundle": hashlib.sha256(self.evidence.bundle).hexdigest(),
            "carried": len(self.gates),
        }

    def bring_attachments(self, run_dir: Path) -> None:
        """Put the files that carried gates left beside the new run; the evidence names their digests, here or not."""
        for attached in (a for gate in self.gates for a in gate["result"]["attachments"]):
            name = Path(str(attached.get("file"))).name
            with suppress(OSError, CutoverError):
                data = read_regular(self.folder / "attachments" / name)
                if hashlib.sha256(data).hexdigest() == attached.get("sha256"):
                    write_atomic(run_dir / "attachments" / name, data)


@dataclass(frozen=True, slots=True)
class _Found:
    """The newest run, verified."""

    folder: Path
    evidence: OpenedEvidence
    journal: tuple[bytes, ...]
    record: RunRecord
    claims: DecisionClaims


def opened(
    context: RunContext, anchor: Anchor | None, now: datetime, say: Callable[[str], None]
) -> RunContext:
    """The context of a run that carries what it can; `say` is told what, or in one line why nothing.

    Raises:
        ConfigError: nothing is red, stale or missing: there is nothing to run.
    """
    try:
        found = _verified(_newest(context, anchor), context, anchor, now)
        lines = carriable(found.journal)
        judged = decide(found.record, context.policy, now)
        chosen = choose(found.record, judged, lines, context.policy, now)
    except (NothingCarriedError, CutoverError) as exc:
        say(f"open: nothing is carried, every gate runs: {exc}")
        return context
    run_id, total = found.record.run_id, len(found.record.collected)
    if chosen and not any(_is_open(found.record, judged, chosen)):
        raise _nothing_is_open(found, context.policy, now)
    if not chosen:
        say(f"open: nothing is carried, every gate runs: none of run {run_id} is green and fresh enough")
        return context
    say(f"open: carried from run {run_id}, {found.claims.verdict.value}: {len(chosen)} of {total} gates")
    gates = tuple(lines[nodeid] for nodeid in chosen)
    opening = Opening(found.folder, run_id, found.record.nonce, found.evidence, gates)
    return replace(context, opening=opening)


def _is_open(record: RunRecord, judged: Decision, chosen: Sequence[str]) -> Iterator[bool]:
    """For each gate that is not carried, whether it could change anything; one that is not applicable does not."""
    known = set(chosen)
    for info, gate in zip(record.collected, judged.gates, strict=True):
        if info.nodeid not in known:
            yield {f.reason for f in gate.findings} != {Reason.GATE_NOT_APPLICABLE}
    yield any(f.reason in _MISSING for f in judged.findings)


def _nothing_is_open(found: _Found, policy: EffectivePolicy, now: datetime) -> ConfigError:
    claims = found.claims
    stands = claims.is_go and claims.expires_at > now
    until = (
        f", and its {claims.verdict.value} stands until {claims.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        if stands
        else ""
    )
    return ConfigError(
        f"nothing is open: every gate of run {claims.run_id} is green and fresh{until}",
        hint=f"cutover run {policy.plan} measures everything again; without measuring no decision gets younger",
    )


def outdated(context: RunContext, anchor: Anchor | None = None) -> str | None:
    """Why what this run carries counts no more: the run that it comes from is not the newest any longer."""
    if context.opening is None:
        return None
    try:
        newest = _newest(context, anchor)
    except NothingCarriedError as exc:
        return str(exc)
    if newest == context.opening.folder:
        return None
    return f"run {newest.name} began meanwhile: what is carried may be outdated"


# -- the newest run --------------------------------------------------------------------------


def _newest(context: RunContext, anchor: Anchor | None) -> Path:
    """The folder of the newest run of the same plan, environment and shard."""
    runs, policy = context.run_dir.parent, context.policy
    wanted = (policy.plan, policy.environment, context.shard)
    try:
        others = {p.name for p in runs.iterdir() if begun_between(p.name) is not None} - {context.run_id}
        names = sorted(others, reverse=True)
    except OSError:
        names = []
    for name in names:
        if _begun_for(runs / name, anchor) == wanted:
            return runs / name
    raise NothingCarriedError("there is no earlier run of this plan, environment and shard")


def _begun_for(folder: Path, anchor: Anchor | None) -> tuple[str, str, str | None] | None:
    """Plan, environment and shard of a run; None for a folder that is no single run's.

    What cannot be read could be the newest run of this very plan, so it ends the search.
    """
    journal, report, bundle = (_read(folder / n) for n in ("journal.jsonl", REPORT_FILE, BUNDLE_FILE))
    if journal is None and (is_fleet_report(report or b"") or report is bundle is None):
        return None
    head = fold([(journal or b"").partition(b"\n")[0] + b"\n"])
    if any(p.reason is Reason.RUN_JOURNAL_DAMAGED for p in head.problems):
        raise NothingCarriedError(f"run {folder.name} may be the newest, and its journal cannot be read")
    signed = None if bundle is None or anchor is None else signed_decision(bundle, anchor)
    if signed is not None and (signed.plan, signed.environment) != (head.plan, head.environment):
        raise NothingCarriedError(f"the journal of run {folder.name} is not the one that was signed")
    return head.plan, head.environment, head.shard


def _read(path: Path) -> bytes | None:
    """The file's bytes; None when it surely is not there."""
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise NothingCarriedError(f"run {path.parent.name} cannot be read: {exc.strerror}") from exc


def _verified(folder: Path, context: RunContext, anchor: Anchor | None, now: datetime) -> _Found:
    """The evidence of this run, if it is whole, signed by a trusted key, and made for the same as this one."""
    name = f"run {folder.name}, the newest,"
    bundle, report = _read(folder / BUNDLE_FILE), _read(folder / REPORT_FILE)
    if report is None:
        raise NothingCarriedError(f"{name} is under way, or was killed")
    if bundle is None:
        raise NothingCarriedError(f"{name} is not signed")
    if anchor is None:
        raise NothingCarriedError(f"there is no trusted key to verify {name.removesuffix(',')} with")
    found = verify_logged(bundle, report, _read(folder / PROOF_FILE), anchor)
    claims, record = found.decision, found.record
    if not found.is_valid or claims is None or record is None:
        codes = ", ".join(dict.fromkeys(p.code.code for p in found.problems))
        raise NothingCarriedError(f"{name} does not verify: {codes}")
    if not all(key.is_valid_at(now) for key in found.signers) or claims.decided_at > now:
        raise NothingCarriedError(f"{name} was signed with a key that ended, or in the future")
    journal = read_report(report).journal
    if record.run_id != folder.name or _read(folder / "journal.jsonl") != b"".join(journal):
        raise NothingCarriedError(f"{name} is not in its folder as it was signed")
    why = unfit(record, made_for(context)) or troubled(claims.findings)
    if why is not None:
        raise NothingCarriedError(f"{name.removesuffix(',')}: {why}")
    if chain_length(report) >= MAX_CHAIN:
        raise NothingCarriedError(f"{name} is the last of {MAX_CHAIN} that were opened in a row")
    return _Found(folder, OpenedEvidence(bundle, report), journal, record, claims)


def made_for(context: RunContext) -> MadeFor:
    """What the run of this context is made for."""
    policy = context.policy
    of_policy = {name: getattr(policy, name) for name in ("plan", "environment", "sandbox")}
    rest = {"policy_digest": policy.digest, "signer": context.signer_kind}
    known = of_policy | rest
    return MadeFor(
        **known, **{f.name: getattr(context, f.name) for f in fields(MadeFor) if f.name not in known}
    )


# -- which of its gates ----------------------------------------------------------------------


def choose(
    record: RunRecord,
    judged: Decision,
    lines: Iterable[str],
    policy: EffectivePolicy,
    now: datetime,
) -> list[str]:
    """Node ids of the gates that are green now and stay fresh while the others run, in their order.

    The time of the others is taken from the run that is opened: an estimate. The decision at the end looks at the
    clock again.
    """
    ran = [(info.nodeid, gate) for info, gate in zip(record.collected, judged.gates, strict=True)]
    known = set(lines)
    left = {nodeid: _left_s(gate, policy, now) for nodeid, gate in ran if nodeid in known and _is_green(gate)}
    while True:
        takes_s = _START_S + sum(gate.duration_s for nodeid, gate in ran if nodeid not in left)
        stay = {nodeid: left_s for nodeid, left_s in left.items() if left_s > takes_s}
        if stay == left:
            return list(left)
        left = stay


def _is_green(gate: GateDecision) -> bool:
    """Green by a limit, and nothing held against it; a waived gate is not green, and runs."""
    judged = any(j.limit is not None for j in gate.measurements)
    return gate.green and judged and all(f.reason is Reason.LIMIT_DIFFERS for f in gate.findings)


def _left_s(gate: GateDecision, policy: EffectivePolicy, now: datetime) -> float:
    """For how many seconds what it measured can still bear a decision."""
    ends = []
    for j in gate.measurements:
        if j.limit is not None:
            max_age_s = policy.max_age_s if j.limit.max_age_s is None else j.limit.max_age_s
            ends += [j.measurement.observed_at + timedelta(seconds=max_age_s), bears_until(j, policy)]
    return (min(ends) - now).total_seconds()
