"""A store and a log in one bucket of one server, which only the signed policy names: a run, and whoever asks after it."""

from __future__ import annotations

import hashlib
import json

import pytest

from pytest_cutover.cli import main
from tests.unit.gate_project import GateProject

GATES = """
@pytest.mark.preflight
@pytest.mark.gate("shop.stock")
def test_stock(gate):
    gate.measure("items", 7)
"""
ORIGIN = "shop.log"
DIGEST = f"sha256:{hashlib.sha256(b'shop').hexdigest()}"


@pytest.fixture
def project(tmp_path, monkeypatch, s3_endpoint, bucket):
    """A project whose signed policy keeps everything in `bucket`; nothing else names its server."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "CUTOVER_TRUST",
        "CUTOVER_KEY",
        "CUTOVER_KEY_LOG",
    ):
        monkeypatch.delenv(name, raising=False)
    project = GateProject(
        tmp_path, GATES, requires=["shop.stock"], limits={"shop.stock": {"items": {"at_least": 1}}}
    )
    path = tmp_path / "configs/policy.json"
    server = {"endpoint": s3_endpoint, "region": "us-east-1"}
    kept = {
        "store": {"place": f"s3://{bucket}/runs", **server},
        "log": {"place": f"s3://{bucket}/log", "origin": ORIGIN, **server},
    }
    environments = {"default_environment": "prod", "environments": {"prod": kept}}
    path.write_text(json.dumps(json.loads(path.read_text()) | environments))
    trust = ("--trust", "configs/trust.json")
    roles = ("--role", "policy", "--role", "decision", "--role", "store")
    assert main(["keys", "new", "key.pem", *roles, *trust]) == 0
    assert main(["keys", "new", "var/cutover/keys/log.pem", "--role", "log", "--origin", ORIGIN, *trust]) == 0
    assert main(["policy", "sign", "configs/policy.json", "--key", "key.pem"]) == 0
    return project


def test_a_run_and_whoever_asks_after_it(project, s3_endpoint, bucket, capsys):
    store, log = f"s3://{bucket}/runs", f"s3://{bucket}/log"
    asked = [f"{place}: asking {s3_endpoint}" for place in (store, log)]
    given = ("--cutover-key", "key.pem", "--cutover-subject", f"shop@{DIGEST}")
    done = project.pytest(*given)
    assert done.returncode == 0, done.stdout + done.stderr

    def says(*words):
        capsys.readouterr()
        code = main(list(words))
        said = capsys.readouterr()
        assert code == 0, said
        return said

    runs = ("--runs", "var/cutover/runs")
    audited = says("log", "audit", "--log", log, *runs)
    assert "tlog_inclusion_gap: 0 of 2 documents" in audited.out
    assert audited.err.splitlines()[0] == asked[1]
    assert f"{ORIGIN}: 2 entries" in says("log", "verify", "--log", log).out

    says("evidence", "index", "--store", store, "--key", "key.pem")
    verified = says("evidence", "verify", "--store", store, "--log", log)
    assert verified.out.startswith("VALID")
    assert verified.err.splitlines() == asked

    assert says("admit", "--digest", DIGEST, "--environment", "prod").out
    assert says("check", "--key", "key.pem", "--subject", f"shop@{DIGEST}").out
