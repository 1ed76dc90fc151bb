"""GitHub workflow commands: annotations at the gates that are not green, and a fence around what gates print.

A runner takes every line of a step's output for a command that begins with `::`, and every line that holds
`##[`. So nothing a gate says may reach it unescaped: the run stops command processing with a token before the first
gate (`fence`), and takes it up again after the last word of pytest.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from pytest_cutover.report.impact import top_impact
from pytest_cutover.report.safe import command_data, command_property
from pytest_cutover.report.terminal import finding_text
from pytest_cutover.report.view import troubles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.view import Trouble, View

MAX_EACH = 10
"""GitHub shows ten errors and ten warnings of a step, and drops the others without a word."""

_MAX_CHARS = 4000
_COMMAND = {"red": "error", "unproven": "error", "hold": "warning"}


def fence() -> tuple[str, str]:
    """The line that stops the processing of commands, and the one that only its writer knows to resume it."""
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}", f"::{token}::"


def render(view: View) -> Iterator[str]:
    """One line per annotation, worst first; the last one says the verdict."""
    shown = {"error": 0, "warning": 0}
    hidden = 0
    limit = MAX_EACH - 1  # the verdict takes one place
    for trouble in troubles(view):
        command = _COMMAND[trouble.state]
        if shown[command] == limit:
            hidden += 1
            continue
        shown[command] += 1
        yield _line(command, trouble)
    yield _verdict(view, hidden)


def _line(command: str, trouble: Trouble) -> str:
    place = f"file={command_property(trouble.file)},line={trouble.line or 1}," if trouble.file else ""
    said = "\n".join(f"{finding_text(f)} [{f.reason.code}]" for f in trouble.findings)
    about = [f"owner {f.owner}" for f in trouble.findings[:1] if f.owner]
    about += [f"remedy {f.remedy}" for f in trouble.findings[:1] if f.remedy]
    text = f"{said}\n{' · '.join(about)}" if about else said
    title = f"{trouble.state.upper()} {trouble.name}"[:250]
    return f"::{command} {place}title={command_property(title)}::{command_data(text[:_MAX_CHARS])}"


def _verdict(view: View, hidden: int) -> str:
    counts = view.counts
    parts = [f"{counts['green']} of {len(view.gates) - counts['left']} gates green"]
    impact = top_impact(view)
    if impact is not None:
        parts.append(f"top impact: {impact.gate}: {impact.text}")
    if hidden:
        parts.append(f"{hidden} more than GitHub shows are in the report")
    title = f"{view.verdict.value} {view.policy.plan} → {view.policy.environment}"
    command = "notice" if view.is_go else "warning" if view.exit_code == 12 else "error"
    return f"::{command} title={command_property(title)}::{command_data(chr(10).join(parts)[:_MAX_CHARS])}"
