"""On which line every key of a TOML document stands. Pure.

`tomllib` says what a document means and not where; a parser that keeps positions would be a dependency for
error messages alone. So the text, once `tomllib` has accepted it, is walked a second time for its keys only.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""Keys and list indexes from the root to a value."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}' r"|'''(?:[^']|'(?!''))*'{3,5}|" + _QUOTED.pattern, re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\r\n]*")


class Positions:
    """Lines, counted from 1, of the tables and keys of a document that `tomllib` has read without an error."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # arrays of tables: how many so far
        self._at = 0
        self._document()

    def line(self, path: Path) -> int:
        """The line of the key or table header at `path`; of the nearest parent when nothing stands there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _document(self) -> None:
        prefix: Path = ()
        self._blank()
        while self._at < len(self._text):
            before = self._at
            if self._text.startswith("[", before):
                prefix = self._header()
            else:
                self._member(prefix)
            self._blank()
            if self._at == before:  # cannot be in valid TOML; a line number is not worth a hang
                return

    def _header(self) -> Path:
        line, array = self._line(), self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        parts = self._key()
        self._at += 2 if array else 1
        path: Path = ()
        for part in parts[:-1]:
            path = self._inside((*path, part))
            self._lines.setdefault(path, line)
        path = (*path, parts[-1])
        if array:
            self._lines.setdefault(path, line)
            self._tables[path] = self._tables.get(path, 0) + 1
        path = self._inside(path)
        self._lines[path] = line
        return path

    def _inside(self, path: Path) -> Path:
        """The last table of an array of tables; any other path as it is."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _member(self, prefix: Path) -> None:
        line, path = self._line(), prefix
        for part in self._key():
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._at += 1  # the sign of equality
        self._blank()
        self._value(path)

    def _key(self) -> list[str]:
        """A dotted key; ends at the sign behind it."""
        parts: list[str] = []
        while True:
            self._blank()
            quoted = _QUOTED.match(self._text, self._at)
            found = quoted or _BARE_KEY.match(self._text, self._at)
            if found is None:
                return parts or [""]
            parts.append(tomllib.loads(f"k = {found[0]}")["k"] if quoted else found[0])
            self._at = found.end()
            self._blank()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        text = _STRING.match(self._text, self._at)
        if text is not None:
            self._at = text.end()
        elif self._text.startswith(("[", "{"), self._at):
            self._inner(path, is_table=self._text[self._at] == "{")
        else:
            plain = _PLAIN.match(self._text, self._at)
            self._at = plain.end() if plain else len(self._text)

    def _inner(self, path: Path, *, is_table: bool) -> None:
        """An inline table, or an array."""
        self._at += 1
        index = 0
        self._blank()
        while self._at < len(self._text) and self._text[self._at] not in "]}":
            before = self._at
            if is_table:
                self._member(path)
            else:
                self._lines[*path, index] = self._line()
                self._value((*path, index))
                index += 1
            self._blank()
            if self._text.startswith(",", self._at):
                self._at += 1
                self._blank()
            if self._at == before:
                return
        self._at += 1

    def _blank(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)
