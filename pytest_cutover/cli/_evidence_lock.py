"""`cutover evidence lock`: keep runs as they are until a time, or until a legal hold is lifted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _store
from pytest_cutover.cli._when import span
from pytest_cutover.errors import ConfigError
from pytest_cutover.model import rfc3339
from pytest_cutover.store.index import environments_in, index_before, index_runs
from pytest_cutover.store.locking import NotLockedError, hold_run, lock_run, runs_to_lock

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence

    from pytest_cutover.objects.protocol import ObjectStore

DONE, REFUSED = 0, 1


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Lock runs: their files are kept as they are until a time, which can be put off and never brought forward. "
        "A legal hold keeps them until it is lifted. What does not verify is not locked. The index is signed anew."
    )
    parser.epilog = (
        "exit codes: 0 done, 1 a run does not verify and was not locked, 2 unusable input, 64 usage"
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help="ids, or latest")
    parser.add_argument("--all", action="store_true", help="every run that was never locked")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--until", metavar="TIME", type=_evidence.time, help="until then: 2027-11-21T00:00:00Z")
    what.add_argument("--for", dest="span", metavar="SPAN", type=span, help="so long from now: 12h, 90d, 52w")
    what.add_argument("--hold", action="store_true", help="put them under legal hold")
    what.add_argument("--release", action="store_true", help="lift the legal hold")
    _store.add_store(parser)
    _store.add_key(parser)
    _store.add_trust(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Lock or hold; 0 done, 1 some run was refused."""
    if options.all == bool(options.runs):
        raise ConfigError("expected runs or --all", hint="cutover evidence list names the runs")
    store = _store.opened(options.store, options.trust)
    now = datetime.now(UTC)
    until = options.until or (now + options.span if options.span else None)
    if until is not None and until <= now:
        raise ConfigError(f"expected a time to come, got {rfc3339(until)}")
    runs = runs_to_lock(store) if options.all else _store.chosen(store, options.runs)
    signer, anchor = _store.signer(options.key), _evidence.anchor(options.trust)
    places = environments_in(store)
    # What cannot be written down afterwards is not begun.
    index_before(store, anchor, places, _store.now)
    done, refused = [], []
    for run_id in runs:
        try:
            if until is None:
                hold_run(store, run_id, options.hold)
            else:
                lock_run(store, run_id, until, anchor, now)
            done.append(run_id)
        except NotLockedError as exc:
            refused.append((run_id, exc))
    if done:
        index_runs(store, done, places, signer, anchor, _store.now, released=options.release)
    _tell(options, store, until, done, refused)
    return REFUSED if refused else DONE


def _tell(
    options: Namespace,
    store: ObjectStore,
    until: datetime | None,
    done: Sequence[str],
    refused: Sequence[tuple[str, NotLockedError]],
) -> None:
    if options.json:
        document = {
            "store": store.where,
            "done": list(done),
            "retain_until": None if until is None else rfc3339(until),
            "legal_hold": True if options.hold else False if options.release else None,
            "refused": {run: [p.to_json() for p in exc.problems] for run, exc in refused},
        }
        print(json.dumps(document, indent=1))
    else:
        _evidence.show(_lines(options, until, done, refused))


def _lines(
    options: Namespace,
    until: datetime | None,
    done: Sequence[str],
    refused: Sequence[tuple[str, NotLockedError]],
) -> Iterator[str]:
    word = "locked  " if until is not None else "held    " if options.hold else "released"
    yield from (f"{word}  {run}" for run in done)
    for run, exc in refused:
        yield f"REFUSED   {run}: it does not verify"
        for problem in exc.problems[:5]:
            yield f"  {problem.code.code:<22} {problem.where}"
            yield f"    {problem.message}"
    more = "" if until is None else f" until {rfc3339(until)}"
    yield f"{word.strip()} {_store.counted(len(done), 'run')}{more}"
