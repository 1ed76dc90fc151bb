"""Escaping: one function per format, whatever the text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_cutover.report import safe
from tests.unit.report.hostile import ATTACKS

RUNNER_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
RUNNER_PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
"""How GitHub's runner reads a command's values, in its order (actions/runner, ActionCommand)."""


class TestHtml:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_no_tag_and_no_quote_is_left(self, attack: str) -> None:
        """In an element and in a quoted attribute alike."""
        assert not set(safe.html(attack)) & set("<>\"'")

    def test_what_is_no_character_shows(self) -> None:
        """A control character or one that turns the direction of writing is replaced, not dropped."""
        assert safe.html("a\x1b\u202e\ud800b\nc") == "a\ufffd\ufffd\ufffdb\nc"

    def test_an_ampersand_is_not_taken_for_an_entity(self) -> None:
        """What was written is what is read."""
        assert safe.html("&lt;") == "&amp;lt;"


class TestXml:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_every_text_can_be_read_back(self, attack: str) -> None:
        """Also those with characters that XML cannot hold, which are spelt."""
        element = ET.fromstring(f'<a b="{safe.xml_attribute(attack)}">{safe.xml(attack)}</a>'.encode())
        legal = all(c.isprintable() or c in "\n\t\u2028\u2029\x85\u202e\u2066\u200b" for c in attack)
        if legal:
            assert element.get("b") == attack
            assert element.text == attack

    def test_what_xml_cannot_hold_is_spelt(self) -> None:
        """Not even a reference may name it (XML 1.0, production 2)."""
        assert safe.xml("a\x00\x1b\ud800\ufffe") == r"a\x00\x1b\ud800\ufffe"

    def test_line_breaks_survive_in_attributes(self) -> None:
        """A parser would make spaces of them."""
        element = ET.fromstring(f'<a b="{safe.xml_attribute("x" + chr(10) + "y" + chr(13))}"/>')
        assert element.get("b") == "x\ny\r"


class TestCode:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_one_code_span_and_nothing_else(self, attack: str) -> None:
        """No pipe ends a cell, no backquote the span, no line break the row."""
        text = safe.code(attack)

        assert text.startswith("`")
        assert text.endswith("`")
        assert not set(text[1:-1]) & set("`|\n\r")
        assert text.isprintable()

    def test_nothing_is_no_span(self) -> None:
        """Two backquotes would open one."""
        assert safe.code(" \n ") == ""

    def test_long_texts_are_cut(self) -> None:
        """A comment has room for 65 536 characters."""
        assert len(safe.code("x" * 5000)) == 302


class TestCommands:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_the_runner_reads_what_was_meant(self, attack: str) -> None:
        """Escaped as actions/toolkit does, read as actions/runner does."""
        for escape, table in (
            (safe.command_data, RUNNER_DATA),
            (safe.command_property, RUNNER_PROPERTY),
        ):
            text = escape(attack)
            assert not set(text) & set("\r\n")
            for code, sign in table:
                text = text.replace(code, sign)
            assert text == "".join(c if c.isprintable() or c in "\r\n" else " " for c in attack)

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_a_property_ends_nowhere(self, attack: str) -> None:
        """A colon would end the properties, a comma one of them."""
        assert not set(safe.command_property(attack)) & set(":,\r\n")
