"""Guides as tests: the files and commands of a Markdown guide, and the output it promises.

A fenced `console` block holds commands (`$ …`, continued after a backslash) and what they print.
`<!-- file: PATH -->` before any other block says which file it is (`<!-- part of: PATH -->`: an excerpt);
`<!-- not run: WHY -->` excuses a block. All commands of a guide run in one bash, on a terminal of
80 columns. What differs from run to run (times, digests, durations) is not compared.
CUTOVER_UPDATE_GUIDES=1 writes the real output into the guide instead.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GUIDES = Path(__file__).parents[1] / "docs/guides"
UPDATE = "CUTOVER_UPDATE_GUIDES"
HOME = "/home/you"
"""What guides call the home folder."""

COMMAND_LIMIT_S = 60

_BLOCK = re.compile(
    r"(?:<!-- (?P<what>file|part of|not run): (?P<note>[^>]*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_VARIES = (
    (r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}", "RUN"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?", "TIME"),
    (r"\b[0-9a-f]{12,64}\b", "HEX"),
    (r"\b\d+\.\d+(?:E[+-]\d+)?", "N"),
    (r"^(platform|plugins:) .*", r"\1"),
    (r"([=_])\1{2,}", r"\1\1\1"),
    (r"[ \t]+", " "),
)


@dataclass(frozen=True)
class Block:
    """One fenced block; `start` and `end` delimit its text in the guide."""

    language: str
    text: str
    what: str | None
    note: str
    start: int
    end: int


@dataclass(frozen=True)
class Command:
    """A command of a console block and the output the guide shows for it."""

    text: str
    shown: str


def blocks(guide: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(guide):
        start, end = match.span("text")
        yield Block(match["language"], match["text"], match["what"], match["note"] or "", start, end)


def commands(block: str) -> list[Command]:
    """The commands of a console block, in order."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif found and found[-1][0][-1].endswith("\\") and not found[-1][1]:
            found[-1][0].append(line)
        else:
            assert found, f"output before the first command: {line!r}"
            found[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(shown)) for text, shown in found]


@dataclass
class Guide:
    """A guide to be followed in the folder `home`, with other ports than it says."""

    path: Path
    home: Path
    ports: Mapping[int, int]
    varies: Sequence[tuple[str, str]] = ()
    """Further patterns of what differs from run to run, and what stands for them."""

    differences: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Write every file and run every command; fail where the guide shows something else."""
        text = self.path.read_text()
        edits: list[tuple[int, int, str]] = []
        with Shell(self.home) as shell:
            for block in blocks(text):
                if block.what == "file":
                    file = shell.folder() / block.note
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(self._moved(block.text))
                elif block.language == "console" and block.what is None:
                    edits.append((block.start, block.end, self._run(shell, block.text)))
        if os.environ.get(UPDATE) == "1":
            for start, end, new in reversed(edits):
                text = text[:start] + new + text[end:]
            self.path.write_text(text)
        else:
            hint = f"if the new output is right, {UPDATE}=1 writes it into {self.path.name}"
            assert not self.differences, "\n".join([*self.differences, hint])

    def _run(self, shell: Shell, block: str) -> str:
        """The block with the real output."""
        lines: list[str] = []
        for command in commands(block):
            printed = self._shown(shell.run(self._moved(command.text)))
            if self._normal(printed) != self._normal(command.shown):
                self.differences.append(
                    f"$ {command.text}\n--- the guide shows\n{command.shown}\n--- printed was\n{printed}"
                )
            lines += [f"$ {command.text}", printed]
        return "".join(f"{line}\n" for line in lines if line)

    def _moved(self, text: str) -> str:
        for theirs, ours in self.ports.items():
            text = re.sub(rf"\b{theirs}\b", str(ours), text)
        return text

    def _shown(self, text: str) -> str:
        for theirs, ours in self.ports.items():
            # Whole numbers only: a port 20261 is not the beginning of the date 20261121.
            text = re.sub(rf"(?<!\d){ours}(?!\d)", str(theirs), text)
        text = text.replace(str(self.home), HOME)
        text = re.sub(r"^(plugins: cutover-[^,\n]*).*", r"\1", text, flags=re.MULTILINE)
        # pytest's count in progress, which terminals overwrite.
        lines = [line.rstrip() for line in text.splitlines() if not line.startswith("collecting")]
        return "\n".join(lines).strip("\n")

    def _normal(self, text: str) -> list[str]:
        for pattern, word in (*self.varies, *_VARIES):
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        return [line.strip() for line in text.splitlines()]


class Shell:
    """One bash on a terminal of its own; whatever it started ends with it."""

    def __init__(self, home: Path) -> None:
        programs = home.parent / "programs"
        programs.mkdir(parents=True)
        for name, arguments in (("python", ""), ("cutover", "-m pytest_cutover"), ("pytest", "-m pytest")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
            program.chmod(0o755)
        home.mkdir(exist_ok=True)
        self._home = home
        self._environ = {
            "HOME": str(home),
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }

    def __enter__(self) -> Self:
        self._terminal, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 80))
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self._home,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait()
        os.close(self._terminal)

    def run(self, command: str) -> str:
        """What the command prints, on both streams."""
        assert self._bash.stdin is not None
        end = "\x03end of output\x03"
        # The mark is put together by printf, so that no echo of the command holds it; $? outlives it.
        mark = "status=$?; printf '\\003end of output\\003'; (exit $status)"
        self._bash.stdin.write(f"{command}\n{mark}\n".encode())
        self._bash.stdin.flush()
        got = ""
        until = time.monotonic() + COMMAND_LIMIT_S
        while not got.endswith(end):
            ready, _, _ = select.select([self._terminal], [], [], max(until - time.monotonic(), 0))
            assert ready, f"no end of {command!r} within {COMMAND_LIMIT_S} s; so far: {got}"
            got += os.read(self._terminal, 65536).decode("utf-8", "replace")
        return got.removesuffix(end).replace("\r\n", "\n")

    def folder(self) -> Path:
        """Where the shell stands."""
        return Path(self.run("pwd").strip())
