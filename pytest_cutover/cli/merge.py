"""`cutover merge`: the runs of a fleet's shards, decided as one, signed as one."""

from __future__ import annotations

import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _evidence
from pytest_cutover.errors import VerificationError
from pytest_cutover.evidence.seal import REPORT_FILE
from pytest_cutover.model import ExitCode, SignerKind, rfc3339

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.policy.load import LoadedPolicy
    from pytest_cutover.run.ending import Keeping
    from pytest_cutover.run.logged import RunLog
    from pytest_cutover.run.merging import Merged

SHOWN = 20
"""Findings printed; the report has all."""


def run(argv: Sequence[str]) -> int:
    """Exit as the fleet's decision says: 0, 10, 11 or 12; 2 when nothing could be merged."""
    options = _parser().parse_args(argv)
    merged = _merge(options)
    for warning in merged.warnings:
        _say(f"warning: {warning}")
    if options.json:
        print(json.dumps(_json(merged), indent=1))
    else:
        _evidence.show(_lines(merged))
    return int(merged.decision.exit_code)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover merge",
        description="Decide about a fleet from the runs of its shards, as the plan of the policy names or counts them, "
        "and sign that. Only what verifies counts, and a shard that is missing is NO-GO.",
        epilog="exit codes: 0 GO, 10 NO-GO, 11 NO-GO (unproven), 12 HOLD, 2 unusable input, 64 usage",
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="the run folder, or bundle, of each shard")
    add("--plan", required=True, metavar="NAME", help="plan of the policy, such as preflight")
    add(
        "--environment",
        metavar="NAME",
        help="environment that is judged; default: CUTOVER_ENV, then the policy's",
    )
    add("--policy", metavar="FILE", help="the policy; default: CUTOVER_POLICY, then configs/policy.json")
    add("--key", metavar="FILE", help="signing key, or none; default: CUTOVER_KEY, then a development key")
    add("--trust", metavar="FILE", help="trust file; default: CUTOVER_TRUST, then configs/trust.json")
    add("--report", metavar="PATH", help="put a copy of report.json there")
    add("--json", action="store_true", help="print the decision as JSON")
    return parser


def _merge(options: argparse.Namespace) -> Merged:
    from pytest_cutover import __version__
    from pytest_cutover.evidence.fleet import shard_evidence
    from pytest_cutover.fleet import FleetRecord
    from pytest_cutover.keys.signer import load_signer
    from pytest_cutover.policy.load import load_policy
    from pytest_cutover.run.context import RUNS, new_run_id
    from pytest_cutover.run.merging import Merge, conclude

    anchor = _evidence.anchor(options.trust)
    now = datetime.now(UTC)
    loaded = load_policy(
        Path(options.policy or os.environ.get("CUTOVER_POLICY") or "configs/policy.json"),
        plan=options.plan,
        environment=options.environment or os.environ.get("CUTOVER_ENV") or None,
        anchor=anchor,
        now=now,
    )
    policy = loaded.effective
    signer = load_signer(os.environ, Path.cwd(), option=options.key, say=_say)
    if signer is not None:
        anchor.refuse_old(signer.keyid)
    log = None if signer is None else _open_log(loaded, anchor, now)
    keeping = _keeping(loaded, anchor)
    shards = tuple(shard_evidence(*given, anchor, at=now) for given in _evidence.shards(options.runs))
    fleet = FleetRecord(
        run_id=new_run_id(now),
        nonce=secrets.token_hex(16),
        plan=policy.plan,
        environment=policy.environment,
        sandbox=policy.sandbox,
        signer=SignerKind.NONE if signer is None else signer.kind,
        policy_digest=policy.digest,
        shards=shards,
        versions={"pytest-cutover": __version__},
    )
    copies = () if options.report is None else (Path(options.report),)
    folder = Path(RUNS) / fleet.run_id
    return conclude(Merge(fleet, policy, loaded.envelope, folder, copies, signer, log, keeping))


def _open_log(loaded: LoadedPolicy, anchor: Anchor, now: datetime) -> RunLog | None:
    """The transparency log that the policy names, if it names one; it must continue what earlier runs saw."""
    if loaded.effective.log is None:
        return None
    from pytest_cutover.run.logged import open_policy_log

    log = open_policy_log(loaded, Path.cwd(), os.environ, anchor, now=now, say=_say)
    if log is not None and log.rewritten is not None:
        raise VerificationError(log.rewritten, hint="cutover log audit says more")
    return log


def _keeping(loaded: LoadedPolicy, anchor: Anchor) -> Keeping | None:
    """The evidence store of the policy, if it has one."""
    rule = loaded.profile.store
    if rule is None:
        return None
    from pytest_cutover.run.context import open_store
    from pytest_cutover.run.ending import Keeping

    store = open_store(rule, Path.cwd())
    return None if store is None else Keeping(store, loaded.effective.environment, anchor, rule.retain_for)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _json(merged: Merged) -> dict[str, object]:
    decision, fleet = merged.decision, merged.fleet
    return {
        "verdict": decision.verdict.value,
        "exit_code": int(decision.exit_code),
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
        "plan": fleet.plan,
        "environment": fleet.environment,
        "run_id": fleet.run_id,
        "evidence": None if merged.folder is None else str(merged.folder),
        "signed": merged.signer is not None,
        "shards": [
            {
                "source": s.source,
                "shard": None if s.decision is None else s.decision.shard,
                "verdict": None if s.decision is None else s.decision.verdict.value,
                "problems": list(s.problems),
            }
            for s in fleet.shards
        ],
        "findings": [f.to_json() for f in decision.findings],
    }


def _lines(merged: Merged) -> Iterator[str]:
    decision, fleet = merged.decision, merged.fleet
    green = sum(s.decision is not None and s.decision.verdict.value.startswith("GO") for s in fleet.shards)
    verdict = f"{decision.verdict.value} (exit {int(decision.exit_code)})"
    yield f"{verdict}  {fleet.plan} → {fleet.environment}  {green} of {len(fleet.shards)} shards green"
    shown = decision.findings if merged.folder is None else decision.findings[:SHOWN]
    for finding in shown:
        yield f"  [{finding.reason.code}] {finding.message}"
        if finding.remedy is not None:
            yield f"      remedy {finding.remedy}"
    if merged.folder is None:
        yield "evidence  none: nothing is admitted by this decision"
        return
    if len(decision.findings) > len(shown):
        yield f"  and {len(decision.findings) - len(shown)} more in {merged.folder / REPORT_FILE}"
    if merged.signer is None:
        yield f"evidence  {merged.folder / REPORT_FILE}: UNSIGNED, admits nothing (no signing key)"
        return
    kind = "development key" if merged.signer.kind is SignerKind.DEVELOPMENT else "key"
    yield f"evidence  {merged.folder}"
    yield f"signed    with {kind} {merged.signer.keyid[:12]}"
    if decision.exit_code is ExitCode.GO:
        yield f"valid     until {decision.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"verify    cutover verify {merged.folder}"
