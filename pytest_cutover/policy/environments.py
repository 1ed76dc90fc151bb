"""Mistakes in settings and environments: sandbox, targets, subjects."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_cutover.model import SANDBOX
from pytest_cutover.policy.issues import duplicates, is_number, mistake, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.policy.issues import Issue
    from pytest_cutover.policy.positions import Node

SUBJECT_SOURCES = ("sha256", "files", "command", "git")

EMBEDDED = "embedded"
"""The target that means: start our own sandbox service."""


def check_environments(root: Node) -> Iterator[Issue]:
    """Settings at each of the places they may stand, and the environments."""
    for holder in (root, *root.children("plans"), *root.children("environments")):
        yield from _settings(holder)
    for name, environment in root.members("environments"):
        yield from _sandbox(name, environment)
        yield from _targets(name, environment)
        yield from _subjects(environment)
        yield from _change(environment)
        yield from _program(environment.at("guards", "command"))
        yield from _witnesses(environment)
        yield from _place(environment, "log", "the log")
        yield from _place(environment, "store", "evidence")


def _place(environment: Node, key: str, what: str) -> Iterator[Issue]:
    place = environment.at(key, "place")
    if place is not None and str(place.value).startswith("s3://"):
        return
    for name in ("endpoint", "region"):
        value = environment.at(key, name)
        if value is not None:
            hint = 'write the place as "s3://bucket/prefix", or leave this out'
            yield mistake(value, f"expected no {name} where {what} is kept in a folder, got one", hint)


def _witnesses(environment: Node) -> Iterator[Issue]:
    asked, wanted = environment.at("log", "witnesses"), environment.at("log", "cosignatures")
    yield from duplicates(asked, "a witness counts once")
    if wanted is None or not is_number(wanted.value):
        return
    there = sum(1 for _ in environment.items("log", "witnesses"))
    if wanted.value > there:
        message = f"cosignatures wanted: {wanted.value}, witnesses asked: {there}: every run would be NO-GO"
        yield mistake(
            wanted, message, "list the addresses of as many witnesses, or ask for fewer cosignatures"
        )


def _settings(holder: Node) -> Iterator[Issue]:
    settings = holder.get("settings") or holder.get("defaults")
    if settings is None:
        return
    paths = settings.at("gate_code", "paths")
    for path in settings.items("gate_code", "paths"):
        if isinstance(path.value, str):
            yield from _gate_path(path)
    yield from duplicates(paths, "list every path once")
    timeout, deadline = settings.get("gate_timeout_s"), settings.get("run_deadline_s")
    if timeout is None or deadline is None or not (is_number(timeout.value) and is_number(deadline.value)):
        return
    if deadline.value < timeout.value:
        message = f"the run ends after {deadline.value} s, before one gate's {timeout.value} s are over"
        yield note(deadline, message, "raise run_deadline_s above gate_timeout_s")


def _gate_path(path: Node) -> Iterator[Issue]:
    text = PurePosixPath(path.value)
    hint = "write it relative to the project, with forward slashes, such as gates"
    if text.is_absolute() or path.value[1:3] in (":\\", ":/"):
        yield mistake(path, f"expected a path inside the project, got the absolute {path.value!r}", hint)
    elif ".." in text.parts or "\\" in path.value:
        yield mistake(path, f"expected a path inside the project, got {path.value!r}", hint)
    elif not text.parts:
        hint = "name the folders of the gates; the whole project includes what a run itself writes"
        yield mistake(path, f"expected a file or folder, got {path.value!r}", hint)


# -- environments


def _sandbox(name: str, environment: Node) -> Iterator[Issue]:
    flag = environment.get("sandbox")
    says = flag is not None and flag.value is True
    if name == SANDBOX and not says:
        hint = f'add "sandbox": true; the name {SANDBOX!r} is kept for it'
        yield mistake(flag or environment, 'expected "sandbox": true in the environment named sandbox', hint)
    if name != SANDBOX and says and flag is not None:
        hint = f"only the environment named {SANDBOX!r} may be one: elsewhere it would switch checks off"
        yield mistake(flag, f"expected no sandbox, got true for {name!r}", hint)
    key = environment.at("settings", "development_key")
    if name != SANDBOX and key is not None and key.value is True:
        hint = "anybody who can write to the machine can make such a key; give CUTOVER_KEY instead"
        yield note(key, f"a development key may sign for {name!r}", hint)


def _targets(name: str, environment: Node) -> Iterator[Issue]:
    for target in environment.children("targets"):
        if not isinstance(target.value, str):
            continue
        if target.value == EMBEDDED:
            if name != SANDBOX:
                hint = "give the address of the system; 'embedded' starts this project's own sandbox service"
                yield mistake(target, f"expected an address, got {EMBEDDED!r} outside of the sandbox", hint)
            continue
        yield from _address(target)


def _address(target: Node) -> Iterator[Issue]:
    try:
        parts = urlsplit(target.value)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        usable, secret = False, False
    if secret:
        # Not quoted: it would put the password into a log.
        hint = "a policy is public within the team: give credentials to the source, through the environment"
        yield mistake(target, "expected an address without credentials, got one with", hint)
    elif not usable or " " in target.value:
        hint = 'write it as https://shop.example, or "embedded" in the sandbox'
        yield mistake(target, f"expected an http or https address, got {target.value!r}", hint)


def _subjects(environment: Node) -> Iterator[Issue]:
    names: dict[str, int] = {}
    for subject in environment.items("subjects"):
        if not isinstance(subject.value, dict):
            continue
        used = [s for s in SUBJECT_SOURCES if s in subject.value]
        if len(used) != 1:
            hint = "keep one: a subject has one digest" if used else 'add for example "files": "dist/*.whl"'
            got = " and ".join(used) or "none"
            yield mistake(subject, f"expected exactly one of {', '.join(SUBJECT_SOURCES)}, got {got}", hint)
        name = subject.value.get("name")
        if isinstance(name, str):
            if name in names:
                hint = "give each subject its own name"
                yield mistake(subject, f"subject {name!r} is listed twice, first on line {names[name]}", hint)
            names.setdefault(name, subject.key_line)
        yield from _subject_source(subject)


def _subject_source(subject: Node) -> Iterator[Issue]:
    files = subject.get("files")
    yield from _revision(subject.get("git"), "a revision", "write a branch, tag, commit or HEAD")
    if files is not None and isinstance(files.value, str) and _leaves_project(files.value):
        yield mistake(
            files, f"expected a glob inside the project, got {files.value!r}", "write it as dist/*.whl"
        )
    yield from _program(subject.get("command"))


def _change(environment: Node) -> Iterator[Issue]:
    commits = environment.at("change", "git")
    yield from _revision(commits, "a range of commits", "write it as v1.4..HEAD")
    if commits is not None and isinstance(commits.value, str) and ".." not in commits.value:
        hint = "write it as v1.4..HEAD: a single revision would be its whole history"
        yield mistake(commits, f"expected a range of commits, got {commits.value!r}", hint)


def _revision(node: Node | None, what: str, hint: str) -> Iterator[Issue]:
    if node is not None and isinstance(node.value, str) and node.value.startswith("-"):
        # It would be read by git as an option.
        yield mistake(node, f"expected {what}, got {node.value!r}", hint)


def _program(command: Node | None) -> Iterator[Issue]:
    first = next(command.items(), None) if command is not None else None
    if first is not None and isinstance(first.value, str) and not first.value.strip():
        yield mistake(
            first, "expected a program, got an empty text", "the list begins with the program's name"
        )


def _leaves_project(text: str) -> bool:
    path = PurePosixPath(text)
    return path.is_absolute() or ".." in path.parts
