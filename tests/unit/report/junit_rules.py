"""The rules of Jenkins' JUnit schema (junit-10, before its Surefire variant of 2018), and how often what is counted.

Written from the rules, not copied: the schema says which elements and attributes may stand where; the counts it leaves open.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

_CASE = {"name", "assertions", "time", "timestamp", "classname", "status", "class", "file", "line", "log"}
_SUITE = {
    "name",
    "tests",
    "failures",
    "errors",
    "time",
    "disabled",
    "skipped",
    "skips",
    "timestamp",
    "hostname",
}
_OUTCOME = {"type", "message"}

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testsuite", "properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "property": set(),
    "testcase": {"skipped", "error", "failure", "rerunFailure", "rerunError", "system-out", "system-err"},
    "failure": set(),
    "error": set(),
    "skipped": set(),
    "system-out": set(),
    "system-err": set(),
}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": _SUITE | {"id", "package", "assertions", "file", "skip", "log", "url"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": _CASE | {"group", "url"},
    "failure": _OUTCOME,
    "error": _OUTCOME,
    "skipped": _OUTCOME,
    "system-out": set(),
    "system-err": set(),
}
REQUIRED = {"testsuite": {"tests"}, "property": {"name", "value"}, "testcase": {"name"}}
WITH_TEXT = {"failure", "error", "skipped", "system-out", "system-err"}


def mistakes(text: str) -> list[str]:
    """Everything that a file breaks; an empty list is a good file."""
    return list(_walk(ET.fromstring(text.encode()))) + list(_counts(ET.fromstring(text.encode())))


def _walk(element: ET.Element) -> Iterator[str]:
    name = element.tag
    if name not in CHILDREN:
        yield f"<{name}> is no element of JUnit"
        return
    yield from (f"<{name}> has no attribute {a}" for a in element.attrib if a not in ATTRIBUTES[name])
    yield from (f"<{name}> lacks {a}" for a in REQUIRED.get(name, set()) if a not in element.attrib)
    if name not in WITH_TEXT and "".join([element.text or "", *(c.tail or "" for c in element)]).strip():
        yield f"<{name}> holds text"
    for child in element:
        if child.tag not in CHILDREN[name]:
            yield f"<{child.tag}> may not stand in <{name}>"
        yield from _walk(child)


def _counts(root: ET.Element) -> Iterator[str]:
    """What annotators rely on: counts that are right, names that are unique, lines from 1, times that are numbers."""
    if root.tag != "testsuites":
        yield f"expected <testsuites>, got <{root.tag}>"
    for element in root.iter():
        if element.tag in ("testsuites", "testsuite"):
            cases = list(element.iter("testcase"))
            for attribute, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                counted = str(sum(case.find(child) is not None for case in cases))
                if element.get(attribute, counted) != counted:
                    yield f"<{element.tag}> says {element.get(attribute)} {attribute}, there are {counted}"
            if element.get("tests") != str(len(cases)):
                yield f"<{element.tag}> says {element.get('tests')} tests, there are {len(cases)}"
        if "time" in element.attrib and not re.fullmatch(r"\d+\.\d+", element.attrib["time"]):
            yield f"time {element.attrib['time']!r} is no number"
        if "line" in element.attrib and not re.fullmatch(r"[1-9]\d*", element.attrib["line"]):
            yield f"line {element.attrib['line']!r} does not count from 1"
    names = [(c.get("classname"), c.get("name")) for c in root.iter("testcase")]
    yield from (f"{name} stands twice" for name in {n for n in names if names.count(n) > 1})
