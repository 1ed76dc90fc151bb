"""The projects that the fault tests run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import assert_closed, copied
from tests.faults.project import Project
from tests.plugin.projects import Project as PluginProject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two gates that are green, and a signing key."""
    return Project.make(tmp_path)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> PluginProject:
    """Two green gates; one run has made the development key, and the byte code of the gates."""
    made = PluginProject(tmp_path_factory.mktemp("template"), key=None)
    made.write("pytest.ini", "[pytest]\n")
    made.policy().gates()
    ran = made.pytest("-m", "preflight")
    assert ran.code == 0, ran.text
    assert_closed(made, ran)
    shutil.rmtree(made.folder / "var/cutover/runs")
    return made


@pytest.fixture
def disturbed(template: PluginProject, tmp_path: Path) -> PluginProject:
    """A copy of it, to disturb."""
    return copied(template, tmp_path)
