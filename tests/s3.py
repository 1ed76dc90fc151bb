"""An S3 server in this process, and a proxy before any S3 server that loses, delays or refuses what it is told to.

moto enforces only a part of Object Lock: it proves nothing about that. See `tests/real/ceph.py`.
"""

from __future__ import annotations

import http.client
import logging
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import pytest

from pytest_cutover.objects.s3 import S3Objects
from pytest_cutover.objects.s3_client import s3_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "SECRETTEST",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@contextmanager
def moto() -> Iterator[str]:
    """The endpoint of a server in this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(client: S3Client, *, lock: bool = True) -> str:
    name = f"evidence-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    return name


@cache
def client_at(endpoint: str) -> S3Client:
    """One client for each endpoint: making one costs more than a test."""
    return s3_client(endpoint=endpoint, read_timeout_s=5)


def objects_at(endpoint: str, bucket: str, prefix: str = "", *, retry_for_s: float = 5.0) -> S3Objects:
    """A store that gives up soon."""
    return S3Objects(client_at(endpoint), bucket, prefix, retry_for_s=retry_for_s)


@dataclass
class Fault:
    """What happens to requests of one kind: as often as `times` says."""

    method: str
    how: str
    """`lose-answer`, `lose-request`, `slow-down`, `half-answer`, or `late`: the client is let down, the server is asked
    when `release` is called."""

    times: int = 1
    path: str = ""
    late: list[Callable[[], object]] = field(default_factory=list)

    def release(self) -> None:
        for send in self.late:
            send()


class FaultProxy:
    """Stands before the S3 server at `upstream`; a context manager."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        self.faults.clear()
        self.requests.clear()

    def add(self, method: str, how: str, times: int = 1, path: str = "") -> Fault:
        fault = Fault(method, how, times, path)
        self.faults.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that is due, if one is."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.owner.take(self.command, self.path)
        how = "" if fault is None else fault.how
        if fault is not None and how == "late":
            fault.late.append(lambda: self._forward(body))
        if how in ("late", "lose-request"):
            self.close_connection = True
            return
        if how == "slow-down":
            self._answer(503, [("Content-Type", "application/xml")], SLOW_DOWN)
            return
        status, headers, data = self._forward(body)
        if how == "lose-answer":
            self.close_connection = True
            return
        self._answer(status, headers, data, sent=len(data) // 2 if how == "half-answer" else None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 # the library's names

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=10)
        dropped = {"expect", "connection"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, *, sent: int | None = None
    ) -> None:
        self.send_response_only(status)
        dropped = {"transfer-encoding", "connection"}
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if sent is None else data[:sent])
        if sent is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's name
        pass


# -- fixtures; a conftest imports those it gives to its tests ---------------------------------------


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def s3_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(s3_endpoint: str, s3_environ: None) -> S3Client:
    return client_at(s3_endpoint)


@pytest.fixture
def bucket(client: S3Client) -> str:
    return new_bucket(client)


@pytest.fixture
def objects(s3_endpoint: str, bucket: str) -> S3Objects:
    return objects_at(s3_endpoint, bucket, "some/where")


@pytest.fixture(scope="session")
def any_proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(any_proxy: FaultProxy, s3_environ: None) -> FaultProxy:
    """Without the faults of the test before."""
    any_proxy.reset()
    return any_proxy


@pytest.fixture
def shaky(proxy: FaultProxy, bucket: str) -> S3Objects:
    """The same objects, behind the proxy."""
    return objects_at(proxy.endpoint, bucket, "some/where")
