"""No bit of a store or of its log changes unnoticed: each flip is found, and the file is named.

A small store: one run with its section, its proof, the index, `latest.json`, and the log with its tiles. A sample of the
bits of each file, and all of them under CUTOVER_SOAK=1. Of a large one, with twenty runs, a sample.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import parse_trust, trust_entry, with_entry
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import Held, ObjectMissingError
from pytest_cutover.store.checking import Wanted, check_store
from pytest_cutover.store.layout import BUNDLE_FILE, PROOF_FILE, REPORT_FILE
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.note import NoteVerifier
from tests.properties.cases import SOAK
from tests.unit.store.stores import (
    LATER,
    LOG_KEY,
    ORIGIN,
    full_trust,
    new_log,
    put_logged,
    reindexed,
    run_at,
)

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = 12
"""Bits tried of each file outside of the soak: the first, the last, and others."""

LARGE = 20
"""Runs of the large store; each has six files."""


class Frozen:
    """Objects that are only read."""

    where = "frozen"

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def read(self, key, *, version=None):
        if key not in self.objects:
            raise ObjectMissingError(key)
        return self.objects[key], self.stat(key)

    def stat(self, key):
        if key not in self.objects:
            return None
        data = self.objects[key]
        return Held(key, len(data), hashlib.sha256(data).hexdigest())

    def keys(self, prefix=""):
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def list(self, prefix=""):
        yield from map(self.stat, self.keys(prefix))


Objects = dict[str, bytes]


def made_of(folder: Path, runs: int) -> tuple[Objects, Objects]:
    """The objects of a store with that many runs, and of its log."""
    store, log = FolderObjects(folder / "store"), new_log(folder / "log")
    for number in range(runs):
        put_logged(store, log, run_at(number))
    reindexed(store)
    both = store, FolderObjects(folder / "log")
    kept, logged = ({h.key: objects.read(h.key)[0] for h in objects.list()} for objects in both)
    return kept, logged


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Objects, Objects]:
    return made_of(tmp_path_factory.mktemp("tampering"), 1)


RUN = f"history/{run_at(0).run_id}/"
STORE_FILES = ["latest.json", "index.json", "index.json.dsse"]
RUN_FILES = ["evidence.json", BUNDLE_FILE, REPORT_FILE, PROOF_FILE]
LOG_FILES = ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"]


def found_in(kept, logged, keys=None):
    log = Log(Frozen(logged), ORIGIN, verifiers=[_verifier()])
    return check_store(Frozen(kept), keys or full_trust(), lambda: LATER, Wanted(log=log)).findings


@cache
def _verifier():
    return NoteVerifier(ORIGIN, LOG_KEY.public)


def bits_of(data: bytes):
    if SOAK:
        return range(len(data) * 8)
    return sorted(
        {0, len(data) * 8 - 1, *Random(len(data)).sample(range(len(data) * 8), min(SAMPLE, len(data) * 8))}
    )


def flipped(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def test_these_are_all_files(made):
    """A file that is not tried proves nothing."""
    kept, logged = made
    attached = {key for key in kept if "/attachments/" in key}

    assert len(attached) == 2
    assert set(kept) == {*STORE_FILES, *(f"{RUN}{name}" for name in RUN_FILES), *attached}
    assert set(logged) == set(LOG_FILES)
    assert found_in(kept, logged) == ()


@pytest.mark.parametrize("key", [*STORE_FILES, *(f"{RUN}{name}" for name in RUN_FILES), "attachments"])
def test_a_flipped_bit_of_the_store_is_found_and_its_file_named(made, key):
    kept, logged = made
    for each in [k for k in kept if k == key or (key == "attachments" and "/attachments/" in k)]:
        for bit in bits_of(kept[each]):
            findings = found_in({**kept, each: flipped(kept[each], bit)}, logged)
            assert each in {f.where for f in findings}, f"bit {bit} of {each}"


@pytest.mark.parametrize("key", LOG_FILES)
def test_a_flipped_bit_of_the_log_is_found_and_its_file_named(made, key):
    kept, logged = made
    for bit in bits_of(logged[key]):
        findings = found_in(kept, {**logged, key: flipped(logged[key], bit)})
        assert any(str(f.where).endswith(key) for f in findings), f"bit {bit} of {key}"


def test_a_flipped_bit_somewhere_in_a_large_store_is_found_and_its_file_named(tmp_path_factory):
    kept, logged = made_of(tmp_path_factory.mktemp("large"), LARGE)
    assert found_in(kept, logged) == ()
    places = [(kept, key) for key in sorted(kept)] + [(logged, key) for key in sorted(logged)]
    random = Random(LARGE)
    for _ in range(3_000 if SOAK else 20):
        objects, key = random.choice(places)
        data = objects[key]
        bit = random.randrange(len(data) * 8)
        objects[key] = flipped(data, bit)
        named = {str(f.where).removeprefix("frozen/") for f in found_in(kept, logged)}
        objects[key] = data
        assert key in named, f"bit {bit} of {key}"


def trust_file() -> bytes:
    """What `full_trust` trusts, as a file."""
    data = None
    for key in full_trust().keys:
        entry = trust_entry(key.public, name=key.name, roles=tuple(sorted(key.roles)), origin=key.origin)
        data = with_entry(data, entry, where="trust.json")
    assert data is not None
    return data


def test_a_flipped_bit_of_the_trust_file_is_refused_or_found_or_changes_a_name(made):
    """Nothing vouches for the trust file itself: so every bit of it that decides anything has to decide."""
    data = trust_file()
    before = parse_trust(data, where="trust.json")
    assert found_in(*made, before) == ()
    for bit in bits_of(data) if SOAK else sorted(Random(0).sample(range(len(data) * 8), 60)):
        try:
            after = parse_trust(flipped(data, bit), where="trust.json")
        except ConfigError as exc:
            assert str(exc).startswith("trust.json: ")  # noqa: PT017 # not every bit is refused
            continue
        named = replace(after, keys=tuple(replace(k, name="") for k in after.keys))
        if named != replace(before, keys=tuple(replace(k, name="") for k in before.keys)):
            assert found_in(*made, after), f"bit {bit}"


@pytest.mark.parametrize("key", [*STORE_FILES, *(f"{RUN}{name}" for name in RUN_FILES), *LOG_FILES])
def test_a_file_that_is_gone_or_was_cut_is_found_and_named(made, key):
    for which in (0, 1):
        parts = [dict(part) for part in made]
        if key in parts[which]:
            data = parts[which].pop(key)
            assert key in {str(f.where).removeprefix("frozen/") for f in found_in(*parts)}
            parts[which][key] = data[:-1]
            assert key in {str(f.where).removeprefix("frozen/") for f in found_in(*parts)}
