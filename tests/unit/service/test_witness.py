"""The routes of a witness, and `cutover log checkpoint --witness` against a second `cutover serve`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest
from starlette.applications import Starlette

from pytest_cutover import cli
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.service.witness import witness_routes
from pytest_cutover.tlog.cosignature import CosignatureSigner
from pytest_cutover.tlog.note import parse_note
from pytest_cutover.tlog.witness import Request, Witness
from tests.unit.tlog.logs import ORIGIN, log_of, signer

HASH = hashlib.sha256(ORIGIN.encode()).hexdigest()


@pytest.fixture
def client(tmp_path):
    key = CosignatureSigner("w.example", load_private_pem(generate(KeyKind.ED25519), where="w"))
    now = lambda: datetime(2026, 11, 21, tzinfo=UTC)  # noqa: E731
    witness = Witness(FolderObjects(tmp_path / "state"), key, [signer().verifier], now)
    return Client(Starlette(routes=witness_routes(witness)))


class Client:
    """Asks an application in this process."""

    def __init__(self, app):
        self.app = app

    def ask(self, method, path, **options):
        async def send():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, content):
        return self.ask("POST", path, content=content)


def body(size):
    return Request(0, (), log_of(size).signed_checkpoint()[1]).to_bytes()


class TestRoutes:
    def test_a_cosignature(self, client):
        answer = client.post("/witness/add-checkpoint", content=body(3))

        assert answer.status_code == 200
        assert answer.text.startswith("— w.example ")
        kept = client.get(f"/witness/{HASH}/checkpoint")
        assert [s.name for s in parse_note(kept.content).signatures] == [ORIGIN, "w.example"]

    def test_a_conflict_has_the_size_and_its_content_type(self, client):
        client.post("/witness/add-checkpoint", content=body(3))

        answer = client.post("/witness/add-checkpoint", content=body(4))

        assert (answer.status_code, answer.text) == (409, "3\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"

    def test_other_answers(self, client):
        assert client.get("/witness/add-checkpoint").status_code == 405
        assert client.get(f"/witness/{HASH}/checkpoint").status_code == 404
        assert client.post("/witness/add-checkpoint", content=b"x" * 400_000).status_code == 413

    def test_a_disk_that_fails_is_503_and_no_cosignature(self, client, tmp_path):
        (tmp_path / "state").write_text("a file in its place")

        answer = client.post("/witness/add-checkpoint", content=body(3))

        assert (answer.status_code, answer.text) == (503, "the witness cannot remember checkpoints\n")


class TestServe:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CUTOVER_TRUST", "trust.json")
        for name, role in (("log", "log"), ("w", "witness")):
            arguments = ["--role", role, "--origin", f"{name}.example", "--trust", "trust.json"]
            assert cli.main(["keys", "new", f"{name}.pem", *arguments]) == 0
        return tmp_path

    def test_a_second_service_is_a_witness(self, folder, capsys):
        (folder / "a.txt").write_text("a")
        cli.main(["log", "append", "a.txt", "--raw", "--key", "log.pem"])
        command = [sys.executable, "-m", "pytest_cutover", "serve", "--follow-stdin"]
        command += ["--witness", "w.example", "--witness-key", "w.pem"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as serving:
            url = json.loads(serving.stdout.readline())["url"]
            capsys.readouterr()
            assert cli.main(["log", "checkpoint", "--witness", f"{url}/witness"]) == 0
            printed = capsys.readouterr().out
            assert cli.main(["log", "checkpoint", "--witness", f"{url}/nowhere"]) == 2
            assert "refuses (404)" in capsys.readouterr().err
            kept = httpx.get(f"{url}/witness/{hashlib.sha256(b'log.example').hexdigest()}/checkpoint").text
            serving.stdin.close()
            said = serving.stderr.read().decode()

        assert [s.name for s in parse_note(printed.encode()).signatures] == ["log.example", "w.example"]
        assert parse_note(kept.encode()).text == parse_note(printed.encode()).text
        assert "witness of log.example; its key: w.example+" in said
        cli.main(["log", "prove", "0", "--out", "p"])
        assert cli.main(["log", "verify", "p", "--file", "a.txt", "--witnesses", "1"]) == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--witness", "w.example"], "--witness NAME and --witness-key FILE together"),
            (["--witness-key", "w.pem"], "--witness NAME and --witness-key FILE together"),
            (["--witness", "a b", "--witness-key", "w.pem"], "key name without spaces"),
            (["--witness", "w", "--witness-key", "nowhere"], "no such key file"),
            (["--witness", "w", "--witness-key", "w.pem", "--trust", "t.json"], "logs to cosign, got none"),
        ],
    )
    def test_what_cannot_be_a_witness(self, folder, capsys, arguments, said):
        cli.main(["keys", "new", "d.pem", "--trust", "t.json"])

        assert cli.main(["serve", *arguments]) == 2
        assert said in capsys.readouterr().err

    def test_nobody_answers(self, folder, capsys):
        (folder / "a.txt").write_text("a")
        cli.main(["log", "append", "a.txt", "--raw", "--key", "log.pem"])

        assert cli.main(["log", "checkpoint", "--witness", "http://127.0.0.1:9"]) == 2
        assert cli.main(["log", "checkpoint", "--witness", "ftp://x"]) == 2
        assert "begins with http:// or https://" in capsys.readouterr().err
