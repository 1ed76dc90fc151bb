"""`cutover evidence list`: the runs in a store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.cli.prune import number
from pytest_cutover.errors import EvidenceError
from pytest_cutover.model import rfc3339
from pytest_cutover.store.document import read_document
from pytest_cutover.store.layout import BUNDLE_FILE, DOCUMENT, key_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pytest_cutover.objects.protocol import ObjectStore

DONE, NONE = 0, 1


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = "List the runs in a store, newest first. Nothing is verified."
    parser.epilog = "exit codes: 0 there are runs, 1 there are none, 2 unusable input, 64 usage"
    _store.add_store(parser)
    parser.add_argument(
        "--environment",
        metavar="NAME",
        help="only runs of this environment, and those that do not say theirs",
    )
    parser.add_argument("-n", dest="number", metavar="N", type=number, help="at most so many")
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """List them; 0 there are some, 1 none."""
    store = _store.opened(options.store)
    found = []
    for run_id, names in sorted(_store.runs_in(store).items(), reverse=True):
        row = _row(store, run_id, names)
        if "problem" in row or options.environment in (None, row["environment"]):
            found.append(row)
            if options.number is not None and len(found) >= options.number:
                break
    if options.json:
        print(json.dumps({"store": store.where, "runs": found}, indent=1))
    else:
        _evidence.show(_lines(found, store.where))
    return DONE if found else NONE


def _row(store: ObjectStore, run_id: str, names: list[str]) -> dict[str, Any]:
    if BUNDLE_FILE not in names:
        return {
            "run_id": run_id,
            "problem": f"there is no {key_of(run_id, BUNDLE_FILE)}: nothing shows what was decided",
        }
    key = key_of(run_id, DOCUMENT)
    try:
        data, held = store.read(key)
        document = read_document(data, key)
    except EvidenceError as exc:
        return {"run_id": run_id, "problem": str(exc)}
    return {
        "run_id": run_id,
        "verdict": document.verdict.value,
        "environment": document.environment,
        "plan": document.plan,
        "decided_at": rfc3339(document.decided_at),
        "state": "WIP" if held.retain_until is None else "LOCKED",
        "retain_until": None if held.retain_until is None else rfc3339(held.retain_until),
        "legal_hold": held.legal_hold,
        "sections": list(document.sections),
    }


def _lines(rows: list[dict[str, Any]], where: str) -> Iterator[str]:
    for row in rows:
        if "problem" in row:
            yield f"{row['run_id']}  unreadable: {row['problem']}"
            continue
        made = f"{row['plan']} → {row['environment']}"
        yield f"{row['run_id']}  {row['verdict']:<14}  {state(row):<7}  {made}"
    unlocked = "; WIP: not locked yet" if any("state" in row and state(row) == "WIP" for row in rows) else ""
    yield f"{_store.counted(len(rows), 'run')} in {where}{unlocked}"


def state(row: dict[str, Any]) -> str:
    """WIP, LOCKED, held, or that the lock has ended."""
    if row["legal_hold"]:
        return "HELD"
    if row["retain_until"] is not None and row["retain_until"] <= rfc3339(datetime.now(UTC)):
        return "ENDED"
    return str(row["state"])
