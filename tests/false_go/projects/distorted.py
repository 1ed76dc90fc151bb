"""The seam of `cutover prove-red` used in a real run: readings that make a red gate green."""

from __future__ import annotations

from textwrap import dedent, indent

from tests.false_go.harness import ALL, ENDS, LyingRun, gate_module, red, unproven
from tests.false_go.projects.bases import ONE, ONE_FILE

SCANS = gate_module(
    """
    reading = scan(Path(__file__).parent, {"mark": "pytest"})
    gate.measure("v", reading.total)
    """,
    top="""
    from pathlib import Path

    from pytest_cutover.sources.tree import scan
    """,
)

LESS = """
import dataclasses

from pytest_cutover.sources import distortion


class Less:
    def reading(self, asked, read):
        return dataclasses.replace(read(), counts={"mark": 0})

    def taken(self, value):
        return 0

"""

TRUTH = LyingRun(
    "a-scan-without-distortion",
    "the control of this file: the scan is red",
    ONE,
    red(),
    files={ONE_FILE: SCANS},
    modes=ENDS,
    reduced="a control",
)


def _lie(name: str, why: str, conftest: str) -> LyingRun:
    files = {ONE_FILE: SCANS, "conftest.py": LESS + dedent(conftest)}
    return LyingRun(name, why, ONE, unproven("run.prove-red"), files=files, modes=ALL)


def _fixture(body: str) -> str:
    return (
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef calm():\n"
        + indent(dedent(body).strip(), "    ")
        + "\n"
    )


LIES = (
    TRUTH,
    _lie(
        "distorted-by-a-conftest",
        "a conftest puts a distortion of its own behind the sources",
        "distortion.put(Less())\n",
    ),
    _lie(
        "distorted-while-a-gate-runs",
        "a fixture takes the distortion away again before the run ends",
        _fixture("distortion.put(Less())\nyield\ndistortion._behind = None"),
    ),
    _lie(
        "remembered-readings",
        "a conftest uses the engine's own distortion, as the child of prove-red does",
        """
        import pathlib, tempfile
        from pytest_cutover.sources.remembered import Adverse
        distortion.put(Adverse(pathlib.Path(tempfile.mkdtemp()), "zero", again=True))
        """,
    ),
    LyingRun(
        "a-distorted-toml-gate",
        "what a gate in TOML takes from its reading is distorted",
        ONE,
        unproven("run.prove-red"),
        files={
            ONE_FILE: None,
            "gates/one.toml": """
            format = 1
            [[gate]]
            id = "one"
            phase = "preflight"
            command = ["echo", "5"]
            [gate.measure]
            v = { figure = "([0-9]+)" }
            """,
            "conftest.py": LESS.replace(
                'return dataclasses.replace(read(), counts={"mark": 0})', "return read()"
            )
            + "distortion.put(Less())\n",
        },
        modes=ENDS,
        reduced="the seam is one; how it is told is in the others",
    ),
)
