"""Which measurements a gate's function makes, read from its source without running it. Pure.

Names and units are what stands there as text, in a module's constant, or in a loop over a literal list; anything
computed is said to be unknown, never guessed.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT_WORDS = ("at_least", "at_most", "between", "equals", "one_of")
_DEEP = 5
"""How many functions of the same file are followed when one hands `gate` to the next."""


@dataclass(frozen=True, slots=True)
class Call:
    """One measurement that the source makes. None: it is computed; `limits` has those that are written out."""

    name: str
    line: int
    unit: str | None = "1"
    samples: bool | None = False
    information: bool | None = False
    limits: tuple[tuple[str, Any], ...] = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class Calls:
    """What was read: measurements, and (line, why) of what the source alone does not say."""

    calls: tuple[Call, ...] = ()
    unknown: tuple[tuple[int, str], ...] = ()
    sections: tuple[str, ...] = ()  # of the evidence document


def calls_in(source: str, line: int) -> Calls:
    """The measurements of the gate whose function, its decorators included, begins at `line` (1-based)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Calls(unknown=((line, "its file cannot be read as Python"),))
    reader = _Reader(tree)
    function = reader.function_at(line)
    if function is None:
        return Calls(unknown=((line, "its function is not written in this file"),))
    reader.read(function, "gate", 0)
    return Calls(tuple(reader.calls), tuple(dict.fromkeys(reader.unknown)), tuple(reader.sections))


_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._functions = [n for n in ast.walk(tree) if isinstance(n, _Function)]
        self._top = {n.name: n for n in tree.body if isinstance(n, _Function)}
        self._constants = dict(_constants(tree))
        self.calls: list[Call] = []
        self.sections: list[str] = []
        self.unknown: list[tuple[int, str]] = []

    def function_at(self, line: int) -> _Function | None:
        for function in self._functions:
            if min([function.lineno, *(d.lineno for d in function.decorator_list)]) == line:
                return function
        return None

    def read(self, function: _Function, gate: str, depth: int) -> None:
        """Every use of the parameter `gate` of one function."""
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id == gate and isinstance(node.ctx, ast.Load):
                self._use(node, depth)

    def _use(self, node: ast.Name, depth: int) -> None:
        parent = self._parents[node]
        if isinstance(parent, ast.Attribute):
            call = self._parents[parent]
            if parent.attr == "section":
                self._section(node.lineno, call)
            if parent.attr not in ("measure", "conforms"):
                return
            if isinstance(call, ast.Call) and call.func is parent:
                self._measured(call, is_schema=parent.attr == "conforms")
            else:
                self.unknown.append((node.lineno, f"gate.{parent.attr} is called under another name"))
            return
        target = self._handed_to(node, parent)
        if target is not None and depth < _DEEP:
            self.read(*target, depth + 1)
        else:
            self.unknown.append((node.lineno, "gate is handed on to code outside of the file"))

    def _handed_to(self, node: ast.Name, parent: ast.AST) -> tuple[_Function, str] | None:
        """The function of this file that gets `gate`, and what it calls it."""
        call = self._parents[parent] if isinstance(parent, ast.keyword) else parent
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        function = self._top.get(call.func.id)
        if function is None:
            return None
        arguments = function.args
        if isinstance(parent, ast.keyword):
            names = {a.arg for a in (*arguments.args, *arguments.kwonlyargs)}
            return (function, parent.arg) if parent.arg in names else None
        at = call.args.index(node) if node in call.args else -1
        positional = [*arguments.posonlyargs, *arguments.args]
        starred = any(isinstance(a, ast.Starred) for a in call.args)
        return (function, positional[at].arg) if 0 <= at < len(positional) and not starred else None

    def _section(self, line: int, call: ast.AST) -> None:
        given = (
            [*call.args[:1], *(k.value for k in call.keywords if k.arg == "name")]
            if isinstance(call, ast.Call)
            else []
        )
        names = self._texts(given[0]) if given else None
        if names is None:
            self.unknown.append((line, "the name of a section is computed"))
        else:
            self.sections += names

    def _measured(self, call: ast.Call, *, is_schema: bool) -> None:
        given = {k.arg: k.value for k in call.keywords}
        if call.args and isinstance(call.args[0], ast.Starred):
            self.unknown.append((call.lineno, "a measurement is written with *"))
            return
        if is_schema:
            names = self._texts(given["name"]) if "name" in given else ["schema_errors"]
            made: dict[str, Any] = {"limits": (("at_most", 0),)}
        else:
            named = call.args[0] if call.args else given.get("name")
            names = None if named is None else self._texts(named)
            made = self._details(given, call.args[1] if len(call.args) > 1 else given.get("value"))
        if names is None:
            self.unknown.append((call.lineno, "the name of a measurement is computed"))
            return
        self.calls += [Call(name, call.lineno, **made) for name in names]

    def _details(self, given: Mapping[str | None, ast.expr], value: ast.expr | None) -> dict[str, Any]:
        is_open = None in given  # `**`: what is not written out may be in there
        units = self._texts(given["unit"]) if "unit" in given else [] if is_open else ["1"]
        limits = [(word, self._literal(given[word])) for word in LIMIT_WORDS if word in given]
        known = tuple((word, bound) for word, bound in limits if bound is not None)
        information = self._literal(given["information"]) if "information" in given else False
        samples = "samples" in given and not _is_none(given["samples"])
        return {
            "unit": units[0] if units is not None and len(units) == 1 else None,
            "samples": None if is_open and not samples else samples,
            "information": None if is_open and not information else information is True,
            "limits": known,
            "value": None if value is None else self._literal(value),
        }

    def _texts(self, node: ast.expr) -> list[str] | None:
        """The texts an expression can be; None when it is computed."""
        value = self._literal(node)
        if isinstance(value, str):
            return [value]
        if isinstance(node, ast.Name):
            return self._looped(node)
        return None

    def _looped(self, name: ast.Name) -> list[str] | None:
        """The literal texts that a loop around this name goes through."""
        node: ast.AST | None = name
        while node is not None and not isinstance(node, _Function):
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == name.id:
                values = self._literal(node.iter)
                if isinstance(values, tuple | list | Mapping) and all(isinstance(v, str) for v in values):
                    return list(values)
                return None
            node = self._parents.get(node)
        return None

    def _literal(self, node: ast.expr) -> Any:
        """The value of a literal, of `Decimal("…")`, or of a constant of the module; None for anything else."""
        if isinstance(node, ast.Name):
            return self._constants.get(node.id)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Decimal", "decimal.Decimal"):
            inner = [self._literal(a) for a in node.args]
            try:
                return Decimal(inner[0]) if len(inner) == 1 and isinstance(inner[0], str | int) else None
            except ArithmeticError:
                return None
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Names that the module gives a literal, and that nothing else in the file gives a value."""
    stored = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    stored.update(n.arg for n in ast.walk(tree) if isinstance(n, ast.arg))
    given: dict[str, list[Any]] = {}
    for node in tree.body:
        targets: Sequence[ast.expr] = node.targets if isinstance(node, ast.Assign) else ()
        for target in (t for t in targets if isinstance(t, ast.Name)):
            try:
                value = ast.literal_eval(node.value)  # type: ignore[attr-defined] # an Assign has one
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                value = None
            given.setdefault(target.id, []).append(value)
    for name, values in given.items():
        if stored[name] == 1 and values[0] is not None:
            yield name, values[0]
