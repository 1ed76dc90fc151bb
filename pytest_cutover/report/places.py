"""Where a run is shown: the repository that annotators resolve paths in, and the page that holds its evidence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVIDENCE_URL = "CUTOVER_EVIDENCE_URL"
"""Environment variable: where the evidence of this run can be looked at."""

_WORKSPACES = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR", "WORKSPACE")  # GitHub, GitLab, Jenkins


def prefix(rootdir: Path, environ: Mapping[str, str]) -> str:
    """From the root of the checked out repository to `rootdir`, with a slash at its end; empty when they are one."""
    for name in _WORKSPACES:
        if environ.get(name):
            root = os.path.realpath(environ[name])
            inside = os.path.relpath(os.path.realpath(rootdir), root).replace(os.sep, "/")
            if inside != "." and inside != ".." and not inside.startswith("../"):
                return f"{inside}/"
            return ""
    return ""


def evidence_url(environ: Mapping[str, str], folder: str) -> str | None:
    """The page of the CI run that keeps the evidence; None outside of a CI system that says it."""
    given = environ.get(EVIDENCE_URL)
    if given:
        return _web(given)
    if environ.get("GITHUB_RUN_ID") and environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return _web(f"{server}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ['GITHUB_RUN_ID']}")
    if environ.get("CI_JOB_URL"):
        return _web(f"{environ['CI_JOB_URL']}/artifacts/browse/{quote(folder)}")
    if environ.get("BUILD_URL"):
        return _web(f"{environ['BUILD_URL'].rstrip('/')}/artifact/{quote(folder)}")
    return None


def _web(url: str) -> str | None:
    """The address when it is one that a browser may open, and nothing that could end a link."""
    fit = url.startswith(("https://", "http://")) and url.isprintable() and not set(url) & set(" <>\"'`()|\\")
    return quote(url, safe=":/?#[]@!$&*+,;=%~-._") if fit else None
