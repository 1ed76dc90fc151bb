"""docs/guides/shell-checklist.md, followed step by step; and its ten gates in both languages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.guides import GUIDES, Guide, blocks
from tests.plugin.projects import Project
from tests.plugin.test_guide_first_gate import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GUIDE = GUIDES / "shell-checklist.md"
VARIES = ((r"free \d+", "free N"), (r"\d{4}-\d\d-\d\d/\d{6}Z-", "DATE/TIMEZ-"), (r"-[0-9a-f]{8}\.log", "-HEX.log"), (r"line \d+, in", "line N, in"))  # fmt: skip

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "git"))), reason="the guide needs bash, curl and git"
)


def test_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"

    Guide(GUIDE, home, {8000: free_port()}, VARIES).follow()

    runs = sorted((home / "shop/var/cutover/runs").iterdir())
    decisions = [json.loads((run / "report.json").read_text())["decision"] for run in runs]
    assert [(d["exit_code"], len(d["gates"])) for d in decisions] == [(10, 2), (10, 10), (0, 10), (0, 10)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    """The project at the end of the guide, green."""
    project, port = Project(tmp_path / "shop"), free_port()
    for block in blocks(GUIDE.read_text()):
        if block.what == "file":
            project.write(block.note, block.text.replace("8000", str(port)))
    project.write("pytest.ini", "[pytest]\n")
    project.write("public/health", '{"status": "ready"}\n')
    project.write("src/shop.py", "PRICE = 3\n")
    project.write("migrations/001.sql", "CREATE TABLE orders (id INTEGER)\n")
    project.write("VERSION", "1.4\n")
    project.write("CHANGELOG.md", "# Changes\n\n## 1.4\n")
    project.write("requirements.txt", "requests\n")
    project.write(".gitignore", "var/\n*.log\n*.db\n__pycache__/\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    project.environ = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    git(project, "init", "-q")
    commit(project)
    serve = [sys.executable, "-u", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with (
        (tmp_path / "server.out").open("wb") as out,
        subprocess.Popen([*serve, "--directory", str(project.folder / "public")], stdout=out, stderr=out) as server,
    ):  # fmt: skip
        while b"Serving" not in (tmp_path / "server.out").read_bytes():
            assert server.poll() is None, (tmp_path / "server.out").read_text()
        yield project
        server.kill()


def git(project: Project, *arguments: str) -> None:
    who = ["-c", "user.name=you", "-c", "user.email=you@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=project.folder, env=project.env(), check=True)


def commit(project: Project) -> None:
    git(project, "add", ".")
    git(project, "commit", "-qm", "x")
    git(project, "tag", "-f", "v1.4")


def findings(project: Project, folder: str) -> tuple[int, list[tuple[Any, ...]]]:
    """Exit code and findings of the gates in a folder, without what is only told."""
    ran = project.pytest("-m", "preflight", folder)
    found = ran.report()["decision"]["findings"]
    fields = ("code", "gate", "measurement", "measured", "unit", "limit", "owner", "remedy")
    return ran.code, sorted(
        (tuple(str(f.get(name)) for name in fields) for f in found if f.get("gate")), key=str
    )


def appended(name: str, text: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        with (project.folder / name).open("a") as file:
            file.write(text)
        commit(project)

    return change


def rewritten(name: str, text: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        project.write(name, text)
        commit(project)

    return change


def removed(name: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        path = project.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        commit(project)

    return change


BENCH, AUDIT = "scripts/bench.py", "scripts/audit.py"
BROKEN: dict[str, tuple[tuple[Callable[[Project], object], ...], int, set[tuple[str, str]]]] = {
    "nothing": ((), 0, set()),
    "all that can be red": (
        (
            rewritten("VERSION", "1.5\n"),
            appended("src/shop.py", "# FIXME, FIXME\ndef\n"),
            appended("requirements.txt", "left-pad\n"),
            appended("migrations/001.sql", "x"),
            rewritten(BENCH, "print('n=200 p95=20.5 ms')\n"),
            lambda p: p.write("public/health", '{"status": "not ready"}'),
            lambda p: git(p, "tag", "-d", "v1.4"),
        ),
        10,
        {
            ("limit.broken", gate)
            for gate in (
                *("shop.ready", "git.clean", "git.tagged", "changelog.entry", "tree.open"),
                *("code.compiles", "dependencies.audit", "db.migration", "shop.speed"),
            )
        },
    ),
    "what is not there": (
        (removed("public/health"), removed("src"), removed(AUDIT), removed(BENCH)),
        11,
        {("gate.error", gate) for gate in ("shop.ready", "tree.open", "dependencies.audit", "shop.speed")},
    ),
    "what says nothing": (
        (
            rewritten(BENCH, "print('n=200 p95=nan ms')\n"),
            rewritten(AUDIT, "print('fine')\n"),
            rewritten("public/health", "ready"),
        ),
        11,
        {("gate.error", gate) for gate in ("shop.ready", "dependencies.audit", "shop.speed")},
    ),
    "too little": (
        (rewritten("requirements.txt", ""), rewritten(BENCH, "print('n=99 p95=2 ms')\n")),
        10,
        {("limit.broken", "dependencies.audit"), ("measurement.samples-low", "shop.speed")},
    ),
    "too much": (
        (rewritten(BENCH, "print('n=200 p95=2 ms p95=30 ms')\n"),),
        11,
        {("gate.error", "shop.speed")},
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_both_languages_come_to_the_same_findings(shop: Project, broken: str) -> None:
    changes, exit_code, expected = BROKEN[broken]
    for change in changes:
        change(shop)

    toml, python = findings(shop, "gates"), findings(shop, "python")

    assert toml[0] == exit_code
    unmeasured = {"limit.unmeasured"}  # what an error left without a value
    assert {(code, gate) for code, gate, *_ in toml[1] if code not in unmeasured} == expected
    assert toml == python
