"""What a run is made for: policy, environment, subject and key, before anything runs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.signer import DEVELOPMENT_KEY, development_signer
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.model import PolicySignature, Runner, SignerKind, Subject
from pytest_cutover.run.context import RunContext, RunOptions, parse_subject, prepare
from tests.unit.journals import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEX = "c" * 64


def project(folder: Path, *subjects: Mapping[str, Any], **environments: Any) -> Path:
    """A project with a policy; `subjects` are those of its sandbox."""
    policy = {
        "format": 1,
        "name": "test",
        "version": 1,
        "default_environment": "sandbox",
        "plans": {
            "preflight": {"requires": ["ready"]},
            "nightly": {"phase": "canary", "requires": ["ready"]},
        },
        "limits": {"ready": {"latency": {"at_most": 1}}},
        "environments": {"sandbox": {"sandbox": True, "subjects": list(subjects)}, **environments},
    }
    (folder / "configs").mkdir()
    (folder / "configs/policy.json").write_text(json.dumps(policy))
    return folder


def prepared(folder: Path, environ: Mapping[str, str] | None = None, **options: Any) -> RunContext:
    return prepare(
        RunOptions(**({"plan": "preflight", "key": "none"} | options)),
        environ or {},
        folder,
        runner=Runner.IN_PROCESS,
        now=NOW,
        say=lambda text: None,
    )


class TestPrepare:
    """Options, then environment variables, then the policy."""

    def test_defaults(self, tmp_path: Path) -> None:
        """The policy's own environment, unsigned evidence, a folder of the run's own."""
        context = prepared(project(tmp_path))

        assert (context.policy.environment, context.policy.plan) == ("sandbox", "preflight")
        assert context.policy.signature is PolicySignature.UNSIGNED
        assert (context.signer, context.signer_kind) == (None, SignerKind.NONE)
        assert re.fullmatch(r"20261121T084800\.000Z-[0-9a-f]{8}", context.run_id)
        assert context.run_dir == tmp_path / "var/cutover/runs" / context.run_id
        assert re.fullmatch(r"[0-9a-f]{32}", context.nonce)
        assert set(context.versions) == {"pytest-cutover", "pytest", "python"}

    def test_a_key_that_was_rotated_signs_no_run(self, tmp_path: Path) -> None:
        """Its evidence would prove nothing: better said before the gates ran than at the deploy step."""
        key = development_signer(tmp_path, say=lambda text: None)
        life = {"state": "retired"}
        trust = {"format": 1, "keys": [{**trust_entry(key.public, name="release"), **life}]}
        project(tmp_path)
        (tmp_path / "configs/trust.json").write_text(json.dumps(trust))

        with pytest.raises(ConfigError, match="key 'release' signs no more"):
            prepared(tmp_path, key=str(tmp_path / DEVELOPMENT_KEY))
        assert not (tmp_path / "var/cutover/runs").exists()

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        """Before a run begins there is no trace of it."""
        prepared(project(tmp_path))

        assert not (tmp_path / "var").exists()

    def test_two_runs_never_meet(self, tmp_path: Path) -> None:
        """Same second, other folder, other nonce."""
        project(tmp_path)

        one, two = prepared(tmp_path), prepared(tmp_path)

        assert one.run_id != two.run_id
        assert one.nonce != two.nonce

    @pytest.mark.parametrize(
        ("environ", "option", "expected"),
        [({}, None, "sandbox"), ({"CUTOVER_ENV": "staging"}, None, "staging"), ({"CUTOVER_ENV": ""}, None, "sandbox"), ({"CUTOVER_ENV": "staging"}, "sandbox", "sandbox")],
    )  # fmt: skip
    def test_environment(
        self, tmp_path: Path, environ: dict[str, str], option: str | None, expected: str
    ) -> None:
        """Option, variable, policy."""
        project(tmp_path, staging={})

        assert prepared(tmp_path, environ, environment=option).policy.environment == expected

    def test_shard(self, tmp_path: Path) -> None:
        """Option before variable."""
        project(tmp_path)

        assert prepared(tmp_path).shard is None
        assert prepared(tmp_path, {"CUTOVER_SHARD": "eu"}).shard == "eu"
        assert prepared(tmp_path, {"CUTOVER_SHARD": "eu"}, shard="us").shard == "us"

    def test_policy_elsewhere(self, tmp_path: Path) -> None:
        """A path below the root, or anywhere."""
        project(tmp_path)
        (tmp_path / "configs/policy.json").rename(tmp_path / "other.json")

        assert prepared(tmp_path, {"CUTOVER_POLICY": "other.json"}).policy.name == "test"
        assert prepared(tmp_path, policy=str(tmp_path / "other.json")).policy.name == "test"
        with pytest.raises(ConfigError, match=r"policy\.json"):
            prepared(tmp_path)

    def test_unknown_plan(self, tmp_path: Path) -> None:
        """The plan is the policy's."""
        with pytest.raises(ConfigError, match="prefligth"):
            prepared(project(tmp_path), plan="prefligth")

    def test_mistake_in_the_policy_leaves_no_key_behind(self, tmp_path: Path) -> None:
        """The development key is made last."""
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/policy.json").write_text("{")

        with pytest.raises(ConfigError):
            prepared(tmp_path, key=None)
        assert not (tmp_path / "var").exists()

    def test_development_key_is_said(self, tmp_path: Path) -> None:
        """Nothing set: a key is made, and somebody is told."""
        said: list[str] = []
        context = prepare(
            RunOptions(plan="preflight"),
            {},
            project(tmp_path),
            runner=Runner.IN_PROCESS,
            now=NOW,
            say=said.append,
        )

        assert context.signer_kind is SignerKind.DEVELOPMENT
        assert any("development" in text for text in said)


class TestSubjects:
    """What is released."""

    @pytest.mark.parametrize(
        ("text", "subject"),
        [
            (f"shop@sha256:{HEX}", Subject("shop", {"sha256": HEX})),
            (f" sha256:{HEX} ", Subject("subject", {"sha256": HEX})),
            (f"registry/shop:1@sha256:{HEX}", Subject("registry/shop:1", {"sha256": HEX})),
        ],
    )
    def test_spelling(self, text: str, subject: Subject) -> None:
        """As registries spell digests."""
        assert parse_subject(text) == subject

    @pytest.mark.parametrize(
        "text",
        ["", "shop", f"shop@sha256:{HEX[:-1]}", f"shop@sha256:{HEX.upper()}", f"shop@md5:{HEX[:32]}", f"a b@sha256:{HEX}", f"@sha256:{HEX}", f"shop@sha256:{HEX}0"],
    )  # fmt: skip
    def test_anything_else_is_refused(self, text: str) -> None:
        """With what was expected, and how to get it."""
        with pytest.raises(ConfigError, match="expected a subject NAME@sha256:HEX") as caught:
            parse_subject(text)
        assert caught.value.hint == "sha256sum FILE prints the digest of a file"

    def test_given_ones_win(self, tmp_path: Path) -> None:
        """Option, then variable (commas or blanks), then the policy's."""
        project(tmp_path, {"name": "policy", "sha256": HEX})
        listed = {"CUTOVER_SUBJECT": f"a@sha256:{HEX}, b@sha256:{HEX}"}

        assert [s.name for s in prepared(tmp_path).subjects] == ["policy"]
        assert [s.name for s in prepared(tmp_path, listed).subjects] == ["a", "b"]
        assert [s.name for s in prepared(tmp_path, listed, subjects=[f"c@sha256:{HEX}"]).subjects] == ["c"]

    def test_files(self, tmp_path: Path) -> None:
        """One subject per file, with the file's own digest."""
        project(tmp_path, {"name": "shop", "files": "dist/*.whl"})
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist/a.whl").write_bytes(b"a")

        (one,) = prepared(tmp_path).subjects
        assert one == Subject("shop", {"sha256": hashlib.sha256(b"a").hexdigest()})

        (tmp_path / "dist/b.whl").write_bytes(b"b")
        assert [s.name for s in prepared(tmp_path).subjects] == ["shop/dist/a.whl", "shop/dist/b.whl"]

    def test_pattern_without_a_file(self, tmp_path: Path) -> None:
        """Not built yet: said before anything runs."""
        project(tmp_path, {"name": "shop", "files": "dist/*.whl"})

        with pytest.raises(ConfigError, match=r"subject 'shop': no file matches 'dist/\*\.whl'"):
            prepared(tmp_path)

    @pytest.mark.parametrize("prefix", ["", "sha256:"])
    def test_command(self, tmp_path: Path, prefix: str) -> None:
        """A command prints the digest."""
        project(tmp_path, {"name": "shop", "command": [sys.executable, "-c", f"print('{prefix}{HEX}')"]})

        assert prepared(tmp_path).subjects == (Subject("shop", {"sha256": HEX}),)

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ([sys.executable, "-c", "print('latest')"], "to print a sha256 in hex, got 'latest'"),
            ([sys.executable, "-c", "import sys; sys.exit('no such image')"], "ended with 1: no such image"),
            ([sys.executable, "-c", "import sys; sys.exit(3)"], "ended with 3: no message"),
            (["/no/such/command"], "the command '/no/such/command' failed"),
        ],
    )
    def test_command_that_fails(self, tmp_path: Path, command: list[str], message: str) -> None:
        """With what it said."""
        project(tmp_path, {"name": "shop", "command": command})

        with pytest.raises(ConfigError, match=message):
            prepared(tmp_path)

    def test_git(self, tmp_path: Path) -> None:
        """A commit is a subject too."""
        project(tmp_path, {"name": "shop", "git": "HEAD"})
        run = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
        subprocess.run([*run, "init", "-q"], check=True)
        subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "x"], check=True)

        (one,) = prepared(tmp_path).subjects

        assert re.fullmatch(r"[0-9a-f]{40}", one.digest["gitCommit"])

    def test_git_without_a_repository(self, tmp_path: Path) -> None:
        """Said as git says it."""
        project(tmp_path, {"name": "shop", "git": "no-such-branch"})

        with pytest.raises(ConfigError, match="the command 'git rev-parse"):
            prepared(tmp_path)
