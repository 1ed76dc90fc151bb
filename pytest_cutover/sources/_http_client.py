"""The one module that knows httpx: one request, bounded in time and size.

httpx limits each single read; a server that sends one byte a second would never be cut. So every
socket operation here gets what is left until the deadline of the whole reading. No redirects,
no cookies, no proxies of the environment unless asked for, no decompression. Imported only when
a source is built.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
import urllib.request
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEEPALIVE_S = 2.0
"""Shorter than servers keep idle connections (uvicorn: 5 s), so that none is reused while it is being closed."""

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class RequestFailedError(Exception):
    """No complete answer; `kind` is one of: unreachable, timeout, too-big, encoded,
    loop, tls, protocol."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Status, headers as sent, and the whole body."""

    status_code: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Client:
    """Sends single requests; safe to use from several threads."""

    def __init__(self, *, ca_file: str | None = None, use_proxy: bool = False) -> None:
        context = (
            httpx.create_ssl_context(trust_env=False)
            if ca_file is None
            else ssl.create_default_context(cafile=ca_file)
        )
        jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.Client(
            transport=_Transport(context, use_proxy=use_proxy),
            trust_env=False,
            follow_redirects=False,
            cookies=jar,
            headers={"Accept-Encoding": "identity", "User-Agent": "pytest-cutover"},
        )

    def close(self) -> None:
        """Close all connections; idempotent."""
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        deadline: float,
        max_body_bytes: int,
    ) -> RawAnswer:
        """The answer to one request, complete before `deadline` (of `time.monotonic`).

        Raises:
            RequestFailedError: no complete answer; its text holds no URL.
            ValueError: the request itself cannot be built.
        """
        try:
            request = self._client.build_request(
                method, url, headers=dict(headers), content=content, timeout=_left(deadline)
            )
        except (httpx.InvalidURL, TypeError, UnicodeError, AttributeError) as exc:
            raise ValueError(f"not a request that can be sent ({type(exc).__name__})") from None
        token = _deadline.set(deadline)
        try:
            return self._read(request, max_body_bytes)
        except httpx.TimeoutException as exc:
            raise RequestFailedError("timeout", "no complete answer in time") from exc
        except (httpx.ConnectError, httpx.ProxyError) as exc:
            raise RequestFailedError("tls" if _is_tls(exc) else "unreachable", _words(exc)) from exc
        except httpx.LocalProtocolError:  # its text may hold the value of a header
            raise ValueError("not a request that can be sent (malformed method or header)") from None
        except httpx.RemoteProtocolError as exc:
            raise RequestFailedError("protocol", str(exc)) from exc
        except httpx.TransportError as exc:
            raise RequestFailedError("unreachable", f"{type(exc).__name__}: {_words(exc)}") from exc
        finally:
            _deadline.reset(token)

    def _read(self, request: httpx.Request, max_body_bytes: int) -> RawAnswer:
        response = self._client.send(request, stream=True)
        try:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.strip().lower() not in ("", "identity"):
                raise RequestFailedError(
                    "encoded", f"the body is encoded as {encoding[:40]!r}, which was not asked for"
                )
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > max_body_bytes:
                    raise RequestFailedError("too-big", f"the body is larger than {max_body_bytes} bytes")
        finally:
            response.close()
        return RawAnswer(response.status_code, tuple(response.headers.multi_items()), bytes(body))


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _words(exc: Exception) -> str:
    """What an error of the network says, without its number."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(exc))


def _is_tls(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


class _Stream(httpcore.NetworkStream):
    """A connection on which every operation ends at the deadline of the reading that uses it."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _bounded(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 16384):
            self._inner.write(buffer[start : start + 16384], _bounded(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._inner.start_tls(ssl_context, server_hostname, _bounded(timeout, httpcore.ConnectTimeout))
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects within the deadline, name resolution and all addresses together."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port, _bounded(timeout, httpcore.ConnectTimeout))
        for number, address in enumerate(addresses):
            # An address that swallows packets must leave time for the next one.
            left = _bounded(timeout, httpcore.ConnectTimeout) / (len(addresses) - number)
            try:
                return _Stream(self._inner.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError("the name has no address")


def _bounded(timeout: float | None, too_late: type[Exception]) -> float:
    deadline = _deadline.get()
    if deadline is None:
        return 10.0 if timeout is None else timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise too_late("the time for the whole reading is over")
    return left if timeout is None else min(left, timeout)


def _resolve(host: str, port: int, timeout: float) -> list[str]:
    """The addresses of a host; `getaddrinfo` knows no time limit, so it is waited for in a thread."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    answers: queue.Queue[list[str] | OSError | UnicodeError] = queue.Queue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(address[4][0]) for address in found)))
        except (OSError, UnicodeError) as exc:
            answers.put(exc)

    threading.Thread(target=ask, name="cutover-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise httpcore.ConnectTimeout("the name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise httpcore.ConnectError(f"the name cannot be resolved: {answer}")
    return answer


class _Transport(httpx.BaseTransport):
    """httpx over a connection pool of httpcore with the bounded backend."""

    def __init__(self, context: ssl.SSLContext, *, use_proxy: bool) -> None:
        self._context = context
        self._proxies = urllib.request.getproxies_environment() if use_proxy else {}
        self._pools: dict[str | None, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _translated():
            answer = self._pool(request.url).handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy and urllib.request.proxy_bypass(url.host, self._proxies):
            proxy = None
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._open(proxy)
            return self._pools[proxy]

    def _open(self, proxy: str | None) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=self._context,
            proxy=None if not proxy else _proxy(proxy),
            keepalive_expiry=KEEPALIVE_S,
            network_backend=_Backend(),
        )


def _proxy(url: str) -> httpcore.Proxy:
    parsed = httpx.URL(url if "://" in url else f"http://{url}")
    auth = (parsed.username, parsed.password) if parsed.username else None
    return httpcore.Proxy(str(parsed.copy_with(username=None, password=None)), auth=auth)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        with _translated():
            self._stream.close()


_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.NetworkError, httpx.NetworkError),
)


class _translated:  # noqa: N801 - reads as a word in `with`
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        for theirs, ours in _ERRORS:
            if isinstance(exc, theirs):
                raise ours(str(exc)) from exc
