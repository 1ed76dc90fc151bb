"""`cutover` itself: its help, its exit codes, and what it makes of errors."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from pytest_cutover import __version__, cli
from pytest_cutover.cli import verify
from pytest_cutover.errors import ConfigError

ACTIONS = [("policy", "check"), ("policy", "sign"), ("policy", "verify"), ("policy", "show")]
ACTIONS += [("keys", action) for action in ("new", "show", "list", "check", "rotate", "retire", "revoke")]


def ended(arguments):
    """The exit code, whether it is returned or raised."""
    try:
        return cli.main(arguments)
    except SystemExit as exc:
        return exc.code


class TestHelp:
    @pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
    def test_it_lists_every_verb_with_its_line(self, arguments, capsys):
        assert ended(arguments) == 0

        out = capsys.readouterr().out
        assert all(verb in out and line in out for verb, line in cli.VERBS.items())

    @pytest.mark.parametrize("words", [*((v,) for v in cli.VERBS), *ACTIONS], ids=" ".join)
    def test_every_verb_and_action_has_help(self, words, capsys):
        assert ended([*words, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: cutover {' '.join(words)} [-h]")

    def test_the_version_is_the_package_s(self, capsys):
        assert ended(["--version"]) == 0
        assert capsys.readouterr().out == f"pytest-cutover {__version__}\n"


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [["nope"], ["--nope"], *([verb, "--no-such-option"] for verb in cli.VERBS)],
        ids=" ".join,
    )
    def test_a_wrong_command_line_is_64_and_said_on_stderr(self, arguments, capsys):
        assert ended(arguments) == cli.USAGE == 64

        said = capsys.readouterr()
        assert said.out == ""
        assert "error: " in said.err


class TestEnvironment:
    @pytest.mark.parametrize("spelling", ["--env", "--environment"])
    @pytest.mark.parametrize(
        ("verb", "before", "name"),
        [
            ("run", ["preflight"], "env"),
            ("check", [], "env"),
            ("prove_red", [], "env"),
            ("history", [], "env"),
            ("merge", ["--plan", "p", "r"], "environment"),
            ("admit", ["--digest", f"sha256:{'0' * 64}"], "environment"),
        ],
    )
    def test_is_named_in_either_spelling(self, verb, before, name, spelling):
        """Nobody remembers which verb takes which."""
        parser = importlib.import_module(f"pytest_cutover.cli.{verb}")._parser()

        assert getattr(parser.parse_args([*before, spelling, "x"]), name) == "x"


class TestErrors:
    def test_an_error_of_ours_is_printed_with_its_hint_and_no_traceback(self, monkeypatch, capsys):
        def fail(arguments):
            raise ConfigError("expected a, got b", hint="write a")

        monkeypatch.setattr(verify, "run", fail)

        assert cli.main(["verify"]) == cli.UNUSABLE == 2
        assert capsys.readouterr().err == "error: expected a, got b\nhint: write a\n"

    @pytest.mark.parametrize(("raised", "code"), [(BrokenPipeError(), 2), (KeyboardInterrupt(), 130)])
    def test_a_closed_pipe_and_an_interrupt_are_no_tracebacks(self, monkeypatch, raised, code):
        def stop(arguments):
            raise raised

        monkeypatch.setattr(verify, "run", stop)

        assert cli.main(["verify"]) == code

    def test_a_run_without_a_policy_does_not_begin(self, tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "pytest_cutover", "run", "preflight"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == cli.UNUSABLE
        assert "error: configs/policy.json: cannot read the policy" in done.stderr
        assert not (tmp_path / "var" / "cutover" / "runs").exists()
