"""Lines that fit a terminal."""

from __future__ import annotations

import io

import pytest

from pytest_cutover.report.fit import columns, fitted, put


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class TestFitted:
    @pytest.mark.parametrize(
        ("line", "parts"),
        [
            ("short", ["short"]),
            ("trust    a file of keys", ["trust    a file of", "         keys"]),
            ("  x.code   what is wrong", ["  x.code   what is", "           wrong"]),
            ("as of     today, the time", ["as of     today, the", "          time"]),
            ("hint: give the path of it", ["hint: give the path", "      of it"]),
            ("nothing was signed, or changed", ["nothing was signed,", "  or changed"]),
            (f"digest   {'f' * 18}", ["digest", f"  {'f' * 18}"]),
            (f"digest   {'f' * 30} is long", [f"digest   {'f' * 30}", "         is long"]),
            ("f" * 30, ["f" * 30]),
            ("", [""]),
        ],
    )
    def test_words_stay_whole(self, line: str, parts: list[str]) -> None:
        """What follows hangs below what a label is about."""
        assert fitted(line, 20) == parts

    def test_without_a_terminal_a_line_stays_a_line(self) -> None:
        """For grep."""
        assert fitted("a " * 90, None) == ["a " * 90]

    def test_colours_take_no_room(self) -> None:
        """And are not torn apart."""
        line = "  \x1b[31m✗\x1b[0m shop: it is not up  \x1b[2m[gate.error]\x1b[0m"

        assert fitted(line, 23) == ["  \x1b[31m✗\x1b[0m shop: it is not up", "    \x1b[2m[gate.error]\x1b[0m"]
        assert fitted(line, 37) == [line]

    def test_nothing_is_lost(self) -> None:
        """Word for word, at every width."""
        line = "error: expected one of the policy's plans, got the plan 'prefight'"

        for width in range(1, 90):
            assert " ".join(fitted(line, width)).split() == line.split()


class TestPut:
    def test_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As wide as it is."""
        monkeypatch.setenv("COLUMNS", "20")
        stream = Terminal()
        put(["trust    a file of keys"], stream)

        assert columns(stream) == 20
        assert stream.getvalue() == "trust    a file of\n         keys\n"

    def test_in_a_pipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Whole."""
        put(["a " * 90])

        assert capsys.readouterr().out == "a " * 90 + "\n"
