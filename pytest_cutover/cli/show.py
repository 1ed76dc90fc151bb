"""`cutover show RUN`: a past run again, on the terminal or as any of its views."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser, _runs
from pytest_cutover.cli._page import colour
from pytest_cutover.files import write_atomic
from pytest_cutover.report.fit import columns, put
from pytest_cutover.report.plainjson import to_json
from pytest_cutover.report.terminal import Style, evidence_lines, gate_extras, gate_line, verdict_block
from pytest_cutover.run.views import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_cutover.model import Decision, EffectivePolicy, Runner, SignerKind
    from pytest_cutover.report.view import View

SHOWN, DOES_NOT_VERIFY = 0, 1
_FILES = ("html", "junit", "code_quality")


def run(argv: Sequence[str]) -> int:
    """Show one run; 0 shown, 1 shown and its evidence does not verify, 2 unusable."""
    options = _parser().parse_args(argv)
    folder = _runs.find_run(options.run)
    anchor = _runs.trust(options.trust)
    view, decision = _runs.load(folder, anchor)
    written = [(name, getattr(options, name)) for name in _FILES if getattr(options, name) is not None]
    for name, path in written:
        write_atomic(Path(path), render(name, view).encode("utf-8", "replace"))
        print(f"written: {path}", file=sys.stderr)
    if options.json:
        print(json.dumps(to_json(view), indent=1))
    elif options.summary:
        sys.stdout.write(_fit(render("summary", view)))
    elif options.annotations:
        from pytest_cutover.report import annotations

        print("\n".join(map(_fit, annotations.render(view))))
    elif not written:
        put(_terminal(view, decision, "" if anchor is None else anchor.description))
    return DOES_NOT_VERIFY if view.evidence.problems else SHOWN


def _fit(text: str) -> str:
    """Text that standard output can take, whatever its encoding."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@dataclass(frozen=True, slots=True)
class _Key:
    """Whose key signed a past run."""

    keyid: str
    kind: SignerKind


@dataclass(frozen=True, slots=True)
class _Past:
    """What the terminal shows of a past run."""

    policy: EffectivePolicy
    run_dir: Path
    rootdir: Path
    runner: Runner
    gate_code_digest: str
    signer: _Key | None


def _terminal(view: View, decision: Decision, trust: str) -> Iterator[str]:
    style = Style.of(sys.stdout.encoding, colour=colour())
    width = columns(sys.stdout)
    for gate in view.gates:
        if gate.info is None:
            continue
        yield gate_line(gate.judged, style, duration_s=gate.judged.duration_s, width=width)
        if not gate.judged.green and gate.result is not None:
            yield from gate_extras(gate.result.notes, gate.result.attachments, style)
    yield ""
    keyid, record = view.evidence.keyid, view.record
    past = _Past(
        policy=view.policy,
        run_dir=Path(view.evidence.folder),
        rootdir=Path(),
        runner=record.runner,
        gate_code_digest=record.gate_code_digest,
        signer=None if keyid is None else _Key(keyid, record.signer),
    )
    yield from verdict_block(decision, past, style)
    yield from evidence_lines(decision, past, style, sealed=True)
    yield style.plain(f"decided   {view.decided_at:%Y-%m-%d %H:%M:%S} UTC")
    if view.last is not None:
        last = view.last
        yield style.plain(
            f"last run  {last.verdict.value} {last.decided_at:%Y-%m-%d %H:%M:%S} UTC · {last.run_id}"
        )
    if view.evidence.problems:
        yield style.paint("DOES NOT VERIFY: do not rely on this evidence", "red", "bold")
        for problem in view.evidence.problems[:8]:
            yield style.plain(f"  {problem}")
    elif keyid is not None:
        yield style.plain("verified  whole, unchanged, and signed")
        yield style.plain(f"trust     {trust}")


def _parser() -> Parser:
    parser = Parser(
        prog="cutover show",
        description="Show a past run again. Its evidence is verified first, and it is said when that fails.",
        epilog="exit codes: 0 shown, 1 shown and its evidence does not verify, 2 unusable input, 64 usage",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, `last`, a run id, or the beginning of one")
    add("--html", metavar="FILE", help="write the page there")
    add("--junit", metavar="FILE", help="write a JUnit file there")
    add("--code-quality", metavar="FILE", help="write GitLab's code quality report there")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="print the run as JSON")
    kind.add_argument("--summary", action="store_true", help="print the summary in Markdown")
    kind.add_argument("--annotations", action="store_true", help="print GitHub workflow commands")
    add("--trust", metavar="FILE", help="trusted keys (else CUTOVER_TRUST, else configs/trust.json)")
    return parser
