"""Private certificate authorities and proxies, as runs meet them: on real servers, in processes of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import Authority, Impostor, Proxy, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.projects import Project, Ran

GATES = """
import pytest

pytestmark = pytest.mark.preflight

@pytest.mark.gate("by.http")
def test_http(gate, http):
    gate.measure("http_status", http.get("/readyz").status_code)

@pytest.mark.gate("by.readyz")
def test_readyz(gate, readyz):
    gate.measure("status", readyz("/readyz").status)
"""
TOML = """
format = 1

[[gate]]
id = "by.toml"
phase = "preflight"
url = "/readyz"
measure.http_status = "status"
"""
LIMITS = {
    "by.http": {"http_status": {"equals": 200}},
    "by.readyz": {"status": {"equals": "ready"}},
    "by.toml": {"http_status": {"equals": 200}},
}
PAGE = Path(__file__).parents[2] / "docs/reference/environment.md"
(THROUGH_PROXY,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
"""The conftest that the documentation shows."""

RUNNERS = [("-m", "preflight", "gates"), ("run", "preflight", "--", "gates")]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path / "authority")


@pytest.fixture
def secure(authority: Authority) -> Iterator[Service]:
    with Service(authority.context()) as service:
        yield service


def gated(project: Project, target: str) -> Project:
    """The project, gating `target` in three ways."""
    sandbox = {"sandbox": True, "targets": {"app": target}}
    project.policy(list(LIMITS), LIMITS, environments={"sandbox": sandbox}).gates(GATES)
    project.write("gates/ready.toml", TOML)
    return project


def run(project: Project, arguments: tuple[str, ...], **environ: str) -> Ran:
    called = project.cutover if arguments[0] == "run" else project.pytest
    return called(*arguments, **{"no_proxy": "", "NO_PROXY": "", **environ})


@pytest.mark.parametrize("arguments", RUNNERS, ids=lambda a: "supervised" if a[0] == "run" else "in-process")
class TestPrivateAuthority:
    def test_what_nobody_vouches_for_is_unproven(
        self, empty: Project, secure: Service, arguments: tuple[str, ...]
    ) -> None:
        ran = run(gated(empty, f"https://{secure.address}"), arguments)

        assert ran.code == 11
        assert "SSL_CERT_FILE" in ran.out
        assert secure.asked == 0

    def test_ssl_cert_file_names_the_authority(
        self, empty: Project, secure: Service, authority: Authority, arguments: tuple[str, ...]
    ) -> None:
        ran = run(gated(empty, f"https://{secure.address}"), arguments, SSL_CERT_FILE=str(authority.ca))

        assert ran.code == 0, ran.text
        assert secure.asked == 3


@pytest.mark.parametrize("arguments", RUNNERS, ids=lambda a: "supervised" if a[0] == "run" else "in-process")
class TestProxy:
    def test_the_variables_alone_change_nothing(
        self, empty: Project, secure: Service, authority: Authority, arguments: tuple[str, ...]
    ) -> None:
        with Proxy() as proxy:
            variables = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"), proxy.url)
            project = gated(empty, f"https://{secure.address}")
            ran = run(project, arguments, SSL_CERT_FILE=str(authority.ca), **variables)

        assert ran.code == 0, ran.text
        assert proxy.seen == []

    def test_gates_ask_through_it_where_their_conftest_says_so(
        self, empty: Project, secure: Service, authority: Authority, arguments: tuple[str, ...]
    ) -> None:
        project = gated(empty, f"https://{secure.address}")
        project.write("gates/conftest.py", THROUGH_PROXY)
        with Proxy() as proxy:
            ran = run(project, arguments, SSL_CERT_FILE=str(authority.ca), https_proxy=proxy.url)

        assert ran.code == 0, ran.text
        assert set(proxy.seen) == {f"CONNECT {secure.address}"}
        assert secure.asked == 3

    def test_plain_http_is_forwarded(self, empty: Project, arguments: tuple[str, ...]) -> None:
        with Proxy() as proxy, Service() as service:
            project = gated(empty, f"http://{service.address}")
            project.write("gates/conftest.py", THROUGH_PROXY)
            ran = run(project, arguments, http_proxy=proxy.url)

        assert ran.code == 0, ran.text
        assert proxy.seen == [f"GET http://{service.address}/readyz"] * 3

    def test_no_proxy_is_left_out(self, empty: Project, arguments: tuple[str, ...]) -> None:
        with Proxy() as proxy, Service() as service:
            project = gated(empty, f"http://{service.address}")
            project.write("gates/conftest.py", THROUGH_PROXY)
            ran = run(project, arguments, http_proxy=proxy.url, no_proxy="localhost")

        assert ran.code == 0, ran.text
        assert (proxy.seen, service.asked) == ([], 3)

    def test_a_proxy_cannot_answer_for_a_target_behind_tls(
        self,
        empty: Project,
        secure: Service,
        authority: Authority,
        tmp_path: Path,
        arguments: tuple[str, ...],
    ) -> None:
        project = gated(empty, f"https://{secure.address}")
        project.write("gates/conftest.py", THROUGH_PROXY)
        with Impostor(Authority.made(tmp_path / "another")) as proxy:
            ran = run(project, arguments, SSL_CERT_FILE=str(authority.ca), https_proxy=proxy.url)

        assert ran.code == 11
        assert (proxy.forged, secure.asked) == (0, 0)

    def test_a_proxy_that_is_not_there_is_unproven(
        self, empty: Project, secure: Service, arguments: tuple[str, ...]
    ) -> None:
        project = gated(empty, f"https://{secure.address}")
        project.write("gates/conftest.py", THROUGH_PROXY)

        assert run(project, arguments, https_proxy="http://127.0.0.1:9").code == 11
        assert secure.asked == 0

    def test_its_password_is_nowhere(
        self, empty: Project, secure: Service, authority: Authority, arguments: tuple[str, ...]
    ) -> None:
        project = gated(empty, f"https://{secure.address}")
        project.write("gates/conftest.py", THROUGH_PROXY)
        with Proxy() as proxy:
            address = proxy.url.replace("//", "//ada:hunter2hunter2@")
            good = run(project, arguments, SSL_CERT_FILE=str(authority.ca), https_proxy=address)
        gone = run(project, arguments, https_proxy="http://ada:hunter2hunter2@127.0.0.1:9")

        assert (good.code, gone.code) == (0, 11)
        written = b"".join(p.read_bytes() for r in project.runs() for p in r.rglob("*") if p.is_file())
        assert "hunter2" not in good.text + gone.text
        assert b"hunter2" not in written


class TestCommands:
    def test_see_no_proxy_and_no_authority_unless_they_are_named(self, empty: Project) -> None:
        seen = """
            format = 1
            phase = "preflight"
            [[gate]]
            id = "plain"
            shell = "echo ${https_proxy:-none} ${SSL_CERT_FILE:-none}"
            measure.said = "stdout"
            [[gate]]
            id = "named"
            shell = "echo ${https_proxy:-none} ${SSL_CERT_FILE:-none}"
            env_from = ["https_proxy", "SSL_CERT_FILE"]
            measure.said = "stdout"
        """
        limits = {"plain": {"said": {"equals": "none none"}}, "named": {"said": {"equals": "http://p:1 /ca"}}}
        empty.policy(list(limits), limits).write("gates/seen.toml", seen)

        ran = empty.pytest("-m", "preflight", "gates", https_proxy="http://p:1", SSL_CERT_FILE="/ca")

        assert ran.code == 0, ran.text
