"""The page about the log says what the code does."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_cutover import cli
from pytest_cutover.tlog.entry import EntryKind
from pytest_cutover.tlog.problems import LogProblemCode

PAGE = (Path(__file__).parents[3] / "docs/reference/transparency-log.md").read_text("utf-8")


def test_it_lists_every_problem():
    assert re.findall(r"^\| `(log\.[a-z-]+)` \|", PAGE, re.MULTILINE) == [c.value for c in LogProblemCode]


def test_it_lists_every_kind_of_entry():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `kind` |"))

    assert re.findall(r"`(\w+)`", row)[1:] == [k.value for k in EntryKind]


def test_its_first_commands_print_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (tmp_path / "review.pdf").write_text("%PDF")
    (block,) = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        if command.startswith("export "):
            os.environ.update(pair.split("=") for pair in command.split()[1:])
            continue
        capsys.readouterr()
        assert cli.main(shlex.split(command)[1:]) == 0
        out = capsys.readouterr().out
        assert not printed or out == printed


SIZES = (1, 2, 3, 7, 8, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CUTOVER_TRUST", "trust.json")
        new = ["keys", "new", "log.pem", "--role", "log", "--origin", "log.example"]
        assert cli.main([*new, "--trust", "trust.json"]) == 0
        names = [f"f{number}" for number in range(max(SIZES))]
        for name in names:
            (folder / name).write_text(name)
        before = 0
        for size in SIZES:
            append = ["log", "append", *names[before:size], "--kind", "review", "--key", "log.pem"]
            assert cli.main(append) == 0
            before = size
    (folder / "check.py").write_text(re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0])
    return folder


class TestWithoutUs:
    """The script of the page, which has nothing of this project."""

    def check(self, folder, name):
        command = [sys.executable, "-I", "check.py", name]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    @pytest.mark.parametrize("number", [0, 2, 6, 7, 11, 19])
    def test_it_agrees(self, folder, number):
        done = self.check(folder, f"f{number}")

        assert (done.returncode, done.stdout) == (0, f"entry {number} of log.example\n"), done.stderr

    @pytest.mark.parametrize("what", ["f11", "f11.tlog-proof"])
    def test_it_refuses_what_was_changed(self, folder, what):
        """Else it would prove nothing."""
        path = folder / what
        good = path.read_bytes()
        path.write_bytes(good.replace(b"f11", b"f12").replace(b"index 11", b"index 10"))
        try:
            assert self.check(folder, "f11").returncode == 1
        finally:
            path.write_bytes(good)


def test_every_debug_verb_is_listed(capsys):
    listed = set(re.findall(r"^cutover debug ([a-z-]+)", PAGE, re.MULTILINE))
    with pytest.raises(SystemExit):
        cli.main(["debug", "--help"])
    helped = capsys.readouterr().out

    assert set(re.findall(r"^    ([a-z][a-z-]+)", helped, re.MULTILINE)) == listed
    assert len(listed) == 5


def test_a_pinned_checkpoint_s_fields_are_named():
    from tests.unit.tlog.logs import log_of

    assert all(f"`{name}`" in PAGE for name in json.loads(json.dumps(log_of(1).checkpoint().to_json())))
