"""The project that the fault tests run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two gates that are green, and a signing key."""
    return Project.make(tmp_path)
