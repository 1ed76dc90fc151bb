"""What a run is told about waivers: the files, and who wrote the change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.waiver import GivenWaiver

FOLDER = Path("configs/waivers")
"""Below the project; every `*.dsse` in it is given to every run."""

_LOG_FORMAT = "%an%n%ae%n%cn%n%ce%n%(trailers:key=Co-authored-by,valueonly)"
_TRAILER = re.compile(r"(?P<name>[^<]*)<(?P<email>[^>]*)>")


def find_waivers(
    given: Sequence[str], rootdir: Path, anchor: Anchor | None, now: datetime
) -> tuple[tuple[GivenWaiver, ...], tuple[tuple[str, str], ...]]:
    """The waivers in files that were named and in the project's folder, each once.

    Also those that cannot be read, as (file, reason): a stray file may not stop a release, and it cannot
    help one either.

    Raises:
        ConfigError: a file that was named is not there.
    """
    from pytest_cutover.evidence.waivers import given_waiver

    found: dict[str, GivenWaiver] = {}
    unusable: list[tuple[str, str]] = []
    for path in (*_named(given, rootdir), *sorted((rootdir / FOLDER).glob("*.dsse"))):
        where = _shown(path, rootdir)
        try:
            waiver = given_waiver(read_regular(path), anchor, at=now, where=where)
        except (OSError, EvidenceError) as exc:
            unusable.append((where, exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)))
            continue
        found.setdefault(waiver.digest, waiver)
    return tuple(found.values()), tuple(unusable)


def _named(given: Sequence[str], rootdir: Path) -> Iterator[Path]:
    for text in given:
        path = rootdir / text
        if not path.is_file():
            raise ConfigError(
                f"expected a waiver, found no file {text}", hint="cutover waivers new makes one; see --help"
            )
        yield path


def _shown(path: Path, rootdir: Path) -> str:
    return str(path.relative_to(rootdir)) if path.is_relative_to(rootdir) else str(path)


def find_authors(
    given: Sequence[str], environ: Mapping[str, str], change: str | None, rootdir: Path
) -> list[str]:
    """Who wrote the change: as told, or every name and address in the commits of the policy's range.

    Raises:
        ConfigError: the range of commits cannot be read, or holds none.
    """
    told = list(given) or environ.get("CUTOVER_AUTHORS", "").split(",")
    named = [person.strip() for person in told if person.strip()]
    return _unique(named or (_of_commits(change, rootdir) if change is not None else []))


def _of_commits(commits: str, rootdir: Path) -> Iterator[str]:
    from pytest_cutover.run.context import output_of

    lines = output_of(["git", "log", f"--format={_LOG_FORMAT}", commits, "--"], rootdir).splitlines()
    if not any(line.strip() for line in lines):
        raise ConfigError(
            f"expected commits in {commits}, found none",
            hint="fetch the whole history, or correct `change` in the policy's environment",
        )
    for line in lines:
        trailer = _TRAILER.fullmatch(line.strip())
        yield from (trailer["name"], trailer["email"]) if trailer else (line,)


def _unique(persons: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(p.strip() for p in persons if p.strip()))
