"""A project in an empty folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.projects import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A project without policy and gates; an ini of its own keeps pytest from looking further up."""
    project = Project(tmp_path)
    project.write("pytest.ini", "[pytest]\n")
    return project


@pytest.fixture
def small(empty: Project) -> Project:
    """Two gates, both green."""
    return empty.policy().gates()
