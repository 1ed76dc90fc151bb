"""The shipped gates about evidence are green only where the verb that they ask says yes, and says it of this store."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.keys.signer import generate, load_private_pem, write_new_private
from pytest_cutover.keys.trust import trust_entry
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.policy.signature import sign_policy
from pytest_cutover.store.drill import DRILLS, Drill, sign_drill

if TYPE_CHECKING:
    from tests.plugin.projects import Project

ROOT = Path(__file__).resolve().parents[2]
GATES = (ROOT / "gates/test_evidence.py").read_text()
SHIPPED = json.loads((ROOT / "configs/policy.json").read_bytes())
PEM = generate(KeyKind.ED25519)
KEY = load_private_pem(PEM, where="a test key")
ROLES = ("policy", "decision", "store")


@pytest.fixture
def project(empty: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Production with the shipped gates and their limits; all that it requires is a drill. Policy and trust are signed."""
    elsewhere = tmp_path_factory.mktemp("keys")
    write_new_private(elsewhere / "key.pem", PEM)
    entry = trust_entry(KEY.public, name="release", roles=ROLES)
    (elsewhere / "trust.json").write_text(json.dumps({"format": 1, "keys": [entry]}))
    empty.gates(GATES, "gates/test_evidence.py")
    production = {
        "store": {"place": "var/evidence"},
        "subjects": [{"name": "shop", "sha256": "a" * 64}],
    }
    empty.policy(
        ["evidence.drill"],
        {"evidence.drill": SHIPPED["limits"]["evidence.drill"]},
        default_environment="production",
        environments={"production": production},
    )
    policy = empty.folder / "configs/policy.json"
    policy.with_name("policy.json.dsse").write_bytes(sign_policy(policy.read_bytes(), KEY))
    empty.environ = {"CUTOVER_TRUST": str(elsewhere / "trust.json")}
    empty.key = str(elsewhere / "key.pem")
    return empty


def passed(store: str) -> Drill:
    """A fresh drill of `store` that passed."""
    now = datetime.now(UTC)
    return Drill(
        store=store,
        environments=("production",),
        started_at=now - timedelta(seconds=2),
        finished_at=now - timedelta(seconds=1),
        expires_at=now + timedelta(days=7),
        rto_s=Decimal("0.5"),
        rto_limit_s=Decimal("900.0"),
        rpo_files=0,
        rpo_limit_files=1,
        before="the signed index",
        existed=3,
        restored=6,
        bytes=9000,
        tree="b" * 64,
        lost=(),
        finding_count=0,
        findings=(),
    )


def ran(project: Project, drill: Drill) -> tuple[int, set[str], str]:
    """Exit code, reason codes and output of a run of the one gate."""
    file = project.folder / DRILLS / drill.file_name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sign_drill(drill, KEY))
    done = project.pytest("-m", "preflight", "gates/test_evidence.py::test_drill")
    found = {f["code"] for f in done.report()["decision"]["findings"]}
    return done.code, found, done.text


def test_a_drill_of_this_store_is_green(project: Project) -> None:
    code, found, text = ran(project, passed(str(project.folder / "var/evidence")))

    assert (code, found) == (0, set()), text


def test_a_drill_of_another_store_is_not(project: Project) -> None:
    code, found, text = ran(project, passed("s3://elsewhere/evidence"))

    assert (code, found) == (10, {"limit.broken", "gate.error"}), text
    assert "exit_code = 1" in text
    assert "PASS" not in text
    assert "the newest is of s3://elsewhere/evidence" in text


def test_nor_is_one_of_which_the_verb_says_no(project: Project) -> None:
    drill = passed(str(project.folder / "var/evidence"))
    code, found, text = ran(project, replace(drill, expires_at=drill.finished_at))

    assert (code, found) == (10, {"limit.broken"}), text
    assert "exit_code = 1" in text


def test_each_of_them_limits_the_answer_of_its_verb() -> None:
    ids = re.findall(r'^    "(\w+\.\w+)",$', GATES, re.MULTILINE)

    assert len(ids) == 6
    assert [each for each in ids if "exit_code" not in SHIPPED["limits"][each]] == []
