"""The shipped preflight gates: is the service ready, does it work, does its log agree, is the source finished?

They measure; the limits stand in configs/policy.json. `service.traffic` and `service.log` create orders.
"""

from __future__ import annotations

import math
import secrets
import time
from decimal import Decimal
from pathlib import Path

import pytest

import pytest_cutover
from pytest_cutover.errors import SourceError
from pytest_cutover.sources.tree import scan

REQUESTS = 200
LOGGED_REQUESTS = 100
TRAFFIC_LIMIT_S = 30.0
"""A service that hangs must not hold the run: what was not sent by then is missing from the samples."""

REQUEST_TIMEOUT_S = 2.0
GONE_AFTER = 3

CHECK_WORDS = {"ready": "pass", "degraded": "warn", "error": "fail"}

# Spelled in two parts so that this file does not find itself.
MARKERS = {
    "to-do": r"\bTO" r"DO\b",
    "todo!": r"\bto" r"do!",
    "unimplemented!": r"\bunimpl" r"emented!",
}

pytestmark = pytest.mark.preflight


@pytest.mark.gate(
    "service.ready",
    title="The service says that it is ready",
    category="infrastructure",
    owner="sre",
    remedy="docs/reference/readyz.md",
)
def test_service_ready(gate, readyz):
    reading = readyz("/readyz")

    gate.measure("status", reading.status, source=reading.url, observed_at=reading.observed_at)
    gate.measure("failing_checks", len(reading.failing), source=reading.url, observed_at=reading.observed_at)
    gate.measure("latency", reading.latency_s, unit="s", source=reading.url, observed_at=reading.observed_at)


@pytest.mark.gate(
    "service.checks",
    title="Each readiness check passes",
    category="infrastructure",
    owner="sre",
    remedy="docs/reference/readyz.md",
)
def test_service_checks(gate, readyz):
    """A check the service does not report stays unmeasured, and with that NO-GO."""
    reading = readyz("/readyz")

    for check in reading.checks:
        word = CHECK_WORDS.get(check.status, "unknown")
        gate.measure(check.name, word, source=reading.url, observed_at=reading.observed_at)


@pytest.mark.gate(
    "service.traffic",
    title="Real requests succeed, and in time",
    category="performance",
    owner="sre",
    remedy="docs/reference/readyz.md",
)
def test_service_traffic(gate, http):
    answers = send_orders(http, REQUESTS, client=f"traffic-{secrets.token_hex(4)}")

    succeeded = sum(good for good, _ in answers)
    latencies = [latency for _, latency in answers]
    gate.section("perf", perf(succeeded, latencies))
    gate.measure("success_ratio", Decimal(succeeded) / len(answers), samples=len(answers))
    gate.measure("p95", percentile(95, latencies), unit="s", samples=len(answers))


@pytest.mark.gate(
    "service.log",
    title="The request log shows what was sent, without errors",
    category="observability",
    owner="sre",
    remedy="docs/reference/readyz.md",
)
def test_service_log(gate, http):
    client = f"log-{secrets.token_hex(4)}"
    sent = len(send_orders(http, LOGGED_REQUESTS, client=client))

    metrics = http.get("/metrics")
    logged = sum(
        s.value for s in metrics.metrics("cutover_requests_total") if s.labels.get("client") == client
    )
    errors = metrics.metric("cutover_request_errors_total", client=client)
    gate.measure("requests", logged, source=metrics.url, observed_at=metrics.observed_at)
    gate.measure("errors", errors, source=metrics.url, observed_at=metrics.observed_at)
    assert logged == sent, f"{sent} requests were sent, the log shows {logged}"


@pytest.mark.gate(
    "tree.markers",
    title="No unfinished places in the source",
    category="quality",
    owner="dev",
    remedy="docs/reference/sources.md",
)
def test_tree_markers(gate):
    reading = scan(Path(pytest_cutover.__file__).parent, MARKERS)

    gate.measure("open_markers", reading.total, samples=reading.files, observed_at=reading.observed_at)
    for place in reading.places:
        gate.note(f"unfinished: {place}")


def send_orders(http, count, *, client):
    """Create and read back orders, one request after the other: (succeeded, latency in s) for each.

    An answer counts when its status and its content are right; no answer is a failure with the time it took.
    A service that answers no more at all is not measured: the gate is then unproven.
    """
    answers = []
    stored = None
    unanswered = 0
    until = time.monotonic() + TRAFFIC_LIMIT_S
    while len(answers) < count and time.monotonic() < until:
        started = time.monotonic()
        order = {"item": f"{client}-{len(answers)}", "quantity": 1 + len(answers)}
        try:
            if stored is None:
                reading = call(http, "/orders", client, method="POST", json=order)
            else:
                reading = call(http, f"/orders/{stored['id']}", client)
            unanswered = 0
        except SourceError:
            unanswered += 1
            if unanswered == GONE_AFTER:
                raise
            good, stored = False, None
        else:
            good, stored = judged(reading, order, stored)
        answers.append((good, time.monotonic() - started))
    return answers


def judged(reading, order, stored):
    """Whether an answer is right, and the order to read back next."""
    try:
        if stored is not None:
            return reading.status_code == 200 and reading.json() == stored, None
        stored = created(reading, order)
    except SourceError:
        return False, None
    return stored is not None, stored


def created(reading, order):
    """The stored order with its number, or None when the answer is anything else."""
    if reading.status_code != 201:
        return None
    document = reading.json()
    if not isinstance(document, dict) or type(document.get("id")) is not int:
        return None
    return document if document == {**order, "id": document["id"]} else None


def call(http, path, client, **request):
    return http.get(path, headers={"X-Cutover-Client": client}, timeout_s=REQUEST_TIMEOUT_S, **request)


def perf(succeeded, latencies):
    """The section of the evidence document: latencies in s."""
    return {
        "requests": len(latencies),
        "errors": len(latencies) - succeeded,
        **{f"p{n}": percentile(n, latencies) for n in (50, 95, 99)},
    }


def percentile(n, latencies):
    """By nearest rank: a latency that really occurred."""
    return sorted(latencies)[math.ceil(n / 100 * len(latencies)) - 1]
