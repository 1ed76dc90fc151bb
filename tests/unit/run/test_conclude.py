"""The end of a run: judged from the disk, and no GO without its evidence."""

from __future__ import annotations

import errno
import json
import os
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial, partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_cutover import files
from pytest_cutover.cli import main
from pytest_cutover.cli.admit import _found as found_in
from pytest_cutover.errors import AdapterError, EvidenceError
from pytest_cutover.evidence.admit import Question, admit
from pytest_cutover.evidence.seal import BUNDLE_FILE as BUNDLE
from pytest_cutover.evidence.seal import UNFINISHED_FILE
from pytest_cutover.keys.signer import PemSigner
from pytest_cutover.keys.trust import trust_entry, with_entry
from pytest_cutover.model import ExitCode, PolicySignature, Runner, Subject, Verdict, rfc3339
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import (
    ABSENT,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
)
from pytest_cutover.reasons import Reason
from pytest_cutover.run import conclude
from pytest_cutover.run.conclude import (
    Conclusion,
    add_problem,
    judge,
    report_path,
    seal,
    unsealed,
)
from pytest_cutover.run.context import RunContext
from tests.unit import journals
from tests.unit.evidence.runs import anchor, signer, trusted


def fresh(events: list[journals.Event]) -> list[journals.Event]:
    """The same events, observed now."""
    now = rfc3339(datetime.now(UTC))
    for event in events:
        event["at"] = now
        for measured in event.get("measurements", ()):
            measured["observed_at"] = now
    return events


def run_in(folder: Path, events: list[journals.Event] | None = None, **changes: Any) -> RunContext:
    """A run whose journal lies in `folder`."""
    fields: dict[str, Any] = {
        "run_id": "20261121T084750Z-1a2b3c4d",
        "nonce": journals.NONCE,
        "rootdir": folder,
        "run_dir": folder / "var/cutover/runs/r",
        "policy": journals.policy(signature=PolicySignature.UNSIGNED),
        "policy_path": folder / "configs/policy.json",
        "policy_envelope": None,
        "targets": {},
        "subjects": (Subject("shop", {"sha256": "c" * 64}),),
        "shard": None,
        "runner": Runner.IN_PROCESS,
        "signer": signer(),
        "gate_code_digest": journals.GATE_CODE,
    }
    context = RunContext(**(fields | changes))
    context.run_dir.mkdir(parents=True)
    lines = journals.sign(fresh(journals.clean_run() if events is None else events))
    (context.run_dir / "journal.jsonl").write_bytes(b"".join(lines))
    return context


def concluded(context: RunContext) -> Conclusion:
    return seal(judge(context), context)


def codes(conclusion: Conclusion) -> list[str]:
    return [f.reason.code for f in conclusion.decision.findings]


class TestJudge:
    """Decided on what is on the disk."""

    def test_whole_journal_is_go(self, tmp_path: Path) -> None:
        """The clean case."""
        assert judge(run_in(tmp_path)).decision.verdict is Verdict.GO

    def test_missing_journal_is_no_go(self, tmp_path: Path) -> None:
        """Somebody removed it."""
        context = run_in(tmp_path)
        (context.run_dir / "journal.jsonl").unlink()

        assert judge(context).decision.exit_code is ExitCode.UNPROVEN

    def test_cut_journal_is_no_go(self, tmp_path: Path) -> None:
        """A last line without its end is damage."""
        context = run_in(tmp_path)
        path = context.run_dir / "journal.jsonl"
        path.write_bytes(path.read_bytes()[:-1])

        assert "run.journal-damaged" in codes(judge(context))

    @pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x1c", "\r"])
    def test_only_newlines_end_lines(self, tmp_path: Path, odd: str) -> None:
        """Other line breaks of Unicode may stand inside of a line."""
        events = fresh(journals.clean_run())
        events[3]["notes"] = [f"a{odd}b"]
        context = run_in(tmp_path, events)
        lines = [json.dumps(json.loads(x), ensure_ascii=False).encode() for x in journals.sign(events)]
        (context.run_dir / "journal.jsonl").write_bytes(b"\n".join(lines) + b"\n")

        assert len(judge(context).lines) == len(lines)


class TestSeal:
    """Report first, bundle last."""

    def test_report_and_bundle_are_there(self, tmp_path: Path) -> None:
        """What the folder of a sealed run holds."""
        context = run_in(tmp_path)

        conclusion = concluded(context)

        assert conclusion.sealed
        assert conclusion.decision.verdict is Verdict.GO
        assert sorted(f.name for f in context.run_dir.iterdir()) == [BUNDLE, "journal.jsonl", "report.json"]

    def test_where_there_is_no_store_its_key_is_not_asked_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What went wrong with the ring behind the signature is none of the decision."""

        def unreadable(_: object) -> None:
            raise AdapterError("cannot read the ring")

        monkeypatch.setattr("pytest_cutover.run.conclude.current", unreadable)

        assert concluded(run_in(tmp_path)).decision.verdict is Verdict.GO

    def test_without_a_key_there_is_no_bundle(self, tmp_path: Path) -> None:
        """And an old one is not pretended."""
        context = run_in(tmp_path, signer=None)

        assert concluded(context).sealed
        assert not (context.run_dir / BUNDLE).exists()

    def test_copy_of_the_report(self, tmp_path: Path) -> None:
        """`--report`, byte for byte."""
        context = run_in(tmp_path, report="out/preflight-YYYYMMDD-HHMM.json")

        conclusion = concluded(context)

        at = conclusion.decision.decided_at
        copy = tmp_path / f"out/preflight-{at:%Y%m%d-%H%M}.json"
        assert copy.read_bytes() == (context.run_dir / "report.json").read_bytes()

    @pytest.mark.parametrize("blocked", ["report.json", "out", BUNDLE])
    def test_what_cannot_be_written_is_no_go(self, tmp_path: Path, blocked: str) -> None:
        """A decision that nobody can check is no GO, and nothing that says so is left behind."""
        context = run_in(tmp_path, report="out/report.json")
        if blocked == "out":
            (tmp_path / "out").write_text("a file where a folder should be")
        else:
            (context.run_dir / blocked / "in-the-way").mkdir(parents=True)

        conclusion = concluded(context)

        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert codes(conclusion)[0] == Reason.EVIDENCE_NOT_WRITTEN.code
        assert not conclusion.sealed
        for file in (context.run_dir / BUNDLE, context.run_dir / "report.json", tmp_path / "out/report.json"):
            assert not file.is_file()

    def test_bundle_that_may_not_last_is_taken_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its folder could not be synced: exit code and signed verdict must not differ."""
        context = run_in(tmp_path)

        def fail(folder: Path) -> None:
            if (folder / BUNDLE).exists():
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(files, "sync_folder", fail)

        conclusion = concluded(context)

        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert not (context.run_dir / BUNDLE).exists()

    def test_a_proof_that_cannot_be_written_is_no_proof(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The log has the GO: the NO-GO that takes its place has to say that no log took it."""
        log: Any = SimpleNamespace(prove=lambda _: (0, b"proof"), head=SimpleNamespace(origin="log.example"))
        context = run_in(tmp_path, log=log)
        write = conclude.write_atomic

        def full(path: Path, data: bytes) -> None:
            if data == b"proof":
                raise AdapterError("the disk is full")
            write(path, data)

        monkeypatch.setattr(conclude, "write_atomic", full)

        conclusion = concluded(context)

        assert (conclusion.sealed, "log.unavailable" in codes(conclusion)) == (True, True)
        assert conclusion.decision.verdict is Verdict.NO_GO

    def test_unexpected_error_is_no_go(self, tmp_path: Path) -> None:
        """Whatever a signer raises."""

        class Broken:
            keyid = "0" * 64
            kind = signer().kind

            def sign(self, message: bytes) -> bytes:
                raise RuntimeError("the token was unplugged")

        conclusion = concluded(run_in(tmp_path, signer=Broken()))

        assert conclusion.decision.verdict is Verdict.NO_GO
        assert conclusion.decision.findings[0].message == "RuntimeError: the token was unplugged"

    def test_interrupt_is_no_go_and_leaves_no_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C in the last moment: the exit code will not be 0, so nothing signed may say GO."""
        context = run_in(tmp_path)

        def interrupt(folder: Path) -> None:
            if (folder / BUNDLE).exists():
                raise KeyboardInterrupt

        monkeypatch.setattr(files, "sync_folder", interrupt)

        conclusion = concluded(context)

        assert codes(conclusion)[0] == "run.interrupted"
        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert not (context.run_dir / BUNDLE).exists()


class TestSealInterrupted:
    """Ctrl-C that waited until the evidence was written."""

    def test_a_go_becomes_a_sealed_no_go(self, tmp_path: Path) -> None:
        """What is signed says why, and so do report and copy."""
        context = run_in(tmp_path, report="out.json")

        conclusion = seal(judge(context), context, ["SIGINT"])

        assert conclusion.sealed
        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert codes(conclusion) == ["run.interrupted"]
        assert json.loads((context.run_dir / "report.json").read_bytes())["decision"]["verdict"] == "NO-GO"
        assert (tmp_path / "out.json").read_bytes() == (context.run_dir / "report.json").read_bytes()
        assert (context.run_dir / BUNDLE).is_file()

    def test_without_a_signal_nothing_changes(self, tmp_path: Path) -> None:
        context = run_in(tmp_path)

        assert seal(judge(context), context).decision.verdict is Verdict.GO

    def test_a_no_go_is_one_already(self, tmp_path: Path) -> None:
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        context = run_in(tmp_path, events)

        conclusion = seal(judge(context), context, ["SIGINT"])

        assert (conclusion.sealed, codes(conclusion)) == (True, ["limit.broken"])


class TestAddProblem:
    """Something went wrong behind the end of the journal."""

    def test_it_is_told_there_and_judged(self, tmp_path: Path) -> None:
        context = run_in(tmp_path)

        conclusion = add_problem(context, Reason.RUN_INTERNAL_ERROR, "a plugin crashed")

        assert codes(conclusion) == ["run.internal-error"]
        last = json.loads((context.run_dir / "journal.jsonl").read_bytes().splitlines()[-1])
        assert last["message"] == "a plugin crashed"

    def test_a_journal_that_cannot_be_written_is_no_go(self, tmp_path: Path) -> None:
        """And nothing is sealed that does not say why."""
        context = run_in(tmp_path)
        path = context.run_dir / "journal.jsonl"
        path.rename(path.with_name("kept"))
        path.symlink_to("kept")

        conclusion = add_problem(context, Reason.RUN_INTERNAL_ERROR, "a plugin crashed")

        assert codes(conclusion)[0] == "evidence.not-written"
        assert conclusion.decision.exit_code is ExitCode.UNPROVEN


class TestUnsealed:
    """When something breaks after the decision."""

    def test_it_is_never_sealed(self, tmp_path: Path) -> None:
        """The journal does not say why: whoever verified that would find another decision."""
        context = run_in(tmp_path)
        conclusion = seal(unsealed(judge(context), Reason.EVIDENCE_NOT_WRITTEN, "full"), context)

        assert not conclusion.sealed
        assert not (context.run_dir / BUNDLE).exists()

    def test_nor_when_the_journal_takes_no_more_while_it_is_sealed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pytest_cutover.run import conclude

        context = run_in(tmp_path)
        monkeypatch.setattr(conclude, "_tell", lambda *_: "full")
        conclusion = seal(judge(context), context, ["SIGTERM"])

        assert (conclusion.decision.exit_code, conclusion.sealed) == (ExitCode.UNPROVEN, False)
        assert not (context.run_dir / BUNDLE).exists()

    def test_green_becomes_unproven(self, tmp_path: Path) -> None:
        """Never better than NO-GO."""
        conclusion = unsealed(judge(run_in(tmp_path)), Reason.RUN_INTERNAL_ERROR, "boom", remedy="again")

        assert (conclusion.decision.verdict, conclusion.decision.exit_code) == (
            Verdict.NO_GO,
            ExitCode.UNPROVEN,
        )
        assert conclusion.decision.findings[0].remedy == "again"

    def test_red_stays_red(self, tmp_path: Path) -> None:
        """10 before 11."""
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        conclusion = unsealed(judge(run_in(tmp_path, events)), Reason.EVIDENCE_NOT_WRITTEN, "full")

        assert conclusion.decision.exit_code is ExitCode.NO_GO

    def test_it_is_no_longer_sealed(self, tmp_path: Path) -> None:
        """No evidence stands behind the new decision."""
        whole = replace(judge(run_in(tmp_path)), sealed=True)

        assert not unsealed(whole, Reason.EVIDENCE_NOT_WRITTEN, "full").sealed


class TestReportPath:
    """`--report` with date and time."""

    @pytest.mark.parametrize(
        ("pattern", "path"),
        [
            ("var/preflight-YYYYMMDD-HHMM.json", "var/preflight-20261121-0848.json"),
            ("YYYYMMDD/YYYYMMDDHHMM.json", "20261121/202611210848.json"),
            ("report.json", "report.json"),
            ("%d{}.json", "%d{}.json"),
        ],
    )
    def test_placeholders(self, pattern: str, path: str) -> None:
        """Every one, and nothing else."""
        assert report_path(pattern, journals.NOW) == Path(path)


class TestStore:
    """What is in the store says the same as the exit code."""

    @pytest.fixture
    def context(self, tmp_path: Path) -> RunContext:
        return run_in(tmp_path, store=FolderObjects(tmp_path / "evidence"))

    def stored(self, context: RunContext) -> bytes | None:
        """The bundle of the run in the store."""
        assert context.store is not None
        try:
            return context.store.read(f"history/{context.run_id}/{BUNDLE}")[0]
        except ObjectMissingError:
            return None

    def test_a_run_is_put_into_it(self, context: RunContext) -> None:
        conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        assert conclusion.kept == (("store", "evidence"),)
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    def test_the_run_folder_says_go_only_when_the_store_has_it(
        self, context: RunContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is killed before leaves nothing there that admits."""
        from pytest_cutover.store import keeping

        put, index, seen = keeping.put_object, keeping.index_runs, []

        def watched(real: Any, *arguments: Any) -> Any:
            seen.append(self.admits(context.run_dir.parent, context.signer))
            return real(*arguments)

        monkeypatch.setattr(keeping, "put_object", partial(watched, put))
        monkeypatch.setattr(keeping, "index_runs", partial(watched, index))
        seal(judge(context), context)

        assert (seen, self.admits(context.run_dir.parent, context.signer)) == ([False] * 4, True)

    def test_a_no_go_takes_an_older_go_back_before_the_store_has_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Begun before the GO was decided, decided after it; what is there before each file is what a kill would leave."""
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        key, store = signer(), FolderObjects(tmp_path / "evidence")
        red = run_in(tmp_path, events, store=store, signer=key)
        go = replace(red, run_id="20261121T084751Z-00000000", run_dir=red.run_dir.with_name("go"))
        go.run_dir.mkdir()
        started = json.loads(journals.sign(fresh(journals.clean_run()))[0]) | {"run_id": go.run_id}
        lines = journals.sign([started, *fresh(journals.clean_run())[1:]])
        (go.run_dir / "journal.jsonl").write_bytes(b"".join(lines))
        assert seal(judge(go), go).decision.verdict is Verdict.GO
        history = Path(store.where) / "history"
        assert self.admits(red.run_dir.parent, key)
        assert self.admits(history, key)
        from pytest_cutover.store import keeping

        real, seen = keeping.put_object, []

        def watched(*arguments: Any) -> Any:
            seen.append((self.admits(red.run_dir.parent, key), self.admits(history, key)))
            return real(*arguments)

        monkeypatch.setattr(keeping, "put_object", watched)
        seal(judge(red), red)

        assert seen == [(False, True), (False, False), (False, False)]

    @pytest.mark.parametrize("error", [AdapterError("down"), KeyboardInterrupt()])
    @pytest.mark.parametrize("name", ["put_object", "move_latest", "index_runs"])
    def test_a_no_go_stands_whatever_the_store_does(
        self, tmp_path: Path, name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither here nor there is it taken back: it may have taken back a GO."""
        from pytest_cutover.store import keeping

        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        context = run_in(tmp_path, events, store=FolderObjects(tmp_path / "evidence"))
        real = getattr(keeping, name)

        def broken(*arguments: Any) -> None:
            real(*arguments)
            raise error

        monkeypatch.setattr(keeping, name, broken)
        conclusion = seal(judge(context), context)

        assert (conclusion.decision.exit_code, conclusion.sealed) == (ExitCode.NO_GO, True)
        assert conclusion.kept[-1][0] == "warning"
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    @pytest.mark.parametrize("retained", [False, True])
    def test_a_no_go_is_stored_beside_an_index_that_does_not_verify(
        self, tmp_path: Path, retained: bool
    ) -> None:
        """A GO must not be: it could not be taken out again."""
        context = self.red(tmp_path)
        context = replace(context, retain_for=timedelta(days=1) if retained else None)
        assert context.store is not None
        context.store.write("index.json.dsse", b"{}", expected=ABSENT)
        conclusion = seal(judge(context), context)

        assert (conclusion.decision.exit_code, conclusion.kept[-1][0]) == (ExitCode.NO_GO, "warning")
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    @pytest.mark.parametrize("color", ["red", "green"])
    def test_one_whose_attachment_is_gone_is_stored_without_it(self, tmp_path: Path, color: str) -> None:
        """A GO is sealed again as a NO-GO that says so: the store is there to take it."""
        events = journals.clean_run()
        if color == "red":
            events[3]["measurements"][0]["value"] = "9"
        attached = {
            "name": "log",
            "file": "0-log",
            "sha256": "0" * 64,
            "media_type": "text/plain",
            "bytes": "1",
        }
        events[3]["attachments"] = [attached]
        context = run_in(tmp_path, events, store=FolderObjects(tmp_path / "evidence"))
        conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.NO_GO
        assert ("evidence.not-stored" in codes(conclusion)) is (color == "green")
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()
        assert "0-log" in dict(conclusion.kept)["warning"]

    def test_one_whose_copy_cannot_be_written_is_stored_all_the_same(self, tmp_path: Path) -> None:
        """Of a GO it is an error: somebody reads the copy."""
        context = replace(self.red(tmp_path), report="out/report.json")
        (tmp_path / "out").write_text("a file where a folder should be")
        conclusion = seal(judge(context), context)

        assert (conclusion.decision.exit_code, conclusion.sealed) == (ExitCode.NO_GO, True)
        assert [what for what, _ in conclusion.kept] == ["store", "warning"]
        assert "out/report.json" in dict(conclusion.kept)["warning"]
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    def test_where_somebody_else_makes_the_index_nothing_is_taken_out(
        self, context: RunContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may name the run already: the index would miss what was removed, for good."""
        from pytest_cutover.store import index, keeping

        real = FolderObjects.exclusive
        monkeypatch.setattr(FolderObjects, "exclusive", partialmethod(real, timeout_s=0.1))
        other = FolderObjects(Path(context.store.where))  # type: ignore[union-attr]
        real_put, held = keeping.put_object, ExitStack()

        def then_locked(*arguments: Any) -> Any:
            done = real_put(*arguments)
            if arguments[2].endswith(BUNDLE):
                held.enter_context(real(other, index.INDEX_LOCK))
            return done

        monkeypatch.setattr(keeping, "put_object", then_locked)
        with held:
            conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        assert conclusion.kept[-1][0] == "warning"
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    def test_a_no_go_that_the_store_may_not_have_is_not_called_stored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise StoreUnavailableError("no answer")

        monkeypatch.setattr("pytest_cutover.store.keeping.put_object", away)
        context = self.red(tmp_path)

        assert [what for what, _ in seal(judge(context), context).kept] == ["warning"]

    @staticmethod
    def red(folder: Path) -> RunContext:
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        return run_in(folder, events, store=FolderObjects(folder / "evidence"))

    def test_one_that_cannot_be_sealed_leaves_what_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        context = run_in(tmp_path, events)
        assert seal(judge(context), context).sealed
        before = (context.run_dir / BUNDLE).read_bytes()

        def away(*_: object, **__: object) -> None:
            raise AdapterError("the key does not answer")

        monkeypatch.setattr("pytest_cutover.evidence.seal.seal", away)
        assert not seal(judge(context), context).sealed
        assert (context.run_dir / BUNDLE).read_bytes() == before

    def test_a_go_that_was_interrupted_never_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is killed before it is taken back leaves no GO."""
        from pytest_cutover.run.ending import Ending

        named: list[Verdict] = []
        real = Ending.name

        def watched(ending: Ending) -> None:
            named.append(ending.decision.verdict)
            real(ending)

        monkeypatch.setattr(Ending, "name", watched)
        context = run_in(tmp_path)

        assert seal(judge(context), context, ["SIGTERM"]).decision.verdict is Verdict.NO_GO
        assert named == [Verdict.NO_GO]

    @pytest.mark.parametrize(
        ("error", "is_told"),
        [(KeyboardInterrupt(), True), (OSError(104, "reset"), True), (EvidenceError("x"), False)],
    )
    def test_a_bucket_may_yet_take_what_it_gave_no_answer_to(
        self, context: RunContext, error: BaseException, is_told: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Taken out too early is not taken out. What was refused is not on its way."""
        from pytest_cutover.store import keeping

        real = keeping.put_object

        def unanswered(*arguments: Any) -> Any:
            if arguments[2].endswith(BUNDLE):
                raise error
            return real(*arguments)

        monkeypatch.setattr(keeping, "S3Objects", FolderObjects)
        monkeypatch.setattr(keeping, "put_object", unanswered)
        conclusion = seal(judge(context), context)

        assert self.is_told(conclusion) is is_told

    @pytest.mark.parametrize("name", [BUNDLE, UNFINISHED_FILE])
    def test_what_has_not_its_name_is_not_admitted_by_naming_it(
        self, context: RunContext, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seal(judge(context), context)
        (context.run_dir / BUNDLE).rename(context.run_dir / name)
        key = context.rootdir / "trust.json"
        assert isinstance(context.signer, PemSigner)
        entry = trust_entry(context.signer.public, name="release", roles=("decision",))
        key.write_bytes(with_entry(None, entry, where="trust.json"))
        bundle = str(context.run_dir / name)

        told = [bundle, "--digest", "sha256:" + "c" * 64, "--environment", "sandbox", "--trust", str(key)]
        assert main(["admit", *told]) == (0 if name == BUNDLE else 2), capsys.readouterr()

    @staticmethod
    def admits(runs: Path, key: Any) -> bool:
        """What a deploy step that looks there is told."""
        question = Question("sha256", "c" * 64, "sandbox", datetime.now(UTC))
        return admit(question, found_in(runs), anchor(trusted(key))).is_admitted

    def test_a_go_that_was_interrupted_is_not(self, context: RunContext) -> None:
        """Sealed twice, stored once."""
        conclusion = seal(judge(context), context, ["SIGINT"])

        assert conclusion.decision.verdict is Verdict.NO_GO
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    @pytest.mark.parametrize("error", [RuntimeError("odd"), AdapterError("down"), OSError(5, "I/O error")])
    @pytest.mark.parametrize("name", ["put_object", "move_latest", "index_runs"])
    def test_what_it_does_not_take_is_no_go(
        self, context: RunContext, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise error

        monkeypatch.setattr(f"pytest_cutover.store.keeping.{name}", broken)
        conclusion = seal(judge(context), context)

        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert conclusion.sealed
        assert self.stored(context) is None

    def test_interrupted_meanwhile_nothing_is_left(
        self, context: RunContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pytest_cutover.store.keeping.index_runs", interrupted)
        conclusion = seal(judge(context), context)

        assert conclusion.decision.exit_code is ExitCode.UNPROVEN
        assert not conclusion.sealed
        assert self.stored(context) is None
        assert not (context.run_dir / BUNDLE).exists()

    def test_interrupted_after_it_the_decision_stands(
        self, context: RunContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The index names it: a second verdict would be one too many."""
        from pytest_cutover.store import keeping

        real = keeping.index_runs

        def then_interrupted(*arguments: Any) -> None:
            real(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(keeping, "index_runs", then_interrupted)
        conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    def until(self, context: RunContext) -> set[bool]:
        """Whether each file of the run is retained."""
        assert context.store is not None
        return {h.retain_until is not None for h in context.store.list(f"history/{context.run_id}/")}

    def test_it_is_retained_as_the_policy_says(self, context: RunContext) -> None:
        context = replace(context, retain_for=timedelta(days=30))
        conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        assert self.until(context) == {True}
        assert context.store is not None
        assert b'"state":"WIP"' not in context.store.read("index.json")[0]

    @pytest.mark.parametrize("left", range(3))
    def test_what_the_store_does_not_retain_is_no_go(
        self, context: RunContext, left: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever file it is: without the bundle, which is the last, the rest says nothing."""
        context = self.retains_only(context, left, monkeypatch)
        conclusion = seal(judge(context), context)

        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert self.stored(context) is None

    @pytest.mark.parametrize("left", range(3))
    def test_nor_where_it_cannot_be_removed_either(
        self, context: RunContext, left: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As with credentials that may neither retain nor remove: that the store has it is not enough."""
        context = self.retains_only(context, left, monkeypatch)

        def locked(_: str) -> None:
            raise ObjectLockedError("AccessDenied")

        monkeypatch.setattr(context.store, "delete", locked)
        conclusion = seal(judge(context), context)

        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert self.is_told(conclusion) is (self.stored(context) is not None) is (left > 1)

    @staticmethod
    def is_told(conclusion: Conclusion) -> bool:
        """Whether the evidence says that the store may say something else."""
        assert conclusion.decision.verdict is Verdict.NO_GO
        return any("MAY HOLD A GO" in f.message for f in conclusion.decision.findings)

    @staticmethod
    def goes_away(suffix: str, monkeypatch: pytest.MonkeyPatch, *, written: bool = True) -> None:
        """A store in a folder answers no more from the first write of such a key on, until that is undone."""
        real = FolderObjects.write
        away: list[bool] = []

        def asked(name: str, method: Any, *arguments: Any, **options: Any) -> Any:
            if not away and name == "write" and arguments[1].endswith(suffix):
                away.append(True)
                if written:
                    real(*arguments, **options)
            if away:
                raise StoreUnavailableError("no answer")
            return method(*arguments, **options)

        for name in ("read", "write", "keys", "stat", "delete", "retain"):
            method = getattr(FolderObjects, name)
            double = partialmethod(lambda self, m, n, *a, **o: asked(n, m, self, *a, **o), method, name)
            monkeypatch.setattr(FolderObjects, name, double)

    @pytest.mark.parametrize("suffix", ["latest.json", "index.json", "index.json.dsse"])
    def test_a_store_that_goes_away_when_it_has_all_keeps_what_stands(
        self, context: RunContext, suffix: str
    ) -> None:
        """Nobody can take it out again: a NO-GO here would be a second verdict."""
        with pytest.MonkeyPatch.context() as patch:
            self.goes_away(suffix, patch)
            conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        assert conclusion.kept[-1][0] == "warning"
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()

    @pytest.mark.parametrize("suffix", ["report.json", "evidence.json"])
    def test_one_that_goes_away_before_the_bundle_holds_nothing_that_admits(
        self, context: RunContext, suffix: str
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            self.goes_away(suffix, patch)
            conclusion = seal(judge(context), context)

        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert not self.is_told(conclusion)
        assert self.stored(context) is None
        assert not self.admits(Path(context.store.where) / "history", context.signer)  # type: ignore[union-attr]

    @pytest.mark.parametrize("written", [True, False])
    def test_one_that_goes_away_with_the_bundle_may_hold_a_go_and_that_is_told(
        self, context: RunContext, written: bool
    ) -> None:
        """Nobody can know: it is a NO-GO that says so, in what is signed."""
        with pytest.MonkeyPatch.context() as patch:
            self.goes_away(BUNDLE, patch, written=written)
            conclusion = seal(judge(context), context)

        assert conclusion.sealed
        assert self.is_told(conclusion)
        assert (self.stored(context) is not None) is written
        assert not self.admits(context.run_dir.parent, context.signer)

    @pytest.mark.parametrize("first", [KeyboardInterrupt, OSError])
    def test_who_is_tired_of_waiting_is_told_what_the_store_may_hold(
        self, context: RunContext, first: type[BaseException], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Interrupted again while it is taken out: nobody knows how far that came."""

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        def broken(*_: object) -> None:
            raise first

        monkeypatch.setattr("pytest_cutover.store.keeping.index_runs", broken)
        monkeypatch.setattr("pytest_cutover.store.keeping.take_out", interrupted)
        conclusion = seal(judge(context), context)

        assert self.is_told(conclusion)
        assert self.stored(context) is not None

    def test_of_a_no_go_there_is_nothing_to_tell(self, tmp_path: Path) -> None:
        events = journals.clean_run()
        events[3]["measurements"][0]["value"] = "9"
        context = run_in(tmp_path, events, store=FolderObjects(tmp_path / "evidence"))
        with pytest.MonkeyPatch.context() as patch:
            self.goes_away(BUNDLE, patch)
            conclusion = seal(judge(context), context)

        assert not self.is_told(conclusion)

    @pytest.mark.parametrize("refused", ["report.json", "evidence.json"])
    def test_a_bucket_that_retains_by_itself_gets_the_bundle_last(
        self, context: RunContext, refused: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is in it cannot be taken out: so nothing that admits is, as long as something may fail."""
        assert context.store is not None
        write, retain = context.store.write, context.store.retain

        def retained(key: str, data: bytes, *, expected: Any) -> Any:
            if key.endswith(refused):
                raise StoreUnavailableError("no answer")
            held = write(key, data, expected=expected)
            return retain(key, datetime.now(UTC) + timedelta(days=1)) if key.startswith("history/") else held

        monkeypatch.setattr(context.store, "write", retained)
        conclusion = seal(judge(context), context)

        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert not self.is_told(conclusion)
        assert self.stored(context) is None

    @pytest.mark.parametrize("by_itself", [timedelta(days=1), timedelta(days=31)])
    def test_what_a_bucket_retains_by_itself_has_to_be_as_long(
        self, context: RunContext, by_itself: timedelta, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The default of a bucket holds what was put for a day, and may be all that there is."""
        assert context.store is not None
        write, retain, stat = context.store.write, context.store.retain, context.store.stat
        context = replace(context, retain_for=timedelta(days=30))

        def retained(key: str, data: bytes, *, expected: Any) -> Any:
            held = write(key, data, expected=expected)
            return retain(key, datetime.now(UTC) + by_itself) if key.startswith("history/") else held

        def refused(key: str, until: datetime) -> Any:
            held = stat(key)
            if held is not None and held.retain_until is not None and held.retain_until >= until:
                return held
            raise AdapterError("AccessDenied")

        monkeypatch.setattr(context.store, "write", retained)
        monkeypatch.setattr(context.store, "retain", refused)
        conclusion = seal(judge(context), context)

        is_enough = by_itself > timedelta(days=30)
        assert conclusion.decision.verdict is (Verdict.GO if is_enough else Verdict.NO_GO)
        assert (Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)) is not is_enough
        assert (self.stored(context) is not None) is is_enough

    @staticmethod
    def retains_only(context: RunContext, left: int, monkeypatch: pytest.MonkeyPatch) -> RunContext:
        """The context with a store that retains `left` files, and then no more."""
        context = replace(context, retain_for=timedelta(days=30))
        assert context.store is not None
        retain, calls = context.store.retain, [left]

        def refused(key: str, until: datetime) -> Any:
            calls[0] -= 1
            if calls[0] < 0:
                raise AdapterError("AccessDenied")
            return retain(key, until)

        monkeypatch.setattr(context.store, "retain", refused)
        return context

    def test_where_the_index_does_not_verify_nothing_is_retained_or_left(self, context: RunContext) -> None:
        context = replace(context, retain_for=timedelta(days=30))
        assert context.store is not None
        context.store.write("index.json.dsse", b"{}", expected=ABSENT)
        conclusion = seal(judge(context), context)

        assert Reason.EVIDENCE_NOT_STORED.code in codes(conclusion)
        assert self.until(context) == set()

    def test_what_is_whole_and_cannot_be_taken_back_stands(
        self, context: RunContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A store that breaks between retention and index holds the decision for good: it stays the only one."""
        context = replace(context, retain_for=timedelta(days=30))

        def broken(*_: object) -> None:
            raise AdapterError("down")

        monkeypatch.setattr("pytest_cutover.store.keeping.index_runs", broken)
        conclusion = seal(judge(context), context)

        assert conclusion.decision.verdict is Verdict.GO
        what, why = conclusion.kept[-1]
        assert what == "warning"
        assert "evidence has all of it, and then: down" in why
        assert self.stored(context) == (context.run_dir / BUNDLE).read_bytes()
