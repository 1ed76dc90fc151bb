"""examples/ten-checks on real servers: green as it stands, and red for the right reason when one thing is broken."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.plugin.projects import Project
from tests.real.servers import SEARCH_PATH, Server, fetch, free_port, need
from tests.real.system import edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Change = Callable[["Shop"], Any]
    Findings = set[tuple[str, str]]

EXAMPLE = Path(__file__).parents[2] / "examples/ten-checks"
PLANS = tuple(sorted(path.stem for path in (EXAMPLE / "gates").glob("*.toml")))
LEFT_OUT = ("key.missing", "limit.unmeasured")
"""Nobody signs here; and what an error left without a value."""

READY = {"status": "ready", "checks": {"database": "ok", "queue": "ok"}}


@dataclass
class Shop:
    """The example as a project of its own, and the servers that it asks."""

    project: Project
    web: Path
    port: int

    @property
    def folder(self) -> Path:
        return self.project.folder

    def run(self, plan: str, **environ: str) -> tuple[int, Findings]:
        """Exit code, and reason and gate of what is held against it."""
        ran = self.project.pytest("--cutover-plan", plan, f"gates/{plan}.toml", **environ)
        findings = ran.report()["decision"]["findings"]
        left_out = (
            "key.missing",
            "limit.unmeasured",
        )  # nobody signs here; what an error left without a value
        return ran.code, {(f["code"], f["gate"]) for f in findings if f["code"] not in left_out}

    def edit(self, name: str, old: str, new: str) -> None:
        edit(self.folder / name, old, new)
        self.commit()

    def commit(self) -> None:
        who = ("-c", "user.name=you", "-c", "user.email=you@example.org")
        for arguments in (("add", "."), ("commit", "-qm", "x"), ("tag", "-f", "v1.4")):
            subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def serve(self, name: str, document: object) -> None:
        (self.web / name).write_text(document if isinstance(document, str) else json.dumps(document))


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Copied, committed and tagged; the service that serves two documents is up."""
    need("git")
    web, port = tmp_path / "web", free_port()
    web.mkdir()
    folder = tmp_path / "shop"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("var", "__pycache__", "*.db"))
    edit(folder / "configs/policy.json", "127.0.0.1:8000", f"127.0.0.1:{port}")
    made = Shop(Project(folder, {"PATH": f"{Path(sys.executable).parent}:{SEARCH_PATH}"}), web, port)
    made.serve("readyz", READY)
    shutil.copy(folder / "contracts/openapi.json", web)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    made.commit()
    listen = [str(port), "--bind", "127.0.0.1", "--directory", str(web)]
    server = Server([sys.executable, "-m", "http.server", *listen], tmp_path)
    try:
        server.ready(lambda: fetch(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        yield made
    finally:
        server.stop()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that may use 100 MB."""
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "maxmemory": "100mb"}
    argv = [need("redis-server"), *(text for n, v in options.items() for text in (f"--{n}", str(v)))]
    server = Server(argv, tmp_path_factory.mktemp("redis"))
    try:
        server.ready(lambda: _accepts(port))
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL, which never runs as root."""
    need("psql")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    path = os.pathsep.join([*map(str, programs), SEARCH_PATH])
    initdb, postgres = (shutil.which(name, path=path) or need(name) for name in ("initdb", "postgres"))
    guard: list[str] = []
    # Not below pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="cutover-postgres-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        guard = [need("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = folder / "data", free_port()
    try:
        make = [*guard, initdb, "-D", str(data), "-U", "shop", "-A", "trust", "--no-sync"]
        subprocess.run(make, cwd="/", check=True, stdout=subprocess.DEVNULL)
        options = [
            "-p",
            str(port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={folder}",
        ]
        server = Server([*guard, postgres, "-D", str(data), "-c", "fsync=off", *options], folder)
        try:
            server.ready(lambda: _accepts(port) and _query(f"postgresql://shop@127.0.0.1:{port}/postgres", "SELECT 1") == "1")  # fmt: skip
            yield f"postgresql://shop@127.0.0.1:{port}/postgres"
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _query(database: str, query: str) -> str:
    argv = [need("psql"), "--no-psqlrc", "-At", database, "-c", query]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def tls(folder: Path, days: float) -> Iterator[dict[str, str]]:
    """A server whose certificate is its own authority, and the variables that name it."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName("shop.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + timedelta(days=days, minutes=5))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, secret))
    port = free_port()
    files = ["-cert", str(folder / "certificate.pem"), "-key", str(folder / "key.pem")]
    server = Server([need("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", *files], folder)
    try:
        server.ready(partial(_accepts, port))
        yield {
            "TLS_ADDRESS": f"127.0.0.1:{port}",
            "TLS_NAME": "shop.example",
            "TLS_CA": str(folder / "certificate.pem"),
        }
    finally:
        server.stop()


def test_the_whole_plan_is_go(shop: Shop, redis: str, database: str, tmp_path: Path) -> None:
    need("promtool")
    with tls(tmp_path / "tls", days=60) as addresses:
        ran = shop.project.cutover("run", "preflight", "--", "-n", "2", DATABASE_URL=database, REDIS_URL=redis, **addresses)  # fmt: skip

    assert ran.code == 0, ran.text
    measured = {
        (g["gate"], m["name"]): m for g in ran.report()["decision"]["gates"] for m in g["measurements"]
    }
    assert measured["tls.days_left", "days"]["measured"] == "60"
    assert measured["prometheus.rules", "rules"]["measured"] == "2"
    assert measured["migration.sqlite", "pending"]["measured"] == "1"
    samples = {m["name"]: m.get("samples") for e in ran.events("gate.finished") for m in e["measurements"]}
    assert (samples["breaking"], samples["vulnerable"], samples["ratio"]) == (2, 2, 300)
    assert _query(database, "SELECT to_regclass('orders') IS NULL") == "t"  # a dry run leaves nothing
    assert not (shop.folder / "shop.db").exists()


def test_each_gate_is_seen_red(shop: Shop, redis: str, database: str, tmp_path: Path) -> None:
    need("promtool")
    with tls(tmp_path / "tls", days=60) as addresses:
        ran = shop.project.cutover("prove-red", "preflight", "--json", DATABASE_URL=database, REDIS_URL=redis, **addresses)  # fmt: skip

    found = json.loads(ran.out)["gates"]
    assert [p for p in found if p["state"] != "red" or p.get("injected") is None] == []
    assert len(found) == 19
    assert ran.code == 0


def test_every_file_has_its_plan_and_its_line_in_the_table() -> None:
    policy = json.loads((EXAMPLE / "configs/policy.json").read_text())
    readme = (EXAMPLE / "README.md").read_text()

    assert len(PLANS) == 10
    assert set(policy["plans"]) == {*PLANS, "preflight"}
    assert {gate for plan in PLANS for gate in policy["plans"][plan]["requires"]} == set(policy["plans"]["preflight"]["requires"])  # fmt: skip
    assert all(f"| [{plan}](gates/{plan}.toml) |" in readme for plan in PLANS)


def limit(old: str, new: str) -> Change:
    return lambda shop: shop.edit("configs/policy.json", old, new)


def served(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(shop: Shop) -> None:
        document = json.loads((EXAMPLE / "contracts/openapi.json").read_text())
        change(document["paths"])
        shop.serve("openapi.json", document)

    return apply


def changed(name: str, old: str, new: str) -> Change:
    return lambda shop: shop.edit(name, old, new)


def written(name: str, text: str) -> Change:
    return lambda shop: ((shop.folder / name).write_text(text), shop.commit())


def removed(name: str) -> Change:
    return lambda shop: ((shop.folder / name).unlink(), shop.commit())


def says(document: object) -> Change:
    return lambda shop: shop.serve("readyz", document)


def whole(_: Shop) -> None:
    """Nothing is changed."""


RED, ERROR = "limit.broken", "gate.error"
SERVICE, CONNECTED = "readiness.service", "readiness.database"
ORDERS = "/orders"

LOCAL: dict[str, tuple[str, Change, int, Findings]] = {
    "ready": ("readiness", whole, 0, set()),
    "degraded": ("readiness", says({"status": "degraded", "checks": {"database": "warn"}}), 10, {(RED, SERVICE), (RED, CONNECTED)}),
    "another word": ("readiness", says({**READY, "status": "fine"}), 10, {(RED, SERVICE)}),
    "no such check": ("readiness", says({"status": "ready"}), 11, {(ERROR, CONNECTED)}),
    "a page instead": ("readiness", says("<html>ready</html>"), 10, {(RED, SERVICE), (ERROR, CONNECTED)}),
    "room": ("host", whole, 0, set()),
    "no room": ("host", limit('"at_least": 100,', '"at_least": 1000000000,'), 10, {(RED, "host.disk")}),
    "no inodes": ("host", limit('{"at_least": 1000}', '{"at_least": 100000000000000}'), 10, {(RED, "host.inodes")}),
    "clean": ("git", whole, 0, set()),
    "dirty": ("git", lambda shop: (shop.folder / "new.txt").write_text(""), 10, {(RED, "git.clean")}),
    "untagged": ("git", lambda shop: subprocess.run(["git", "tag", "-d", "v1.4"], cwd=shop.folder, check=True), 10, {(RED, "git.tagged")}),
    "open": ("git", changed("src/shop.py", "PRICE = 3", "PRICE = 3  # FIXME"), 10, {(RED, "git.open")}),
    "no repository": ("git", lambda shop: shutil.rmtree(shop.folder / ".git"), 10, {(ERROR, "git.clean"), (RED, "git.tagged")}),
    "audited": ("dependencies", whole, 0, set()),
    "vulnerable": ("dependencies", changed("requirements.txt", "urllib3==2.0.7", "urllib3==2.0.6"), 10, {(RED, "dependencies.audit")}),
    "unpinned": ("dependencies", changed("requirements.txt", "urllib3==2.0.7", "urllib3"), 10, {(RED, "dependencies.audit")}),
    "nothing known": ("dependencies", written("advisories/advisories.json", "[]"), 10, {(RED, "dependencies.audit")}),
    "nothing to audit": ("dependencies", written("requirements.txt", ""), 11, {("measurement.samples-low", "dependencies.audit")}),
    "advisories cut off": ("dependencies", written("advisories/advisories.json", "["), 11, {(ERROR, "dependencies.audit")}),
    "fast": ("benchmark", whole, 0, set()),
    "slower": ("benchmark", written("scripts/baseline.json", '{"median_us": 1}'), 10, {(RED, "benchmark.price")}),
    "no baseline": ("benchmark", removed("scripts/baseline.json"), 11, {(ERROR, "benchmark.price")}),
    "compatible": ("contract", served(lambda paths: paths.update({"/items": {"get": {"responses": {}}}})), 0, set()),
    "path gone": ("contract", served(lambda paths: paths.pop(ORDERS)), 10, {(RED, "contract.openapi")}),
    "answer gone": ("contract", served(lambda paths: paths[ORDERS]["post"]["responses"].pop("422")), 10, {(RED, "contract.openapi")}),
    "parameter needed": ("contract", served(lambda paths: paths[ORDERS]["post"].update(parameters=[{"name": "x", "required": True}])), 10, {(RED, "contract.openapi")}),
    "no document": ("contract", lambda shop: (shop.web / "openapi.json").unlink(), 11, {(ERROR, "contract.openapi")}),
}  # fmt: skip


ALONE = tuple(dict.fromkeys(plan for plan, *_ in LOCAL.values()))
"""The plans that need no server beside the service, which is always up."""

CASES = {plan: [name for name, case in LOCAL.items() if case[0] == plan] for plan in ALONE}


@pytest.mark.parametrize("turn", range(max(map(len, CASES.values()))))
def test_each_is_red_for_its_own_reason(shop: Shop, turn: int) -> None:
    """In each turn every plan has its next case; all are run together, and none disturbs another."""
    cases = [LOCAL[names[turn]] for names in CASES.values() if turn < len(names)]
    for _, change, *_ in sorted(cases, key=lambda case: case[0] == "git"):  # what is committed comes first
        change(shop)

    ran = shop.project.pytest("-m", "preflight", *(f"gates/{plan}.toml" for plan, *_ in cases))

    found = [f for f in ran.report()["decision"]["findings"] if f["code"] != "gate.not-collected"]
    told = {(f["code"], f["gate"]) for f in found if f["code"] not in LEFT_OUT}
    assert told == {finding for *_, findings in cases for finding in findings}
    codes = {exit_code for _, _, exit_code, _ in cases}
    assert ran.code == (10 if 10 in codes else 11)  # the plans that were not asked for are not proven


class TestPrometheus:
    @pytest.mark.parametrize(
        ("old", "new", "exit_code", "findings"),
        [
            ("groups:", "groups:", 0, set()),
            ("> 0.02", "> 0.2", 10, {(RED, "prometheus.tests")}),
            ("for: 5m", "for: 5 minutes", 10, {(RED, "prometheus.rules"), (ERROR, "prometheus.rules"), (RED, "prometheus.tests")}),
        ],
        ids=["good", "an alert that does not fire", "a rule that cannot be loaded"],
    )  # fmt: skip
    def test_rules(self, shop: Shop, old: str, new: str, exit_code: int, findings: Findings) -> None:
        need("promtool")
        edit(shop.folder / "prometheus/rules.yml", old, new)

        assert shop.run("prometheus") == (exit_code, findings)


class TestMigration:
    def test_green(self, shop: Shop, database: str) -> None:
        assert shop.run("migration", DATABASE_URL=database) == (0, set())

    def test_a_statement_that_one_of_them_does_not_know(self, shop: Shop, database: str) -> None:
        edit(shop.folder / "migrations/sqlite/001_orders.sql", "CREATE INDEX", "CREATE INDX")
        edit(shop.folder / "migrations/postgresql/001_orders.sql", "item text", "item txt")

        code, findings = shop.run("migration", DATABASE_URL=database)

        assert (code, findings) == (
            10,
            {(RED, "migration.sqlite"), (ERROR, "migration.sqlite"), (RED, "migration.postgresql")},
        )

    def test_a_table_that_is_locked_is_not_waited_for(self, shop: Shop, database: str) -> None:
        (shop.folder / "migrations/postgresql/002.sql").write_text(
            "ALTER TABLE stock ADD COLUMN note text;\n"
        )
        _query(database, "CREATE TABLE stock (id int)")
        hold = [need("psql"), "--no-psqlrc", database, "-c", "BEGIN; LOCK TABLE stock; SELECT pg_sleep(30)"]
        with subprocess.Popen(hold, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holder:
            locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'stock'::regclass"
            while _query(database, locked) != "1":
                assert holder.poll() is None
            try:
                assert shop.run("migration", DATABASE_URL=database) == (10, {(RED, "migration.postgresql")})
            finally:
                _query(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND pid <> pg_backend_pid()")  # fmt: skip
                holder.kill()
        _query(database, "DROP TABLE stock")

    def test_no_database(self, shop: Shop) -> None:
        need("psql")
        code, findings = shop.run("migration", DATABASE_URL=f"postgresql://shop@127.0.0.1:{free_port()}/x")

        assert code == 10
        assert findings == {(RED, "migration.postgresql"), (ERROR, "migration.connections")}

    def test_no_address(self, shop: Shop) -> None:
        assert shop.run("migration") == (
            11,
            {(ERROR, "migration.postgresql"), (ERROR, "migration.connections")},
        )


class TestRedis:
    def test_green(self, shop: Shop, redis: str) -> None:
        assert shop.run("redis", REDIS_URL=redis) == (0, set())

    def test_without_a_bound_on_its_memory(self, shop: Shop, redis: str) -> None:
        set_memory = [need("redis-cli"), "-u", redis, "config", "set", "maxmemory"]
        subprocess.run([*set_memory, "0"], check=True, stdout=subprocess.DEVNULL)
        try:
            assert shop.run("redis", REDIS_URL=redis) == (10, {(RED, "redis.memory")})
        finally:
            subprocess.run([*set_memory, "100mb"], check=True, stdout=subprocess.DEVNULL)

    def test_frozen(self, shop: Shop, tmp_path: Path) -> None:
        """It takes the connection and never answers."""
        need("redis-cli")
        text = (shop.folder / "gates/redis.toml").read_text()
        (shop.folder / "gates/redis.toml").write_text(text.replace("timeout_s = 5", "timeout_s = 0.5"))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
            code, findings = shop.run("redis", REDIS_URL=url)

        assert (code, findings) == (11, {("gate.timeout", "redis.ping"), ("gate.timeout", "redis.memory")})

    def test_gone(self, shop: Shop) -> None:
        need("redis-cli")
        code, findings = shop.run("redis", REDIS_URL=f"redis://127.0.0.1:{free_port()}")

        assert (code, findings) == (11, {(ERROR, "redis.ping"), (ERROR, "redis.memory")})


class TestTls:
    @pytest.mark.parametrize(
        ("days", "exit_code", "findings"),
        [
            (60, 0, set()),
            (13, 10, {(RED, "tls.days_left")}),
            (-2, 10, {(RED, "tls.days_left"), (RED, "tls.trusted")}),
        ],
        ids=["good", "soon over", "expired"],
    )
    def test_days(self, shop: Shop, tmp_path: Path, days: int, exit_code: int, findings: Findings) -> None:
        with tls(tmp_path / "tls", days) as addresses:
            assert shop.run("tls", **addresses) == (exit_code, findings)

    def test_another_authority(self, shop: Shop, tmp_path: Path) -> None:
        with tls(tmp_path / "a", 60) as one, tls(tmp_path / "b", 60) as other:
            assert shop.run("tls", **{**one, "TLS_CA": other["TLS_CA"]}) == (10, {(RED, "tls.trusted")})

    def test_another_name(self, shop: Shop, tmp_path: Path) -> None:
        with tls(tmp_path / "tls", 60) as addresses:
            assert shop.run("tls", **{**addresses, "TLS_NAME": "other.example"}) == (
                10,
                {(RED, "tls.trusted")},
            )

    def test_nobody_listens(self, shop: Shop, tmp_path: Path) -> None:
        with tls(tmp_path / "tls", 60) as addresses:
            gone = {**addresses, "TLS_ADDRESS": f"127.0.0.1:{free_port()}"}
            assert shop.run("tls", **gone) == (10, {(ERROR, "tls.days_left"), (RED, "tls.trusted")})
