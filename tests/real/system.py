"""The example of the guide, for real: a Prometheus behind HAProxy or nginx, and the project that gates it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_cutover.cli import main
from tests.lean import LEAN
from tests.real.servers import SEARCH_PATH, Server, fetch, free_port, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[2] / "examples/prometheus-haproxy"
PORTS = {"prometheus": 9090, "haproxy": 8080, "haproxy_metrics": 8404, "nginx": 8081}
"""The ports that stand in the example's files."""

COMMAND_LIMIT_S = 60


def write_example(folder: Path, ports: Mapping[str, int]) -> None:
    """A copy of the example with other ports."""
    shutil.copytree(
        EXAMPLE, folder, ignore=shutil.ignore_patterns("var", "data", "tmp", "__pycache__", "*.log")
    )
    for path in (p for p in folder.rglob("*") if p.is_file()):
        text = path.read_text()
        for name, number in PORTS.items():
            text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{ports[name]}")
        path.write_text(text)


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands in a file exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


class System:
    """The servers. Their files may be edited in `folder` before they are started."""

    def __init__(self, folder: Path, **ports: int) -> None:
        self.folder = folder
        self.ports = {name: ports.get(name) or free_port() for name in PORTS}
        self._servers: dict[str, Server] = {}
        write_example(folder, self.ports)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._servers.values()):
            server.stop()

    def __getitem__(self, name: str) -> Server:
        return self._servers[name]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> Self:
        """Start all three, and return when both proxies hand Prometheus' answers on."""
        self.start_prometheus()
        self.start_haproxy()
        # -g: one process in the foreground; everything else stands in the file.
        alone = "daemon off; master_process off;"
        self._run("nginx", [need("nginx"), "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", alone])
        self["nginx"].ready(lambda: fetch(f"{self.url('nginx')}/-/ready")[0] == 200)
        return self

    def start_prometheus(self) -> None:
        address = f"127.0.0.1:{self.ports['prometheus']}"
        argv = [need("prometheus"), "--config.file=prometheus.yml", f"--web.listen-address={address}"]
        self._run("prometheus", [*argv, "--storage.tsdb.path=data"])
        self["prometheus"].ready(lambda: fetch(f"{self.url('prometheus')}/-/ready")[0] == 200)

    def start_haproxy(self) -> None:
        self._run("haproxy", [need("haproxy"), "-db", "-f", "haproxy.cfg"])
        self["haproxy"].ready(lambda: fetch(f"{self.url('haproxy')}/-/ready")[0] == 200)

    def wait_for_scrapes(self, up: int = 2) -> None:
        """Return when Prometheus has scraped both targets, `up` of them well; the first scrape takes 5 s."""
        self["prometheus"].ready(lambda: self.value("count(up)") == 2 and self.value("sum(up)") == up)

    def value(self, promql: str) -> float | None:
        """The one value of an instant query, asked of Prometheus itself."""
        status, text = fetch(f"{self.url('prometheus')}/api/v1/query?query={promql}")
        if status != 200:
            return None
        series = json.loads(text)["data"]["result"]
        return float(series[0]["value"][1]) if len(series) == 1 else None

    def lose_backend(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill or freeze Prometheus, and wait until HAProxy has noticed."""
        self["prometheus"].signal(number)
        wait_until(lambda: fetch(f"{self.url('haproxy')}/-/ready")[0] == 503, "HAProxy notices")

    def _run(self, name: str, argv: list[str]) -> None:
        self._servers[name] = Server(argv, self.folder)


@dataclass(frozen=True)
class Keys:
    """Outside of any project: the policy's key, the key that signs decisions, and who trusts them."""

    policy: Path
    decision: Path
    trust: Path


def make_keys(folder: Path) -> Keys:
    """Two keys and a trust file, made by the commands that users have."""
    keys = Keys(folder / "policy.pem", folder / "decision.pem", folder / "trust.json")
    entries = []
    for path, role in ((keys.policy, "policy"), (keys.decision, "decision")):
        made = cutover(["keys", "new", str(path), "--name", f"{role} key", "--role", role,
                        "--environment", "staging", "--environment", "staging-nginx"], folder, {})  # fmt: skip
        assert made.returncode == 0, made.stderr
        entries.append(json.loads(made.stdout))
    keys.trust.write_text(json.dumps({"format": 1, "keys": entries}))
    return keys


def cutover(
    arguments: list[str], folder: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`cutover …` as a user's shell runs it."""
    return _command([sys.executable, "-m", "pytest_cutover", *arguments], folder, environ)


def _command(argv: list[str], folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "COV_"))}
    return subprocess.run(
        argv,
        cwd=folder,
        env={**kept, "PATH": SEARCH_PATH, **environ},
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


class Project:
    """A copy of the example's project that points at a system; its policy is signed by `sign`."""

    def __init__(self, folder: Path, system: System, keys: Keys) -> None:
        write_example(folder, system.ports)
        self.folder = folder
        self.keys = keys
        self.environ = {"CUTOVER_KEY": str(keys.decision), "CUTOVER_TRUST": str(keys.trust)}

    @property
    def policy(self) -> Path:
        return self.folder / "configs/policy.json"

    def change_policy(self, *where: str, to: Any) -> None:
        """Set one value of the policy, named by the keys that lead to it."""
        document = json.loads(self.policy.read_text())
        node = document
        for key in where[:-1]:
            node = node.setdefault(key, {})
        node[where[-1]] = to
        self.policy.write_text(json.dumps(document, indent=2))

    def sign(self, key: Path | None = None) -> None:
        """`cutover policy sign`, in this process: it is done before nearly every test."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main(["policy", "sign", str(self.policy), "--key", str(key or self.keys.policy)])
        assert code == 0, printed.getvalue()

    def run(self, environment: str = "staging", *, supervised: bool = True) -> Run:
        """A gate run, by `cutover run` or by pytest itself."""
        if supervised:
            ended = cutover(
                ["run", "preflight", "--env", environment, "--", *LEAN, "gates"], self.folder, self.environ
            )
        else:
            argv = [
                sys.executable,
                "-m",
                "pytest",
                *LEAN,
                "-m",
                "preflight",
                "--cutover-env",
                environment,
                "gates",
            ]
            ended = _command(argv, self.folder, self.environ)
        return Run(self, ended)

    def admit(
        self, file: str = "prometheus.yml", *more: str, environment: str = "staging", digest: str = ""
    ) -> int:
        """What `cutover admit` says of a file of the project: 0 admitted, 1 refused, 2 unusable."""
        digest = digest or hashlib.sha256((self.folder / file).read_bytes()).hexdigest()
        arguments = ["admit", "--digest", f"sha256:{digest}", "--environment", environment, *more]
        return cutover(arguments, self.folder, self.environ).returncode


class Run:
    """A finished gate run: its exit code, what it printed, and the reasons in its evidence."""

    def __init__(self, project: Project, ended: subprocess.CompletedProcess[str]) -> None:
        self.exit_code = ended.returncode
        self.output = ended.stdout + ended.stderr
        folders = sorted((project.folder / "var/cutover/runs").iterdir())
        self.folder = folders[-1]
        self.report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())

    @property
    def verdict(self) -> str:
        return str(self.report["decision"]["verdict"])

    @property
    def reasons(self) -> dict[str, str]:
        """Gate (or "run") to the reason code held against it; several are joined. Notes are left out."""
        found: dict[str, set[str]] = {}
        for finding in self.report["decision"]["findings"]:
            if finding["weight"] != "note":
                found.setdefault(finding.get("gate") or "run", set()).add(finding["code"])
        return {gate: " ".join(sorted(codes)) for gate, codes in found.items()}

    def message(self, gate: str) -> str:
        findings = self.report["decision"]["findings"]
        return " / ".join(f["message"] for f in findings if f.get("gate") == gate)
