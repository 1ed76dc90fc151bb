"""What a file of gates says, read and checked: plain values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_cutover.declared.jsonpath import Query


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a line for bash; what it may see and how long it may take."""

    argv: tuple[str, ...]
    is_shell: bool
    folder: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    env_targets: Mapping[str, str] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)
    leaves_processes: bool = False
    max_output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """One HTTP request to a target of the environment."""

    path: str
    target: str = "app"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_from: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0
    follow: bool = False


@dataclass(frozen=True, slots=True)
class Readyz:
    """One question to a readiness endpoint."""

    path: str
    target: str = "app"
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Files and folders in which patterns are counted."""

    roots: tuple[str, ...]
    files: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


Probe = Command | Url | Readyz | Scan


@dataclass(frozen=True, slots=True)
class Take:
    """How one value is taken from what was read: a word such as `exit_code`, or a kind with its argument."""

    what: str
    argument: str = ""
    query: Query = ()
    stream: str = "stdout"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measurement of a gate."""

    name: str
    line: int
    take: Take
    unit: str = "1"
    samples: Take | None = None
    information: bool = False
    limit: Mapping[str, Any] = field(default_factory=dict)
    """The word and bound of a limit in the file, as `Gate.measure` takes them."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One gate of a file."""

    id: str
    line: int
    phase: str
    probe: Probe
    measures: tuple[Measure, ...]
    title: str | None = None
    category: str | None = None
    owner: str | None = None
    remedy: str | None = None
    timeout_s: float | None = None

    def takes(self, what: str) -> bool:
        """Whether the gate itself measures this."""
        return any(m.take.what == what for m in self.measures)
