"""The engine gates a system it knows nothing of: Prometheus behind HAProxy, and behind nginx.

Whole, it is GO and admitted; then one thing at a time is broken, and each is NO-GO for its own reason.
"""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.real.servers import fetch, need, wait_until
from tests.real.system import Project, System, cutover, edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.real.system import Keys

PROXIED = ("prometheus.ready", "prometheus.healthy", "prometheus.figures", "prometheus.targets",
           "prometheus.latency")  # fmt: skip
"""The gates that ask Prometheus through its proxy."""

UNREACHABLE = dict.fromkeys(PROXIED, "gate.error")
BAD_GATEWAY = {
    "prometheus.ready": "limit.broken",
    "prometheus.healthy": "limit.broken",
    "prometheus.figures": "gate.error",
    "prometheus.targets": "gate.error",
    "prometheus.latency": "limit.broken",
}


class TestWhole:
    @pytest.mark.parametrize("supervised", [True, False], ids=["cutover run", "pytest -m"])
    @pytest.mark.parametrize("environment", ["staging", "staging-nginx"])
    def test_is_go_and_admitted(self, project: Project, environment: str, supervised: bool) -> None:
        project.sign()

        run = project.run(environment, supervised=supervised)

        assert (run.exit_code, run.verdict) == (0, "GO"), run.output
        assert project.admit(environment=environment) == 0
        assert project.admit("rules.yml", environment=environment) == 0
        verified = cutover(["verify", str(run.folder)], project.folder, project.environ)
        assert verified.returncode == 0, verified.stdout

    def test_measured_what_the_servers_say(self, project: Project, whole_system: System) -> None:
        """The figures in the evidence are Prometheus' own."""
        project.sign()
        before = head_series(whole_system)

        run = project.run()

        measured = {
            (g["gate"], m["name"]): m for g in run.report["decision"]["gates"] for m in g["measurements"]
        }
        assert measured["prometheus.targets", "up"]["measured"] == "2"
        assert measured["haproxy.backend", "active_servers"]["measured"] == "1"
        series = float(measured["prometheus.figures", "head_series"]["measured"])
        assert before <= series <= head_series(whole_system)


def head_series(system: System) -> float:
    _, page = fetch(f"{system.url('prometheus')}/metrics")
    found = re.search(r"^prometheus_tsdb_head_series (\S+)$", page, re.MULTILINE)
    assert found is not None
    return float(found[1])


class Broken(NamedTuple):
    """How a project is broken before its policy is signed, and what must come of it."""

    how: Callable[[Project], object]
    exit_code: int
    reasons: dict[str, str]
    says: str


def write(file: str, old: str, new: str) -> Callable[[Project], object]:
    return lambda project: edit(project.folder / file, old, new)


def limit(gate: str, measurement: str, **entry: object) -> Callable[[Project], object]:
    return lambda project: project.change_policy("limits", gate, measurement, to=entry)


def without_promtool(project: Project) -> None:
    programs = project.folder.parent / "bin"
    programs.mkdir()
    for name in ("haproxy", "sh"):
        (programs / name).symlink_to(need(name))
    project.environ["PATH"] = str(programs)


PROJECTS = {
    "prometheus.yml is wrong": Broken(
        write("prometheus.yml", "scrape_interval: 1s", "scrape_interval: soon"),
        10, {"prometheus.config": "limit.broken"}, "exit_code = 1, limit equals 0",
    ),
    "a rule is wrong": Broken(
        write("rules.yml", "up == 0", "up =="),
        10, {"prometheus.rules": "limit.broken", "prometheus.config": "limit.broken"}, "exit_code = 1",
    ),
    "haproxy.cfg is wrong": Broken(
        write("haproxy.cfg", "mode http", "mode htp"),
        10, {"haproxy.config": "limit.broken"}, "exit_code = 1",
    ),
    "a figure is over its limit": Broken(
        limit("prometheus.figures", "resident_memory", at_most=1_000_000, unit="B"),
        10, {"prometheus.figures": "limit.broken"}, "limit at most 1000000",
    ),
    "too few samples": Broken(
        limit("prometheus.latency", "p95", at_most=0.25, unit="s", min_samples=1000),
        11, {"prometheus.latency": "measurement.samples-low"}, "p95 rests on 50 samples",
    ),
    "the limit has another unit": Broken(
        limit("prometheus.figures", "resident_memory", at_most=500_000_000, unit="MB"),
        11, {"prometheus.figures": "measurement.unit"}, "measured in 'B', its limit is in 'MB'",
    ),
    "promtool is missing": Broken(
        without_promtool,
        11, {"prometheus.config": "gate.error", "prometheus.rules": "gate.error"}, "no command 'promtool'",
    ),
    "a metric has another name": Broken(
        write("gates/test_prometheus.py", "prometheus_tsdb_head_series", "prometheus_head_series"),
        11, {"prometheus.figures": "gate.error"}, "found none",
    ),
    "the gate of a target was deleted": Broken(
        lambda project: (project.folder / "gates/test_proxy.py").unlink(),
        11, {"haproxy.config": "gate.not-collected", "haproxy.backend": "gate.not-collected"}, "",
    ),
    "a required gate skips itself": Broken(
        lambda project: project.change_policy("environments", "staging", "plans", "preflight", "requires",
                                              to=["prometheus.ready", "nginx.config"]),
        11, {"nginx.config": "gate.skipped"}, "this environment has no nginx",
    ),
    "there is no subject": Broken(
        lambda project: project.change_policy("environments", "staging", "subjects", to=[]),
        11, {"run": "subject.missing"}, "",
    ),
    "the key is this machine's own": Broken(
        lambda project: project.environ.pop("CUTOVER_KEY"),
        11, {"run": "key.development"}, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_a_broken_project_is_no_go(name: str, project: Project) -> None:
    broken = PROJECTS[name]
    broken.how(project)
    project.sign()

    run = project.run()

    assert (run.exit_code, run.reasons) == (broken.exit_code, broken.reasons), run.output
    assert any(broken.says in run.message(gate) for gate in broken.reasons) or not broken.says
    assert project.admit() == 1


class TestPolicy:
    def test_changed_after_signing(self, project: Project) -> None:
        project.sign()
        limit("prometheus.figures", "head_series", at_least=0)(project)

        run = project.run()

        assert (run.exit_code, run.reasons) == (11, {"run": "policy.untrusted"}), run.output
        assert project.admit() == 1

    def test_not_signed(self, project: Project) -> None:
        run = project.run()

        assert (run.exit_code, run.reasons) == (11, {"run": "policy.unsigned"}), run.output

    def test_signed_by_a_key_that_may_not(self, project: Project) -> None:
        """The key that signs decisions is trusted, and not with policies."""
        project.sign(project.keys.decision)

        run = project.run()

        assert (run.exit_code, run.reasons) == (11, {"run": "policy.untrusted"}), run.output

    def test_demands_a_supervised_run(self, project: Project) -> None:
        project.change_policy("environments", "staging", "settings", to={"runner": "supervised"})
        project.sign()

        alone, supervised = project.run(supervised=False), project.run()

        assert (alone.exit_code, alone.reasons) == (11, {"run": "run.runner"}), alone.output
        assert supervised.exit_code == 0, supervised.output

    def test_pins_the_gate_code(self, project: Project) -> None:
        """One byte in a gate, and the run is unproven until somebody signs for it."""
        project.sign()
        digest = project.run().report["run"]["gate_code_digest"].removeprefix("sha256:")
        project.change_policy(
            "defaults", "gate_code", to={"paths": ["gates", "conftest.py"], "sha256": digest}
        )
        project.sign()

        pinned = project.run()
        edit(project.folder / "gates/test_prometheus.py", "REQUESTS = 50", "REQUESTS = 51")
        changed = project.run()

        assert pinned.exit_code == 0, pinned.output
        assert (changed.exit_code, changed.reasons) == (11, {"run": "gate.code-changed"}), changed.output


class TestAdmit:
    @pytest.fixture
    def released(self, project: Project) -> Project:
        """A project with a GO."""
        project.sign()
        assert project.run().exit_code == 0
        return project

    def test_only_what_was_judged_and_where_and_as_long(self, released: Project, keys: Keys) -> None:
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1801))

        assert released.admit() == 0
        assert released.admit(digest="0" * 64) == 1
        assert released.admit(environment="staging-nginx") == 1
        assert released.admit(environment="production") == 1
        assert released.admit("prometheus.yml", "--at", later) == 1
        assert released.admit("prometheus.yml", "--policy-digest", f"sha256:{'0' * 64}") == 1

    def test_not_what_was_changed_afterwards(self, released: Project) -> None:
        edit(released.folder / "prometheus.yml", "scrape_interval: 1s", "scrape_interval: 2s")

        assert released.admit("prometheus.yml") == 1
        assert released.admit("rules.yml") == 0

    def test_not_for_who_trusts_other_keys(self, released: Project, tmp_path: Path) -> None:
        made = cutover(["keys", "new", "other.pem", "--role", "decision"], tmp_path, {})
        (tmp_path / "trust.json").write_text(f'{{"format": 1, "keys": [{made.stdout}]}}')

        assert released.admit("prometheus.yml", "--trust", str(tmp_path / "trust.json")) == 1

    def test_not_after_a_newer_no_go(self, released: Project) -> None:
        """A later NO-GO takes the GO back, though that has not expired."""
        released.environ["PATH"] = str(released.folder)
        assert released.run().exit_code == 11

        assert released.admit() == 1


class TestServersBroken:
    """Each with a system of its own; `staging` asks through HAProxy, `staging-nginx` through nginx."""

    def test_backend_down_behind_haproxy(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        """HAProxy answers 503 for it: that is measured, and red."""
        project = project_of(own_system.start())
        project.sign()
        own_system.lose_backend()

        run = project.run()

        reasons = {**BAD_GATEWAY, "haproxy.backend": "limit.broken"}
        assert (run.exit_code, run.reasons) == (10, reasons), run.output
        assert "http_status = 503" in run.message("prometheus.ready")
        assert "active_servers = 0" in run.message("haproxy.backend")
        assert project.admit() == 1

    def test_backend_frozen_behind_haproxy(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        """It still accepts connections; HAProxy's own check tells."""
        project = project_of(own_system.start())
        project.sign()
        own_system.lose_backend(signal.SIGSTOP)

        run = project.run()

        assert run.exit_code == 10, run.output
        assert run.reasons == {**BAD_GATEWAY, "haproxy.backend": "limit.broken"}

    def test_haproxy_stopped(self, own_system: System, project_of: Callable[[System], Project]) -> None:
        """Nothing was measured at all: unproven, not red."""
        project = project_of(own_system.start())
        project.sign()
        own_system["haproxy"].stop()

        run = project.run()

        assert (run.exit_code, run.reasons) == (11, {**UNREACHABLE, "haproxy.backend": "gate.error"}), (
            run.output
        )
        assert "Connection refused" in run.message("prometheus.ready")

    def test_backend_killed_behind_nginx(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        project = project_of(own_system.start())
        project.sign()
        own_system["prometheus"].signal(signal.SIGKILL)
        wait_until(lambda: fetch(f"{own_system.url('nginx')}/-/ready")[0] == 502, "nginx notices")

        run = project.run("staging-nginx")

        assert (run.exit_code, run.reasons) == (10, BAD_GATEWAY), run.output
        assert "http_status = 502" in run.message("prometheus.ready")
        assert project.admit(environment="staging-nginx") == 1

    def test_backend_frozen_behind_nginx(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        """nginx checks nothing by itself: the gates time out."""
        project = project_of(own_system.start())
        edit(project.folder / "gates/test_prometheus.py", "TIMEOUT_S = 3.0", "TIMEOUT_S = 0.5")
        project.sign()
        own_system["prometheus"].signal(signal.SIGSTOP)

        run = project.run("staging-nginx")

        assert (run.exit_code, run.reasons) == (11, UNREACHABLE), run.output
        assert "no complete answer within 0.5 s" in run.message("prometheus.ready")

    def test_killed_and_asked_directly(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        """With no proxy in between there is no answer at all."""
        project = project_of(own_system.start())
        project.change_policy(
            "environments", "staging-nginx", "targets", "app", to=own_system.url("prometheus")
        )
        project.sign()
        own_system["prometheus"].signal(signal.SIGKILL)
        wait_until(lambda: fetch(own_system.url("prometheus"))[0] == 0, "Prometheus is gone")

        run = project.run("staging-nginx", supervised=False)

        assert (run.exit_code, run.reasons) == (11, UNREACHABLE), run.output

    def test_a_scrape_target_is_down(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        dead = f"127.0.0.1:{own_system.ports['nginx'] + 1}"
        edit(
            own_system.folder / "prometheus.yml",
            f"127.0.0.1:{own_system.ports['haproxy_metrics']}",
            dead,
        )
        project = project_of(own_system.start())
        project.sign()
        own_system.wait_for_scrapes(up=1)

        run = project.run()

        assert (run.exit_code, run.reasons) == (10, {"prometheus.targets": "limit.broken"}), run.output
        assert "up = 1, limit at least 2" in run.message("prometheus.targets")

    def test_restarted_and_not_scraped_since(
        self, own_system: System, project_of: Callable[[System], Project]
    ) -> None:
        """Prometheus says that all is up, by scrapes from before its restart."""
        project = project_of(own_system.start())
        limit("prometheus.targets", "up", at_least=2, max_age_s=1)(project)
        project.sign()
        own_system.wait_for_scrapes()
        own_system["prometheus"].stop()
        edit(own_system.folder / "prometheus.yml", "scrape_interval: 1s", "scrape_interval: 1h")
        own_system.start_prometheus()
        wait_until(lambda: (own_system.value("time()-max(timestamp(up))") or 0) > 1, "the scrapes age")
        wait_until(lambda: fetch(f"{own_system.url('haproxy')}/-/ready")[0] == 200, "HAProxy notices")

        run = project.run()

        assert (run.exit_code, run.reasons) == (11, {"prometheus.targets": "measurement.stale"}), run.output
        assert "at most 1 s are allowed" in run.message("prometheus.targets")


class TestProxyBroken:
    """Another HAProxy before the same Prometheus, and wrong in its own way."""

    @pytest.fixture
    def own_proxy(self, tmp_path: Path, whole_system: System) -> Iterator[System]:
        with System(tmp_path / "proxy", prometheus=whole_system.ports["prometheus"]) as system:
            yield system

    @pytest.mark.parametrize("supervised", [True, False], ids=["cutover run", "pytest -m"])
    def test_a_page_stands_before_the_metrics(
        self, own_proxy: System, project_of: Callable[[System], Project], supervised: bool
    ) -> None:
        """200 and HTML, as from a sign-in page: no figure, whatever its status."""
        web_rule(
            own_proxy,
            'return status 200 content-type text/html string "<h1>Sign in</h1>" if { path /metrics }',
        )
        own_proxy.start_haproxy()
        project = project_of(own_proxy)
        project.sign()

        run = project.run(supervised=supervised)

        assert (run.exit_code, run.reasons) == (11, {"prometheus.figures": "gate.error"}), run.output
        assert "expected a Prometheus exposition" in run.message("prometheus.figures")

    def test_some_queries_fail(self, own_proxy: System, project_of: Callable[[System], Project]) -> None:
        web_rule(own_proxy, "deny deny_status 500 if { url_param(query) up } { rand(3) eq 0 }")
        own_proxy.start_haproxy()
        project = project_of(own_proxy)
        project.sign()

        run = project.run()

        assert (run.exit_code, run.reasons) == (10, {"prometheus.latency": "limit.broken"}), run.output
        assert "success_ratio = 0." in run.message("prometheus.latency")


def web_rule(system: System, rule: str) -> None:
    """Have HAProxy's web frontend apply a rule to requests."""
    there = "    default_backend prometheus"
    edit(system.folder / "haproxy.cfg", there, f"    http-request {rule}\n{there}")
