"""The arrows of ARCHITECTURE.md: what each room may import, seen in a fresh interpreter and in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_cutover"
FOREIGN = {
    "pytest",
    "_pytest",
    "httpx",
    "pydantic",
    "boto3",
    "cryptography",
    "jsonschema",
    "starlette",
    "uvicorn",
    "rfc8785",
    "pymerkle",  # GPL: the benchmark's alone
}

CORE = [
    "pytest_cutover.model",
    "pytest_cutover.reasons",
    "pytest_cutover.errors",
    "pytest_cutover.strictjson",
    "pytest_cutover.redact",
    "pytest_cutover.phases",
    "pytest_cutover.waiver",
    "pytest_cutover.record",
    "pytest_cutover.resolution",
    "pytest_cutover.decision",
    "pytest_cutover.evidence.envelope",
    "pytest_cutover.evidence.statements",
    "pytest_cutover.evidence.claims",
    "pytest_cutover.evidence.waivers",
    "pytest_cutover.evidence.report",
    "pytest_cutover.evidence.seal",
    "pytest_cutover.evidence.problems",
    "pytest_cutover.evidence.policy_verify",
    "pytest_cutover.evidence.verify",
    "pytest_cutover.evidence.admit",
    "pytest_cutover.fleet",
    "pytest_cutover.evidence.fleet",
    "pytest_cutover.evidence.fleet_verify",
    "pytest_cutover.rejudge.explain",
    "pytest_cutover.tlog.merkle",
    "pytest_cutover.tlog.tiles",
    "pytest_cutover.tlog.edge",
    "pytest_cutover.tlog.note",
    "pytest_cutover.tlog.checkpoint",
    "pytest_cutover.tlog.cosignature",
    "pytest_cutover.tlog.proof",
    "pytest_cutover.tlog.entry",
    "pytest_cutover.keys.trusted",
    "pytest_cutover.keys.position",
    "pytest_cutover.keys.life",
    "pytest_cutover.keys.countdown",
]

# What a room may import of ours, beside itself; a module's own imports for type checkers do not count.
VOCABULARY = {"model", "reasons", "errors"}
MAY_IMPORT = {
    "model": {"reasons"},
    "reasons": set(),
    "errors": set(),
    "strictjson": {"errors"},
    "redact": {"errors"},
    "phases": set(),
    "waiver": VOCABULARY,
    "obligation": VOCABULARY,
    "record": VOCABULARY | {"obligation"},
    "resolution": VOCABULARY,
    "decision": VOCABULARY | {"waiver", "obligation"},
    "files": VOCABULARY,
    "evidence": VOCABULARY
    | {"strictjson", "record", "resolution", "decision", "waiver", "fleet", "keys", "tlog", "__init__"},
    "objects": VOCABULARY | {"strictjson", "files"},
    "tlog": VOCABULARY | {"strictjson", "keys", "objects"},
    "store": VOCABULARY
    | {"strictjson", "record", "evidence", "keys", "objects", "tlog", "files", "retention", "__init__"},
    "keys": VOCABULARY | {"strictjson", "files"},
    "policy": VOCABULARY
    | {"strictjson", "files", "phases", "marker", "gate", "evidence", "keys", "resolution", "__init__"},
    "rejudge": VOCABULARY | {"decision", "waiver"},
    "fleet": VOCABULARY | {"decision"},
    "sources": VOCABULARY | {"strictjson", "redact", "__init__"},
    "report": VOCABULARY | {"record", "decision", "run"},
    "hookspecs": set(),
    "readings": set(),
    "declared": VOCABULARY | {"strictjson", "phases", "policy", "sources"},
    "starter": {"errors", "policy", "sources", "__init__"},
    "retention": VOCABULARY | {"record", "evidence", "keys", "files"},
    "plugin": {"hookspecs", "run", "declared"},
    "proof": VOCABULARY | {"decision", "files", "outlook", "record", "run", "sources"},
    "outlook": VOCABULARY
    | {
        "declared",
        "decision",
        "files",
        "gate",
        "keys",
        "marker",
        "obligation",
        "plugin",
        "policy",
        "record",
        "redact",
        "run",
        "tlog",
    },
    "run": VOCABULARY
    | {"files", "redact", "phases", "marker", "gate", "fixtures", "readings"}
    | {"record", "decision", "waiver", "obligation", "fleet", "sources"}
    | {"evidence", "keys", "policy", "service", "report", "objects", "tlog", "store", "__init__"},
}


def loaded_by(statement):
    """The top-level modules, and ours in full, that a fresh interpreter has after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def imports_of(path):
    """Modules of ours that a file imports when it runs: at its top and inside of functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pytest_cutover":
            inside = node.module.split(".")[1:]
            yield from [inside[0]] if inside else [_room(alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("pytest_cutover."):
                    yield alias.name.split(".")[1]


def _room(name):
    is_module = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    return name if is_module else "__init__"


def files_of(room):
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


class TestArrows:
    @pytest.mark.parametrize("room", MAY_IMPORT)
    def test_a_room_imports_only_what_is_below_it(self, room):
        wrong = {
            f"{file.relative_to(PACKAGE)} imports {name}"
            for file in files_of(room)
            for name in imports_of(file)
            if name != room and name not in MAY_IMPORT[room]
        }

        assert wrong == set()

    def test_the_source_is_really_read(self):
        """Guards the test above: a reader that finds no import would pass everything."""
        assert {"record", "decision", "evidence"} <= set(imports_of(PACKAGE / "evidence" / "verify.py"))
        assert "run" in set(imports_of(PACKAGE / "plugin.py"))
        assert {"files", "evidence"} <= set(imports_of(PACKAGE / "run" / "conclude.py"))

    def test_nothing_of_the_package_imports_what_is_under_the_gpl(self):
        files = [path for path in PACKAGE.rglob("*.py") if "pymerkle" in path.read_text(encoding="utf-8")]

        assert files == []


class TestCore:
    def test_it_loads_nothing_foreign(self):
        loaded = loaded_by("import " + ", ".join(CORE))

        assert set(CORE) <= loaded
        assert {name.split(".")[0] for name in loaded} & (FOREIGN - {"cryptography"}) == set()

    @pytest.mark.parametrize("module", CORE)
    def test_it_reads_no_clock_no_environment_and_no_file(self, module):
        path = PACKAGE.parent / (module.replace(".", "/") + ".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        names = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}

        forbidden = {"open", "datetime.now", "datetime.utcnow", "time.time", "time.monotonic", "print"}
        assert calls & forbidden == set()
        assert {
            n for n in names if n.startswith(("os.environ", "sys.std")) or n.endswith(".read_bytes")
        } == set()


class TestCommands:
    @pytest.mark.parametrize("verb", ["verify", "admit"])
    def test_verifying_needs_no_pydantic_no_pytest_no_network(self, verb):
        arguments = {"verify": ["nowhere"], "admit": ["--digest", "sha256:" + "a" * 64, "--environment", "x"]}
        loaded = loaded_by(f"from pytest_cutover.cli import main\nmain({[verb, *arguments[verb]]!r})")

        assert f"pytest_cutover.cli.{verb}" in loaded
        foreign = {name.split(".")[0] for name in loaded} & FOREIGN
        assert foreign <= {"cryptography"}

    def test_help_loads_no_verb(self):
        loaded = loaded_by(
            "from pytest_cutover.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
        )

        assert not {n for n in loaded if n.startswith("pytest_cutover.") and n != "pytest_cutover.cli"} - {
            "pytest_cutover.errors",
            "pytest_cutover.cli._output",
        }
