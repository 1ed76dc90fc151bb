"""The fixtures of a gate's sources; `gate` itself is the recorder's (`recording.Recorder.gate`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_cutover.sources.command import CommandSource
    from pytest_cutover.sources.http import HttpSource
    from pytest_cutover.sources.readyz import ReadyzSource

TARGETS = pytest.StashKey["Mapping[str, str]"]()
"""In `config.stash`: the environment's targets by name, the sandbox's own service included."""


@pytest.fixture(scope="session")
def targets(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The environment's targets: name to base URL."""
    return request.config.stash[TARGETS]


@pytest.fixture(scope="session")
def http(targets: Mapping[str, str]) -> Iterator[HttpSource]:
    """Reads the environment's targets over HTTP: `http.get("/orders")`; see `sources.http.HttpSource`."""
    from pytest_cutover.sources.http import HttpSource  # httpx comes in with it

    with HttpSource(targets) as source:
        yield source


@pytest.fixture(scope="session")
def readyz(http: HttpSource) -> ReadyzSource:
    """Asks readiness endpoints: `readyz("/readyz")`; see `sources.readyz.ReadyzSource`."""
    from pytest_cutover.sources.readyz import ReadyzSource

    return ReadyzSource(http)


@pytest.fixture(scope="session")
def command() -> CommandSource:
    """Runs commands, never a shell: `command.run(["git", "status"])`; see `sources.command.CommandSource`."""
    from pytest_cutover.sources.command import CommandSource

    return CommandSource()
