"""Everything below here needs real servers; `servers.need` says what happens without them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.ceph import Ceph
from tests.real.system import Keys, Project, System, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("real")


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """S3 with Object Lock, in memory: for all tests that kill no more than its gateway, and start that again."""
    with Ceph(tmp_path_factory.mktemp("ceph")) as ceph:
        yield ceph


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def whole_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for all tests that do not break it."""
    with System(tmp_path_factory.mktemp("system") / "whole") as system:
        system.start()
        system.wait_for_scrapes()
        yield system


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[System]:
    """A system of the test's own, not started yet."""
    with System(tmp_path / "system") as system:
        yield system


@pytest.fixture
def project_of(tmp_path: Path, keys: Keys) -> Callable[[System], Project]:
    """Make a project, not signed yet, that gates a system."""
    return lambda system: Project(tmp_path / "project", system, keys)


@pytest.fixture
def project(project_of: Callable[[System], Project], whole_system: System) -> Project:
    """A project that gates the whole system; its policy is not signed yet."""
    return project_of(whole_system)
