"""Which views of a run are wanted, from options and environment; looked at before anything runs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_cutover.run.conclude import Conclusion
    from pytest_cutover.run.context import RunContext

VIEWS = {"summary": "summary.md", "html": "report.html", "junit": "junit.xml"}
"""Names of the views that are written into a run's folder, and their files."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The views to write. `job_summary` is a file that the CI system shows and several steps append to."""

    files: frozenset[str] = frozenset(VIEWS)
    junit: str | None = None
    code_quality: str | None = None
    annotations: bool = False
    job_summary: str | None = None
    trust: str | None = None
    """The trust file that was given: it says which earlier run may be compared with."""

    @property
    def copies(self) -> tuple[str, ...]:
        """Files outside of the run's folder that are written anew by each run."""
        return tuple(path for path in (self.junit, self.code_quality) if path is not None)

    @property
    def nothing(self) -> bool:
        """Whether no view is wanted: then none of their modules is loaded."""
        return not (self.files or self.copies or self.annotations or self.job_summary)


def wanted_views(
    environ: Mapping[str, str],
    *,
    views: str | None = None,
    junit: str | None = None,
    code_quality: str | None = None,
    annotations: str | None = None,
    trust: str | None = None,
) -> Wanted:
    """What was asked for; None leaves the choice to the environment variable, then to the default.

    Raises:
        ConfigError: an unknown name.
    """
    names = _names(views or environ.get("CUTOVER_VIEWS") or ",".join(VIEWS))
    asked = annotations or environ.get("CUTOVER_ANNOTATIONS") or "auto"
    if asked not in ("auto", "github", "none"):
        raise ConfigError(f"annotations: expected auto, github or none, got {asked!r:.40}")
    on_github = environ.get("GITHUB_ACTIONS") == "true"
    annotate = asked == "github" or (asked == "auto" and on_github)
    return Wanted(
        files=names,
        junit=junit or None,
        code_quality=code_quality or None,
        annotations=annotate,
        job_summary=(environ.get("GITHUB_STEP_SUMMARY") or None) if annotate else None,
        trust=trust,
    )


class Views:
    """The views of one run, from its beginning to the last line it prints.

    Where annotations are wanted, GitHub is told at the beginning not to obey what gates print, and listens again
    at the end.
    """

    def __init__(self, wanted: Wanted, rootdir: Path) -> None:
        """Remove what an older run left where this one will write: it may not stand for this one, should it die.

        Raises:
            ConfigError: it cannot be removed.
        """
        self._wanted = wanted
        self._resume: str | None = None
        for name in wanted.copies:
            try:
                (rootdir / name).unlink(missing_ok=True)
            except OSError as exc:
                raise ConfigError(f"cannot remove the old {name}: {exc.strerror}") from exc
        if wanted.annotations:
            from pytest_cutover.report.annotations import fence

            stop, self._resume = fence()
            _say(stop)

    def end(self, concluded: Conclusion, context: RunContext) -> None:
        """Write and print what is wanted, after the evidence is sealed and the verdict said. Never raises."""
        commands: list[str] = []
        if not self._wanted.nothing:
            from pytest_cutover.run.views import write_views

            written = write_views(concluded, context, self._wanted, os.environ)
            commands = written.commands
            for line in written.lines:
                _say(line)
        if self._resume is not None:
            _say(self._resume)
        for line in commands:
            _say(line)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # a closed pipe does not undo a verdict
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _names(text: str) -> frozenset[str]:
    names = [part for part in text.replace(",", " ").split() if part]
    if names == ["none"]:
        return frozenset()
    unknown = [n for n in names if n not in VIEWS]
    if unknown or not names:
        raise ConfigError(
            f"views: expected {', '.join(VIEWS)} or none, got {(unknown or [text])[0]!r:.40}",
            hint="names are separated by commas",
        )
    return frozenset(names)
