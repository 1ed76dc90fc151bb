"""What a pytest run that has nothing to do with gates pays for the installed plugin."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIMIT = 3
"""Modules over bare pytest: the package, the plugin and its hook specifications."""

CODE = """
import importlib.metadata, sys, pytest

# Autoload is off, as other plugins of this environment would blur the difference; `-p` and the entry point
# have one name, so that ours is loaded in the same way.
loaded = ["-p", "pytest_cutover"] if sys.argv[1] == "with" else []
status = pytest.main([*loaded, *sys.argv[2:]])
print("MODULES", *sorted(sys.modules))
raise SystemExit(int(status))
"""


def run(mode, folder, *arguments):
    """A pytest run, with or without the plugin, that prints `sys.modules` at its end."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "CUTOVER_"))}
    return subprocess.run(
        [sys.executable, "-c", CODE, mode, *arguments],
        cwd=folder,
        env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def modules(mode, folder, *arguments):
    """`sys.modules` at the end of a pytest run that went well."""
    done = run(mode, folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("MODULES ")]
    return set(line.split()[1:])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "test_plain.py").write_text("def test_plain():\n    assert True\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: x\n")
    return tmp_path


class TestIdle:
    @pytest.mark.parametrize(
        "arguments", [("-q",), ("-q", "-k", "plain"), ("-q", "-m", "not slow")], ids=" ".join
    )
    def test_a_plain_run_loads_at_most_three_modules_more(self, folder, arguments):
        bare = modules("without", folder, *arguments)
        ours = modules("with", folder, *arguments)

        assert {"pytest_cutover", "pytest_cutover.plugin", "pytest_cutover.hookspecs"} <= ours - bare
        assert len(ours - bare) <= LIMIT, sorted(ours - bare)

    def test_gates_in_toml_cost_nothing_where_no_gate_run_is_asked_for(self, folder):
        (folder / "gates").mkdir()
        (folder / "gates/release.toml").write_text("format = 1\n[[gate]]\nid = 'x'\n")
        bare = modules("without", folder, "-q")
        ours = modules("with", folder, "-q")

        assert len(ours - bare) <= LIMIT, sorted(ours - bare)
        assert "tomllib" not in ours

    def test_an_expression_that_names_a_phase_is_looked_at_without_heavy_libraries(self, folder):
        ours = modules("with", folder, "-q", "-m", "not preflight")

        assert "pytest_cutover.run.session" in ours
        assert ours & {"httpx", "pydantic", "cryptography", "jsonschema", "starlette"} == set()

    def test_a_conftest_that_registers_a_phase_itself_changes_nothing(self, folder):
        """Else whoever writes `preflight: …` into an ini could switch the engine off."""
        (folder / "pytest.ini").write_text("[pytest]\nmarkers = preflight: mine\n")
        done = run("with", folder, "-q", "-m", "preflight")

        assert done.returncode == 4
        assert "configs/policy.json" in done.stderr

    def test_autoload_finds_the_plugin_by_its_entry_point(self, folder):
        """The premise of the test above: what is loaded there is what an installed plugin loads."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--markers"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

        assert "@pytest.mark.gate(id, *, title, category, owner, remedy, timeout)" in done.stdout
