"""One status line on a terminal while gates run, erased before anything else is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from pytest_cutover.report.terminal import Style

_ERASE = "\r\x1b[K"


class Progress:
    """Says how far the run is; writes to pytest's terminal while nothing is captured."""

    def __init__(self, writer: Any, style: Style, total: int) -> None:
        self._writer = writer
        self._style = style
        self._total = total
        self._ended = 0
        self._counts = {"red": 0, "unproven": 0}
        self._shown = False

    def started(self, key: str) -> None:
        """Show that a gate is under way."""
        parts = [f"{self._ended}/{self._total} gates"]
        parts += [f"{count} {state}" for state, count in self._counts.items() if count]
        text = self._style.plain(" · ".join([*parts, f"{key} …"]))[: max(self._writer.fullwidth - 1, 10)]
        self._write(_ERASE + self._style.paint(text, "dim"))
        self._shown = True

    def ended(self, state: str) -> None:
        """Count a gate that has ended, and erase the line."""
        self._ended += 1
        if state in self._counts:
            self._counts[state] += 1
        self.erase()

    def erase(self) -> None:
        """Leave the terminal as it was."""
        if self._shown:
            self._write(_ERASE)
            self._shown = False

    def _write(self, text: str) -> None:
        # Past pytest's own count of what stands in the line: nothing is left of ours.
        self._writer._file.write(text)
        self._writer.flush()


def is_wanted(config: pytest.Config, reporter: Any, environ: Mapping[str, str]) -> bool:
    """Only where a person watches, and nothing else writes while a gate runs."""
    option = config.option
    return (
        reporter is not None
        and bool(getattr(reporter, "isatty", False))
        and not environ.get("CI")
        and environ.get("TERM") != "dumb"
        and option.verbose == 0
        and option.capture != "no"
        and not config.pluginmanager.has_plugin("dsession")
        and not config.getini("log_cli")
    )
