"""`cutover merge`, and what verify and admit make of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.cli import main
from pytest_cutover.errors import AdapterError
from pytest_cutover.evidence.fleet import seal_fleet
from pytest_cutover.evidence.inclusion import PROOF_FILE
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE, UNFINISHED_FILE
from pytest_cutover.files import write_atomic
from pytest_cutover.keys.signer import PemSigner, generate, load_private_key, write_new_private
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import rfc3339
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import StoreUnavailableError
from pytest_cutover.policy.load import load_policy
from pytest_cutover.policy.signature import sign_policy
from pytest_cutover.run import merging
from pytest_cutover.run.ending import Ending
from pytest_cutover.run.logged import RunLog
from pytest_cutover.store import keeping
from tests.unit.evidence.fleets import shard_run
from tests.unit.evidence.runs import POLICY_KEY, SHA, anchor, trusted

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


class Place:
    """A folder with a policy, keys and the runs of shards, all made now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_new_private(folder / "key.pem", generate(KeyKind.ED25519))
        self.key: PemSigner = load_private_key(folder / "key.pem")
        keys = [
            trust_entry(self.key.public, name="release"),
            trust_entry(POLICY_KEY.public, name="p", roles=("policy",)),
        ]
        (folder / "trust.json").write_text(json.dumps({"format": 1, "keys": keys}))
        self.write_policy(["eu", "us"])

    def write_policy(self, shards: Any, **environment: Any) -> Path:
        plan = {"requires": ["service.ready"]} | ({} if shards is None else {"shards": shards})
        document = {
            "format": 1,
            "name": "shop",
            "version": 3,
            "plans": {"preflight": plan, "canary": plan},
            "limits": {"service.ready": {"latency": {"at_most": 0.5, "unit": "s"}}},
            "environments": {"production": environment, "staging": {}},
        }
        path = self.folder / "configs/policy.json"
        write_atomic(path, json.dumps(document).encode())
        write_atomic(path.with_name("policy.json.dsse"), sign_policy(path.read_bytes(), POLICY_KEY))
        return path

    def run(self, shard: str | None, folder: str | None = None, *, key: Any = "own", **changes: Any) -> Path:
        """The run of a shard under the policy as it stands, sealed."""
        policy = load_policy(
            self.folder / "configs/policy.json",
            plan="preflight",
            environment=changes.get("environment", "production"),
            anchor=anchor(trusted(POLICY_KEY, roles=frozenset({"policy"}))),
            now=datetime.now(UTC),
        )
        mark = str(folder or shard)
        run = shard_run(mark, **({"shard": shard, "decided_at": datetime.now(UTC)} | changes))
        run.policy = lambda: policy.effective  # type: ignore[method-assign] # the one on disk
        lines = run.events
        old, new = b'"policy_digest":"', f'"policy_digest":"{policy.effective.digest}"'.encode()
        run.events = lambda: redigested(lines(), old, new)  # type: ignore[method-assign]
        sealed = run.seal(self.key if key == "own" else key, policy.envelope)
        place = self.folder / "shards" / (folder or str(shard))
        write_atomic(place / REPORT_FILE, sealed.report)
        if sealed.bundle is not None:
            write_atomic(place / BUNDLE_FILE, sealed.bundle)
        return place

    def merge(self, *argv: str | Path) -> int:
        return main(["merge", *map(str, argv), "--plan", "preflight", "--environment", "production"])

    @property
    def merged(self) -> Path:
        """The newest merge."""
        return max((self.folder / "var/cutover/runs").iterdir())

    def report(self) -> Any:
        return json.loads((self.merged / REPORT_FILE).read_text())

    def codes(self) -> set[str]:
        return {f["code"] for f in self.report()["decision"]["findings"]}

    def admit(self, *argv: str | Path, at: datetime | None = None) -> int:
        when = [] if at is None else ["--at", rfc3339(at)]
        return main(
            ["admit", "--digest", f"sha256:{SHA}", "--environment", "production", *when, *map(str, argv)]
        )


def redigested(lines: list[bytes], old: bytes, new: bytes) -> list[bytes]:
    """The journal with another policy's digest in its first line, and the end's digest made to fit."""
    first = re.sub(re.escape(old) + b'[^"]*"', new, lines[0])
    body = [first, *lines[1:-2]]
    tail = json.loads(lines[-2]) | {"sha256": hashlib.sha256(b"".join(body)).hexdigest()}
    return [*body, json.dumps(tail, separators=(",", ":")).encode() + b"\n", lines[-1]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUTOVER_KEY", str(tmp_path / "key.pem"))
    monkeypatch.setenv("CUTOVER_TRUST", str(tmp_path / "trust.json"))
    for name in ("CUTOVER_ENV", "CUTOVER_POLICY", "CUTOVER_KEY_PEM", "CUTOVER_KEY_LOG"):
        monkeypatch.delenv(name, raising=False)
    return made


class TestMerge:
    def test_every_shard_green_is_go_verified_and_admitted(self, place: Place, capsys: Capture) -> None:
        shards = [place.run("eu"), place.run("us")]

        assert place.merge(*shards) == 0
        out = capsys.readouterr().out
        assert out.startswith("GO (exit 0)  preflight → production  2 of 2 shards green\n")
        assert main(["verify", str(place.merged)]) == 0
        assert "merged   2 shards" in capsys.readouterr().out
        assert main(["verify", str(place.merged), "--shards", *map(str, shards)]) == 0
        assert place.admit(place.merged) == 0

    @pytest.mark.parametrize("shards", [2, ["us", "eu"]])
    def test_the_policy_counts_or_names_its_shards(self, place: Place, shards: Any) -> None:
        place.write_policy(shards)

        assert place.merge(place.run("eu"), place.run("us")) == 0
        assert main(["verify", str(place.merged)]) == 0
        assert place.report()["policy"]["shards"] == shards

    def test_a_shard_alone_is_not_admitted(self, place: Place, capsys: Capture) -> None:
        assert place.admit(place.run("eu")) == 1
        assert "is HOLD (exit 12): shard.partial" in capsys.readouterr().out

    def test_a_missing_shard_is_no_go_signed_and_verifiable(self, place: Place) -> None:
        assert place.merge(place.run("eu")) == 11
        assert place.codes() == {"shard.missing"}
        assert main(["verify", str(place.merged)]) == 0
        assert place.admit(place.merged) == 1

    @pytest.mark.parametrize(
        ("made", "code", "exit_code"),
        [
            ({"latency": "9"}, "shard.red", 10),
            ({"environment": "staging"}, "shard.environment", 11),
            ({"subjects": [{"name": "shop", "digest": {"sha256": "e" * 64}}]}, "shard.subject", 11),
            ({"decided_at": datetime.now(UTC) - timedelta(hours=2)}, "shard.expired", 11),
            ({"decided_at": datetime.now(UTC) - timedelta(minutes=20)}, "shard.stale", 11),
            ({"key": None}, "shard.unverified", 11),
        ],
        ids=lambda v: v if isinstance(v, str) else "",
    )
    def test_a_shard_that_does_not_fit_is_no_go(
        self, place: Place, made: dict[str, Any], code: str, exit_code: int
    ) -> None:
        assert place.merge(place.run("eu"), place.run("us", **made)) == exit_code
        assert code in place.codes()
        assert main(["verify", str(place.merged)]) == 0
        assert place.admit(place.merged) == 1

    def test_a_shard_under_another_policy_is_no_go(self, place: Place) -> None:
        first = place.run("eu")
        place.write_policy(["us", "eu"])

        assert place.merge(first, place.run("us")) == 11
        assert place.codes() == {"shard.policy"}

    def test_a_folder_that_is_not_there_is_no_go(self, place: Place) -> None:
        """The job of a shard that failed before it uploaded anything."""
        assert place.merge(place.run("eu"), "shards/us") == 11
        assert place.codes() == {"shard.missing", "shard.unverified"}
        assert place.report()["shards"][1]["problems"] == ["evidence.none"]

    def test_json_lists_the_shards_and_the_reasons(self, place: Place, capsys: Capture) -> None:
        assert place.merge(place.run("eu"), "shards/us", "--json") == 11

        value = json.loads(capsys.readouterr().out)
        assert (value["verdict"], value["signed"]) == ("NO-GO", True)
        assert [s["verdict"] for s in value["shards"]] == ["GO", None]
        assert {f["code"] for f in value["findings"]} == {"shard.missing", "shard.unverified"}

    def test_only_a_go_is_valid_until_a_time(self, place: Place, capsys: Capture) -> None:
        """A NO-GO does not end."""
        place.merge(place.run("eu"), place.run("us"))
        assert "valid     until " in capsys.readouterr().out

        place.merge(place.run("eu"))
        said = capsys.readouterr().out
        assert "signed    with key " in said
        assert "valid " not in said

    def test_without_a_key_nothing_is_admitted(
        self, place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shards = [place.run("eu"), place.run("us")]
        monkeypatch.setenv("CUTOVER_KEY", "")

        assert place.merge(*shards) == 0
        assert "UNSIGNED, admits nothing" in capsys.readouterr().out
        assert not (place.merged / BUNDLE_FILE).exists()
        assert place.admit() == 1

    def test_interrupted_without_a_key_it_is_no_go_too(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*arguments: Any, **named: Any) -> Any:
            patched.undo()
            os.kill(os.getpid(), signal.SIGINT)
            return seal_fleet(*arguments, **named)

        shards = [place.run("eu"), place.run("us")]
        monkeypatch.setenv("CUTOVER_KEY", "")
        with monkeypatch.context() as patched:
            patched.setattr(merging, "seal_fleet", interrupted)
            assert place.merge(*shards) == 11

        assert "run.interrupted" in place.codes()

    def test_a_no_go_stands_where_its_copy_cannot_be_written(self, place: Place, capsys: Capture) -> None:
        (place.folder / "out").write_text("a file where a folder should be")

        assert place.merge(place.run("eu"), "--report", "out/fleet.json") == 11
        assert main(["verify", str(place.merged)]) == 0
        assert "warning: " in capsys.readouterr().err

    def test_a_copy_of_the_report_is_put_where_it_is_asked_for(self, place: Place) -> None:
        assert place.merge(place.run("eu"), place.run("us"), "--report", "out/fleet.json") == 0
        assert (place.folder / "out/fleet.json").read_bytes() == (place.merged / REPORT_FILE).read_bytes()

    @pytest.mark.parametrize("blocked", ["var", "var/cutover/runs"])
    def test_evidence_that_cannot_be_written_is_no_go(
        self, place: Place, blocked: str, capsys: Capture
    ) -> None:
        """And of what an earlier merge wrote nothing is taken back."""
        shards = [place.run("eu"), place.run("us")]
        assert place.merge(*shards, "--report", "out/fleet.json") == 0
        before = (place.folder / "out/fleet.json").read_bytes()
        shutil.rmtree(place.folder / "var")
        (place.folder / blocked).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / blocked).write_text("no folder")
        capsys.readouterr()

        assert place.merge(*shards, "--report", "out/fleet.json", "--json") == 11
        value = json.loads(capsys.readouterr().out)
        assert (value["verdict"], value["signed"], value["evidence"]) == ("NO-GO", False, None)
        [finding] = value["findings"]
        assert finding["code"] == "evidence.not-written"
        assert "NotADirectoryError" not in finding["message"]
        assert (place.folder / "out/fleet.json").read_bytes() == before

        assert place.merge(*shards) == 11
        said = capsys.readouterr().out
        assert "NO-GO (exit 11)" in said
        assert "evidence  none" in said
        assert "verify " not in said

    def test_a_go_whose_evidence_could_not_be_finished_is_sealed_as_no_go(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(ending: Ending) -> None:
            if ending.is_go:
                raise AdapterError("the disk is full", hint="make room")

        monkeypatch.setattr(Ending, "name", full)
        assert place.merge(place.run("eu"), place.run("us"), "--report", "out/fleet.json") == 11
        assert place.report()["problems"] == [
            {"reason": "evidence.not-written", "message": "the disk is full; make room"}
        ]
        assert main(["verify", str(place.merged)]) == 0
        assert place.admit(place.merged) == 1
        assert (place.folder / "out/fleet.json").read_bytes() == (place.merged / REPORT_FILE).read_bytes()

    @pytest.mark.parametrize("signals", [1, 2])
    def test_interrupted_while_the_bundle_gets_its_name_it_is_no_go(
        self, place: Place, signals: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """Nobody else has it. Who asks twice waits for no other evidence."""
        real = Ending.name

        def interrupted(ending: Ending) -> None:
            real(ending)
            if ending.is_go:
                for _ in range(signals):
                    os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Ending, "name", interrupted)
        assert place.merge(place.run("eu"), place.run("us"), "--report", "out/fleet.json") == 11

        assert "[run.interrupted]" in capsys.readouterr().out
        assert place.admit(place.merged) != 0
        if signals == 1:
            assert place.codes() == {"run.interrupted"}
            assert main(["verify", str(place.merged)]) == 0
        else:
            assert list(place.merged.iterdir()) == []
            assert not (place.folder / "out/fleet.json").exists()

    @pytest.mark.parametrize(
        "argv",
        [["--policy", "gone.json"], ["--plan", "gone"], ["--environment", "gone"], ["--key", "gone.pem"]],
        ids=lambda a: a[0],
    )
    def test_what_cannot_be_used_is_2_and_leaves_nothing(self, place: Place, argv: list[str]) -> None:
        run = place.run("eu")

        assert main(["merge", str(run), "--plan", "preflight", "--environment", "production", *argv]) == 2
        assert not (place.folder / "var").exists()

    def test_a_key_that_signs_no_more_signs_no_merge(self, place: Place, capsys: Capture) -> None:
        shards = [place.run("eu"), place.run("us")]
        trust = json.loads((place.folder / "trust.json").read_text())
        trust["keys"][0]["state"] = "retired"
        (place.folder / "trust.json").write_text(json.dumps(trust))

        assert place.merge(*shards) == 2
        assert "key 'release' signs no more" in capsys.readouterr().err
        assert not (place.folder / "var").exists()


class TestLoggedAndStored:
    """A policy that names a log and a store."""

    ORIGIN = "log.example.org/shop"

    @pytest.fixture
    def kept(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
        path = place.folder / "log.pem"
        write_new_private(path, generate(KeyKind.ED25519))
        monkeypatch.setenv("CUTOVER_KEY_LOG", str(path))
        trust = json.loads((place.folder / "trust.json").read_text())
        public = load_private_key(path).public
        trust["keys"].append(trust_entry(public, name="log", roles=("log",), origin=self.ORIGIN))
        (place.folder / "trust.json").write_text(json.dumps(trust))
        place.write_policy(["eu", "us"], log={"origin": self.ORIGIN}, store={"place": "evidence"})
        return place

    def test_of_a_fleet_the_merge_is_both(self, kept: Place, capsys: Capture) -> None:
        assert kept.merge(kept.run("eu"), kept.run("us")) == 0
        assert main(["verify", str(kept.merged)]) == 0
        assert f"logged   as entry 1 of {self.ORIGIN}" in capsys.readouterr().out
        assert kept.admit(kept.merged) == 0
        assert main(["evidence", "verify", "--store", "evidence", "--log", "var/cutover/log"]) == 0

    def test_without_its_proof_it_admits_nothing(self, kept: Place) -> None:
        assert kept.merge(kept.run("eu"), kept.run("us")) == 0
        (kept.merged / PROOF_FILE).unlink()

        assert main(["verify", str(kept.merged)]) == 1
        assert kept.admit(kept.merged) == 1

    def stored_is_valid(self) -> bool:
        """Whether the store is, and has all that the log names."""
        return main(["evidence", "verify", "--store", "evidence", "--log", "var/cutover/log"]) == 0

    @pytest.mark.parametrize("blocked", ["var/cutover/log", "evidence"])
    def test_what_cannot_be_opened_leaves_nothing(self, kept: Place, blocked: str) -> None:
        path = kept.folder / blocked
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

        assert kept.merge(kept.run("eu"), kept.run("us")) == 2
        assert not (kept.folder / "var/cutover/runs").exists()

    @pytest.mark.parametrize("blocked", ["evidence/history", "evidence/latest.json/x"])
    def test_a_store_that_takes_nothing_is_no_go_and_says_so(
        self, kept: Place, blocked: str, capsys: Capture
    ) -> None:
        path = kept.folder / blocked
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

        assert kept.merge(kept.run("eu"), kept.run("us")) == 11
        assert "[evidence.not-stored]" in capsys.readouterr().out
        assert kept.codes() == {"evidence.not-stored"}
        assert main(["verify", str(kept.merged)]) == 0
        assert kept.admit(kept.merged) == 1
        assert not list(kept.folder.glob(f"evidence/history/*/{BUNDLE_FILE}"))

    def test_what_the_log_names_and_the_store_did_not_take_completes_it(
        self, kept: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: object) -> None:
            raise StoreUnavailableError("no answer")

        with monkeypatch.context() as patched:
            patched.setattr(keeping, "put_object", down)
            assert kept.merge(kept.run("eu"), kept.run("us")) == 11
        assert main(["evidence", "put", str(kept.merged), "--store", "evidence"]) == 0
        assert main(["evidence", "index", "--store", "evidence"]) == 0
        assert self.stored_is_valid()

    @pytest.mark.parametrize(("latency", "shards", "code"), [("0.2", 2, 11), ("0.2", 1, 11), ("9", 2, 10)])
    def test_a_log_that_goes_away_is_no_go_and_says_so(
        self,
        kept: Place,
        latency: str,
        shards: int,
        code: int,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
    ) -> None:
        """It needs no proof then, here and in the store; whatever the shards came to."""

        def away(*_: object) -> None:
            raise StoreUnavailableError("no answer")

        monkeypatch.setattr(RunLog, "prove", away)
        runs = [kept.run("eu", latency=latency), kept.run("us")]
        assert kept.merge(*runs[:shards]) == code

        assert "[log.unavailable] no answer" in capsys.readouterr().out
        assert "log.unavailable" in kept.codes()
        assert sorted(p.name for p in kept.merged.iterdir()) == [BUNDLE_FILE, REPORT_FILE]
        assert main(["verify", str(kept.merged)]) == 0
        assert kept.admit(kept.merged) == 1
        assert main(["evidence", "verify", "--store", "evidence"]) == 0

    @pytest.mark.parametrize("name", ["put_object", "index_runs"])
    def test_a_store_that_goes_away_is_told(
        self, kept: Place, name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """With the bundle nobody knows whether it has it, and that is told; after it the decision stands."""
        real = getattr(keeping, name)

        def down(*_: object) -> None:
            raise StoreUnavailableError("no answer")

        def then_down(*arguments: Any) -> None:
            real(*arguments)
            if name == "put_object" and not arguments[2].endswith(BUNDLE_FILE):
                return
            monkeypatch.setattr(FolderObjects, "keys", down)
            down()

        monkeypatch.setattr(keeping, name, then_down)
        code = kept.merge(kept.run("eu"), kept.run("us"))

        said = capsys.readouterr()
        stands = name == "index_runs"
        assert code == (0 if stands else 11)
        assert ("has all of it" in said.err, "MAY HOLD A GO" in said.out) == (stands, not stands)
        assert bool(list(kept.folder.glob(f"evidence/history/*/{BUNDLE_FILE}")))
        assert ("evidence.not-stored" in kept.codes()) is not stands

    def test_of_what_is_no_go_the_bundle_has_its_name_before_the_store_is_asked(
        self, kept: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may take back an older GO, also while the store is slow, and when it takes nothing."""

        def asked(*_: object) -> None:
            seen.append([path.parent.name for path in kept.folder.glob(f"var/cutover/runs/*/{BUNDLE_FILE}")])
            raise StoreUnavailableError("no answer")

        seen: list[list[str]] = []
        monkeypatch.setattr("pytest_cutover.store.keeping.put_object", asked)

        assert kept.merge(kept.run("eu")) == 11
        assert seen == [[kept.merged.name]]
        assert main(["verify", str(kept.merged)]) == 0

    @pytest.mark.parametrize(("when", "stands"), [("log", False), ("store", True)])
    def test_interrupted_until_the_log_has_it_a_go_is_none(
        self, kept: Place, when: str, stands: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Later it is too late: a GO that the store has must not be missing here."""
        self.interrupt(*{"log": (RunLog, "prove"), "store": (keeping, "index_runs")}[when], monkeypatch)

        assert kept.merge(kept.run("eu"), kept.run("us")) == (0 if stands else 11)
        assert kept.codes() == (set() if stands else {"run.interrupted"})
        assert main(["verify", str(kept.merged)]) == 0
        assert (kept.admit(kept.merged) == 0) is stands
        assert not (kept.merged / UNFINISHED_FILE).exists()
        assert self.stored_is_valid()

    def test_interrupted_a_no_go_is_stored_and_takes_an_older_go_back(
        self, kept: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shards = [kept.run("eu"), kept.run("us")]
        assert kept.merge(*shards) == 0
        assert kept.admit(*kept.folder.glob("evidence/history/*")) == 0
        self.interrupt(RunLog, "prove", monkeypatch)

        assert kept.merge(shards[0]) == 11
        assert kept.codes() == {"shard.missing"}
        assert len(list(kept.folder.glob("evidence/history/*"))) == 2
        assert kept.admit(*kept.folder.glob("evidence/history/*")) == 1
        assert self.stored_is_valid()

    def interrupt(self, where: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One Ctrl-C before that is done."""
        real = getattr(where, name)

        def interrupted(*arguments: Any) -> Any:
            monkeypatch.setattr(where, name, real)
            os.kill(os.getpid(), signal.SIGINT)
            return real(*arguments)

        monkeypatch.setattr(where, name, interrupted)

    def test_a_warning_that_nobody_takes_takes_nothing_back(
        self, kept: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pytest_cutover.cli import merge

        def closed(_: str) -> None:
            raise BrokenPipeError

        monkeypatch.setattr("pytest_cutover.store.keeping.keep_run", lambda *a, **_: a[-1]() or "odd")
        monkeypatch.setattr(merge, "_say", closed)
        with suppress(BrokenPipeError):
            kept.merge(kept.run("eu"), kept.run("us"))

        assert (kept.merged / BUNDLE_FILE).exists()


class TestUnfinished:
    """What a run leaves that was killed before log and store had its GO."""

    @pytest.fixture
    def killed(self, place: Place) -> Path:
        bundle = place.run("us") / BUNDLE_FILE
        return bundle.rename(bundle.with_name(UNFINISHED_FILE))

    def test_no_shard_is_merged_from_it(self, place: Place, killed: Path, capsys: Capture) -> None:
        assert place.merge(place.run("eu"), killed.parent) == 11
        assert place.merge(place.run("eu"), killed) == 2
        assert "counts for nothing: its run was killed" in capsys.readouterr().err

    @pytest.mark.parametrize("verb", ["verify", "explain", "admit"])
    def test_nobody_takes_it_by_its_name(
        self, place: Place, killed: Path, verb: str, capsys: Capture
    ) -> None:
        more = ["--digest", "sha256:" + "c" * 64, "--environment", "production"] if verb == "admit" else []

        assert main([verb, str(killed), *more]) == 2
        assert "counts for nothing" in capsys.readouterr().err


class TestAdmit:
    def test_a_later_run_of_a_shard_takes_the_merge_back(self, place: Place) -> None:
        shards = [place.run("eu"), place.run("us")]
        assert place.merge(*shards) == 0
        merged = place.merged
        newer = place.run("eu", "eu-again", latency="9")

        assert place.admit(merged, *shards) == 0
        assert place.admit(merged, *shards, newer) == 1

    def test_a_no_go_of_a_shard_is_not_hidden_by_merging_its_older_go_again(
        self, place: Place, capsys: Capture
    ) -> None:
        shards = [place.run("eu"), place.run("us")]
        red = place.run("us", "us-again", latency="9")
        assert place.merge(*shards) == 0
        capsys.readouterr()

        assert place.admit(place.merged, *shards, red) == 1
        out = capsys.readouterr().out
        assert "fleet.outdated" in out
        assert "shard us was decided in run" in out

    def test_a_shard_that_was_run_again_is_fine_once_it_is_merged(self, place: Place) -> None:
        old = [place.run("eu"), place.run("us", "us-old", latency="9")]
        new = place.run("us")
        assert place.merge(old[0], new) == 0

        assert place.admit(place.merged, *old, new) == 0

    def test_a_foreign_shard_that_was_left_out_counts_while_it_is_newer(self, place: Place) -> None:
        old = place.run("mars")
        shards = [place.run("eu"), place.run("us")]
        newer = place.run("venus")
        assert place.merge(*shards) == 0

        assert place.admit(place.merged, *shards, old) == 0
        assert place.admit(place.merged, *shards, newer) == 1

    def test_a_merge_without_its_report_is_not_believed(self, place: Place) -> None:
        assert place.merge(place.run("eu"), place.run("us")) == 0
        (place.merged / REPORT_FILE).unlink()

        assert place.admit(place.merged) == 1

    def test_it_ends_with_the_first_of_its_shards(self, place: Place) -> None:
        old = datetime.now(UTC) - timedelta(seconds=40)
        assert place.merge(place.run("eu", decided_at=old), place.run("us")) == 0

        assert place.admit(place.merged, at=old + timedelta(minutes=59)) == 0
        assert place.admit(place.merged, at=old + timedelta(hours=1)) == 1


class TestVerifyShards:
    def test_a_shard_s_report_that_was_changed_is_found(self, place: Place, capsys: Capture) -> None:
        shards = [place.run("eu"), place.run("us")]
        assert place.merge(*shards) == 0
        report = shards[1] / REPORT_FILE
        report.write_bytes(report.read_bytes().replace(b'"0.2"', b'"0.1"'))

        assert main(["verify", str(place.merged)]) == 0
        assert main(["verify", str(place.merged), "--shards", *map(str, shards)]) == 1
        assert "the merge took something else from it: report.digest" in capsys.readouterr().out

    def test_a_run_has_no_shards(self, place: Place, capsys: Capture) -> None:
        run = place.run("eu")

        assert main(["verify", str(run)]) == 0
        assert main(["verify", str(run), "--shards", str(run)]) == 1
        assert "not the evidence of a merge" in capsys.readouterr().out

    def test_verifying_a_fleet_loads_nothing_heavy(self, place: Place) -> None:
        shards = [place.run("eu"), place.run("us")]
        assert place.merge(*shards) == 0
        code = "import sys; from pytest_cutover.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
        argv = ["verify", str(place.merged), "--shards", *map(str, shards)]
        done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)

        assert done.stdout.startswith("VALID ")
        assert not {"pytest", "pydantic", "httpx"} & {m.split(".")[0] for m in done.stderr.split()}


class TestJudgingAFleetAgain:
    @pytest.mark.parametrize("verb", ["explain", "decide"])
    def test_is_asked_about_its_shards(self, place: Place, verb: str, capsys: Capture) -> None:
        run = place.run("eu")
        assert place.merge(run, place.run("us")) == 0
        more = ["--policy", "configs/policy.json"] if verb == "decide" else []

        assert main([verb, str(place.merged), *more]) == 2
        assert "is the evidence of a merge" in capsys.readouterr().err

    def test_a_shard_s_explanation_names_the_merge(self, place: Place, capsys: Capture) -> None:
        assert main(["explain", str(place.run("eu"))]) == 1
        assert (
            "every shard, merged: cutover merge RUN… --plan preflight  [shard.partial]"
            in capsys.readouterr().out
        )


def test_a_run_folder_can_be_moved(place: Place) -> None:
    """Artifacts of CI jobs are downloaded wherever the merge runs."""
    place.run("eu")
    place.run("us")
    shutil.move(place.folder / "shards", place.folder / "downloaded")

    assert place.merge("downloaded/eu", f"downloaded/us/{BUNDLE_FILE}") == 0
