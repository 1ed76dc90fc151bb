"""Collects gates from a TOML file: each is a pytest.Function, so that everything that works on tests works on it."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.declared import measuring
from pytest_cutover.declared.criteria import Command, Readyz, Scan, Url
from pytest_cutover.declared.reader import GateFileError, read

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_cutover.declared.criteria import Criterion
    from pytest_cutover.gate import Gate
    from pytest_cutover.sources.command import CommandSource
    from pytest_cutover.sources.http import HttpSource
    from pytest_cutover.sources.readyz import ReadyzSource


class GateFile(pytest.Module):
    """A TOML file of gates; a module to pytest, so that fixtures of a module's scope have a place."""

    def collect(self) -> Iterator[pytest.Item]:
        """The gates, in file order."""
        self.obj = ModuleType(self.path.stem, f"Gates of {self.path.name}.")
        try:
            name = self.path.relative_to(self.config.rootpath).as_posix()
        except ValueError:
            name = str(self.path)
        try:
            criteria = read(self.path.read_bytes(), name)
        except GateFileError as exc:
            raise self.CollectError(f"{exc}\nhint: {exc.hint}" if exc.hint else str(exc)) from None
        except OSError as exc:
            raise self.CollectError(f"{name}: cannot be read: {exc.strerror}") from None
        for criterion in criteria:
            item = GateItem.from_parent(
                self, name=criterion.id, callobj=function_of(criterion, self.config.rootpath)
            )
            item.line = criterion.line
            yield item


class GateItem(pytest.Function):
    """One gate of a TOML file."""

    line = 1

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """The gate's own file and line, not those of the engine's function."""
        return self.path, self.line - 1, self.name


def function_of(criterion: Criterion, root: Path) -> Callable[..., None]:
    """The test function that a gate of a file stands for, with its markers."""
    said = {"title": criterion.title, "category": criterion.category, "owner": criterion.owner,
            "remedy": criterion.remedy, "timeout": criterion.timeout_s}  # fmt: skip
    marker = pytest.mark.gate(criterion.id, **{k: v for k, v in said.items() if v is not None})
    phase = getattr(pytest.mark, criterion.phase)
    function: Any = phase(marker(_body(criterion, root)))
    return function  # type: ignore[no-any-return] # pytest's decorators hand back what they are given


def _body(criterion: Criterion, root: Path) -> Callable[..., object]:
    probe = criterion.probe
    match probe:
        case Command():

            def by_command(gate: Gate, command: CommandSource, targets: Mapping[str, str]) -> None:
                measuring.command_gate(criterion, probe, root, gate, command, targets)

            return by_command
        case Url():

            async def by_url(gate: Gate, http: HttpSource) -> None:
                await asyncio.to_thread(measuring.url_gate, criterion, probe, gate, http)

            return by_url
        case Readyz():

            async def by_readyz(gate: Gate, readyz: ReadyzSource) -> None:
                await asyncio.to_thread(measuring.readyz_gate, criterion, probe, gate, readyz)

            return by_readyz
        case Scan():

            def by_scan(gate: Gate) -> None:
                measuring.scan_gate(criterion, probe, root, gate)

            return by_scan
