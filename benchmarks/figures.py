"""One line of a benchmark's result, and how it is printed."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class Comparison(Enum):
    RATIO = "ratio"  # ours / baseline
    DIFFERENCE = "difference"  # ours - baseline, in the unit
    ALONE = "alone"  # ours as it is


@dataclass(frozen=True, slots=True)
class Figure:
    """What we cost beside what the baseline cost, measured in the same run; `aim` is the most it may be."""

    name: str
    ours: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""
    comparison: Comparison = Comparison.ALONE
    aim: float | None = None

    @property
    def compared(self) -> float:
        if self.comparison is Comparison.ALONE or self.baseline is None:
            return self.ours
        if self.comparison is Comparison.DIFFERENCE:
            return self.ours - self.baseline
        return self.ours / self.baseline

    @property
    def met(self) -> bool | None:
        return None if self.aim is None else self.compared <= self.aim

    def to_json(self) -> dict[str, Any]:
        out = asdict(self) | {"comparison": self.comparison.value}
        return out | {"compared": self.compared, "met": self.met}

    def line(self) -> str:
        """`idle: CPU time   251.0 ms   without the plugin 247.0 ms   +4.0 ms (aim ≤ +5 ms: met)`"""
        parts = [f"{self.name:<44}{self._amount(self.ours):>12}"]
        if self.baseline is not None:
            parts.append(f"{self.baseline_name} {self._amount(self.baseline)}")
        verdict = self._shown(self.compared) if self.comparison is not Comparison.ALONE else ""
        if self.aim is not None:
            verdict += f" (aim ≤ {self._shown(self.aim)}: {'met' if self.met else 'MISSED'})"
        return "   ".join([*parts, verdict.strip()]).rstrip()

    def _amount(self, value: float) -> str:
        digits = 0 if abs(value) >= 1000 or value == int(value) else 1 if abs(value) >= 10 else 2
        return f"{value:.{digits}f} {self.unit}"

    def _shown(self, value: float) -> str:
        if self.comparison is Comparison.RATIO:
            return f"{value:.2f}x"
        return ("+" if self.comparison is Comparison.DIFFERENCE and value >= 0 else "") + self._amount(value)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("pytest", "pydantic", "cryptography", "pytest-cutover")},
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def to_json(figures: Iterable[Figure]) -> str:
    return json.dumps({"machine": machine(), "figures": [f.to_json() for f in figures]}, indent=2) + "\n"
