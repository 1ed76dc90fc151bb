"""What is wrong with a policy, each with file, line and the way out."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_cutover.policy.positions import Node, Path


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake in a policy file, or (`note`) something worth knowing that stops nothing."""

    file: str
    line: int
    where: str  # keys from the root, e.g. `limits/service.ready/latency`; empty for the document
    message: str
    hint: str
    note: bool = False

    @property
    def said(self) -> str:
        """`limits/service.ready/latency: expected …, got …`."""
        return f"{self.where}: {self.message}" if self.where else self.message

    @property
    def text(self) -> str:
        """`configs/policy.json:17: limits/service.ready/latency: expected …, got …`."""
        return f"{self.file}:{self.line}: {self.said}"


class PolicyError(ConfigError):
    """A readable policy that cannot be used.

    `issues` holds every mistake in file order, `all_issues` the notes among them too.
    """

    def __init__(self, issues: Sequence[Issue]) -> None:
        self.all_issues = tuple(issues)
        self.issues = tuple(i for i in issues if not i.note)
        first = self.issues[0]
        if len(self.issues) == 1:
            super().__init__(first.text, hint=first.hint)
            return
        lines = [f"{len(self.issues)} mistakes in {first.file}"]
        for issue in self.issues:
            lines += [f"  {issue.text}", f"      hint: {issue.hint}"]
        super().__init__("\n".join(lines), hint=f"cutover policy check {first.file}")


def mistake(node: Node, message: str, hint: str) -> Issue:
    """What must be changed about a value before the policy can be used."""
    return Issue(node.document.name, node.key_line, where(node.path), message, hint)


def note(node: Node, message: str, hint: str) -> Issue:
    """What is worth knowing about a value, and stops nothing."""
    return Issue(node.document.name, node.key_line, where(node.path), message, hint, note=True)


def where(path: Path) -> str:
    """A path as messages show it."""
    return "/".join(str(part) for part in path)


def duplicates(node: Node | None, hint: str) -> Iterator[Issue]:
    """Values that stand in a list more than once; 1 and 1.0 are the same."""
    if node is None:
        return
    values = [i.value for i in node.items() if isinstance(i.value, str | int | Decimal)]
    for value, count in Counter(values).items():
        if count > 1:
            yield mistake(node, f"expected different values, got {shown(value)} {count} times", hint)


def is_number(value: object) -> bool:
    """Whether a parsed value is a number; true and false are none."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value of a policy as an error message quotes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "…"
        return f"the text {text!r}" if value else "an empty text"
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return str(value)


def did_you_mean(word: str, known: Iterable[str], *, what: str) -> str:
    """A hint with the nearest known word, and all of them when they are few."""
    names = list(known)
    if not names:
        return f"there are no known {what}"
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    listed = f"known {what}: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    return f"did you mean {close[0]!r}? {listed}" if close else listed
