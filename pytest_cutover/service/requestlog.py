"""The request log and the metrics drawn from it: what was written down is what is counted."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LABEL = "stable"
"""Which side of a canary this instance is."""

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CLIENT_HEADER = b"x-cutover-client"
MAX_CLIENTS = 64
"""Label values a caller may make up; more are counted together, so that nobody can fill the memory."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT = re.compile(rb"[a-z0-9][a-z0-9-]{0,47}")


class Metrics:
    """Counters and one histogram, in memory, written as Prometheus text 0.0.4."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str, str]] = Counter()
        self._errors: Counter[str] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._clients: set[str] = set()

    def client(self, header: bytes | None) -> str:
        """The label for a caller's name: its own when well-formed and not one too many."""
        if header is None:
            return "none"
        if not _CLIENT.fullmatch(header):
            return "other"
        name = header.decode("ascii")
        if name not in self._clients and len(self._clients) >= MAX_CLIENTS:
            return "other"
        self._clients.add(name)
        return name

    def count(self, *, route: str, method: str, status: int, client: str, latency_s: float) -> None:
        """Count one logged request."""
        self._requests[route, method if method in METHODS else "OTHER", str(status), client] += 1
        self._errors[client] += status >= 500
        for bound in BUCKETS_S:
            self._buckets[route, bound] += latency_s <= bound
        self._sums[route] += latency_s  # type: ignore[assignment] # seconds, not a count
        self._counts[route] += 1

    def text(self) -> str:
        """All of it, one line per series."""
        lines = [
            "# HELP cutover_requests_total Requests in the request log.",
            "# TYPE cutover_requests_total counter",
        ]
        for (route, method, status, client), n in sorted(self._requests.items()):
            labels = _labels(route=route, method=method, status=status, client=client, label=LABEL)
            lines.append(f"cutover_requests_total{labels} {n}")
        lines += [
            "# HELP cutover_request_errors_total Requests answered with a 5xx status.",
            "# TYPE cutover_request_errors_total counter",
        ]
        for client, n in sorted(self._errors.items()):
            lines.append(f"cutover_request_errors_total{_labels(client=client, label=LABEL)} {n}")
        return "\n".join([*lines, *self._histogram(), ""])

    def _histogram(self) -> list[str]:
        name = "cutover_request_duration_seconds"
        lines = [f"# HELP {name} Time to the last byte of the answer.", f"# TYPE {name} histogram"]
        for route in sorted(self._counts):
            for bound in BUCKETS_S:
                lines.append(
                    f"{name}_bucket{_labels(route=route, le=str(bound))} {self._buckets[route, bound]}"
                )
            lines.append(f"{name}_bucket{_labels(route=route, le='+Inf')} {self._counts[route]}")
            lines.append(f"{name}_sum{_labels(route=route)} {self._sums[route]!r}")
            lines.append(f"{name}_count{_labels(route=route)} {self._counts[route]}")
        return lines


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


class RequestLog:
    """ASGI middleware: one JSON line per answered request, then the count.

    A line holds ts, method, path, status, latency_ms, label and client; **never headers, the query or a body**.
    """

    def __init__(self, app: ASGIApp, path: Path, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def close(self) -> None:
        os.close(self._file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # nobody answered: the caller hung up
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last:
                # Before the last byte leaves: who has the answer finds it counted.
                self._write(scope, status, time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, watch)

    def _write(self, scope: Scope, status: int, latency_s: float) -> None:
        path = str(scope["path"])
        client = self._metrics.client(next((v for k, v in scope["headers"] if k == CLIENT_HEADER), None))
        line: dict[str, Any] = {
            "ts": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "method": str(scope["method"])[:16],
            "path": path[:200],
            "status": status,
            "latency_ms": round(latency_s * 1000, 3),
            "label": LABEL,
            "client": client,
        }
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._metrics.count(
            route=_route(path), method=line["method"], status=status, client=client, latency_s=latency_s
        )


def _route(path: str) -> str:
    if path in ("/", "/orders", "/readyz", "/metrics"):
        return path
    return "/orders/{id}" if re.fullmatch(r"/orders/\d+", path) else "other"
