"""Is the proxy in front of it sound? Each gate concerns the environments that name it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.preflight


@pytest.fixture
def haproxy(targets):
    """Where a plan requires an HAProxy gate, this skip is NO-GO; elsewhere it means: not concerned."""
    if "haproxy" not in targets:
        pytest.skip("this environment has no HAProxy")


@pytest.fixture
def nginx(targets):
    if "haproxy" in targets:
        pytest.skip("this environment has no nginx")


@pytest.mark.gate("haproxy.config", title="HAProxy accepts its configuration", category="change", owner="sre")
@pytest.mark.usefixtures("haproxy")
def test_haproxy_config(syntax_check):
    syntax_check("haproxy", "-c", "-f", "haproxy.cfg")


@pytest.mark.gate(
    "haproxy.backend",
    title="HAProxy sees Prometheus up",
    category="infrastructure",
    owner="sre",
)
@pytest.mark.usefixtures("haproxy")
def test_haproxy_backend(gate, http):
    page = http.get("/metrics", target="haproxy")
    read = {"source": page.url, "observed_at": page.observed_at}

    servers = page.metric("haproxy_backend_active_servers", proxy="prometheus")
    errors = page.metric("haproxy_backend_http_responses_total", proxy="prometheus", code="5xx")
    gate.measure("active_servers", servers, **read)
    gate.measure("answers_5xx", errors, information=True, **read)


@pytest.mark.gate("nginx.config", title="nginx accepts its configuration", category="change", owner="sre")
@pytest.mark.usefixtures("nginx")
def test_nginx_config(syntax_check):
    syntax_check("nginx", "-t", "-e", "stderr", "-p", ".", "-c", "nginx.conf")
