"""The fixtures of a gate's sources; `gate` itself is the recorder's (`recording.Recorder.gate`)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_cutover.sources.command import CommandSource
    from pytest_cutover.sources.http import HttpSource
    from pytest_cutover.sources.readyz import ReadyzSource


class Sources:
    """The sources of one process, each made when it is first asked for and shared by all gates.

    `targets`: the environment's targets by name, the sandbox's own service included. `places`: where the evidence `store`
    and the transparency `log` are kept.
    """

    def __init__(self, targets: Mapping[str, str], places: Mapping[str, str]) -> None:
        self.targets = targets
        self.places = places

    @cached_property
    def http(self) -> HttpSource:
        """Its module brings in httpx."""
        from pytest_cutover.sources.http import HttpSource

        return HttpSource(self.targets)

    @cached_property
    def readyz(self) -> ReadyzSource:
        """Over `http`."""
        from pytest_cutover.sources.readyz import ReadyzSource

        return ReadyzSource(self.http)

    @cached_property
    def command(self) -> CommandSource:
        """Commands of this machine."""
        from pytest_cutover.sources.command import CommandSource

        return CommandSource()

    def close(self) -> None:
        """Close what was made; idempotent."""
        if "http" in vars(self):
            self.http.close()


SOURCES = pytest.StashKey[Sources]()
"""In `config.stash` of a process that runs gates."""


@pytest.fixture(scope="session")
def targets(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The environment's targets: name to base URL."""
    return request.config.stash[SOURCES].targets


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Where evidence is kept: `store` and `log`, those that the environment names, a path or s3://…, and the log's `origin`."""
    return request.config.stash[SOURCES].places


@pytest.fixture(scope="session")
def http(request: pytest.FixtureRequest) -> Iterator[HttpSource]:
    """Reads the environment's targets over HTTP: `http.get("/orders")`; see `sources.http.HttpSource`."""
    sources = request.config.stash[SOURCES]
    yield sources.http
    sources.close()


@pytest.fixture(scope="session")
def readyz(request: pytest.FixtureRequest, http: HttpSource) -> ReadyzSource:
    """Asks readiness endpoints: `readyz("/readyz")`; see `sources.readyz.ReadyzSource`."""
    sources = request.config.stash[SOURCES]
    if vars(sources).get("http") is http:
        return sources.readyz
    from pytest_cutover.sources.readyz import ReadyzSource

    return ReadyzSource(http)  # over the `http` of a conftest, which may use a proxy


@pytest.fixture(scope="session")
def command(request: pytest.FixtureRequest) -> CommandSource:
    """Runs commands, never a shell: `command.run(["git", "status"])`; see `sources.command.CommandSource`."""
    return request.config.stash[SOURCES].command
