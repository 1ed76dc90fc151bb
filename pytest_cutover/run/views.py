"""Writes the views of a run that has ended. They are not evidence: what goes wrong here is said and changes nothing."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import CutoverError
from pytest_cutover.evidence.seal import REPORT_FILE
from pytest_cutover.files import read_regular, write_atomic
from pytest_cutover.keys.trust import Anchor, AnchorSource, TrustedKey, find_anchor
from pytest_cutover.keys.verifier import load_public_key
from pytest_cutover.model import parse_rfc3339
from pytest_cutover.report import places
from pytest_cutover.report.safe import printable
from pytest_cutover.report.terminal import relative
from pytest_cutover.report.view import Evidence, LastRun, View, build
from pytest_cutover.run.gcpause import gc_paused
from pytest_cutover.run.last import last_run
from pytest_cutover.run.wanted import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.model import RunRecord
    from pytest_cutover.run.conclude import Conclusion
    from pytest_cutover.run.context import RunContext
    from pytest_cutover.run.wanted import Wanted

MOST_DRAWN = 120
"""Gates whose start is looked up for the timeline; more of them nobody could tell apart."""

_MOST_COMPARED = 20_000
"""Gates beyond which the last run is not looked up: verifying it would take seconds."""


@dataclass(slots=True)
class Written:
    """What came of writing: lines for the user, and workflow commands for the CI system."""

    lines: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def write_views(
    concluded: Conclusion, context: RunContext, wanted: Wanted, environ: Mapping[str, str]
) -> Written:
    """Write what is wanted. Never raises, and never takes part in the verdict."""
    written = Written()
    try:
        with gc_paused():
            view = live_view(concluded, context, wanted, environ)
            _write(view, context, wanted, written)
    except KeyboardInterrupt:
        written.lines.append("views     interrupted while they were written; the verdict stands")
    except Exception as exc:  # a view that cannot be made must not hide what was decided
        written.lines.append(f"views     could not be written: {type(exc).__name__}: {printable(str(exc))}")
    return written


def live_view(concluded: Conclusion, context: RunContext, wanted: Wanted, environ: Mapping[str, str]) -> View:
    """The view of a run that this process has just concluded."""
    signer, folder = context.signer, relative(context.run_dir, context.rootdir)
    evidence = Evidence(
        folder=folder,
        sealed=concluded.sealed,
        keyid=None if signer is None else signer.keyid,
        signer=context.signer_kind.value,
        report_sha256=_digest(context.run_dir / REPORT_FILE) if concluded.sealed else None,
        url=places.evidence_url(environ, folder),
        kept=concluded.kept,
    )
    record = concluded.record
    return build(
        record,
        context.policy,
        concluded.decision,
        evidence,
        last=_last(context, wanted.trust, environ) if len(record.collected) <= _MOST_COMPARED else None,
        starts=starts_of(record, concluded.lines),
        prefix=places.prefix(context.rootdir, environ),
    )


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return None


def _last(context: RunContext, trust: str | None, environ: Mapping[str, str]) -> LastRun | None:
    """The last run, trusted as far as the trust file, and this run's own key, reach."""
    anchor = None
    with suppress(CutoverError):
        anchor = find_anchor(trust, environ, context.rootdir)
    keys = () if anchor is None else anchor.keys
    signer = context.signer
    if signer is not None and signer.keyid not in {key.keyid for key in keys}:
        public = load_public_key(signer.public_pem().decode(), where="the key of this run")
        own = TrustedKey(
            public, public.keyid, "the key of this run", frozenset({"decision"}), frozenset({"*"})
        )
        keys = (*keys, own)
    if not keys:
        return None
    own_trust = Anchor((), AnchorSource.GIVEN, "") if anchor is None else anchor
    return last_run(
        context.run_dir.parent,
        plan=context.policy.plan,
        environment=context.policy.environment,
        shard=context.shard,
        before=context.run_id,
        anchor=replace(own_trust, keys=keys, where="this run's trust"),
    )


def starts_of(record: RunRecord, lines: Sequence[bytes]) -> dict[str, datetime]:
    """When each gate started, by node id; nothing for a run too large to draw."""
    starts: dict[str, datetime] = {}
    if len(record.collected) > MOST_DRAWN:
        return starts
    for line in lines:
        if b'"gate.started"' in line:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                event = json.loads(line)
                starts.setdefault(event["nodeid"], parse_rfc3339(event["at"]))
    return starts


def _write(view: View, context: RunContext, wanted: Wanted, written: Written) -> None:
    made: dict[str, bytes] = {}

    def put(name: str, path: Path, what: str, write: Callable[[Path, bytes], None] = write_atomic) -> None:
        try:
            if name not in made:
                made[name] = render(name, view).encode("utf-8", "replace")
            write(path, made[name])
        except Exception as exc:  # one view that cannot be made or written takes no other with it
            told = printable(str(exc) or type(exc).__name__)
            written.lines.append(f"views     {what} could not be written: {told}")
            return
        if name == "html":
            written.lines.append(f"page      {what}")

    for name in sorted(wanted.files):
        path = context.run_dir / VIEWS[name]
        put(name, path, relative(path, context.rootdir))
    for name, given in (("junit", wanted.junit), ("code_quality", wanted.code_quality)):
        if given is not None:
            put(name, context.rootdir / given, given)
    if wanted.job_summary is not None:
        put("summary", Path(wanted.job_summary), "the job summary", _append)
    if wanted.annotations:
        from pytest_cutover.report import annotations

        written.commands.extend(annotations.render(view))


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data + b"\n")


def render(name: str, view: View) -> str:
    """One view as text; its module is loaded now."""
    if name == "html":
        from pytest_cutover.report import html

        return html.render(view)
    if name == "junit":
        from pytest_cutover.report import junitfile

        return junitfile.render(view)
    if name == "code_quality":
        from pytest_cutover.report import codequality

        return codequality.render(view)
    from pytest_cutover.report import summary

    return summary.render(view)
