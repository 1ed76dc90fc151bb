"""The `gate` marker, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_cutover.marker import gate_info
from pytest_cutover.model import GateInfo

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Item:
    """What the marker's reader asks of a pytest item."""

    marks: list[pytest.Mark]
    nodeid: str = "gates/test_a.py::test_a"
    location: tuple[str, int | None, str] = ("gates/test_a.py", 6, "test_a")
    obj: object = field(default_factory=lambda: SimpleNamespace(__doc__=None))
    callspec: object = None

    def iter_markers(self) -> Iterator[pytest.Mark]:
        return iter(self.marks)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next((m for m in self.marks if m.name == name), None)


def item(*args: object, phase: str | None = "preflight", param: str | None = None, **kwargs: object) -> Item:
    marks = [pytest.mark.gate(*args, **kwargs).mark]
    made = Item(marks + ([getattr(pytest.mark, phase).mark] if phase else []))
    if param is None:
        del made.callspec
    else:
        made.callspec = SimpleNamespace(id=param)
    return made


def read(made: Item) -> GateInfo | None:
    return gate_info(cast("pytest.Item", made))


class TestGateInfo:
    """What a marker says."""

    def test_test_without_the_marker_is_no_gate(self) -> None:
        """And costs no check."""
        assert read(Item([pytest.mark.preflight.mark])) is None

    def test_everything(self) -> None:
        """Lines count from 1."""
        info = read(
            item("db.ready", title="T", category="c", owner="o", remedy="r", timeout=1.5, param="eu-1")
        )

        assert info == GateInfo(
            id="db.ready",
            key="db.ready[eu-1]",
            nodeid="gates/test_a.py::test_a",
            file="gates/test_a.py",
            line=7,
            title="T",
            category="c",
            owner="o",
            remedy="r",
            timeout_s=1.5,
        )

    @pytest.mark.parametrize(
        ("doc", "title"),
        [
            ("The database answers.\n\nMore.", "The database answers."),
            ("  \n ", "db"),
            (None, "db"),
            (7, "db"),
        ],
    )
    def test_title_comes_from_the_docstring_else_the_id(self, doc: object, title: str) -> None:
        """A gate always has one."""
        made = item("db")
        made.obj = SimpleNamespace(__doc__=doc)

        info = read(made)

        assert info is not None
        assert info.title == title

    def test_item_without_a_line_or_an_object(self) -> None:
        """Collected from a data file."""
        made = item("db")
        made.location, made.obj = ("gates/x.toml", None, "db"), None

        info = read(made)

        assert info is not None
        assert (info.line, info.title) == (1, "db")


class TestMistakes:
    """A marker that cannot be used stops the run, and is quoted."""

    @pytest.mark.parametrize(
        ("args", "got"),
        [((), "nothing"), (("a", "b"), "'a', 'b'"), ((7,), "7"), (("Db",), "'Db'"), (("a b",), "'a b'"), ((".a",), "'.a'"), (("",), "''"), (("a\n",), r"'a\\n'")],
    )  # fmt: skip
    def test_id(self, args: tuple[object, ...], got: str) -> None:
        """One id, in a spelling that policies and file names can hold."""
        with pytest.raises(pytest.UsageError, match=f"gates/test_a.py:7: gate needs one id .* got {got}"):
            read(item(*args))

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("onwer", "sre", "gate 'db': unknown argument 'onwer'; known are title, category, owner"),
            ("title", "", "title needs a text, got ''"),
            ("owner", 7, "owner needs a text, got 7"),
            ("remedy", "  ", "remedy needs a text"),
            ("category", None, "category needs a text, got None"),
            ("timeout", "5", "timeout needs seconds between 0 and 86400, got '5'"),
            ("timeout", 0, "timeout needs seconds"),
            ("timeout", -1, "timeout needs seconds"),
            ("timeout", True, "timeout needs seconds"),
            ("timeout", 86401, "timeout needs seconds"),
            ("timeout", float("nan"), "timeout needs seconds"),
            ("timeout", float("inf"), "timeout needs seconds"),
        ],
    )
    def test_argument(self, key: str, value: object, message: str) -> None:
        """Unknown names and values of the wrong kind."""
        arguments: dict[str, Any] = {key: value}

        with pytest.raises(pytest.UsageError, match=message):
            read(item("db", **arguments))

    def test_phase_is_needed(self) -> None:
        """A gate that no -m selects would never run."""
        with pytest.raises(
            pytest.UsageError, match=r"gate 'db' has no phase marker, such as @pytest\.mark\.preflight"
        ):
            read(item("db", phase=None))
