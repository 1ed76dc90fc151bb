"""Guards put in place: written to a file, handed to the policy's command, and confirmed by it or not."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from pytest_cutover.errors import CutoverError
from pytest_cutover.files import write_atomic
from pytest_cutover.model import Decision, Verdict, rfc3339
from pytest_cutover.reasons import Reason, Weight
from pytest_cutover.run.journal import Journal
from pytest_cutover.waiver import guards_digest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_cutover.run.context import RunContext

GUARDS_FILE = "guards.json"
FORMAT = 1


def are_awaited(decision: Decision) -> bool:
    """Whether guards are all that a GO-WITH-GUARDS still waits for."""
    held = {f.reason for f in decision.findings if f.weight is not Weight.NOTE}
    return decision.verdict is Verdict.HOLD and held == {Reason.GUARDS_UNCONFIRMED}


def inject(context: RunContext, decision: Decision) -> str | None:
    """Write the guards, hand them to the command, and journal what it said.

    Returns why the journal cannot be written, or None.
    """
    path = context.run_dir / GUARDS_FILE
    try:
        data = guards_document(context, decision)
        write_atomic(path, data)
        problem = _confirmation(context, path, data)
        journal = Journal(context.run_dir / "journal.jsonl", resume=True)
    except CutoverError as exc:
        return str(exc)
    if problem is None:
        journal.write("guards.confirmed", guards=guards_digest(decision.guards), file=_digest(data))
    else:
        journal.problem(Reason.GUARDS_UNCONFIRMED.code, problem)
    journal.close()
    return journal.broken


def guards_document(context: RunContext, decision: Decision) -> bytes:
    """What the command reads: the guards, the waivers they come from, and what they are for."""
    document = {
        "format": FORMAT,
        "kind": "pytest-cutover guards",
        "run_id": context.run_id,
        "environment": context.policy.environment,
        "subjects": [{"name": s.name, "digest": dict(s.digest)} for s in context.subjects],
        "expires_at": rfc3339(decision.expires_at),
        "digest": guards_digest(decision.guards),
        "guards": [
            {
                **bound.guard.to_json(),
                "due_at": None if bound.due_at is None else rfc3339(bound.due_at),
                "waiver": bound.given.digest,
                "gate": bound.given.waiver.gate,
                "ticket": bound.given.waiver.ticket,
            }
            for bound in decision.guards
        ],
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode("ascii")


def _confirmation(context: RunContext, path: Path, data: bytes) -> str | None:
    """Why the guards are not confirmed, or None when they are."""
    rule = context.guards
    if rule is None:
        return f"environment {context.policy.environment} has no guards command in the policy"
    from pytest_cutover.sources.command import CommandSource

    # It has to reach the systems that hold flags and traffic; what it needs for that is in the environment.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUTOVER_KEY")}
    try:
        said = CommandSource().run(
            [*rule.command, str(path)], timeout_s=rule.timeout_s, env=environment, cwd=context.rootdir
        )
    except CutoverError as exc:
        return f"the guards command: {exc}"
    except KeyboardInterrupt:
        return "interrupted while the guards were put in place"
    last = (said.stdout.strip().splitlines() or [""])[-1].strip()
    if said.exit_code != 0:
        return f"the guards command ended with {said.exit_code}"
    expected = f"confirmed {_digest(data)}"
    return None if last == expected else f"the guards command did not end with {expected!r}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
