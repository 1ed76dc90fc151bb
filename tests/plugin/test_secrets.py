"""Secrets never reach the evidence, JUnit or the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.projects import Project, Ran

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1B2" * 9,
    "bearer": "abcdefgh.ijklmnop.qrst",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "pem": "MC4CAQAwBQYDK2VwBCIEIBxyz",
    "named": "correct-horse-battery",
    "url": "s3cr3t-in-url",
}
TEXT = (
    "key {aws} token {github} Authorization: Bearer {bearer} jwt {jwt}\\n"
    "-----BEGIN PRIVATE KEY-----\\n{pem}\\n-----END PRIVATE KEY-----\\n"
    "shop says {named} https://user:{url}@host/"
).format(**SECRETS)

GATES = f'''
import logging, sys, warnings

TEXT = "{TEXT}"

@pytest.fixture
def broken():
    raise OSError(TEXT)

@pytest.mark.preflight
@pytest.mark.gate("says.everything")
def test_everything(gate, record_property):
    print(TEXT)
    print(TEXT, file=sys.stderr)
    logging.getLogger("shop").warning(TEXT)
    warnings.warn(TEXT)
    gate.note(TEXT)
    gate.attach("log.txt", TEXT)
    gate.measure("text", TEXT, source=TEXT)
    gate.measure("bytes", TEXT.encode(), information=True)
    record_property("answer", TEXT)

@pytest.mark.preflight
@pytest.mark.gate("asserts")
def test_asserts(gate):
    gate.measure("x", 1, at_most=1)
    local = TEXT
    assert local == ""

@pytest.mark.preflight
@pytest.mark.gate("raises")
def test_raises(gate):
    raise RuntimeError(TEXT)

@pytest.mark.preflight
@pytest.mark.gate("fixture")
def test_fixture(gate, broken):
    pass

@pytest.mark.preflight
@pytest.mark.gate("skips")
def test_skips(gate):
    pytest.skip(TEXT)

@pytest.mark.preflight
@pytest.mark.gate("skips.optional")
def test_skips_optional(gate):
    pytest.skip(TEXT)

@pytest.mark.preflight
@pytest.mark.gate("xfails")
def test_xfails(gate):
    pytest.xfail(TEXT)

@pytest.mark.preflight
@pytest.mark.xfail(reason=TEXT)
def test_no_gate_xfails():
    raise RuntimeError(TEXT)

@pytest.mark.preflight
def test_no_gate():
    raise RuntimeError(TEXT)
'''
REQUIRED = ["says.everything", "asserts", "raises", "fixture", "skips", "xfails"]


def leaks(text: str) -> list[str]:
    """Names of the secrets in the text, whichever part of them."""
    return [name for name, secret in SECRETS.items() if secret in text]


def telling(folder: Path) -> Project:
    """Gates that tell everything they know, everywhere they can."""
    project = Project(folder, {"SHOP_TOKEN": SECRETS["named"]})
    project.write("pytest.ini", "[pytest]\n")
    limits = {gate: {"x": {"at_most": 1}} for gate in REQUIRED}
    project.policy(REQUIRED, limits | {"says.everything": {"text": {"equals": "ready"}}})
    return project.gates(GATES)


@pytest.fixture(
    scope="module",
    params=[("-rA",), ("-rA", "-n", "2"), ("-l", "--tb=long"), ("--tb=native",), ("--tb=line", "-vv")],
    ids=["alone", "xdist", "locals", "native", "line"],
)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Ran]:
    """Such a project and its run."""
    project = telling(tmp_path_factory.mktemp("telling"))
    ran = project.pytest("-m", "preflight", "--junitxml=junit.xml", *request.param)
    assert ran.code in (10, 11)
    return project, ran


class TestSecrets:
    """In-process, alone and under xdist, in every style of traceback."""

    def test_no_file_of_the_run_holds_one(self, told: tuple[Project, Ran]) -> None:
        """Journal, report, attachments: every byte of the run's folder."""
        for file in (f for f in told[1].folder.rglob("*") if f.is_file()):
            assert leaks(file.read_text(errors="replace")) == [], file.name

    def test_junit_holds_none(self, told: tuple[Project, Ran]) -> None:
        """Messages, properties, captured output."""
        assert leaks((told[0].folder / "junit.xml").read_text()) == []

    def test_terminal_shows_none(self, told: tuple[Project, Ran]) -> None:
        """Failures, captured output, summary, verdict."""
        assert leaks(told[1].text) == []
        assert "[redacted]" in told[1].out


def test_supervised_run_keeps_them_too(tmp_path: Path) -> None:
    """The same under `cutover run`."""
    ran = telling(tmp_path).cutover("run", "preflight")

    assert leaks(ran.text) == []
    for file in (f for f in ran.folder.rglob("*") if f.is_file()):
        assert leaks(file.read_text(errors="replace")) == [], file.name


@pytest.mark.parametrize(
    "arguments", [(), ("-n", "2"), ("-k", "other")], ids=["alone", "xdist", "deselected"]
)
def test_node_id_that_holds_one_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A node id is what all evidence calls a gate by, so it cannot be redacted."""
    project = Project(tmp_path, {"SHOP_TOKEN": SECRETS["named"]})
    project.write("pytest.ini", "[pytest]\n")
    project.policy(["login", "other"], {"login": {"x": {"at_most": 1}}, "other": {"x": {"at_most": 1}}})
    project.gates(f'''
@pytest.mark.preflight
@pytest.mark.gate("login")
@pytest.mark.parametrize("token", ["{SECRETS["named"]}"])
def test_login(gate, token):
    gate.measure("x", 1)

@pytest.mark.preflight
@pytest.mark.gate("other")
def test_other(gate):
    gate.measure("x", 1)
''')

    ran = project.pytest("-m", "preflight", *arguments)

    assert ran.code in (4, 11)
    assert "parametrize ids=[...]" in ran.text
    for file in (f for f in ran.folder.rglob("*") if f.is_file()):
        assert leaks(file.read_text(errors="replace")) == [], file.name
