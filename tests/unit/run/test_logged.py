"""A decision goes into its log behind the policy and the waivers it rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.errors import ConfigError, EvidenceError
from pytest_cutover.evidence.inclusion import claimed, documents_behind, verify_logged
from pytest_cutover.keys import trust
from pytest_cutover.keys.signer import generate, load_private_key, write_new_private
from pytest_cutover.keys.trusted import KeyState, Rotation
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import LogHead
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.run.logged import LOG_KEY_VARIABLE, RunLog, find_log_key, open_run_log
from pytest_cutover.tlog.entry import EntryKind, LogEntry, read_entry
from pytest_cutover.tlog.log import Log
from pytest_cutover.tlog.merkle import EMPTY_ROOT
from pytest_cutover.tlog.note import NoteSigner
from tests.unit.evidence.runs import (
    KEY,
    NOW,
    TRUSTED_POLICY_KEY,
    Run,
    anchor,
    sealed,
    signer,
    trusted,
)

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "log.example.org/shop"
LOG_KEY = signer()
RUN = Run(log=LogHead(ORIGIN, 0, EMPTY_ROOT.hex()), wanted_log=ORIGIN)
POLICY_SHA = RUN.policy().digest.removeprefix("sha256:")


def log_in(folder: Path) -> Log:
    return Log(FolderObjects(folder), ORIGIN, NoteSigner(ORIGIN, LOG_KEY))


def run_log(log: Log) -> RunLog:
    """As a run that begins now sees it."""
    head = LogHead(ORIGIN, 0, EMPTY_ROOT.hex())
    if (at := log.objects.stat("checkpoint")) is not None:
        assert at.size
        checkpoint = log.checkpoint()
        head = LogHead(ORIGIN, checkpoint.size, checkpoint.root.hex())
    return RunLog(log, head, None)


def kinds(log: Log) -> list[EntryKind]:
    return [read_entry(entry).kind for entry in log.entries(0, 10_000)]


class TestProve:
    def test_the_policy_stands_before_the_decision_and_the_proof_is_the_decision_s(
        self, tmp_path: Path
    ) -> None:
        log, (bundle, report) = log_in(tmp_path), sealed(RUN)
        index, proof = run_log(log).prove(bundle)

        assert index == 1
        assert kinds(log) == [EntryKind.POLICY, EntryKind.DECISION]
        first = read_entry(next(log.entries(0, 1)))
        assert (first.sha256, first.name, first.environment) == (POLICY_SHA, "shop version 3", None)
        trust = anchor(
            trusted(KEY),
            TRUSTED_POLICY_KEY,
            trusted(LOG_KEY, roles=frozenset({"log"}), origin=ORIGIN, name="log"),
        )
        found = verify_logged(bundle, report, proof, trust)
        assert found.problems == ()
        assert found.position is not None
        assert found.position.index == 1

    def test_what_the_newest_tile_holds_is_not_logged_again(self, tmp_path: Path) -> None:
        log, (bundle, _) = log_in(tmp_path), sealed(RUN)
        indices = [run_log(log).prove(bundle)[0] for _ in range(3)]

        assert indices == [1, 2, 3]
        assert kinds(log) == [EntryKind.POLICY, *[EntryKind.DECISION] * 3]

    def test_a_new_tile_begins_with_it_again(self, tmp_path: Path) -> None:
        log, (bundle, _) = log_in(tmp_path), sealed(RUN)
        run_log(log).prove(bundle)
        log.append([b"another program's"] * 254)

        assert run_log(log).prove(bundle)[0] == 257
        assert [read_entry(e).kind for e in log.entries(256, 258)] == [EntryKind.POLICY, EntryKind.DECISION]

    def test_the_same_bytes_logged_as_something_else_are_no_policy(self, tmp_path: Path) -> None:
        log, (bundle, _) = log_in(tmp_path), sealed(RUN)
        log.append([LogEntry(EntryKind.REVIEW, POLICY_SHA, NOW, "a review").to_bytes()])
        run_log(log).prove(bundle)

        assert kinds(log) == [EntryKind.REVIEW, EntryKind.POLICY, EntryKind.DECISION]

    @pytest.mark.parametrize("bundle", [b"", b"{}\n", b"\xff"])
    def test_without_a_decision_nothing_is_logged(self, bundle: bytes, tmp_path: Path) -> None:
        log = log_in(tmp_path)

        with pytest.raises(EvidenceError, match="a bundle with a decision"):
            run_log(log).prove(bundle)
        assert log.objects.stat("checkpoint") is None


def test_a_waiver_that_counts_is_behind_a_decision() -> None:
    claims = claimed(sealed(RUN)[0])
    assert claims is not None
    waiver = {"sha256": "ab" * 32, "gate": "disk", "ticket": "OPS-7"}
    policy, waived = documents_behind(replace(claims, waivers=(waiver,)))

    assert policy == (EntryKind.POLICY, POLICY_SHA, "shop version 3", None)
    assert waived == (EntryKind.WAIVER, "ab" * 32, "OPS-7, disk", "production")


class TestOpenRunLog:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        path = tmp_path / "log.pem"
        write_new_private(path, generate(KeyKind.ED25519))
        return {LOG_KEY_VARIABLE: str(path)}

    def opened(self, rootdir: Path, environ: dict[str, str], **life: Any) -> RunLog:
        key = load_private_key(rootdir / "log.pem")
        trust = anchor(trusted(key, roles=frozenset({"log"}), origin=ORIGIN, name="log", **life))
        objects = FolderObjects(rootdir / "log")
        return open_run_log(
            objects, ORIGIN, rootdir, environ, trust, environment="production", now=NOW, say=pytest.fail
        )

    def test_an_empty_log(self, tmp_path: Path, environ: dict[str, str]) -> None:
        found = self.opened(tmp_path, environ)

        assert found.head == LogHead(ORIGIN, 0, EMPTY_ROOT.hex())
        assert found.rewritten is None

    def test_a_key_that_was_rotated_signs_no_more(self, tmp_path: Path, environ: dict[str, str]) -> None:
        rotated = {"rotated": Rotation(ORIGIN, 3, NOW), "grace_until": NOW + timedelta(days=9)}

        with pytest.raises(ConfigError, match="key 'log' signs no more"):
            self.opened(tmp_path, environ, state=KeyState.GRACE, **rotated)


class TestFindLogKey:
    @pytest.mark.parametrize("environ", [{LOG_KEY_VARIABLE: "given.pem"}, {}])
    def test_a_key_that_can_sign_no_notes_is_said_where_it_is_looked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
    ) -> None:
        """Whoever only looks, such as `cutover check`, has to find what would stop a run."""
        monkeypatch.chdir(tmp_path)
        path = tmp_path / environ.get(LOG_KEY_VARIABLE, trust.LOG_KEY)
        write_new_private(path, generate(KeyKind.ECDSA_P256))

        with pytest.raises(
            ConfigError, match="pem: expected an Ed25519 key to sign notes with, got ecdsa"
        ) as e:
            find_log_key(environ, tmp_path, ORIGIN)
        assert e.value.hint is not None
