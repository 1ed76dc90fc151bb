"""Scans of a source tree: how often patterns occur, and where."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import MeasurementError, SourceError
from pytest_cutover.sources import distortion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_PLACES = 20

NEVER_READ = frozenset({".git", ".hg", ".svn", "__pycache__"})
"""Folders that hold no source: what version control and Python keep for themselves."""


@dataclass(frozen=True, slots=True)
class TreeReading:
    """Counts by pattern name, how many files were read, and the first places as `file:line`."""

    counts: Mapping[str, int]
    files: int
    places: tuple[str, ...]
    observed_at: datetime

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def scan(root: Path, patterns: Mapping[str, str], *, suffixes: Sequence[str] = (".py",)) -> TreeReading:
    """Count every match of every pattern in the files below `root` with one of the suffixes.

    Raises:
        SourceError: no such file at all, or one that cannot be read whole: nothing found in nothing is no proof.
        MeasurementError: a pattern is no regular expression.
    """
    return distortion.reading(
        ("scan", str(root), *patterns.values()), lambda: _scan(root, _compiled(patterns), suffixes)
    )


def _scan(root: Path, compiled: Mapping[str, re.Pattern[str]], suffixes: Sequence[str]) -> TreeReading:
    files = [p for p in _walk(root, root, ()) if p.suffix in suffixes] if root.is_dir() else []
    if not files:
        raise SourceError(f"expected files with suffix {', '.join(suffixes)} below {root}, found none")
    return _count(files, compiled, root)


def scan_files(
    roots: Sequence[Path],
    patterns: Mapping[str, str],
    *,
    base: Path,
    files: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> TreeReading:
    """Count every match of every pattern in `roots`: files, and folders with all that is below them.

    `files` and `exclude` are globs over paths relative to `base`: `*` and `?` stay within a name, `**` crosses
    folders, a pattern without a slash fits the name itself at any depth, and one that fits a folder covers all
    below it. Places are named relative to `base`.

    Raises:
        SourceError: a root does not exist or leaves no file to read, or something cannot be read whole.
        MeasurementError: a pattern is no regular expression.
    """
    return distortion.reading(
        ("scan", *map(str, roots), *patterns.values()),
        lambda: _scan_files(roots, _compiled(patterns), base, files, exclude),
    )


def _scan_files(
    roots: Sequence[Path],
    compiled: Mapping[str, re.Pattern[str]],
    base: Path,
    files: Sequence[str],
    exclude: Sequence[str],
) -> TreeReading:
    wanted, unwanted = [glob_pattern(g) for g in files], [glob_pattern(g) for g in exclude]
    found: dict[Path, None] = {}
    for root in roots:
        if not root.exists():
            raise SourceError(f"no file or folder {_relative(root, base)} to look through")
        below = [p for p in _walk(root, base, unwanted) if not wanted or _fits(p, base, wanted)]
        if not below:
            raise SourceError(
                f"expected files to look through in {_relative(root, base)}, found none",
                hint="nothing found in nothing proves nothing: do files and exclude leave any?",
            )
        found.update(dict.fromkeys(below))
    return _count(sorted(found), compiled, base)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """What a glob fits: a relative path with `/`, or any path below a folder that it fits."""
    stripped = glob.strip("/").removeprefix("./")
    parts = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    body = re.sub(r"\*\*/|\*\*|\*|\?|[^*?]+", lambda m: parts.get(m[0], re.escape(m[0])), stripped)
    anywhere = "" if "/" in stripped or glob.startswith("/") else r"(?:.*/)?"
    return re.compile(f"{anywhere}{body}(?:/.*)?", re.DOTALL)


def _compiled(patterns: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    try:
        return {name: re.compile(pattern) for name, pattern in patterns.items()}
    except re.error as exc:
        raise MeasurementError(f"not a regular expression: {exc}") from exc


def _walk(root: Path, base: Path, unwanted: Sequence[re.Pattern[str]]) -> Iterator[Path]:
    """Files at or below `root`, sorted.

    Raises:
        SourceError: a folder cannot be read, or a link leads to a folder outside of `root`, which would hide it.
    """
    if root.is_file():
        if not _fits(root, base, unwanted):
            yield root
        return
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if f not in NEVER_READ and not _fits(here / f, base, unwanted))
        for link in (here / f for f in folders if (here / f).is_symlink()):
            if not link.resolve().is_relative_to(root.resolve()):
                raise SourceError(
                    f"{_relative(link, base)} leads to a folder outside of {_relative(root, base)}",
                    hint="exclude it, or scan where it leads",
                )
        for name in sorted(names):
            path = here / name
            if not _fits(path, base, unwanted) and path.is_file():
                yield path


def _unreadable(exc: OSError) -> None:
    raise SourceError(f"cannot read {exc.filename}: {exc.strerror}") from exc


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _fits(path: Path, base: Path, globs: Sequence[re.Pattern[str]]) -> bool:
    return bool(globs) and any(g.fullmatch(_relative(path, base)) for g in globs)


def _count(files: Sequence[Path], compiled: Mapping[str, re.Pattern[str]], base: Path) -> TreeReading:
    counts = dict.fromkeys(compiled, 0)
    places: list[str] = []
    for path in files:
        for number, line in enumerate(_text(path).splitlines(), start=1):
            for name, pattern in compiled.items():
                hits = sum(1 for _ in pattern.finditer(line))
                counts[name] += hits
                if hits and len(places) < MAX_PLACES:
                    places.append(f"{_relative(path, base)}:{number}")
    return TreeReading(counts, len(files), tuple(places), datetime.now(UTC))


def _text(path: Path) -> str:
    """A file as text; other bytes than UTF-8 are replaced, UTF-16 with its mark is read as such."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as exc:
        raise SourceError(f"cannot read {path}: {exc.strerror}") from exc
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8", "replace")
