"""HTTP readings: one request answered whole, in bounded time and size, or a `SourceError`."""

from __future__ import annotations

import json as stdlib_json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_cutover import strictjson
from pytest_cutover.errors import ConfigError, MeasurementError, SourceError
from pytest_cutover.sources import distortion, exposition, urls

if TYPE_CHECKING:
    from decimal import Decimal

    from pytest_cutover.sources._http_client import Client, RawAnswer, RequestFailedError

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_REDIRECTS = 5
RETRY_PAUSE_S = 0.1
"""Before the first retry; doubled each time."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, section 9.2.2): only these may be retried."""

_HINTS = {
    "unreachable": "is the service up, and the target's address right?",
    "timeout": "the whole reading must end in time; raise timeout_s if the service may be this slow",
    "too-big": "raise max_body_bytes if the answer may be this large",
    "encoded": "the server must honour `Accept-Encoding: identity`",
    "loop": "does the service redirect to itself?",
    "tls": "a private CA is given as ca_file or SSL_CERT_FILE",
    "protocol": "does this port speak HTTP, and does the server send all it announces?",
}


class Headers(Mapping[str, str]):
    """Header fields by name, whatever the case; repeated fields are joined by a comma and a space."""

    def __init__(self, items: tuple[tuple[str, str], ...]) -> None:
        self._items: dict[str, str] = {}
        for name, value in items:
            key = name.lower()
            self._items[key] = f"{self._items[key]}, {value}" if key in self._items else value

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._items)})"  # values may be secrets


@dataclass(frozen=True, slots=True)
class HttpReading:
    """A complete answer. `latency_s` covers all attempts and redirects, `url` carries no secrets."""

    url: str
    status_code: int
    latency_s: float
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    observed_at: datetime
    attempts: int

    def text(self) -> str:
        """The body in the charset it declares, else UTF-8.

        Raises:
            SourceError: the body is not text in that charset.
        """
        match = re.search(r"charset=\"?([\w.:-]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        charset = match[1] if match else "utf-8"
        try:
            return self.body.decode(charset)
        except (LookupError, ValueError) as exc:
            raise SourceError(f"expected text in {charset} from {self.url}, got something else") from exc

    def json(self) -> Any:
        """The body as strict JSON: numbers with a fraction are `Decimal`, duplicate keys are refused.

        Raises:
            SourceError: the body is not strict JSON.
        """
        try:
            return strictjson.loads(self.body)
        except ValueError as exc:
            raise SourceError(
                f"expected JSON from {self.url}, got {len(self.body)} bytes that are not (HTTP {self.status_code}): {exc}"
            ) from exc

    def metric(self, name: str, /, **labels: str) -> Decimal | float:
        """The value of the one series with this name and at least these labels.

        A finite value is a `Decimal`; NaN and infinities are floats, which the engine refuses.

        Raises:
            SourceError: no such series, several, or the body is no Prometheus exposition.
        """
        try:
            return exposition.one(self._samples(), name, labels).value
        except ValueError as exc:
            raise SourceError(
                f"{exc} (in the metrics of {self.url})", hint="name enough labels to leave one series"
            ) from None

    def metrics(self, name: str) -> list[exposition.Sample]:
        """All series with this name; may be empty.

        Raises:
            SourceError: the body is no Prometheus exposition.
        """
        return [s for s in self._samples() if s.name == name]

    def _samples(self) -> tuple[exposition.Sample, ...]:
        if not 200 <= self.status_code < 300:
            raise SourceError(f"expected metrics from {self.url}, got HTTP {self.status_code}")
        try:
            return exposition.parse(self.text())
        except ValueError as exc:
            raise SourceError(f"expected a Prometheus exposition from {self.url}: {exc}") from exc


class HttpSource:
    """Reads the targets an environment names, and nothing else.

    A redirect is followed only within its origin (at most five times); one that leads elsewhere is
    the reading itself (status 3xx). Proxy variables of the environment are ignored unless
    `use_proxy`. `ca_file`, or else `SSL_CERT_FILE`, replaces the built-in certificate authorities.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        timeout_s: float = 10,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        use_proxy: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._targets = dict(targets)
        self._timeout_s = _positive(timeout_s)
        for name, url in self._targets.items():
            _check_target(name, url)
        self._ca_file = None if ca_file is None else os.fspath(ca_file)
        if ca_file is None and any(urls.origin(url)[0] == "https" for url in self._targets.values()):
            self._ca_file = os.environ.get("SSL_CERT_FILE") or None
        self._use_proxy = use_proxy
        self._max_body_bytes = max_body_bytes
        self._client = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; idempotent."""
        self._client.close()

    def get(
        self,
        path_or_url: str,
        *,
        target: str = "app",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        retries: int = 0,
        json: Any = None,
        content: bytes | None = None,
        timeout_s: float | None = None,
        redirects: bool = True,
    ) -> HttpReading:
        """The answer to one request; any HTTP status is an answer.

        A path is read below the target's URL; a full URL must have the origin of one of the targets.
        `retries` repeats a request that got no answer (never one that got a bad one), at most so often
        and within the same `timeout_s`, which bounds the whole reading. Without `redirects` none is followed.

        Raises:
            SourceError: unreachable, too slow, too big, or not one of the targets.
            MeasurementError: the request cannot be sent as asked for.
        """
        url = self._url(path_or_url, target)
        return distortion.reading(
            ("http", method.upper(), url),
            lambda: self._read(url, method, headers, retries, json, content, timeout_s, redirects),
        )

    def _read(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str] | None,
        retries: int,
        json: Any,
        content: bytes | None,
        timeout_s: float | None,
        redirects: bool,
    ) -> HttpReading:
        if retries and method.upper() not in SAFE_METHODS:
            raise MeasurementError(f"{method.upper()} cannot be retried: it may have had its effect already")
        body, fields = _content(json, content, headers)
        limit = self._timeout_s if timeout_s is None else _positive(timeout_s)
        started = time.monotonic()
        deadline = started + limit
        attempts = 0
        while True:
            attempts += 1
            try:
                final, answer = self._follow(method.upper(), url, fields, body, deadline, redirects)
                break
            except _failed() as exc:
                pause = RETRY_PAUSE_S * 2 ** (attempts - 1)
                if (
                    attempts > retries
                    or exc.kind not in ("unreachable", "protocol")
                    or time.monotonic() + pause >= deadline
                ):
                    raise _source_error(exc, url, attempts, limit) from exc
                time.sleep(pause)
            except ValueError as exc:
                raise MeasurementError(f"{exc}: {method.upper()[:20]} {urls.shown(url)}") from None
        return HttpReading(
            url=urls.shown(final),
            status_code=answer.status_code,
            latency_s=_up_to_microseconds(time.monotonic() - started),
            headers=Headers(answer.headers),
            body=answer.body,
            observed_at=datetime.now(UTC),
            attempts=attempts,
        )

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
        redirects: bool,
    ) -> tuple[str, RawAnswer]:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._client.send(
                method,
                url,
                headers=headers,
                content=body,
                deadline=deadline,
                max_body_bytes=self._max_body_bytes,
            )
            moved = redirects and answer.status_code in (301, 302, 303, 307, 308)
            if not moved or method not in ("GET", "HEAD"):
                return url, answer
            there = urls.redirect_target(url, Headers(answer.headers).get("location", ""))
            if there is None or "location" not in Headers(answer.headers):
                return url, answer
            url = there
        raise _failed()("loop", f"more than {MAX_REDIRECTS} redirects")

    def _url(self, path_or_url: str, target: str) -> str:
        if not isinstance(path_or_url, str):
            raise MeasurementError(f"expected a path or a URL, got {type(path_or_url).__name__}")
        if urls.is_absolute(path_or_url):
            return self._allowed(path_or_url)
        base = self._targets.get(target)
        if base is None:
            raise SourceError(
                f"no target {target!r} to read {path_or_url.partition('?')[0]!r} from",
                hint=f"the environment names {', '.join(sorted(self._targets)) or 'no targets'} (policy: environments → targets)",
            )
        return urls.below(base, path_or_url)

    def _allowed(self, url: str) -> str:
        try:
            wanted = urls.origin(url)
        except ValueError as exc:
            raise SourceError(f"URL {urls.shown(url)} {exc}") from None
        if wanted not in {urls.origin(base) for base in self._targets.values()}:
            raise SourceError(
                f"{wanted[0]}://{wanted[1]}:{wanted[2]} is not one of the targets",
                hint="a gate reads only what the environment names under targets in the policy",
            )
        return url

    def _connect(self) -> Client:
        from pytest_cutover.sources._http_client import Client  # httpx is heavy: only when a source is built

        if self._ca_file is not None and not Path(self._ca_file).is_file():
            raise ConfigError(
                f"no file of certificate authorities at {self._ca_file}", hint="ca_file or SSL_CERT_FILE"
            )
        try:
            return Client(ca_file=self._ca_file, use_proxy=self._use_proxy)
        except OSError as exc:  # ssl.SSLError is one
            raise ConfigError(f"cannot use the certificate authorities in {self._ca_file}: {exc}") from exc


def _failed() -> type[RequestFailedError]:
    from pytest_cutover.sources._http_client import RequestFailedError

    return RequestFailedError


def _source_error(exc: RequestFailedError, url: str, attempts: int, limit: float) -> SourceError:
    tried = "" if attempts == 1 else f" after {attempts} attempts"
    detail = f"no complete answer within {limit:g} s" if exc.kind == "timeout" else exc.detail
    return SourceError(f"cannot read {urls.shown(url)}{tried}: {detail}", hint=_HINTS[exc.kind])


def _content(
    json: Any, content: bytes | None, headers: Mapping[str, str] | None
) -> tuple[bytes | None, dict[str, str]]:
    fields = dict(headers or {})
    if json is None:
        return content, fields
    if content is not None:
        raise MeasurementError("expected json or content, got both")
    fields.setdefault("Content-Type", "application/json")
    return stdlib_json.dumps(json, allow_nan=False).encode(), fields


def _up_to_microseconds(seconds: float) -> float:
    """No clock here is finer, and nobody reads seventeen digits; upwards, so that no limit is met by rounding."""
    return math.ceil(seconds * 1_000_000) / 1_000_000


def _check_target(name: str, url: str) -> None:
    try:
        parts = urls.split_http(url)
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigError(f"target {name!r}: {exc}", hint="e.g. https://shop.example") from None
    if parts.query or parts.fragment:
        raise ConfigError(f"target {name!r} must not have a query or a fragment")


def _positive(timeout_s: float) -> float:
    if not timeout_s > 0 or timeout_s == float("inf"):
        raise MeasurementError(f"expected a time limit in seconds above 0, got {timeout_s}")
    return float(timeout_s)
