"""What `cutover init` puts into a repository: which files, and what stands in them. Nothing is written here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

from pytest_cutover import __version__
from pytest_cutover.errors import ConfigError
from pytest_cutover.policy.schema import schema_bytes
from pytest_cutover.sources.urls import shown, split_http

if TYPE_CHECKING:
    from collections.abc import Mapping

Ci = Literal["github", "gitlab", "jenkins", "none"]
CIS: tuple[Ci, ...] = ("github", "gitlab", "jenkins", "none")

GATE = "gates/test_ready.py"
POLICY = "configs/policy.json"
NOTES = "configs/README.md"
SCHEMA = "configs/schemas/policy-1.schema.json"
WORKFLOW = ".github/workflows/cutover.yml"
GITLAB = ".gitlab-ci.yml"
GITLAB_JOB = ".gitlab/cutover.yml"
JENKINS = "Jenkinsfile.cutover"
IGNORED = "/var/cutover/"
"""The line of .gitignore that keeps runs and development keys out of the repository."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The readiness endpoint of the first gate: the policy's target, and the path that the gate reads."""

    target: str
    path: str


SANDBOX = Endpoint("embedded", "/readyz")
"""The service that this package brings, started by each run."""


def endpoint(url: str) -> Endpoint:
    """The endpoint at a URL.

    Raises:
        ConfigError: it is no http or https URL, or holds what may not be committed.
    """
    try:
        parts = split_http(url)
    except ValueError as exc:
        raise ConfigError(
            f"--url {shown(url)}: it {exc}", hint="such as https://shop.example/readyz"
        ) from None
    if not url.isascii():
        raise ConfigError(
            "--url: expected ASCII alone, got other characters",
            hint="write the name in Punycode, the path in %XX",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"--url {shown(url)}: expected host and path alone, got a user name, a query or a fragment",
            hint="the policy is committed: let the gate read what is secret from the environment",
        )
    return Endpoint(f"{parts.scheme}://{parts.netloc}", parts.path or "/")


def starter_files(name: str, at: Endpoint, ci: Ci) -> Mapping[str, bytes]:
    """Path to content of every file of a starter, in the order in which they are written.

    The gate comes before the policy: a starter that was interrupted is completed by the next one.
    """
    jobs: dict[Ci, dict[str, str]] = {
        "github": {WORKFLOW: "workflow.yml"},
        "gitlab": {GITLAB_JOB: "gitlab-job.yml", GITLAB: "gitlab-ci.yml"},
        "jenkins": {JENKINS: "Jenkinsfile"},
        "none": {},
    }
    templates = {GATE: "test_ready.py.txt", NOTES: "notes.md", **jobs[ci], POLICY: "policy.json"}
    words = {
        "@NAME@": json.dumps(name)[1:-1],
        "@TARGET@": json.dumps(at.target)[1:-1],
        "@PATH@": json.dumps(at.path)[1:-1],
        "@VERSION@": __version__,
    }
    return {SCHEMA: schema_bytes(), **{path: _filled(file, words) for path, file in templates.items()}}


def _filled(template: str, words: Mapping[str, str]) -> bytes:
    text = resources.files(__name__).joinpath("templates", template).read_text(encoding="utf-8")
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text.encode()
