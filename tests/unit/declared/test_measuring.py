"""What a gate of a TOML file does when it runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_cutover.declared import logs, measuring
from pytest_cutover.declared.reader import read
from pytest_cutover.errors import AdapterError, SourceError
from pytest_cutover.gate import Gate
from pytest_cutover.model import ValueKind
from pytest_cutover.record import gate_info
from pytest_cutover.redact import Redactor
from pytest_cutover.sources.command import CommandSource
from pytest_cutover.sources.http import HttpSource
from pytest_cutover.sources.readyz import ReadyzSource
from tests.unit import journals
from tests.unit.declared.documents import READYZ, SCAN, URL, gate
from tests.unit.declared.documents import measuring as file_measuring
from tests.unit.sources.servers import Server, response

SECRET = "hunter2hunter2"


class Ran:
    """A gate of a file, run in a folder."""

    def __init__(self, text, folder, **more):
        (self.criterion,) = read(text.encode(), "gates/x.toml")
        self.gate = Gate(gate_info(journals.info()), folder / "attachments", Redactor({"SHOP_TOKEN": SECRET}))
        self.error = None
        try:
            self.run(folder, **more)
        except SourceError as exc:
            self.error = exc

    def run(self, root, targets=None, answer=None):
        probe = self.criterion.probe
        kind = type(probe).__name__
        if kind == "Command":
            measuring.command_gate(self.criterion, probe, root, self.gate, CommandSource(), targets or {})
        elif kind == "Scan":
            measuring.scan_gate(self.criterion, probe, root, self.gate)
        else:
            with Server(answer) as self.server, HttpSource({"app": self.server.url}) as http:
                if kind == "Url":
                    measuring.url_gate(self.criterion, probe, self.gate, http)
                else:
                    measuring.readyz_gate(self.criterion, probe, self.gate, ReadyzSource(http))

    @property
    def values(self):
        return {m.name: m.value for m in self.gate.measurements}


@pytest.fixture
def ran(tmp_path):
    def run(text, **more):
        return Ran(text, tmp_path, **more)

    return run


def shell(line, *measures, more=""):
    return gate(f"shell = '''{line}'''\n{more}\n" + "\n".join(measures))


class TestCommand:
    def test_measures_all_that_is_named(self, ran):
        done = ran(
            shell(
                "echo 'v=3 n=40'; echo; echo ready; echo problem >&2",
                'measure.code = "exit_code"',
                'measure.lines = "lines"',
                'measure.err = "stderr"',
                r"measure.v = { figure = 'v=(\d+)', unit = 'ms', samples = { figure = 'n=(\d+)' } }",
                r"measure.word = { text = '^(ready|down)$' }",
                "measure.problems = { count = 'problem', in = 'stderr' }",
                'measure.took = "duration"',
            )
        )

        assert done.error is None
        took = done.values.pop("took")
        assert 0 < float(took) < 10
        assert {k: v for k, v in done.values.items() if k != "took"} == {
            "code": "0", "lines": "2", "err": "problem", "v": "3", "word": "ready", "problems": "1"
        }  # fmt: skip
        by_name = {m.name: m for m in done.gate.measurements}
        assert (by_name["v"].unit, by_name["v"].samples) == ("ms", 40)
        assert by_name["took"].unit == "s"
        assert by_name["v"].source.startswith("echo 'v=3 n=40'")

    def test_json(self, ran):
        done = ran(
            shell(
                """echo '{"a": [0.1, {"b": true}], "c": "up"}'""",
                'measure.a = { json = "$.a[0]" }',
                'measure.b = { json = "$.a[1].b" }',
                'measure.c = { json = "$.c" }',
                'measure.n = { items = "$.a" }',
            )
        )

        assert done.values == {"a": "0.1", "b": "true", "c": "up", "n": "2"}

    def test_all_is_measured_that_can_be_and_the_rest_is_told(self, ran):
        done = ran(
            shell(
                "echo a=1",
                r"measure.b = { figure = 'b=(\d)' }",
                r"measure.a = { figure = 'a=(\d)' }",
                r"measure.c = { figure = 'c=(\d)' }",
            )
        )

        assert done.values == {"a": "1"}
        assert str(done.error).count("found none") == 2
        assert str(done.error).startswith("b: expected one match")

    def test_a_failed_command_measures_nothing(self, ran):
        done = ran(shell("echo v=1; echo no disk >&2; exit 3", r"measure.v = { figure = 'v=(\d)' }"))

        assert done.values == {}
        assert "expected exit code 0 of echo v=1; echo no disk >&2; exit 3, got 3: no disk" in str(done.error)

    def test_unless_its_exit_code_is_measured_too(self, ran):
        done = ran(
            shell("echo v=1; exit 3", 'measure.code = "exit_code"', r"measure.v = { figure = 'v=(\d)' }")
        )

        assert (done.values, done.error) == ({"code": "3", "v": "1"}, None)

    def test_or_is_an_answer(self, ran):
        done = ran(
            shell("echo v=1; exit 3", r"measure.v = { figure = 'v=(\d)' }", more="exit_codes = [0, 3]")
        )

        assert (done.values, done.error) == ({"v": "1"}, None)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("no-such-command", r"the shell could not run a command \(exit code 127\): .*not found"),
            ("bash -c 'kill -9 $$'; true", r"was ended by signal 9 \(exit code 137\)"),
            ("kill -15 $$", "was ended by signal 15"),
            ("yes | head -n 1", r"signal 13 \(exit code 141\)"),
        ],
    )
    def test_an_exit_code_that_nobody_chose_is_no_measurement(self, ran, line, message):
        done = ran(shell(line, 'measure.code = "exit_code"'))

        assert done.values == {}
        with pytest.raises(SourceError, match=message):
            raise done.error

    def test_sees_a_minimal_environment(self, ran, monkeypatch, tmp_path):
        monkeypatch.setenv("SHOP_TOKEN", SECRET)
        monkeypatch.setenv("REGION", "eu")
        done = ran(
            shell(
                'echo "${SHOP_TOKEN:-none} $REGION $MODE $SHOP"',
                'measure.out = "stdout"',
                more='env_from = ["REGION"]\nenv = { MODE = "dry" }\nenv_targets = { SHOP = "app" }',
            ),
            targets={"app": "http://shop"},
        )

        assert done.values == {"out": "none eu dry http://shop"}

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ('env_from = ["NOT_SET_HERE"]', "expected the environment variable NOT_SET_HERE, got none"),
            ('env_from = ["SET_EMPTY"]', "expected the environment variable SET_EMPTY, got an empty one"),
            ('env_targets = { X = "shop" }', "no target 'shop' for the variable X"),
            ('folder = "nowhere"', "no folder"),
        ],
    )
    def test_what_it_needs_and_is_not_there(self, ran, monkeypatch, more, message):
        monkeypatch.setenv("SET_EMPTY", "")
        done = ran(shell("true", 'measure.code = "exit_code"', more=more))

        assert done.values == {}
        assert message in str(done.error)

    def test_runs_below_the_root(self, ran, tmp_path):
        (tmp_path / "sub").mkdir()
        done = ran(shell("basename $PWD", 'measure.out = "stdout"', more='folder = "sub"'))

        assert done.values == {"out": "sub"}


class TestOutput:
    def test_is_kept_by_day_and_with_the_evidence(self, ran, tmp_path):
        done = ran(shell(f"echo a; echo token={SECRET} >&2", 'measure.code = "exit_code"'))

        (note,) = done.gate.notes
        today = datetime.now(UTC)
        kept = tmp_path / note.removeprefix("output: ")
        assert kept.parent in {tmp_path / f"var/cutover/logs/{today:%Y-%m-%d}"}
        text = kept.read_text()
        assert "# command: echo a; echo token=" in text
        assert "# ended: exit code 0 after" in text
        assert "--- stdout, 2 bytes\na\n--- stderr, 21 bytes\n" in text
        assert SECRET not in text
        (attached,) = done.gate.attachments
        evidence = tmp_path / "attachments" / attached["file"]
        assert evidence.read_text() == text
        assert evidence.stat().st_ino != kept.stat().st_ino  # whoever rotates logs leaves the evidence alone

    def test_of_a_failed_command_too(self, ran, tmp_path):
        done = ran(shell("echo before; exit 3", r"measure.v = { figure = 'v=(\d)' }"))

        assert "before" in (tmp_path / done.gate.notes[0].removeprefix("output: ")).read_text()

    def test_of_one_that_was_killed_as_far_as_it_came(self, ran, tmp_path, monkeypatch):
        monkeypatch.setattr(measuring, "BEHIND_S", 0.0)
        done = ran(shell("echo before; sleep 30", 'measure.code = "exit_code"', more="timeout_s = 0.5"))

        text = (tmp_path / done.gate.notes[0].removeprefix("output: ")).read_text()
        assert "before" in text
        assert "# ended: 'bash' did not end within 0.5 s and was killed" in text

    def test_a_command_that_did_not_start_has_none(self, ran):
        done = ran(file_measuring('"exit_code"', 'command = ["no-such-command"]'))

        assert "no command 'no-such-command'" in str(done.error)
        assert (done.gate.notes, done.gate.attachments) == ([], [])

    def test_too_much_of_it_is_cut_in_the_middle_and_says_so(self):
        text = logs.text_of({}, b"a" + b"x" * logs.KEPT_BYTES + b"z", b"")

        assert f"--- stdout, {logs.KEPT_BYTES + 2} bytes\na" in text
        assert "\n[2 bytes are not kept]\n" in text
        assert "z\n--- stderr, 0 bytes\n" in text

    def test_a_log_folder_that_cannot_be_written_is_said(self, ran, tmp_path):
        (tmp_path / "var").write_text("a file")

        with pytest.raises(AdapterError, match=r"cannot keep the output at .*var/cutover/logs"):
            ran(shell("true", 'measure.code = "exit_code"'))


class TestUrl:
    def test_measures_an_answer(self, ran):
        done = ran(
            gate(
                f'{URL}\nheaders = {{ X-A = "b" }}\nmeasure = {{ s = "status", l = "latency", n = "size", d = {{ json = "$.d" }},'
                'h = { header = "X-Version" }, c = { count = "d" } }'
            ),
            answer=lambda _: response(200, '{"d": 3}', headers=["X-Version: 7"]),
        )

        latency = float(done.values.pop("l")) if "l" in done.values else 0
        assert 0 <= latency < 10
        assert {k: v for k, v in done.values.items() if k != "l"} == {"s": "200", "n": "8", "d": "3", "h": "7", "c": "1"}  # fmt: skip
        assert "X-A: b" in done.server.requests[0].replace("x-a", "X-A")

    def test_measures_a_series(self, ran):
        done = ran(
            file_measuring('{ metric = "depth", labels = { q = "a" } }', URL),
            answer=lambda _: response(200, 'depth{q="a"} 3\ndepth{q="b"} 4\n', content_type="text/plain"),
        )

        assert done.values == {"v": "3"}

    def test_nan_of_a_series_is_invalid(self, ran):
        done = ran(
            file_measuring('{ metric = "depth" }', URL),
            answer=lambda _: response(200, "depth NaN\n", content_type="text/plain"),
        )

        assert done.gate.measurements[0].kind is ValueKind.INVALID

    @pytest.mark.parametrize(
        ("status", "headers", "message"),
        [
            (500, [], "expected an answer from .*, got HTTP 500"),
            (302, ["Location: /x"], "got HTTP 302"),
            (404, [], "got HTTP 404"),
        ],
    )
    def test_a_bad_answer_measures_nothing(self, ran, status, headers, message):
        done = ran(
            file_measuring("{ figure = '(1)' }", URL), answer=lambda _: response(status, "1", headers=headers)
        )

        assert done.values == {}
        with pytest.raises(SourceError, match=message):
            raise done.error

    def test_unless_its_status_is_measured_too(self, ran):
        done = ran(file_measuring('"status"', URL), answer=lambda _: response(500, ""))

        assert (done.values, done.error) == ({"v": "500"}, None)

    def test_follows_a_redirect_where_that_is_said(self, ran):
        def answer(request):
            return (
                response(200, "ok")
                if request.startswith("GET /there")
                else response(302, headers=["Location: /there"])
            )

        assert ran(file_measuring('"body"', f"{URL}\nfollow = true"), answer=answer).values == {"v": "ok"}

    def test_an_empty_answer_holds_no_count(self, ran):
        done = ran(file_measuring("{ count = 'x' }", URL), answer=lambda _: response(200, " \n"))

        assert "expected something in the answer of" in str(done.error)

    def test_a_missing_header_field(self, ran):
        done = ran(file_measuring('{ header = "X-Version" }', URL), answer=lambda _: response(200, "x"))

        assert "no header field 'X-Version'" in str(done.error)

    def test_a_header_from_the_environment(self, ran, monkeypatch):
        monkeypatch.setenv("SHOP_TOKEN", SECRET)
        done = ran(
            gate(f'{URL}\nheaders_from = {{ Authorization = "SHOP_TOKEN" }}\nmeasure.s = "status"'),
            answer=lambda _: response(200, "x"),
        )

        assert SECRET in done.server.requests[0]


class TestReadyz:
    ANSWER = '{"status": "degraded", "checks": {"db": "ok", "queue": {"status": "warn", "detail": "long"}}}'

    def test_measures_the_status_and_each_check(self, ran):
        done = ran(
            gate(
                f'{READYZ}\nmeasure = {{ s = "status", f = "failing_checks", h = "http_status", db = {{ check = "db" }} }}'
            ),
            answer=lambda _: response(200, self.ANSWER),
        )

        assert done.values == {"s": "degraded", "f": "1", "h": "200", "db": "ready"}
        assert done.gate.notes == ["queue: degraded: long"]

    def test_an_absent_check_is_no_measurement(self, ran):
        done = ran(file_measuring('{ check = "disk" }', READYZ), answer=lambda _: response(200, self.ANSWER))

        assert done.values == {}
        assert "expected one check 'disk'" in str(done.error)
        assert "it has db, queue" in str(done.error)


class TestScan:
    def test_counts_and_says_where(self, ran, tmp_path):
        (tmp_path / "src").mkdir()
        (tmp_path / "src/a.py").write_text("x\nXXX YYY XXX\n")
        done = ran(
            gate(
                f"{SCAN}\nmeasure.x = {{ count = 'XXX' }}\nmeasure.y = {{ count = 'YYY' }}\nmeasure.n = 'files'"
            )
        )

        assert done.values == {"x": "2", "y": "1", "n": "1"}
        assert [m.samples for m in done.gate.measurements] == [1, 1, 1]
        assert done.gate.notes == ["found: src/a.py:2", "found: src/a.py:2"]

    def test_nothing_to_read(self, ran):
        done = ran(file_measuring("{ count = 'x' }", SCAN))

        assert "no file or folder src to look through" in str(done.error)
