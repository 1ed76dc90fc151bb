"""pytest-cutover: go/no-go gates for production cutovers, as marked pytest checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_cutover.readings import reading

__version__ = "0.1.0"
__all__ = ["__version__", "reading"]


def __getattr__(name: str) -> object:
    """`reading` comes in with pytest when a gate author asks for it, and not with every import of the package."""
    if name == "reading":
        from pytest_cutover.readings import reading

        return reading
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
