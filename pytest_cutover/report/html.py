"""report.html: one self-contained page for the meeting and the printer. No script, no external resource.

Built from plain strings: a template engine would cost more at import than five thousand rows. The style sheet is
allowed by its digest in the page's own Content-Security-Policy, and nothing else is: whatever a gate
smuggled into the page could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from pytest_cutover.report.page import (
    accepted,
    against,
    decision_sheet,
    how_to_verify,
    measured,
    provenance,
    time_line,
    top,
)
from pytest_cutover.report.page.style import CSS
from pytest_cutover.report.safe import html as esc

if TYPE_CHECKING:
    from pytest_cutover.report.view import View

_SECTIONS = (against, accepted, measured, decision_sheet, time_line, provenance, how_to_verify)


def render(view: View) -> str:
    """The whole page."""
    style = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    title = f"{view.verdict.value}: {view.policy.plan} → {view.policy.environment}"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
    ]
    parts += top.render(view)
    parts.append("<main>\n")
    for section in _SECTIONS:
        parts += section.render(view)
    parts.append("</main>\n")
    parts.append(
        "<footer><p>This page is a view of the run. It is not evidence and carries no signature: "
        "what counts is the signed bundle.</p></footer>\n</body>\n</html>\n"
    )
    return "".join(parts)
