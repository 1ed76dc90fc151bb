"""The service as it is used: a child process, asked over loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal

import pytest

from pytest_cutover.errors import AdapterError, SourceError
from pytest_cutover.keys.signer import development_signer
from pytest_cutover.policy.signature import sign_policy
from pytest_cutover.service.config import CHECK_NAMES
from pytest_cutover.service.process import start_service
from pytest_cutover.sources.http import HttpSource
from pytest_cutover.sources.readyz import ReadyzSource
from tests.unit.service.test_checks import POLICY


@pytest.fixture
def project(tmp_path):
    signer = development_signer(tmp_path, say=lambda _: None)
    (tmp_path / "policy.json").write_bytes(POLICY)
    (tmp_path / "policy.json.dsse").write_bytes(sign_policy(POLICY, signer))
    return tmp_path


@pytest.fixture
def start(project):
    """Starts services of the project and stops them."""
    started = []

    def build(*broken, **options):
        state = project / f"state{len(started)}"
        started.append(
            start_service(state, policy=project / "policy.json", broken=broken, rootdir=project, **options)
        )
        return started[-1]

    yield build
    for service in started:
        service.stop()


@pytest.fixture
def http(start):
    service = start()
    with HttpSource({"app": service.url}) as source:
        yield source


def log_of(service):
    return [json.loads(line) for line in service.log_path.read_text().splitlines()]


def cutover(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "pytest_cutover", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environ},
        check=False,
    )


class TestReadyz:
    def test_ready_with_every_check(self, http):
        reading = ReadyzSource(http)()

        assert (reading.status, reading.http_status, reading.failing) == ("ready", 200, ())
        assert tuple(c.name for c in reading.checks) == CHECK_NAMES

    @pytest.mark.parametrize(
        ("broken", "status", "code"),
        [(name, "degraded", 1) if name == "disk" else (name, "error", 2) for name in CHECK_NAMES],
    )
    def test_one_broken_check_blocks(self, start, broken, status, code):
        """503 even when only degraded: nobody who looks at the HTTP status alone may take it for ready."""
        service = start(broken)
        with HttpSource({"app": service.url}) as source:
            reading = ReadyzSource(source)()
            document = source.get("/readyz").json()

        assert (reading.status, reading.http_status, reading.failing) == (status, 503, (broken,))
        assert document["rehearsal"] == {"broken_on_purpose": [broken]}
        done = cutover("readyz", "--url", f"{service.url}/readyz")
        assert done.returncode == code
        assert broken in done.stdout

    def test_sees_what_changes_while_it_runs(self, http, project):
        assert ReadyzSource(http)().status == "ready"
        (project / "policy.json").write_bytes(POLICY + b" ")

        assert ReadyzSource(http)().failing == ("policy_signature",)

    def test_is_never_cached(self, http):
        assert http.get("/readyz").headers["cache-control"] == "no-store"

    def test_shows_no_key(self, start):
        from pytest_cutover.keys.signer import generate
        from pytest_cutover.keys.verifier import KeyKind

        pem = generate(KeyKind.ED25519).decode()
        service = start(environ={**os.environ, "CUTOVER_KEY_PEM": pem})
        with HttpSource({"app": service.url}) as source:
            reading = source.get("/readyz")

        assert reading.json()["checks"]["signing_key"]["status"] == "pass"
        assert pem.splitlines()[1] not in reading.text()
        assert pem.splitlines()[1] not in service.stderr_path.read_text()

    @pytest.mark.parametrize("value", ["", "none"])
    def test_an_unsigned_run_s_service_signs_with_the_development_key(self, start, value):
        service = start(environ={**os.environ, "CUTOVER_KEY": value})
        with HttpSource({"app": service.url}) as source:
            assert "development" in source.get("/readyz").json()["checks"]["signing_key"]["detail"]


class TestOrders:
    def test_are_stored_and_found(self, http):
        made = http.get("/orders", method="POST", json={"item": "tea", "quantity": 2})

        assert made.status_code == 201
        assert http.get(made.headers["location"]).json() == {"id": 1, "item": "tea", "quantity": 2}

    def test_an_unknown_one_is_not_found(self, http):
        for path in ("/orders/99", "/orders/99999999999999999999", "/orders/x", "/nothing"):
            assert http.get(path).status_code == 404

    @pytest.mark.parametrize("content", [b"", b"{", b'{"item":"a","item":"b","quantity":1}', b"[]"])
    def test_a_malformed_one_is_refused(self, http, content):
        assert http.get("/orders", method="POST", content=content).status_code == 422

    def test_a_huge_one_is_refused(self, http):
        assert http.get("/orders", method="POST", content=b" " * 70_000).status_code == 413

    def test_only_post_makes_one(self, http):
        assert http.get("/orders", method="DELETE").status_code == 405

    def test_are_answered_without_waiting_for_an_ack(self, http):
        """Nagle's algorithm with delayed ACK costs 40 ms for each answer."""
        http.get("/")
        assert min(http.get("/").latency_s for _ in range(9)) < 0.02


class TestLog:
    def test_agrees_with_what_was_sent(self, start):
        service = start()
        with HttpSource({"app": service.url}) as source:
            for _ in range(30):
                source.get("/", headers={"X-Cutover-Client": "a"})
            for _ in range(12):
                source.get("/orders/9", headers={"X-Cutover-Client": "b"})
            metrics = source.get("/metrics")

        assert metrics.metric("cutover_requests_total", client="a") == 30
        assert metrics.metric("cutover_requests_total", client="b", status="404", route="/orders/{id}") == 12
        assert metrics.metric("cutover_request_errors_total", client="a") == 0
        assert metrics.metric("cutover_request_duration_seconds_count", route="/") == 30
        assert metrics.metric("cutover_request_duration_seconds_bucket", route="/", le="+Inf") == 30
        assert metrics.metric("cutover_request_duration_seconds_sum", route="/") > Decimal(0)
        assert sum(line["client"] == "a" for line in log_of(service)) == 30

    def test_a_503_counts_as_an_error(self, start):
        service = start("clock")
        with HttpSource({"app": service.url}) as source:
            source.get("/readyz", headers={"X-Cutover-Client": "c"})

            assert source.get("/metrics").metric("cutover_request_errors_total", client="c") == 1

    def test_a_line_says_what_happened(self, start):
        service = start()
        with HttpSource({"app": service.url}) as source:
            source.get("/orders", method="POST", json={"item": "tea", "quantity": 1})
        line = log_of(service)[-1]

        assert set(line) == {"ts", "method", "path", "status", "latency_ms", "label", "client"}
        assert (line["method"], line["path"], line["status"], line["label"]) == (
            "POST",
            "/orders",
            201,
            "stable",
        )
        assert line["latency_ms"] > 0

    def test_holds_no_secrets(self, start):
        service = start()
        with HttpSource({"app": service.url.replace("//", "//user:s3cr3t@")}) as source:
            source.get("/orders/1?token=s3cr3t", headers={"X-Api-Key": "s3cr3t"})
            source.get("/orders", method="POST", content=b"s3cr3t")
            metrics = source.get("/metrics").text()

        assert "s3cr3t" not in service.log_path.read_text() + metrics + service.stderr_path.read_text()

    def test_a_path_cannot_forge_a_line(self, start):
        service = start()
        with HttpSource({"app": service.url}) as source:
            source.get("/%0a%7B%22status%22:200%7D")

        assert [line["status"] for line in log_of(service)] == [404]

    def test_clients_cannot_fill_the_memory(self, start):
        service = start()
        with HttpSource({"app": service.url}) as source:
            for number in range(100):
                source.get("/", headers={"X-Cutover-Client": f"c{number}"})
            source.get("/", headers={"X-Cutover-Client": 'x"} 1\n'.strip() + "!"})
            series = source.get("/metrics").metrics("cutover_requests_total")

        assert len({s.labels["client"] for s in series}) <= 66
        assert sum(s.value for s in series) == 101


class TestProcess:
    def test_starts_fast(self, start):
        started = time.monotonic()
        start()
        assert time.monotonic() - started < 3  # 0.3 s alone; machines are shared

    def test_stops_quickly_and_cleanly(self, start):
        service = start()
        with HttpSource({"app": service.url}) as source:
            source.get("/")
            started = time.monotonic()
            service.stop()
            assert time.monotonic() - started < 2

            with pytest.raises(SourceError):
                source.get("/")
        assert service._process.returncode == 0
        assert service.stderr_path.read_text() == ""
        service.stop()

    def test_a_hanging_request_does_not_hold_up_the_stop(self, start):
        service = start()
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as client:
            client.sendall(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            started = time.monotonic()
            service.stop()
            assert time.monotonic() - started < 2.9
        assert service._process.returncode == 0

    def test_dies_with_a_parent_that_is_killed(self, project):
        code = (
            "import sys, time; from pathlib import Path; from pytest_cutover.service.process import start_service\n"
            "s = start_service(Path(sys.argv[1]) / 's', policy=None, rootdir=Path(sys.argv[1]))\n"
            "print(s.pid, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, project], stdout=subprocess.PIPE, text=True
        ) as parent:
            pid = int(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
        until = time.monotonic() + 5
        while time.monotonic() < until and os.path.exists(f"/proc/{pid}") and not is_zombie(pid):  # noqa: PTH110
            time.sleep(0.02)

        assert not os.path.exists(f"/proc/{pid}") or is_zombie(pid)  # noqa: PTH110

    def test_two_at_once_do_not_meet(self, start):
        one, two = start(), start()

        assert one.url != two.url
        assert one.log_path != two.log_path

    def test_a_failed_start_shows_its_last_lines(self, tmp_path):
        (tmp_path / "state" / "orders.sqlite3").mkdir(parents=True)
        with pytest.raises(AdapterError, match="did not start: it ended with exit code 2") as caught:
            start_service(tmp_path / "state", policy=None, rootdir=tmp_path)
        assert "cannot use the state folder" in str(caught.value)
        assert caught.value.hint

    def test_a_state_folder_that_is_a_file_is_said(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(AdapterError, match="cannot start the sandbox service"):
            start_service(tmp_path / "file", policy=None, rootdir=tmp_path)

    def test_a_missing_extra_is_named(self, tmp_path):
        code = (
            "import sys; sys.modules['starlette'] = sys.modules['starlette.applications'] = None\n"
            "from pytest_cutover.cli import main; sys.exit(main(['serve', '--root', sys.argv[1]]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False, timeout=30
        )

        assert done.returncode == 2
        assert "pip install 'pytest-cutover[service]'" in done.stderr


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


class TestServeCommand:
    @pytest.mark.parametrize(
        "arguments", [["--port", "99999"], ["--port", "x"], ["--break", "clok"], ["--nope"], ["x"]]
    )
    def test_usage_errors_exit_64(self, arguments):
        done = cutover("serve", *arguments)

        assert done.returncode == 64
        assert done.stdout == ""

    def test_a_port_in_use_is_said(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = cutover("serve", "--root", str(tmp_path), "--port", str(taken.getsockname()[1]))

        assert done.returncode == 2
        assert "cannot listen on 127.0.0.1" in done.stderr

    def test_breaking_is_said(self, tmp_path):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest_cutover",
                "serve",
                "--root",
                tmp_path,
                "--break",
                "disk",
                "--follow-stdin",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert done.returncode == 0
        assert json.loads(done.stdout)["url"].startswith("http://127.0.0.1:")
        assert "the check disk is broken on purpose" in done.stderr
