"""What several sections of the page are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.model import SignerKind
from pytest_cutover.report.safe import html as esc

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_cutover.report.view import View

SIGNS = {"red": "✗", "unproven": "!", "hold": "…", "waived": "~", "green": "✓", "left": "–"}
"""One for each state of a gate: shapes differ as well as colours."""


def heads(*names: str) -> str:
    """The head of a table, and the beginning of its body."""
    return "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr></thead><tbody>\n"


def line(first: str, *cells: str) -> str:
    """A row of a table."""
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>\n'


def chip(state: str, text: str) -> str:
    """A state, as a sign and in words."""
    return (
        f'<span class="chip {state}"><span class="dot" aria-hidden="true">{SIGNS[state]}</span>{text}</span>'
    )


def evidence_words(view: View) -> str:
    """Who signed the evidence, and whether it verifies."""
    evidence = view.evidence
    if not evidence.sealed:
        return "<b>none was sealed</b>"
    if evidence.keyid is None:
        return "<b>unsigned</b>, admits nothing"
    kind = "development key" if evidence.signer == SignerKind.DEVELOPMENT.value else "key"
    told = f"signed with {kind} <code>{esc(evidence.keyid[:12])}</code>"
    if evidence.problems is None:
        return told
    return told + (", <b>does not verify</b>" if evidence.problems else ", verified")


def time(at: datetime) -> str:
    """A point in time that machines read too."""
    return f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M:%S} UTC</time>'
