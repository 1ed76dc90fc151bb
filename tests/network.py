"""A private certificate authority, a service behind TLS, and a proxy, all on this machine."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import select
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """Files of a certificate authority, and of a certificate for `localhost` that it signed."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> Authority:
        folder.mkdir()
        root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = _certificate(root, root, "private CA", "private CA", is_ca=True)
        certificate = _certificate(leaf, root, "localhost", "private CA", is_ca=False)
        pem = serialization.Encoding.PEM
        key = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        made = cls(folder / "ca.pem", folder / "localhost.pem", folder / "localhost.key")
        for path, data in (
            (made.ca, ca.public_bytes(pem)),
            (made.certificate, certificate.public_bytes(pem)),
            (made.key, key),
        ):
            path.write_bytes(data)
        return made

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def _certificate(
    key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, name: str, issuer: str, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject, author = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, issuer))
    builder = (
        x509.CertificateBuilder(author, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(by, hashes.SHA256())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Running:
    """A server on a port of its own while the block lasts."""

    handler: type[_Handler]

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        handler = type("Handler", (self.handler,), {"owner": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Service(_Running):
    """Says that it is ready, and counts who asks."""

    class handler(_Handler):  # noqa: N801 # http.server's word
        owner: Any

        def do_GET(self) -> None:
            self.owner.asked += 1
            self.answer(200, b'{"status": "ready"}')

    asked = 0

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


class Proxy(_Running):
    """Forwards requests for http, and tunnels for https; `seen` is what it was asked for."""

    class handler(_Handler):  # noqa: N801 # http.server's word
        owner: Any

        def do_CONNECT(self) -> None:
            self.owner.seen.append(f"CONNECT {self.path}")
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port)), timeout=5) as there:
                self.send_response(200)
                self.end_headers()
                _tunnel(self.connection, there)
            self.close_connection = True

        def do_GET(self) -> None:
            self.owner.seen.append(f"GET {self.path}")
            url = urlsplit(self.path)
            there = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
            with contextlib.closing(there):
                there.request("GET", url.path)
                got = there.getresponse()
                self.answer(got.status, got.read())

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Impostor(_Running):
    """A proxy that says yes in everybody's place; for https with a certificate of its own."""

    class handler(_Handler):  # noqa: N801 # http.server's word
        owner: Any

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.connection = self.owner.context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
                self.handle_one_request()
            self.close_connection = True

        def do_GET(self) -> None:
            self.owner.forged += 1
            self.answer(200, b'{"status": "ready"}')

    forged = 0

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.context = authority.context()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while True:
        for end in select.select(list(ends), [], [], 10)[0] or [None]:
            data = b"" if end is None else end.recv(65536)
            if end is None or not data:
                return
            ends[end].sendall(data)
