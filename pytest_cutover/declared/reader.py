"""A file of gates, read strictly: every mistake with its line, what was expected and the way out. No I/O."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_cutover.declared import jsonpath, shapes
from pytest_cutover.declared.criteria import Command, Criterion, Measure, Probe, Readyz, Scan, Take, Url
from pytest_cutover.declared.positions import Positions
from pytest_cutover.declared.taking import FLAGS
from pytest_cutover.errors import ConfigError
from pytest_cutover.phases import PHASES
from pytest_cutover.policy.issues import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_cutover.declared.positions import Path
    from pytest_cutover.declared.shapes import Key, ProbeKind, Shape

MAX_BYTES = 1 << 20
"""A file of gates is written and reviewed by people."""

PAGE = "see docs/reference/toml-gates.md"
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
OURS = "CUTOVER_KEY"
"""How the variables of the signing key begin."""

_SHELL = ("bash", "--noprofile", "--norc", "-O", "inherit_errexit", "-euo", "pipefail", "-c")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to change in a file of gates."""

    file: str
    line: int
    where: str
    message: str
    hint: str

    @property
    def text(self) -> str:
        """`gates/release.toml:12: gate db.migration: expected …, got …`."""
        return f"{self.file}:{self.line}: {self.where}{': ' if self.where else ''}{self.message}"


class GateFileError(ConfigError):
    """A file of gates that cannot be used; `mistakes` are in file order."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        lines = [f"{m.text}\n    hint: {m.hint}" if m.hint else m.text for m in self.mistakes]
        if len(lines) == 1:
            super().__init__(self.mistakes[0].text, hint=self.mistakes[0].hint or None)
        else:
            super().__init__("\n".join([f"{len(lines)} mistakes in {self.mistakes[0].file}", *lines]))


def read(data: bytes, file: str) -> tuple[Criterion, ...]:
    """The gates in `data`; `file` is its name as messages show it.

    Raises:
        GateFileError: anything in it is not as `docs/reference/toml-gates.md` says.
    """
    text = _text(data, file)
    try:
        document = tomllib.loads(text, parse_float=_number)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise GateFileError([_syntax(exc, file, text)]) from exc
    reading = _Reading(file, document, Positions(text))
    criteria = reading.criteria()
    if reading.mistakes:
        raise GateFileError(sorted(reading.mistakes, key=lambda m: m.line))
    return criteria


def _text(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        message = f"expected at most {MAX_BYTES} bytes, got {len(data)}"
        raise GateFileError([Mistake(file, 1, "", message, "is this really a file of gates?")])
    try:
        # As tomllib.load() does; TOML knows no lone carriage return.
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        message = f"expected UTF-8, got byte 0x{data[exc.start]:02x}"
        raise GateFileError([Mistake(file, line, "", message, "save the file as UTF-8")]) from exc


def _number(text: str) -> Decimal:
    """A float literal, exactly; nan and inf are refused where they stand."""
    return Decimal(text)


def _syntax(exc: Exception, file: str, text: str) -> Mistake:
    if isinstance(exc, RecursionError):
        return Mistake(file, 1, "", "nested too deeply", "")
    said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", str(exc), re.DOTALL)
    message, line, column = said.groups() if said else (str(exc), None, None)
    place = f" (column {column})" if column else ""
    last = text.rstrip("\n").count("\n") + 1
    return Mistake(
        file, int(line or last), "", f"expected TOML: {message}{place}", "https://toml.io has the rules"
    )


def shown(value: Any) -> str:
    """A value of TOML as an error message quotes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal) and not value.is_finite():
        return "nan" if value.is_nan() else "inf"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 60 else value[:57] + '…'!r}" if value else "an empty text"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list):
        return f"the list {shown_list(value)}" if value else "an empty list"
    return str(value)


def shown_list(values: Sequence[Any]) -> str:
    """A short list in full, a long one by its beginning."""
    text = ", ".join(str(v) if not isinstance(v, str) else repr(v) for v in values)
    return f"[{text}]" if len(text) <= 60 else f"[{text[:57]}…"


class _Reading:
    """One pass over a document; collects mistakes instead of stopping at the first."""

    def __init__(self, file: str, document: dict[str, Any], positions: Positions) -> None:
        self._file = file
        self._document = document
        self._positions = positions
        self.mistakes: list[Mistake] = []

    def criteria(self) -> tuple[Criterion, ...]:
        if not self._is_ours():
            return ()
        top = {k: v for k, v in self._document.items() if k not in ("format", "gate")}
        self._check_keys((), top, shapes.TOP, also=("format", "gate"))
        gates = self._document.get("gate")
        if not isinstance(gates, list) or not gates or not all(isinstance(g, dict) for g in gates):
            path: Path = ("gate",) if "gate" in self._document else ()
            self._add(
                path, "expected at least one table [[gate]]", 'a gate begins with [[gate]] and id = "…"'
            )
            return ()
        usable = {k: v for k, v in top.items() if k in shapes.TOP and shapes.TOP[k].shape.accepts(v)}
        found = [c for i, g in enumerate(gates) if (c := self._gate(("gate", i), g, usable)) is not None]
        self._check_duplicates(gates)
        return tuple(found)

    def _is_ours(self) -> bool:
        """The format decides how the rest is read, so a wrong one is the only mistake worth telling."""
        value = self._document.get("format")
        if type(value) is int and value == shapes.FORMAT:
            return True
        if value is None:
            self._add(
                (), "expected the key 'format', got none", f"put format = {shapes.FORMAT} into the first line"
            )
        else:
            hint = f"this version reads format {shapes.FORMAT}; a newer one needs a newer pytest-cutover"
            self._add(("format",), f"expected {shapes.FORMAT}, got {shown(value)}", hint)
        return False

    def _check_duplicates(self, gates: Sequence[dict[str, Any]]) -> None:
        first: dict[str, int] = {}
        for index, gate in enumerate(gates):
            name = gate.get("id")
            if not isinstance(name, str):
                continue
            path: Path = ("gate", index, "id")
            if name in first:
                self._add(
                    path,
                    f"the id {name!r} is already that of the gate on line {first[name]}",
                    "give it its own",
                )
            first.setdefault(name, self._positions.line(path))

    # -- one gate

    def _gate(self, path: Path, gate: dict[str, Any], top: Mapping[str, Any]) -> Criterion | None:
        before = len(self.mistakes)
        kinds = [k for k in shapes.KINDS if k in gate]
        if len(kinds) != 1:
            got = " and ".join(kinds) or "none"
            hint = "one gate reads one thing" if kinds else 'e.g. command = ["./migrate", "--check"]'
            self._add(path, f"expected one of {', '.join(shapes.KINDS)}, got {got}", hint)
        kind = shapes.KINDS[kinds[0]] if kinds else shapes.ProbeKind(shapes.Key(shapes.TEXT, ""))
        known = {**shapes.GATE, **{k: shapes.KINDS[k].key for k in kinds}, **kind.options}
        rest = {k: v for k, v in gate.items() if k != "measure"}
        self._check_keys(path, rest, known, also=("measure",))
        if "id" not in gate:
            self._add(path, "expected the key 'id', got none", shapes.GATE["id"].hint)
        phase = gate.get("phase", top.get("phase"))
        if phase is None and "phase" not in self._document:
            self._add(
                path,
                "expected the key 'phase', got none",
                f'phase = "{PHASES[0]}" here, or at the top',
            )
        measures = self._measures(path, gate, kind) if len(kinds) == 1 else ()
        if len(self.mistakes) > before:
            return None
        self._check_probe(path, kinds[0], gate)
        if len(self.mistakes) > before or not isinstance(phase, str):
            return None
        said = {**top, **gate}
        timeout = said.get("timeout_s")
        return Criterion(
            id=gate["id"],
            line=self._positions.line(path),
            phase=phase,
            probe=_probe(kinds[0], gate, {k: v for k, v in said.items() if k in known}),
            measures=measures,
            title=gate.get("title"),
            category=said.get("category"),
            owner=said.get("owner"),
            remedy=said.get("remedy"),
            timeout_s=None if timeout is None else float(timeout),
        )

    def _check_probe(self, path: Path, kind: str, gate: dict[str, Any]) -> None:
        """What shapes alone cannot say."""
        if kind == "command":
            program, *arguments = gate["command"]
            is_line = any(re.fullmatch(r"-[a-z]*c[a-z]*", a) for a in arguments[:-1])
            if PurePosixPath(program).name in SHELLS and is_line:
                hint = "shell = '…' runs bash so that a pipe hands on the exit code of each of its commands"
                self._add((*path, "command"), "expected a command, got a line for a shell", hint)
            if any("\0" in a for a in gate["command"]):
                self._add((*path, "command"), "expected texts without NUL characters", "")
        for holder in ((), path):
            names = self._at((*holder, "env_from")) or ()
            for name in (n for n in names if str(n).startswith(OURS)):
                message = f"expected variables for a command, got {name}"
                self._add((*holder, "env_from"), message, "the signing key is not for gates")
        twice = [n for n, c in Counter([*gate.get("env", ()), *gate.get("env_from", ()), *gate.get("env_targets", ())]).items() if c > 1]  # fmt: skip
        if twice:
            self._add(
                path, f"expected each variable once, got {twice[0]!r} twice", "env, env_from or env_targets"
            )
        headers = [h.lower() for h in (*gate.get("headers", ()), *gate.get("headers_from", ()))]
        again = [n for n, c in Counter(headers).items() if c > 1]
        if again:
            self._add(path, f"expected each header field once, got {again[0]!r} twice", "in any case")

    def _at(self, path: Path) -> Any:
        value: Any = self._document
        for part in path:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        return value

    # -- measurements

    def _measures(self, path: Path, gate: dict[str, Any], kind: ProbeKind) -> tuple[Measure, ...]:
        table = gate.get("measure")
        here = (*path, "measure")
        if not isinstance(table, dict) or not table:
            got = "none" if table is None else shown(table)
            word = next(iter(kind.words))
            self._add(here, f"expected measurements, got {got}", f'e.g. measure.{word} = "{word}"')
            return ()
        found = [self._measure((*here, name), name, value, kind) for name, value in table.items()]
        return tuple(m for m in found if m is not None)

    def _measure(self, path: Path, name: str, value: Any, kind: ProbeKind) -> Measure | None:
        before = len(self.mistakes)
        if not re.fullmatch(shapes.NAME_PATTERN, name):
            self._add(path, f"expected a name of letters, digits, '.', '_' and '-', got {name!r}", "")
        table = {"of": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            hint = "e.g. { figure = 'took (\\d+)' }"
            self._add(path, f"expected a word or a table, got {shown(value)}", hint)
            return None
        takes = {k: shapes.TAKES[k] for k in ("of", *kind.takes)}
        beside = {k: v for k, v in shapes.MEASURE.items() if _fits(k, kind)}
        self._check_keys(path, table, {**takes, **beside}, is_word=isinstance(value, str))
        take = self._take(path, table, kind, tuple(takes), is_word=isinstance(value, str))
        samples = self._samples(path, table, kind)
        unit = self._unit(path, table, take, kind)
        limits = {k: table[k] for k in shapes.LIMIT_WORDS if k in table}
        if len(limits) > 1:
            hint = (
                "a range is between = [low, high]" if set(limits) == {"at_least", "at_most"} else "keep one"
            )
            self._add(path, f"expected one limit, got {' and '.join(limits)}", hint)
        if len(self.mistakes) > before or take is None:
            return None
        return Measure(
            name=name,
            line=self._positions.line(path),
            take=take,
            unit=unit,
            samples=samples,
            information=table.get("information", False),
            limit=limits,
        )

    def _take(
        self,
        path: Path,
        table: dict[str, Any],
        kind: ProbeKind,
        known: Sequence[str],
        *,
        is_word: bool = False,
    ) -> Take | None:
        given = [k for k in known if k in table]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            self._add(path, f"expected one of {', '.join(known)}, got {got}", PAGE)
            return None
        what, argument = given[0], table[given[0]]
        if not shapes.is_text(argument):
            return None  # said already
        here: Path = path if is_word else (*path, what)
        if "labels" in table and what != "metric":
            self._add((*path, "labels"), "expected labels beside metric only", "")
        if "in" in table and what in ("of", "json", "items") and (what == "of" or table["in"] != "stdout"):
            self._add(
                (*path, "in"), f"expected 'in' beside a pattern, got it beside {what!r}", "leave it out"
            )
        if what == "of":
            if argument not in kind.words:
                hint = did_you_mean(argument, kind.words, what="words")
                self._add(here, f"expected one of {', '.join(kind.words)}, got {shown(argument)}", hint)
            return Take(argument)
        query: jsonpath.Query = ()
        if what in ("json", "items"):
            query = self._query(here, argument)
        if what in ("figure", "text", "count"):
            self._check_pattern(here, argument, groups=None if what == "count" else 1)
        labels = table.get("labels", {})
        return Take(
            what, argument, query, table.get("in", "stdout"), labels if isinstance(labels, dict) else {}
        )

    def _query(self, path: Path, text: str) -> jsonpath.Query:
        try:
            return jsonpath.parse(text)
        except ValueError as exc:
            hint = "$.a.b[0] or $['a b']; a path names one value, so no *, .. or filters"
            self._add(path, f"expected the path of one JSON value, got {shown(text)}: {exc}", hint)
            return ()

    def _check_pattern(self, path: Path, pattern: str, *, groups: int | None) -> None:
        try:
            compiled = re.compile(pattern, FLAGS)
        except (re.error, RecursionError, OverflowError) as exc:
            hint = "patterns stand in single quotes, where a backslash is a backslash"
            self._add(path, f"expected a regular expression, got {shown(pattern)}: {exc}", hint)
            return
        if groups is not None and compiled.groups != groups:
            hint = "put ( ) around what is measured, (?: ) around what is not"
            self._add(
                path, f"expected a pattern with one group, got {compiled.groups} in {shown(pattern)}", hint
            )
        elif compiled.search("") is not None:
            hint = "it would match everywhere; use + instead of *, or name what stands beside it"
            self._add(path, f"expected a pattern that needs a text, got {shown(pattern)}", hint)

    def _samples(self, path: Path, table: dict[str, Any], kind: ProbeKind) -> Take | None:
        samples = table.get("samples")
        if not isinstance(samples, dict):
            return None
        takes = {k: shapes.TAKES[k] for k in sample_takes(kind)}
        beside = {"in": shapes.MEASURE["in"]} if kind.streams else {}
        here = (*path, "samples")
        self._check_keys(here, samples, {**takes, **beside})
        return self._take(here, samples, kind, tuple(takes))

    def _unit(self, path: Path, table: dict[str, Any], take: Take | None, kind: ProbeKind) -> str:
        fixed = None if take is None or take.argument else kind.words.get(take.what)
        unit = table.get("unit", fixed or "1")
        if fixed is not None and isinstance(unit, str) and unit != fixed:
            self._add(
                (*path, "unit"), f"expected the unit {fixed!r} here, got {unit!r}", "nothing is converted"
            )
        return unit if isinstance(unit, str) else "1"

    # -- keys and shapes

    def _check_keys(
        self, path: Path, table: dict[str, Any], known: Mapping[str, Key], *, also: Sequence[str] = (), is_word: bool = False
    ) -> None:  # fmt: skip
        for name, value in table.items():
            here: Path = path if is_word else (*path, name)
            if name not in known:
                self._add(here, f"unknown key {name!r}", _home(name, [*known, *also]))
            elif not known[name].shape.accepts(value):
                self._add(
                    here,
                    f"{name}: {_mismatch(known[name].shape, value)}",
                    known[name].hint or _said(name, value),
                )

    def _add(self, path: Path, message: str, hint: str) -> None:
        self.mistakes.append(
            Mistake(self._file, self._positions.line(path), self._where(path), message, hint)
        )

    def _where(self, path: Path) -> str:
        """`gate db.migration, measure pending`, as far as the path leads there."""
        if path[:1] != ("gate",) or len(path) < 2:
            return ""
        named = self._at((*path[:2], "id"))
        number = path[1]
        where = f"gate {named}" if isinstance(named, str) and named else f"gate {int(number) + 1}"
        return f"{where}, measure {path[3]}" if len(path) > 3 and path[2] == "measure" else where


def sample_takes(kind: ProbeKind) -> tuple[str, ...]:
    """What a number of samples can be taken from."""
    return tuple(k for k in shapes.SAMPLE_TAKES if k == "of" or k in kind.takes)


def _fits(key: str, kind: ProbeKind) -> bool:
    if key == "in":
        return kind.streams
    return key != "labels" or "metric" in kind.takes


def _mismatch(shape: Shape, value: Any) -> str:
    return f"expected {shape.expected}, got {shown(value)}"


def _said(name: str, value: Any) -> str:
    if isinstance(value, Decimal) and not value.is_finite():
        return "no figure can be compared with it"
    return f"{PAGE}, {name}"


def _home(name: str, known: Sequence[str]) -> str:
    if name in shapes.LIMITS:
        return "a limit belongs to a measurement: into the policy, under limits"
    if name == "timeout":
        return "did you mean 'timeout_s'?"
    homes = [kind for kind, probe in shapes.KINDS.items() if name in probe.options]
    if homes:
        return f"{name!r} belongs to a gate with {' or '.join(homes)}"
    return did_you_mean(name, known, what="keys here")


def _probe(kind: str, gate: Mapping[str, Any], said: Mapping[str, Any]) -> Probe:
    if kind in ("command", "shell"):
        return _command(gate, said)
    if kind == "scan":
        roots = gate["scan"]
        return Scan(
            (roots,) if isinstance(roots, str) else tuple(roots),
            tuple(gate.get("files", ())),
            tuple(gate.get("exclude", ())),
        )
    target, retries = gate.get("target", "app"), gate.get("retries", 0)
    if kind == "readyz":
        return Readyz(gate["readyz"], target, retries)
    return Url(
        gate["url"],
        target,
        gate.get("method", "GET"),
        gate.get("headers", {}),
        gate.get("headers_from", {}),
        retries,
        gate.get("follow", False),
    )


def _command(gate: Mapping[str, Any], said: Mapping[str, Any]) -> Command:
    line = gate.get("shell")
    return Command(
        tuple(gate["command"]) if line is None else (*_SHELL, line),
        line is not None,
        said.get("folder", "."),
        gate.get("env", {}),
        tuple(n for n in said.get("env_from", ()) if n not in gate.get("env", ())),
        {k: v for k, v in said.get("env_targets", {}).items() if k not in gate.get("env", ())},
        tuple(gate.get("exit_codes", (0,))),
        gate.get("leaves_processes", False),
        gate.get("max_output_bytes"),
    )
