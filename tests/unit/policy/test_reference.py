"""The reference page says what the models and the checks say."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_cutover.policy.check import check
from pytest_cutover.policy.document import (
    Change,
    Document,
    Environment,
    GateCode,
    Guards,
    LimitEntry,
    Log,
    Model,
    Plan,
    PlanOverride,
    RequireEntry,
    Retention,
    Settings,
    Store,
    Subject,
)
from pytest_cutover.policy.positions import parse
from pytest_cutover.resolution import BuiltIn, GateFiles
from tests.unit.policy.documents import FILE, NOW

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")

SECTIONS: dict[str, type[Model]] = {
    "The document": Document,
    "Plans": Plan,
    "Entries of `requires`": RequireEntry,
    "Settings": Settings,
    "`gate_code`": GateCode,
    "Limits": LimitEntry,
    "Environments": Environment,
    "Plans of an environment": PlanOverride,
    "Subjects": Subject,
    "The change": Change,
    "The log": Log,
    "The store": Store,
    "Retention": Retention,
    "Guards": Guards,
}


def section(title: str) -> str:
    """The text from a heading to the next."""
    match = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"docs/reference/policy.md has no section {title!r}"
    return match.group(1)


def rows(model: type[Model]) -> list[str]:
    """The table the page must have for a model."""
    return [
        f"| `{field.alias or name}` | {default(model, name)} | {field.description} |"
        for name, field in model.model_fields.items()
    ]


def default(model: type[Model], name: str) -> str:
    field: Any = model.model_fields[name]
    if model is Settings:
        return built_in(name)
    if field.is_required():
        return "required"
    if not field.default or isinstance(field.default, Model):
        return "`false`" if field.default is False else "none"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value, default=str)}`".replace('"', "" if isinstance(value, Decimal) else '"')


def built_in(name: str) -> str:
    if name == "development_key":
        return "`true` in the sandbox, `false` elsewhere"
    value = getattr(BuiltIn(), name)
    if isinstance(value, GateFiles):
        return "see `gate_code` below"
    return "none" if value is None else f"`{value}`"


class TestTables:
    @pytest.mark.parametrize("title", SECTIONS)
    def test_are_those_of_the_models(self, title: str) -> None:
        expected = rows(SECTIONS[title])
        actual = [line for line in section(title).splitlines() if re.match(r"\| `", line)]

        assert actual == expected, "\n" + "\n".join(expected)


def example() -> str:
    """The complete example of the page."""
    found = re.findall(r"```json\n(\{\n  \"\$schema\".*?\n\})\n```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


class TestExamples:
    def test_the_complete_example_is_a_good_policy(self) -> None:
        assert check(parse(example().encode(), FILE), now=NOW)[1] == []

    def test_the_mistakes_shown_are_told_just_so(self) -> None:
        broken = example().replace('"at_most": 0.5', '"between": [2, 1]').replace('0.2, "unit": "s"', "0.2")
        issues = check(parse(broken.encode(), FILE), now=NOW)[1]

        assert len(issues) == 2
        assert "\n".join(f"{i.text}\n    hint: {i.hint}" for i in issues) in section("Errors")
