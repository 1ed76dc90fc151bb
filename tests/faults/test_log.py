"""The transparency log under kills, failing calls and many writers: one log, never a fork, never a torn checkpoint.

strace makes one system call of a real append fail, or kills the process at it; a first, undisturbed run shows which
calls there are. Then the log is the old one or the new one, whole, and the next append goes on.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from functools import partial

import pytest

from pytest_cutover.keys.signer import generate, load_private_key
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner
from pytest_cutover.tlog.proof import verify_proof
from tests.faults.harness import strace

ORIGIN = "log.example"
SOAK = bool(os.environ.get("CUTOVER_SOAK"))
FEW = 3
SCRIPT = """
import sys
from pathlib import Path
from pytest_cutover.errors import CutoverError
from pytest_cutover.keys.signer import load_private_key
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteSigner

folder, key, name, rounds, batch = sys.argv[1:]
log = Log(FolderObjects(Path(folder)), "log.example", NoteSigner("log.example", load_private_key(Path(key))))
try:
    for number in range(int(rounds)):
        done = log.append([f"{name} {number} {n}".encode() for n in range(int(batch))])
        print(done.first, done.checkpoint.size)
except CutoverError as exc:
    sys.exit(f"error: {exc}")
"""

CALLS = (
    "write,read,fsync,flock,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,rmdir,openat,fchmod"
)
_CALL = re.compile(r"^\d+ +(?P<name>\w+)\(")

KILLS = ("write", "fsync", "link", "linkat", "rename", "unlink", "mkdir", "flock")
FAULTS = {
    "ENOSPC": ("write", "link", "linkat", "rename", "mkdir"),
    "EIO": ("fsync", "read", "unlink", "flock"),
    "EROFS": ("openat",),
}


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "COV_"))}
    return kept | {"PYTHONHASHSEED": "0"}


# -B: what a first import writes into __pycache__ is no call of an append.
def command(folder, key, name="entry", rounds=1, batch=1):
    return [sys.executable, "-B", "-c", SCRIPT, str(folder), str(key), name, str(rounds), str(batch)]


def ran(arguments, **options):
    return subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "log.pem"
    path.write_bytes(generate(KeyKind.ED25519))
    path.chmod(0o600)
    return path


def opened(folder, key):
    return Log(FolderObjects(folder), ORIGIN, NoteSigner(ORIGIN, load_private_key(key)))


def assert_goes_on(folder, key, old, new):
    """The log holds the `old` entries, or `new` ones after them too; it is whole, and takes another."""
    log = opened(folder, key)
    size = 0
    if old or (folder / "checkpoint").exists():  # else it was killed before there was a log
        found = log.verify()
        assert [p.to_json() for p in found.problems] == []
        size = found.checkpoint.size
        assert list(log.entries(0, size)) in (old, old + new)

    appended = opened(folder, key).append([b"next"])

    assert appended.first == size
    found = log.verify()
    assert (found.problems, found.beyond) == ((), ())
    proof = log.prove(size, signed=appended.signed)
    assert verify_proof(proof, b"next", [NoteSigner(ORIGIN, load_private_key(key)).verifier]).index == size
    return size


class Sweep:
    """An append to a log of `before` entries, and runs in which one of its calls fails."""

    def __init__(self, key, folder, before, batch):
        self.key, self.folder, self.batch = key, folder, batch
        self.old = [b"old %d" % n for n in range(before)]
        self.new = [b"entry 0 %d" % n for n in range(batch)]
        self.template = folder / "template"
        self.template.mkdir()
        if before:
            opened(self.template, key).append(self.old[: before // 2 or 1])
            if before > 1:
                opened(self.template, key).append(self.old[before // 2 :])
        done, self.calls = self.run("undisturbed")
        assert done.returncode == 0, done.stderr

    def run(self, name, inject=None):
        """The ended process, and its calls on the log: name, which of that name in the process, the line."""
        log = self.folder / f"{name}.strace"
        shutil.copytree(self.template, self.folder / name)
        wanted = ["-e", f"inject={inject}"] if inject else []
        traced = [strace(), "-f", "-y", "-o", str(log), "-e", f"trace={CALLS}", *wanted, "--"]
        done = ran([*traced, *command(self.folder / name, self.key, batch=self.batch)])
        seen, calls = {}, []
        for line in log.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if found is None:
                continue
            seen[found["name"]] = seen.get(found["name"], 0) + 1
            if f"{self.folder}/{name}" in line:
                calls.append((found["name"], seen[found["name"]], line))
        return done, calls

    def numbers(self, call):
        """Of every call in a soak; else of a few, from the first to the last."""
        numbers = [number for name, number, _ in self.calls if name == call]
        step = 1 if SOAK else max(1, len(numbers) // FEW)
        return numbers[::step][:-1] + numbers[-1:]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((3, 1), id="one entry"),
        pytest.param((0, 1), id="the first", marks=pytest.mark.skipif(not SOAK, reason="CUTOVER_SOAK=1")),
        pytest.param((250, 530), id="many", marks=pytest.mark.skipif(not SOAK, reason="CUTOVER_SOAK=1")),
    ],
)
def sweep(request, key, tmp_path_factory):
    return Sweep(key, tmp_path_factory.mktemp("sweep"), *request.param)


class TestEveryCall:
    def test_the_undisturbed_append_makes_the_calls_that_are_to_fail(self, sweep):
        """Else this file would test nothing."""
        written = [line for name, _, line in sweep.calls if name == "write"]

        assert any("checkpoint" in line for line in written)
        assert any("tile/0/" in line for line in written)
        assert any("tile/entries/" in line for line in written)
        assert len([name for name, *_ in sweep.calls if name == "fsync"]) >= 6
        renames = [line for name, _, line in sweep.calls if name == "rename"]
        assert all(line.count("checkpoint") == 2 for line in renames), "the checkpoint alone is replaced"
        assert_goes_on(sweep.folder / "undisturbed", sweep.key, sweep.old, sweep.new)

    @pytest.mark.parametrize("call", KILLS)
    def test_killed_at_it(self, sweep, call):
        """The signal comes when the call begins: it is not made any more, or nobody hears of its end."""
        for number in sweep.numbers(call):
            name = f"kill-{call}-{number}"
            done, _ = sweep.run(name, f"{call}:signal=KILL:when={number}")

            assert done.returncode == -9, done.stderr
            assert_goes_on(sweep.folder / name, sweep.key, sweep.old, sweep.new)

    @pytest.mark.parametrize(("error", "call"), [(e, c) for e, calls in FAULTS.items() for c in calls])
    def test_it_fails(self, sweep, error, call):
        """The caller is told in words, and told the truth: an append that says yes is in the log."""
        for number in sweep.numbers(call):
            name = f"{error}-{call}-{number}"
            done, _ = sweep.run(name, f"{call}:error={error}:when={number}")

            assert "Traceback" not in done.stderr, (name, done.stderr)
            size = assert_goes_on(sweep.folder / name, sweep.key, sweep.old, sweep.new)
            if done.returncode == 0:
                assert size == len(sweep.old) + len(sweep.new), name
            else:
                assert done.stderr.startswith("error: "), (name, done.stderr)

    @pytest.mark.parametrize("call", ["write", "fsync"])
    def test_a_disk_that_stays_broken(self, sweep, call):
        for number in sweep.numbers(call)[:: 1 if SOAK else 2]:
            name = f"broken-{call}-{number}"
            done, _ = sweep.run(name, f"{call}:error=EIO:when={number}+")

            size = assert_goes_on(sweep.folder / name, sweep.key, sweep.old, sweep.new)
            # Once the checkpoint is there only old tiles are tidied away, which may fail.
            assert done.returncode != 0 or size == len(sweep.old + sweep.new), name


def test_writes_that_are_cut_short(key, tmp_path):
    """A real short write: the kernel takes as many bytes as a file may have, then no more."""
    old, new = [b"old"], [b"entry 0 %d" % n for n in range(40)]
    for limit in (1, 100, 200, 500, 1100, 1290):  # below the checkpoint, between the bundle and the tile
        folder = tmp_path / str(limit)
        opened(folder, key).append(old)
        limits = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))

        done = ran(command(folder, key, batch=40), preexec_fn=limits)  # no threads here

        assert done.returncode == 1, (limit, done.stdout, done.stderr)
        assert done.stderr.startswith("error: "), done.stderr
        assert assert_goes_on(folder, key, old, new) == len(old)


class TestManyWriters:
    @pytest.mark.parametrize(
        ("writers", "rounds"),
        [
            (4, 12),
            pytest.param(16, 1000, marks=pytest.mark.skipif(not SOAK, reason="CUTOVER_SOAK=1")),
        ],
    )
    def test_one_log_and_nothing_lost(self, key, tmp_path, writers, rounds):
        """From an empty folder: they race for the first checkpoint too."""
        folder = tmp_path / "log"
        started = [
            subprocess.Popen(
                command(folder, key, f"w{n}", rounds),
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(writers)
        ]
        told = {}
        for number, process in enumerate(started):
            out, err = process.communicate(timeout=3000)
            assert (process.returncode, err) == (0, "")
            firsts = [int(line.split()[0]) for line in out.splitlines()]
            assert firsts == sorted(firsts)
            told |= {first: b"w%d %d 0" % (number, at) for at, first in enumerate(firsts)}

        log = opened(folder, key)
        found = log.verify()
        assert (found.problems, found.beyond) == ((), ())
        assert found.checkpoint.size == len(told) == writers * rounds
        assert list(log.entries(0, len(told))) == [told[index] for index in range(len(told))]

    def test_killed_writers_among_others(self, key, tmp_path):
        """Some are killed at any time; what the others were told stays true."""
        folder = tmp_path / "log"
        start = partial(
            subprocess.Popen, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        doomed = [start(command(folder, key, f"d{n}", 10_000)) for n in range(2)]
        steady = start(command(folder, key, "s", 25))
        for process in doomed:
            for _ in range(3):
                process.stdout.readline()
            process.kill()
        out, err = steady.communicate(timeout=120)
        assert (steady.returncode, err) == (0, "")
        for process in doomed:
            process.communicate()

        log = opened(folder, key)
        size = log.checkpoint().size
        entries = list(log.entries(0, size))
        assert [entries[int(line.split()[0])] for line in out.splitlines()] == [
            b"s %d 0" % n for n in range(25)
        ]
        assert_goes_on(folder, key, entries, [])
