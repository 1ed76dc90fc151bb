"""GitLab's code quality report: a JSON list with one issue per thing that is not green."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pytest_cutover.report.safe import printable
from pytest_cutover.report.terminal import finding_text
from pytest_cutover.report.view import troubles

if TYPE_CHECKING:
    from typing import Any

    from pytest_cutover.report.view import Trouble, View

_SEVERITY = {"red": "blocker", "unproven": "critical", "hold": "major"}


def render(view: View) -> str:
    """The whole file; an empty list when everything is green."""
    return json.dumps([_issue(view, trouble) for trouble in troubles(view)], indent=1) + "\n"


def _issue(view: View, trouble: Trouble) -> dict[str, Any]:
    codes = ",".join(sorted(f.reason.code for f in trouble.findings))
    about = "\0".join((view.policy.plan, view.policy.environment, trouble.name, codes))
    said = "; ".join(finding_text(f) for f in trouble.findings)
    return {
        "description": printable(f"{trouble.name}: {said}")[:1000],
        "check_name": trouble.findings[0].reason.code,
        # Of what it is about, not of what was measured: GitLab compares it with the target branch's.
        "fingerprint": hashlib.sha256(about.encode("utf-8", "replace")).hexdigest(),
        "severity": _SEVERITY[trouble.state],
        # GitLab drops an issue without a place; what has none is about the plan.
        "location": {
            "path": printable(trouble.file or f"{view.prefix}configs/policy.json"),
            "lines": {"begin": trouble.line or 1},
        },
    }
