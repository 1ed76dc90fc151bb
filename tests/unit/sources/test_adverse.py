"""What is made of true readings to see gates red."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.errors import SourceError
from pytest_cutover.sources import adverse, distortion
from pytest_cutover.sources.command import CommandReading
from pytest_cutover.sources.http import Headers, HttpReading
from pytest_cutover.sources.remembered import READS, Adverse, Remembering
from pytest_cutover.sources.tree import TreeReading, scan

if TYPE_CHECKING:
    from pathlib import Path

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def answer(body: object, status: int = 200) -> HttpReading:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = Headers((("content-type", "text/plain"), ("etag", '"1"')))
    return HttpReading("http://x/", status, 0.5, headers, data, THEN, 1)


def output(text: str, code: int = 0) -> CommandReading:
    return CommandReading(("c",), code, text, "", 0.5, THEN, text.encode(), b"")


class TestHttp:
    def test_refused_is_another_status_over_the_same_body(self):
        assert adverse.distorted(answer({}), "refused").status_code == 503
        assert adverse.distorted(answer({}, 500), "refused").status_code == 200

    def test_failed_is_yet_another(self):
        assert adverse.distorted(answer({}), "failed").status_code == 500
        assert adverse.distorted(answer({}, 500), "failed").status_code == 204
        assert adverse.distorted(output(""), "failed").exit_code == 125

    def test_late_is_late_alone(self):
        late = adverse.distorted(answer({"a": 1}), "late")

        assert late.latency_s == 1000.5
        assert late.json() == {"a": 1}

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("high", {"n": 3000, "r": [1000, "1500.0"], "ok": True, "s": "ready", "at": 1_700_000_000}),
            ("zero", {"n": 0, "r": [0, "0.0"], "ok": True, "s": "ready", "at": 1_700_000_000}),
            ("negative", {"n": -3000, "r": [-1000, "-1500.0"], "ok": True, "s": "ready", "at": 1_700_000_000}),
            ("fewer", {"n": 2, "r": [], "ok": True, "s": "ready", "at": 1_700_000_000}),
            ("other", {"n": 2, "r": [0, "prove-red"], "ok": False, "s": "prove-red", "at": 1_700_000_000}),
        ],
    )  # fmt: skip
    def test_json_keeps_its_shape(self, kind, expected):
        document = {"n": 2, "r": [0, "0.5"], "ok": True, "s": "ready", "at": 1_700_000_000}
        got = adverse.distorted(answer(document), kind).json()

        assert json.loads(json.dumps(got, default=float)) == expected

    def test_more_makes_every_list_longer(self):
        assert len(adverse.distorted(answer({"r": [1]}), "more").json()["r"]) == 1001
        assert len(adverse.distorted(answer([]), "more").json()) == 1000

    def test_metrics_are_scaled_and_stay_metrics(self):
        body = b'# HELP up 1 if up\nup{job="a1",le="0.5"} 1\nerrors_total 0 1700000000000\nratio 2.5e-1\n'
        found = adverse.distorted(answer(body), "high")

        assert found.metric("up") == 2000
        assert found.metric("errors_total") == 1000
        assert found.metric("ratio") == 1250
        assert b"# HELP up 1 if up" in found.body

    def test_other_words_stand_in_headers_too(self):
        found = adverse.distorted(answer(b"fine"), "other")

        assert (found.body, found.headers["etag"], found.headers["content-type"]) == (b"prove-red\n", "prove-red", "text/plain")  # fmt: skip

    def test_bytes_that_are_no_text_stay(self):
        assert adverse.distorted(answer(b"\xff\x001"), "high").body == b"\xff\x001"

    @pytest.mark.parametrize("kind", adverse.KINDS)
    def test_it_is_observed_now(self, kind):
        assert (datetime.now(UTC) - adverse.distorted(answer({}), kind).observed_at).total_seconds() < 60


class TestCommand:
    @pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (7, 0)])
    def test_refused_is_another_exit_code(self, before, after):
        assert adverse.distorted(output("x", before), "refused").exit_code == after

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("used 12 of 20", "used 13000 of 21000"),
            ("took 12ms, 85%", "took 13000ms, 86000%"),
            ("load=0.5", "load=1500.0"),
            ("load=0.1234", "load=1123.4"),
            ("2026-11-21 v1.2.3 10:20 a1b2 /x/1", "2026-11-21 v1.2.3 10:20 a1b2 /x/1"),
        ],
    )
    def test_figures_are_scaled_where_they_are_figures(self, text, expected):
        found = adverse.distorted(output(text), "high")

        assert (found.stdout, found.stdout_bytes) == (expected, expected.encode())

    def test_lines_come_and_go(self):
        assert adverse.distorted(output("a\nb\n"), "more").stdout == "a\nb\n" + "b\n" * 1000
        assert adverse.distorted(output(""), "more").stdout == "prove-red\n" * 1000
        assert adverse.distorted(output("a\n"), "fewer").stdout == ""

    def test_late_is_a_long_duration(self):
        assert adverse.distorted(output(""), "late").duration_s == 1000.5


class TestTree:
    READING = TreeReading({"a": 0, "b": 2}, 5, (), THEN)

    def test_matches_appear_and_vanish(self):
        assert adverse.distorted(self.READING, "high").counts == {"a": 1000, "b": 1002}
        assert adverse.distorted(self.READING, "more").places == ("prove-red:1",)
        assert adverse.distorted(self.READING, "zero").total == 0


class TestValue:
    @pytest.mark.parametrize(("kind", "expected"), [("taken-high", 3000), ("taken-low", -3000), ("high", 2)])
    def test_a_number_is_moved_by_its_own_kinds_alone(self, kind, expected):
        assert adverse.value(2, kind) == expected

    def test_a_text_becomes_another(self):
        assert adverse.value("ready", "taken-low") == "prove-red"

    @pytest.mark.parametrize("odd", [None, [1], float("nan"), float("inf")])
    def test_anything_else_stays(self, odd):
        assert adverse.value(odd, "taken-high") is odd


@pytest.fixture
def seam(monkeypatch):
    """The seam, closed again afterwards."""
    monkeypatch.setattr(distortion, "_behind", None)
    monkeypatch.setattr(distortion, "_used", False)


@pytest.mark.usefixtures("seam")
class TestSeam:
    def test_nothing_behind_it_hands_readings_through(self, tmp_path):
        (tmp_path / "a.py").write_text("x")

        assert scan(tmp_path, {"x": "x"}).total == 1
        assert not distortion.was_used()

    def test_what_is_behind_it_is_known_before_and_after_it_is_used(self, tmp_path, monkeypatch):
        (tmp_path / "a.py").write_text("x")
        distortion.put(Remembering(tmp_path, "main"))
        assert distortion.was_used()

        scan(tmp_path, {"x": "x"})
        monkeypatch.setattr(distortion, "_behind", None)

        assert distortion.was_used()

    def test_a_remembered_reading_is_not_taken_again(self, tmp_path):
        (tmp_path / "a.py").write_text("x")
        distortion.put(Remembering(tmp_path, "main"))
        scan(tmp_path, {"x": "x"})
        (tmp_path / "a.py").unlink()
        distortion.put(Adverse(tmp_path, "high"))

        assert scan(tmp_path, {"x": "x"}).total == 1001


class TestRemembered:
    def remember(self, folder: Path, *readings: tuple[tuple[str, ...], object]) -> None:
        taking = Remembering(folder, "gw0")
        for asked, found in readings:
            taking.reading(asked, lambda found=found: found)

    def never(self) -> object:
        raise AssertionError("it was read again")

    def test_the_same_question_gets_the_same_answers_in_order(self, tmp_path):
        self.remember(tmp_path, (("command", "a"), output("1")), (("command", "b"), output("2")), (("command", "a"), output("3")))  # fmt: skip
        replayed = Adverse(tmp_path, "late")

        texts = [replayed.reading(("command", name), self.never).stdout for name in "aaab"]

        assert texts == ["1", "3", "3", "2"]

    def test_a_question_with_a_new_id_gets_the_nearest(self, tmp_path):
        self.remember(tmp_path, (("http", "GET", "/a"), answer(b"get")), (("http", "POST", "/1"), answer(b"post")))  # fmt: skip

        assert Adverse(tmp_path, "late").reading(("http", "POST", "/2"), self.never).body == b"post"

    def test_what_failed_then_fails_again(self, tmp_path):
        def fail():
            raise SourceError("refused")

        with pytest.raises(SourceError, match="refused"):
            Remembering(tmp_path, "gw0").reading(("http", "GET", "/"), fail)
        with pytest.raises(SourceError, match="refused"):
            Adverse(tmp_path, "late").reading(("http", "GET", "/"), self.never)

    def test_what_was_never_read_is_not_made_up(self, tmp_path):
        with pytest.raises(SourceError, match="nothing like command was read"):
            Adverse(tmp_path, "late").reading(("command", "a"), self.never)

    def test_taken_anew_it_is_distorted_too_and_commands_are_still_not_run(self, tmp_path):
        self.remember(tmp_path, (("command", "a"), output("1")))
        again = Adverse(tmp_path, "refused", again=True)

        assert again.reading(("http", "GET", "/"), lambda: answer(b"")).status_code == 503
        assert again.reading(("command", "a"), self.never).exit_code == 1

    def test_answers_are_for_nobody_else_and_the_list_of_reads_holds_none(self, tmp_path):
        self.remember(tmp_path, (("http", "GET", "/?token=secret"), answer(b"secret")))

        assert (tmp_path / "readings-gw0.pickle").stat().st_mode & 0o077 == 0
        assert "secret" not in (tmp_path / READS).read_text()
