"""Putting a run into a store under kills and failing calls: nothing half, nothing lost, and putting it again completes it.

strace makes one system call of a real put fail, or kills the process at it; a first, undisturbed run shows which calls
there are. A few of them are tried, and every one under CUTOVER_SOAK=1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store.checking import check_store
from pytest_cutover.store.document import build_document, read_document
from pytest_cutover.store.index import index_runs
from pytest_cutover.store.putting import put_run, put_set
from tests.faults.harness import strace
from tests.unit.evidence.runs import KEY
from tests.unit.store.stores import LATER, files_at, reindexed, run_at, trust

SOAK = bool(os.environ.get("CUTOVER_SOAK"))
FEW = 2
SCRIPT = """
import sys
from datetime import datetime
from pathlib import Path
from pytest_cutover.errors import CutoverError
from pytest_cutover.keys.signer import load_private_key
from pytest_cutover.keys.trust import load_trust
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.store.index import index_runs
from pytest_cutover.store.putting import put_run

folder, run, key, trust, now = sys.argv[1:]
signer, anchor, store = load_private_key(Path(key)), load_trust(Path(trust)), FolderObjects(Path(folder))
try:
    put = put_run(store, Path(run))
    index_runs(store, [put.document.run_id], ["production"], signer, anchor, lambda: datetime.fromisoformat(now))
except CutoverError as exc:
    sys.exit(f"error: {exc}")
"""
CALLS = "write,fsync,flock,link,rename,unlink,mkdir,openat,fchmod"
KILLS = ("fsync", "link", "rename", "unlink")
FAULTS = {"ENOSPC": ("write", "link", "rename"), "EIO": ("fsync",)}
_CALL = re.compile(r"^\d+ +(?P<name>\w+)\(")

OLD, NEW = run_at(0), run_at(1)


class Sweep:
    """A store with one run and its index, a second run that is put, and puts in which one call fails."""

    def __init__(self, folder):
        self.folder = folder
        self.run_dir = NEW.write(folder / "run")
        self.template = folder / "template"
        store = FolderObjects(self.template)
        put_set(store, files_at(0))
        reindexed(store)
        self.key, self.trust = folder / "key.pem", folder / "trust.json"
        pem = KEY._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key.write_bytes(pem)
        self.key.chmod(0o600)
        self.trust.write_bytes(_trust_file())
        done, self.calls = self.put("undisturbed")
        assert done.returncode == 0, done.stderr

    def put(self, name, inject=None):
        """The ended process, and its calls on the store: name, and which of that name in the process."""
        log = self.folder / f"{name}.strace"
        shutil.copytree(self.template, self.folder / name)
        wanted = ["-e", f"inject={inject}"] if inject else []
        traced = [strace(), "-f", "-y", "-o", str(log), "-e", f"trace={CALLS}", *wanted, "--"]
        paths = [str(p) for p in (self.folder / name, self.run_dir, self.key, self.trust)]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "COV_"))}
        done = subprocess.run(
            # -B: what a first import writes into __pycache__ is no call of a put.
            [*traced, sys.executable, "-B", "-c", SCRIPT, *paths, LATER.isoformat()],
            env=kept | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        seen, calls = {}, []
        for line in log.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if found is not None:
                seen[found["name"]] = seen.get(found["name"], 0) + 1
                if f"{self.folder}/{name}" in line:
                    calls.append((found["name"], seen[found["name"]]))
        return done, calls

    def numbers(self, call):
        numbers = [number for name, number in self.calls if name == call]
        step = 1 if SOAK else max(1, len(numbers) // FEW)
        return numbers[::step][:-1] + numbers[-1:]


def _trust_file():
    from pytest_cutover.keys.trust import trust_entry, with_entry

    data = None
    for key in trust().keys:
        entry = trust_entry(key.public, name=key.name, roles=tuple(sorted(key.roles)))
        data = with_entry(data, entry, where="trust.json")
    return data


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return Sweep(tmp_path_factory.mktemp("sweep"))


def assert_sound(folder, run_dir):
    """Every file is whole; a bundle is there only with all of its set; the run can be put, and then nothing is found."""
    store = FolderObjects(folder)
    assert check_store(store, trust(), lambda: LATER).runs >= 1
    files = {**NEW.files(), "evidence.json": build_document(NEW.files())}
    there = {name for name in files if store.stat(f"history/{NEW.run_id}/{name}") is not None}
    for name in there:
        assert store.read(f"history/{NEW.run_id}/{name}")[0] == files[name]
    assert "bundle.intoto.jsonl" not in there or there == set(files)
    latest = read_document(store.read("latest.json")[0], "latest.json").run_id
    assert latest == OLD.run_id or "bundle.intoto.jsonl" in there

    assert put_run(store, run_dir).is_latest
    index_runs(store, [NEW.run_id], ["production"], KEY, trust(), lambda: LATER)
    assert check_store(store, trust(), lambda: LATER).findings == ()


class TestEveryCall:
    def test_the_undisturbed_put_makes_the_calls_that_are_to_fail(self, sweep):
        """Else this file would test nothing."""
        counts = {name: sum(call == name for call, _ in sweep.calls) for name in (*KILLS, "write")}

        assert counts["link"] == 5  # each file of the run, once
        assert counts["rename"] == 3  # latest.json, the index and its envelope
        assert counts["fsync"] >= 2 * 8
        assert_sound(sweep.folder / "undisturbed", sweep.run_dir)

    @pytest.mark.parametrize("call", KILLS)
    def test_killed_at_it(self, sweep, call):
        for number in sweep.numbers(call):
            name = f"kill-{call}-{number}"
            done, _ = sweep.put(name, f"{call}:signal=KILL:when={number}")

            assert done.returncode == -9, done.stderr
            assert_sound(sweep.folder / name, sweep.run_dir)

    @pytest.mark.parametrize(("error", "call"), [(e, c) for e, calls in FAULTS.items() for c in calls])
    def test_it_fails(self, sweep, error, call):
        """Whoever called is told in words."""
        for number in sweep.numbers(call):
            name = f"{error}-{call}-{number}"
            done, _ = sweep.put(name, f"{call}:error={error}:when={number}")

            assert done.stderr.startswith("error: "), (name, done.returncode, done.stderr)
            assert_sound(sweep.folder / name, sweep.run_dir)
