"""`cutover init`: put a first gate, its policy and a CI job into a repository. What is there already is kept."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.cli import Parser
from pytest_cutover.errors import ConfigError
from pytest_cutover.files import read_regular, write_atomic, write_new
from pytest_cutover.starter import (
    CIS,
    GATE,
    GITLAB,
    GITLAB_JOB,
    IGNORED,
    JENKINS,
    NOTES,
    POLICY,
    SANDBOX,
    endpoint,
    starter_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_cutover.starter import Ci

DONE = 0
_GIT_TIMEOUT_S = 10
_PYTEST_FILES = {
    **dict.fromkeys(("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"), ""),
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
"""Files that make a folder pytest's root, and what must stand in them for that."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one file; `why` says why it is left as it is."""

    path: str
    data: bytes | None
    why: str = ""
    is_new: bool = True


def run(argv: Sequence[str]) -> int:
    """Write the starter; 0 done, 2 something could not be written."""
    options = _parser().parse_args(argv)
    root = Path.cwd()
    at = SANDBOX if options.url is None else endpoint(options.url)
    ci, because = (options.ci, "asked for") if options.ci else _ci_of(root)
    files = starter_files(root.name or "release", at, ci)
    written = set()
    for step in (*_steps(root, files), _ignoring(root)):
        if _carried_out(step, dry=options.dry_run):
            written.add(step.path)
        print(_said(step, done=step.path in written, dry=options.dry_run))
    print(f"\nCI       {ci}: {because}")
    for line in _notes(root, ci, at_sandbox=at == SANDBOX):
        print(line)
    if POLICY in written and not options.dry_run:
        _print_next()
    return DONE


def _parser() -> Parser:
    parser = Parser(
        prog="cutover init",
        description="Put a first gate, its policy, a note about keys and a CI job into the repository in this "
        "folder. No file that is there is overwritten; .gitignore gets one line more.",
        epilog="exit codes: 0 done, 2 a file cannot be written, 64 usage",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the readiness endpoint the gate reads; without it the sandbox service of this package",
    )
    parser.add_argument(
        "--ci", choices=CIS, help="which CI to write a job for; without it what is found here"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written")
    return parser


# -- what to do ------------------------------------------------------------------------------


def _steps(root: Path, files: Mapping[str, bytes]) -> Iterator[Step]:
    """One step for each file of the starter."""
    has_policy = os.path.lexists(root / POLICY)
    for path, data in files.items():
        if os.path.lexists(root / path):
            yield Step(path, None, "it was there")
        elif path == GATE and has_policy:
            # Without limits in that policy its measurements would be unjudged: NO-GO for a project that works.
            yield Step(path, None, f"not written: {POLICY} was there, and does not know its gate")
        else:
            yield Step(path, data)


def _ignoring(root: Path) -> Step:
    path = root / ".gitignore"
    if path.is_symlink():
        return Step(".gitignore", None, f"it is a link: add the line {IGNORED} yourself")
    try:
        old = read_regular(path)
    except FileNotFoundError:
        return Step(".gitignore", f"{IGNORED}\n".encode())
    except OSError as exc:
        raise ConfigError(f"cannot read .gitignore: {exc.strerror}") from None
    known = {line.strip().strip(b"/") for line in old.splitlines()}
    if known & {b"var", b"var/cutover", b"var/*", b"var/**", b"var/cutover/*", b"var/cutover/**"}:
        return Step(".gitignore", None, "it leaves var/cutover/ out already")
    end = b"" if old.endswith(b"\n") or not old else b"\n"
    return Step(".gitignore", old + end + f"{IGNORED}\n".encode(), is_new=False)


def _carried_out(step: Step, *, dry: bool) -> bool:
    """Whether the file is written, or would be."""
    if step.data is None or dry:
        return step.data is not None
    path = Path(step.path)
    if step.is_new:
        return write_new(path, step.data)
    write_atomic(path, step.data, mode=path.stat().st_mode & 0o777)
    return True


def _said(step: Step, *, done: bool, dry: bool) -> str:
    if not done:
        return f"kept     {step.path}: {step.why or 'it was there'}"
    if not step.is_new:
        return f"{'would add' if dry else 'added   '} {IGNORED} to {step.path}"
    return f"{'would write' if dry else 'wrote   '} {step.path}"


# -- what the repository is ------------------------------------------------------------------


def _ci_of(root: Path) -> tuple[Ci, str]:
    """The CI that the repository uses, and what says so."""
    top = next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)
    if top != root:
        where = os.path.relpath(top, root)
        return "none", f"the repository begins at {where}, and only there CI looks for its jobs"
    signs: tuple[tuple[Ci, str], ...] = (
        ("github", ".github"),
        ("gitlab", ".gitlab-ci.yml"),
        ("jenkins", "Jenkinsfile"),
    )
    found = [(ci, f"{sign} is here") for ci, sign in signs if os.path.lexists(root / sign)]
    remote = _remote(root)
    hosts: tuple[Ci, ...] = ("github", "gitlab")
    found += [(ci, "the remote `origin` is there") for ci in hosts if ci in remote]
    if not found:
        return "github", "nothing here says which; see --ci"
    others = sorted({ci for ci, _ in found[1:]} - {found[0][0]})
    also = f" (and {' and '.join(others)}: --ci writes that)" if others else ""
    return found[0][0], found[0][1] + also


def _remote(root: Path) -> str:
    """The host of git's remote `origin`; empty when there is none."""
    try:
        done = subprocess.run(
            ["git", "remote", "get-url", "origin"],
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    url = done.stdout.strip().partition("://")[2] or done.stdout.strip()
    return url.partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


# -- what the user is told -------------------------------------------------------------------


def _notes(root: Path, ci: Ci, *, at_sandbox: bool) -> Iterator[str]:
    """What the user has to know or do about this repository in particular."""
    if ci == "gitlab" and GITLAB_JOB not in _text(root / GITLAB):
        yield f"note     add to {GITLAB}: include: [{{local: {GITLAB_JOB}}}]"
    if ci == "jenkins":
        yield f"note     make a pipeline with the script path {JENKINS}, or copy its stage"
    if at_sandbox and not all(map(importlib.util.find_spec, ("starlette", "uvicorn"))):
        yield "note     the sandbox service needs: pip install 'pytest-cutover[service]'"
    pytest_root = _pytest_root(root)
    if pytest_root != root:
        above = os.path.relpath(pytest_root, root)
        yield f"note     pytest takes {above} for its root: give it --rootdir=."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _pytest_root(root: Path) -> Path:
    """The folder that pytest takes for its root: the nearest with a file of its own, else with a pyproject.toml."""
    folders = (root, *root.parents)
    for folder in folders:
        if any(
            (folder / name).is_file() and mark in _text(folder / name) for name, mark in _PYTEST_FILES.items()
        ):
            return folder
    return next((folder for folder in folders if (folder / "pyproject.toml").is_file()), root)


def _print_next() -> None:
    print(f"""
next
  pytest -m preflight gates
      runs the one gate, against the environment `sandbox`
  {GATE}
      what is measured: make it yours, add others
  {POLICY}
      which gates are required, and their limits; afterwards
      cutover policy check {POLICY}
      cutover check preflight -- gates
  {NOTES}
      beyond the sandbox: the environment `production`, keys (cutover keys new),
      the signature (cutover policy sign), the question of the deploy step""")
