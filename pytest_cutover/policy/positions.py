"""Strict JSON that remembers where everything stands, so that an error can name the line.

As strict as `strictjson` (duplicate keys, NaN, trailing content, oversized numbers are refused), and
stricter about text: no byte order mark, no lone surrogates. Numbers are `int` or `Decimal`. No I/O.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_cutover.errors import ConfigError
from pytest_cutover.strictjson import parse_decimal, parse_int

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4 * 1024 * 1024
"""A policy is written and reviewed by people; more is a mistake or an attack."""

MAX_DEPTH = 32
"""Nesting of the document; the policy format needs 7."""

Path = tuple[str | int, ...]
"""Keys and list indexes from the root to a value."""

_scan_string = json.decoder.scanstring  # type: ignore[attr-defined] # public, and missing in typeshed
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"[-+.\w]+")


class UnreadableError(ConfigError):
    """The file is missing, too big, or not strict JSON: nothing can be said about its content."""


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both counted from 1; the column counts characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document and where it stands; missing or wrong-shaped children are simply absent.

    That makes it safe to look for mistakes of meaning in a document that also has mistakes of shape.
    """

    document: Located
    path: Path
    value: Any

    @property
    def line(self) -> int:
        return self.document.line(self.path)

    @property
    def key_line(self) -> int:
        """The line of the key that names this value."""
        return self.document.key_line(self.path)

    def get(self, key: str) -> Node | None:
        """The child under `key`, or None when there is none (or this is no object)."""
        if isinstance(self.value, dict) and key in self.value:
            return Node(self.document, (*self.path, key), self.value[key])
        return None

    def at(self, *keys: str) -> Node | None:
        """The descendant under `keys`."""
        node: Node | None = self
        for key in keys:
            node = None if node is None else node.get(key)
        return node

    def members(self, *keys: str) -> Iterator[tuple[str, Node]]:
        """Keys and values of the object under `keys` (none: this one); nothing for anything else."""
        node = self.at(*keys)
        if node is not None and isinstance(node.value, dict):
            for key, value in node.value.items():
                yield key, Node(self.document, (*node.path, key), value)

    def children(self, *keys: str) -> Iterator[Node]:
        """The values of `members`."""
        for _, child in self.members(*keys):
            yield child

    def items(self, *keys: str) -> Iterator[Node]:
        """Elements of the list under `keys` (none: this one); nothing for anything else."""
        node = self.at(*keys)
        if node is not None and isinstance(node.value, list):
            for index, value in enumerate(node.value):
                yield Node(self.document, (*node.path, index), value)

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, in document order."""
        yield self
        for _, child in self.members():
            yield from child.walk()
        for child in self.items():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Located:
    """A parsed document with the position of every key and every value."""

    name: str  # the file, as errors name it
    value: Any
    values: dict[Path, Position]
    keys: dict[Path, Position]

    @property
    def root(self) -> Node:
        return Node(self, (), self.value)

    def line(self, path: Path) -> int:
        """The line on which the value at `path` begins; of the nearest parent when there is no such value."""
        while path not in self.values:
            path = path[:-1]
        return self.values[path].line

    def key_line(self, path: Path) -> int:
        """The line of the key at `path`; of the value when it stands in a list."""
        return self.keys[path].line if path in self.keys else self.line(path)


def parse(data: bytes, name: str) -> Located:
    """The document in `data`; `name` is the file as errors should name it.

    Raises:
        UnreadableError: not strict JSON; the message begins with `name:line:`.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(
            f"{name}: expected at most {MAX_BYTES} bytes, got {len(data)}", hint="is this really the policy?"
        )
    if data.startswith(b"\xef\xbb\xbf"):
        raise UnreadableError(
            f"{name}:1: expected JSON, got a byte order mark", hint="save the file as UTF-8 without BOM"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise UnreadableError(
            f"{name}:{line}: expected UTF-8, got byte 0x{data[exc.start]:02x}", hint="save the file as UTF-8"
        ) from exc
    return _Scanner(text, name).document()


class _Scanner:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._values: dict[Path, Position] = {}
        self._keys: dict[Path, Position] = {}

    def document(self) -> Located:
        value, at = self._value(self._skip(0), (), 0)
        at = self._skip(at)
        if at != len(self._text):
            self._fail(at, "expected the end of the file, got more content", "remove what follows the last }")
        return Located(self._name, value, self._values, self._keys)

    def _position(self, at: int) -> Position:
        line = bisect_right(self._starts, at)
        return Position(line, at - self._starts[line - 1] + 1)

    def _fail(self, at: int, message: str, hint: str) -> NoReturn:
        place = self._position(at)
        raise UnreadableError(f"{self._name}:{place.line}: {message} (column {place.column})", hint=hint)

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _found(self, at: int) -> str:
        """What stands at `at`, for an error message."""
        if at >= len(self._text):
            return "the end of the file"
        word = _WORD.match(self._text, at)
        return repr(word.group()[:40] if word else self._text[at])

    def _value(self, at: int, path: Path, depth: int) -> tuple[Any, int]:
        if depth > MAX_DEPTH:
            self._fail(at, f"expected at most {MAX_DEPTH} levels of nesting", "flatten the document")
        self._values[path] = self._position(at)
        first = self._text[at : at + 1]
        if first == "{":
            return self._object(at, path, depth)
        if first == "[":
            return self._list(at, path, depth)
        if first == '"':
            return self._string(at)
        return self._scalar(at)

    def _scalar(self, at: int) -> tuple[Any, int]:
        word = _WORD.match(self._text, at)
        text = word.group() if word else ""
        if text in _WORDS:
            return _WORDS[text], at + len(text)
        number = _NUMBER.fullmatch(text)
        if number is None:
            self._fail(
                at, f"expected a value, got {self._found(at)}", _scalar_hint(text, self._text[at : at + 1])
            )
        try:
            whole = number.group(1) is None and number.group(2) is None
            return (parse_int(text) if whole else parse_decimal(text)), at + len(text)
        except ValueError as exc:
            self._fail(at, str(exc), "write a number of a sensible size")

    def _string(self, at: int) -> tuple[str, int]:
        try:
            value, end = _scan_string(self._text, at + 1, True)
        except json.JSONDecodeError as exc:
            self._fail(
                min(exc.pos, len(self._text)),
                exc.msg.removesuffix(" at"),
                'escape it, or close the text with "',
            )
        if any("\ud800" <= c <= "\udfff" for c in value):
            self._fail(
                at, "expected Unicode text, got half of a surrogate pair", "write the character itself"
            )
        return value, end

    def _object(self, at: int, path: Path, depth: int) -> tuple[dict[str, Any], int]:
        out: dict[str, Any] = {}
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "}":
            return out, at + 1
        while True:
            key, value, at = self._member(at, path, depth, out)
            out[key] = value
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return out, at + 1
            at = self._comma(at, "}")

    def _member(self, at: int, path: Path, depth: int, seen: dict[str, Any]) -> tuple[str, Any, int]:
        if self._text[at : at + 1] != '"':
            comma = self._text[at : at + 1] == "}"
            hint = "remove the comma before }" if comma else "keys stand in double quotes"
            self._fail(at, f"expected a key, got {self._found(at)}", hint)
        key, end = self._string(at)
        here = (*path, key)
        if key in seen:
            first = self._keys[here].line
            self._fail(at, f"duplicate key {key!r}, first on line {first}", "keep one of the two")
        self._keys[here] = self._position(at)
        end = self._skip(end)
        if self._text[end : end + 1] != ":":
            self._fail(
                end, f"expected ':' after the key {key!r}, got {self._found(end)}", "put a colon there"
            )
        value, end = self._value(self._skip(end + 1), here, depth + 1)
        return key, value, end

    def _list(self, at: int, path: Path, depth: int) -> tuple[list[Any], int]:
        out: list[Any] = []
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "]":
            return out, at + 1
        while True:
            value, at = self._value(at, (*path, len(out)), depth + 1)
            out.append(value)
            at = self._skip(at)
            if self._text[at : at + 1] == "]":
                return out, at + 1
            at = self._comma(at, "]")

    def _comma(self, at: int, closing: str) -> int:
        if self._text[at : at + 1] != ",":
            # The line that lacks its comma is the one before, which is where people look.
            last = len(self._text[:at].rstrip(" \t\r\n"))
            self._fail(
                max(last - 1, 0),
                f"expected ',' or '{closing}' after this, got {self._found(at)}",
                "is a comma missing?",
            )
        return self._skip(at + 1)


def _scalar_hint(word: str, first: str) -> str:
    if word.lower() in ("nan", "inf", "infinity", "-inf", "-infinity"):
        return "NaN and Infinity are not JSON, and no limit"
    if word.lower() in ("true", "false", "null", "none"):
        return "JSON writes true, false and null in small letters"
    if first in ("]", "}", ","):
        return "remove the comma before it, or put a value there"
    if first == "/" or word.startswith("#"):
        return "JSON has no comments"
    if word[:1].isdigit() or word[:1] in ("-", "+", "."):
        return "write numbers as 5, 0.5 or 5e3"
    return "texts stand in double quotes"
