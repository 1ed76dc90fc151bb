"""May this Prometheus take over? Asked through the proxy, the way its users come."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pytest_cutover.errors import SourceError

REQUESTS = 50
TIMEOUT_S = 3.0

pytestmark = pytest.mark.preflight


@pytest.mark.gate(
    "prometheus.ready", title="Prometheus is ready to answer", category="infrastructure", owner="sre"
)
def test_ready(gate, http):
    answer = http.get("/-/ready", timeout_s=TIMEOUT_S)

    gate.measure("http_status", answer.status_code, source=answer.url, observed_at=answer.observed_at)


@pytest.mark.gate(
    "prometheus.healthy", title="Prometheus says that it is healthy", category="infrastructure", owner="sre"
)
def test_healthy(gate, http):
    answer = http.get("/-/healthy", timeout_s=TIMEOUT_S)

    gate.measure("http_status", answer.status_code, source=answer.url, observed_at=answer.observed_at)


@pytest.mark.gate(
    "prometheus.config", title="promtool accepts the configuration", category="change", owner="observability"
)
def test_config(syntax_check):
    syntax_check("promtool", "check", "config", "prometheus.yml")


@pytest.mark.gate(
    "prometheus.rules", title="promtool accepts the alert rules", category="change", owner="observability"
)
def test_rules(syntax_check):
    syntax_check("promtool", "check", "rules", "rules.yml")


@pytest.mark.gate(
    "prometheus.figures", title="Its own figures are within limits", category="capacity", owner="sre"
)
def test_figures(gate, http):
    page = http.get("/metrics", timeout_s=TIMEOUT_S)
    read = {"source": page.url, "observed_at": page.observed_at}

    gate.measure("resident_memory", page.metric("process_resident_memory_bytes"), unit="B", **read)
    gate.measure("head_series", page.metric("prometheus_tsdb_head_series"), **read)
    gate.measure("reload_successful", page.metric("prometheus_config_last_reload_successful"), **read)


@pytest.mark.gate(
    "prometheus.targets", title="Every scrape target is up", category="observability", owner="observability"
)
def test_targets(gate, http):
    """`up` is as old as the oldest scrape it rests on, not as the query."""
    scraped_at = datetime.fromtimestamp(float(query(http, "min(timestamp(up))")), UTC)

    gate.measure("up", query(http, "sum(up)"), observed_at=scraped_at)


@pytest.mark.gate(
    "prometheus.latency", title="Queries succeed, and in time", category="performance", owner="sre"
)
def test_latency(gate, http):
    latencies = []
    good = 0
    for _ in range(REQUESTS):
        started = time.monotonic()
        answer = http.get("/api/v1/query?query=up", timeout_s=TIMEOUT_S)
        good += answer.status_code == 200 and answer.json()["status"] == "success"
        latencies.append(time.monotonic() - started)

    gate.measure("success_ratio", Decimal(good) / REQUESTS, samples=REQUESTS)
    gate.measure("p95", sorted(latencies)[math.ceil(0.95 * REQUESTS) - 1], unit="s", samples=REQUESTS)


def query(http, promql):
    """The one value of an instant query."""
    answer = http.get(f"/api/v1/query?query={promql}", timeout_s=TIMEOUT_S)
    if answer.status_code != 200:
        raise SourceError(f"expected an answer to {promql}, got HTTP {answer.status_code} from {answer.url}")
    series = answer.json()["data"]["result"]
    if len(series) != 1:
        raise SourceError(f"expected one value of {promql}, got {len(series)}")
    return Decimal(series[0]["value"][1])
