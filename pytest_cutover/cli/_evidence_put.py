"""`cutover evidence put`: put finished runs into a store by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import _evidence, _policy_place, _store
from pytest_cutover.errors import ConfigError
from pytest_cutover.store.putting import Put, put_run

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from datetime import timedelta


def declare(parser: ArgumentParser) -> None:
    """Its arguments."""
    parser.description = (
        "Put finished, signed runs into a store, as a run does by itself where the policy names one: runs of before, "
        "or of another machine. Putting one again completes it, and changes nothing that is there. They are retained "
        "as the policy says that keeps its evidence there."
    )
    parser.epilog = "exit codes: 0 put, 2 a run cannot be put, 64 usage"
    parser.add_argument("runs", metavar="RUNDIR", nargs="+", type=Path, help="the folder of a run")
    _store.add_store(parser)
    _store.add_json(parser)


def run(options: Namespace) -> int:
    """Put them, one after the other; the first that cannot be put is the end."""
    store, rule = _policy_place.open_place(options.store), _policy_place.store_rule_of(options.store)
    retain_for = None if rule is None else rule.retain_for
    done = []
    for folder in options.runs:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not the folder of a run", hint="give one of var/cutover/runs")
        until = None if retain_for is None else datetime.now(UTC) + retain_for
        done.append(put_run(store, folder, until=until))
    if options.json:
        runs = [
            {
                "run_id": p.document.run_id,
                "files": len(p.objects),
                "latest": p.is_latest,
                "lost": list(p.lost),
            }
            for p in done
        ]
        print(json.dumps({"store": store.where, "runs": runs}, indent=1))
    else:
        _evidence.show(_lines(done, store.where, retain_for))
    return 0


def _lines(done: list[Put], where: str, retain_for: timedelta | None) -> Iterator[str]:
    for each in done:
        latest = ", the latest" if each.is_latest else ""
        yield f"put  {each.document.run_id}  {_store.counted(len(each.objects), 'file')}{latest}"
        for name in each.lost:
            yield f"     without {name}, which is not what was attached any more"
    if retain_for is not None:
        yield f"retained for {_policy_place.words(retain_for)}, as the policy says"
    yield f"{_store.counted(len(done), 'run')} in {where}; cutover evidence index brings the index up to date"
