"""Errors for people: each says expected, got and where; the way out is the hint.

CutoverError                    has .hint, shown by the command line and the plugin
├── ConfigError                 the user's file, flag or marker
├── MeasurementError            a gate called the engine wrongly (its own code is to blame)
├── EvidenceError               malformed Statement, Envelope or bundle
│   └── VerificationError       signature, digest, threshold, expiry
└── AdapterError                the outside world; wraps the library's error `from exc`
    ├── SourceError             a thing that was to be measured could not be read
    └── MissingExtraError       an optional dependency is not installed
"""

from __future__ import annotations


class CutoverError(Exception):
    """Base of every error this package raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CutoverError):
    """A file, flag, environment variable or marker of the user cannot be used."""


class MeasurementError(CutoverError):
    """A gate called the engine in a way that cannot be recorded."""


class EvidenceError(CutoverError):
    """A Statement, Envelope or bundle is malformed."""


class VerificationError(EvidenceError):
    """Well-formed evidence that does not prove what it claims."""


class AdapterError(CutoverError):
    """Something outside this process failed."""


class SourceError(AdapterError):
    """A source could not be read; the gate that asked for it is unproven, never green."""


class MissingExtraError(AdapterError):
    """An optional dependency is not installed."""
