import os
import signal
import sys
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from pytest_cutover.errors import MeasurementError, SourceError
from pytest_cutover.sources.command import CommandSource


@pytest.fixture
def command():
    return CommandSource()


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def is_alive(pid):
    """Whether the process runs: a zombie that nobody reaped yet does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def is_gone(pid):
    until = time.monotonic() + 2
    while time.monotonic() < until and is_alive(pid):
        time.sleep(0.01)
    return not is_alive(pid)


class TestReading:
    def test_holds_code_and_output(self, command):
        reading = command.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))

        assert (reading.exit_code, reading.stdout, reading.stderr) == (3, "out\n", "err\n")
        assert reading.argv[0] == sys.executable
        assert reading.observed_at.tzinfo is not None
        assert 0 < reading.duration_s < 10

    def test_a_signal_is_a_negative_code(self, command):
        code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"

        assert command.run(python(code)).exit_code == -signal.SIGTERM

    def test_binary_output_is_kept_and_shown(self, command):
        reading = command.run(python("import sys; sys.stdout.buffer.write(bytes([0, 255, 65]))"))

        assert reading.stdout_bytes == b"\x00\xffA"
        assert reading.stdout == "\x00\\xffA"

    def test_more_output_than_a_pipe_holds(self, command):
        code = "import sys; sys.stdout.write('o' * 300000); sys.stderr.write('e' * 300000)"
        reading = command.run(python(code))

        assert (len(reading.stdout), len(reading.stderr)) == (300_000, 300_000)

    def test_there_is_no_shell(self, command):
        assert command.run(["echo", "$HOME; ls | x"]).stdout == "$HOME; ls | x\n"

    def test_there_is_no_input(self, command):
        assert command.run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"

    def test_runs_where_it_is_told(self, command, tmp_path):
        assert command.run(["pwd"], cwd=tmp_path).stdout == f"{tmp_path}\n"


class TestEnvironment:
    CODE = "import os; print(sorted(k for k in os.environ if not k.startswith('LC_')))"

    def test_is_small(self, command, monkeypatch):
        monkeypatch.setenv("CUTOVER_KEY_PEM", "secret")
        monkeypatch.setenv("TMPDIR", "/tmp")
        shown = command.run(python(self.CODE)).stdout

        assert "CUTOVER_KEY_PEM" not in shown
        assert set(eval(shown)) <= {"PATH", "HOME", "LANG", "TMPDIR"}

    def test_is_added_to(self, command):
        reading = command.run(
            python("import os; print(os.environ['A'], 'PATH' in os.environ)"), env={"A": "b"}
        )

        assert reading.stdout == "b True\n"

    def test_a_malformed_one_is_an_error(self, command):
        with pytest.raises(SourceError, match="malformed environment"):
            command.run(["true"], env={"A": 5})


class TestTime:
    def test_a_command_over_its_limit_is_killed(self, command):
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"'sleep' did not end within 0\.3 s and was killed") as caught:
            command.run(["sleep", "30"], timeout_s=0.3)
        assert time.monotonic() - started < 1
        assert caught.value.hint

    def test_one_that_ignores_sigterm_is_killed_too(self, command):
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(30)"
        started = time.monotonic()
        with pytest.raises(SourceError, match="was killed"):
            command.run(python(code), timeout_s=0.5)
        assert time.monotonic() - started < 2

    def test_its_children_are_killed_with_it(self, command, tmp_path):
        code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '30']); open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(30)"
        with pytest.raises(SourceError, match="was killed"):
            command.run(python(code, tmp_path / "pid"), timeout_s=1)

        assert is_gone(int((tmp_path / "pid").read_text()))

    def test_a_child_that_keeps_the_pipe_open_holds_up_nothing(self, command):
        code = "import subprocess; p = subprocess.Popen(['sleep', '30']); print(p.pid)"
        started = time.monotonic()
        reading = command.run(python(code), timeout_s=10)

        assert time.monotonic() - started < 3
        assert reading.exit_code == 0
        assert is_gone(int(reading.stdout))

    def test_a_daemon_with_the_pipe_open_holds_up_nothing(self, command):
        """It left the group, so it lives; that is documented."""
        code = (
            "import subprocess; p = subprocess.Popen(['sleep', '30'], start_new_session=True); print(p.pid)"
        )
        started = time.monotonic()
        reading = command.run(python(code), timeout_s=10)
        assert time.monotonic() - started < 3

        os.kill(int(reading.stdout), signal.SIGKILL)

    def test_children_without_the_pipe_are_ended_too(self, command):
        code = "import subprocess as s; p = s.Popen(['sleep', '30'], stdout=s.DEVNULL, stderr=s.DEVNULL); print(p.pid)"
        reading = command.run(python(code))

        assert is_gone(int(reading.stdout))

    def test_late_output_of_a_child_is_still_read(self, command):
        code = "import subprocess; subprocess.Popen(['sh', '-c', 'sleep 0.2; echo late'])"

        assert command.run(python(code)).stdout == "late\n"

    @pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
    def test_a_limit_is_a_positive_number(self, command, limit):
        with pytest.raises(MeasurementError, match="above 0"):
            command.run(["true"], timeout_s=limit)

    def test_no_descriptor_is_left_open(self, command):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            command.run(["true"])
        with pytest.raises(SourceError):
            command.run(["sleep", "9"], timeout_s=0.05)

        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows who belongs to whom")
class TestAlone:
    """Nothing that a command started may go on when it counts as over."""

    LEFT = "ended and left processes running"

    @pytest.mark.parametrize(
        "options",
        ["", ", start_new_session=True", ", stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True"],
        ids=["in its group", "in its own", "without the pipe"],
    )
    def test_a_process_left_behind_is_no_reading_and_is_ended(self, command, tmp_path, options):
        code = f"import subprocess as s, sys; p = s.Popen(['sleep', '30']{options}); open(sys.argv[1], 'w').write(str(p.pid))"
        with pytest.raises(SourceError, match=self.LEFT) as caught:
            command.run(python(code, tmp_path / "pid"), alone=True)

        pid = int((tmp_path / "pid").read_text())
        assert f"sleep ({pid})" in str(caught.value)
        assert is_gone(pid)

    def test_at_the_time_limit_what_left_the_group_is_ended_too(self, command, tmp_path):
        code = "import subprocess as s, sys, time; p = s.Popen(['sleep', '30'], start_new_session=True); open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(30)"
        with pytest.raises(SourceError, match="was killed"):
            command.run(python(code, tmp_path / "pid"), timeout_s=1, alone=True)

        assert is_gone(int((tmp_path / "pid").read_text()))

    def test_a_child_that_ends_soon_is_waited_for(self, command):
        code = "import subprocess; subprocess.Popen(['sh', '-c', 'sleep 0.2; echo late'])"

        assert command.run(python(code), alone=True).stdout == "late\n"

    def test_a_command_without_children_is_as_before(self, command):
        assert command.run(["echo", "x"], alone=True).stdout == "x\n"

    def test_its_mark_is_another_each_time(self, command):
        seen = {command.run(["env"], alone=True).stdout for _ in range(2)}

        assert len(seen) == 2
        assert all("_CUTOVER_COMMAND=" in text for text in seen)

    def test_endless_output_of_a_child_is_cut(self, command):
        with pytest.raises(SourceError, match="wrote more than"):
            command.run(["sh", "-c", "yes & exit 0"], alone=True, max_output_bytes=100_000)


class TestSaid:
    """What was printed is handed over however the command ended."""

    def heard(self, command, argv, **options):
        said = []
        with suppress(SourceError):
            command.run(argv, said=lambda out, err: said.append((out, err)), **options)
        return said

    def test_after_a_good_end(self, command):
        assert self.heard(command, ["sh", "-c", "echo a; echo b >&2"]) == [(b"a\n", b"b\n")]

    def test_after_the_time_limit(self, command):
        assert self.heard(command, ["sh", "-c", "echo a; sleep 30"], timeout_s=0.5) == [(b"a\n", b"")]

    def test_not_of_one_that_did_not_start(self, command):
        assert self.heard(command, ["no-such-command"]) == []


class TestSize:
    def test_endless_output_is_cut(self, command):
        started = time.monotonic()
        with pytest.raises(SourceError, match="'yes' wrote more than 100000 bytes"):
            command.run(["yes"], max_output_bytes=100_000)
        assert time.monotonic() - started < 2

    def test_output_of_exactly_the_limit_is_kept(self, command):
        assert len(command.run(["printf", "12345"], max_output_bytes=5).stdout) == 5


class TestStart:
    def test_a_missing_command(self, command):
        with pytest.raises(SourceError, match="no command 'no-such-command'") as caught:
            command.run(["no-such-command", "--token", "s3cr3t"])
        assert "PATH" in caught.value.hint
        assert "s3cr3t" not in str(caught.value)

    def test_a_file_that_is_no_program(self, command, tmp_path):
        (tmp_path / "x").write_text("x")
        with pytest.raises(SourceError, match="cannot run 'x'"):
            command.run([str(tmp_path / "x")])

    def test_a_missing_folder(self, command, tmp_path):
        with pytest.raises(SourceError, match="no folder"):
            command.run(["true"], cwd=tmp_path / "no")

    @pytest.mark.parametrize(
        "argv", ["ls -l", b"ls", [], [""], ["ls", 1], ["ls", "a\0b"], [Path("ls")], None]
    )
    def test_a_command_is_a_list_of_texts(self, command, argv):
        with pytest.raises(MeasurementError):
            command.run(argv)


class TestValues:
    def test_json(self, command):
        assert command.run(["echo", '{"a": 0.1}']).json() == {"a": Decimal("0.1")}

    @pytest.mark.parametrize("text", ["", "no", '{"a": 1, "a": 2}'])
    def test_json_is_strict(self, command, text):
        with pytest.raises(SourceError, match="expected JSON from 'echo'"):
            command.run(["echo", text]).json()

    def test_a_figure_by_its_group(self, command):
        assert command.run(["echo", "mean 1.25e-3 s, max 9 s"]).figure(r"mean (\S+) s") == Decimal("0.00125")

    def test_a_figure_by_the_whole_match(self, command):
        assert command.run(["echo", "coverage: 93 percent"]).figure(r"\d+") == 93

    @pytest.mark.parametrize(
        ("text", "pattern"), [("1 2", r"\d"), ("none", r"\d"), ("x nan", r"x (\w+)"), ("ab", "a(c)?b")]
    )
    def test_no_figure(self, command, text, pattern):
        with pytest.raises(SourceError, match="expected"):
            command.run(["echo", text]).figure(pattern)
