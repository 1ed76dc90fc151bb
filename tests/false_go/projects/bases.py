"""Whole projects, each GO as it stands; every lie starts from one of them."""

from __future__ import annotations

from tests.false_go.harness import Base, gate_module, policy

GREEN = 'gate.measure("v", 1)'
RED = 'gate.measure("v", 5)'

ONE_FILE = "gates/test_one.py"
TWO_FILE = "gates/test_two.py"

ONE = Base("one", {ONE_FILE: gate_module(GREEN)}, policy("one"))

TWO = Base(
    "two",
    {ONE_FILE: gate_module(GREEN), TWO_FILE: gate_module(GREEN, gate="two")},
    policy("one", "two"),
)

REGIONS = Base(
    "regions",
    {
        ONE_FILE: gate_module(
            GREEN, args="gate, region", marks='@pytest.mark.parametrize("region", ["eu", "us"])'
        )
    },
    policy({"gate": "one", "instances": ["eu", "us"]}),
)

COUNTED = Base("counted", REGIONS.files, policy({"gate": "one", "instances": 2}))

PREPARED = Base(
    "prepared",
    {
        ONE_FILE: gate_module(
            GREEN,
            args="gate, ground",
            top="""
            @pytest.fixture
            def ground():
                yield 1
            """,
        )
    },
    policy("one"),
)

CLASSIC = Base(
    "classic",
    {
        ONE_FILE: """
        import unittest

        import pytest

        pytestmark = pytest.mark.preflight


        class TestOne(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _take_gate(self, gate):
                self.gate = gate

            @pytest.mark.gate("one")
            def test_one(self):
                with self.subTest("a"):
                    self.gate.measure("v", 1)
        """
    },
    policy("one"),
)

SUBTESTS = Base(
    "subtests",
    {
        ONE_FILE: gate_module(
            """
            with subtests.test("a"):
                assert True
            gate.measure("v", 1)
            """,
            args="gate, subtests",
        )
    },
    policy("one"),
)

TEXT = Base(
    "text",
    {ONE_FILE: gate_module('gate.measure("v", "ready")')},
    policy("one", limits={"one": {"v": {"equals": "ready"}}}),
)

SAMPLED = Base(
    "sampled",
    {ONE_FILE: gate_module('gate.measure("v", 1, unit="s", samples=100)')},
    policy("one", limits={"one": {"v": {"at_most": 1, "unit": "s", "min_samples": 100, "max_age_s": 60}}}),
)

PLAIN_TOO = Base(
    "plain-too",
    {
        ONE_FILE: gate_module(GREEN),
        "gates/test_plain.py": """
        import pytest


        @pytest.mark.preflight
        def test_plain():
            assert True


        def test_of_no_phase():
            assert True
        """,
    },
    policy("one"),
)

TOML_FILE = "gates/one.toml"


def gate_file(body: str) -> str:
    """A TOML file with one gate."""
    return f'format = 1\nphase = "preflight"\n\n[[gate]]\nid = "one"\n{body}\n'


TOML = Base(
    "toml",
    {TOML_FILE: gate_file("shell = 'echo v=1'\nmeasure.v = { figure = 'v=(\\S+)' }")},
    policy("one"),
)

SCANNED = Base(
    "toml-scan",
    {
        TOML_FILE: gate_file("scan = \"src\"\nmeasure.v = { count = 'unfinished' }"),
        "src/whole.txt": "nothing open\n",
        "elsewhere/open.txt": "unfinished, unfinished\n",
    },
    policy("one"),
)

AWAITED = Base(
    "awaited",
    {
        ONE_FILE: """
        import pytest

        pytestmark = pytest.mark.preflight


        @pytest.mark.gate("one")
        async def test_one(gate):
            gate.measure("v", 1)


        @pytest.mark.gate("two")
        async def test_two(gate):
            gate.measure("v", 1)
        """
    },
    policy("one", "two"),
)

BASES = (
    *(ONE, TWO, REGIONS, COUNTED, PREPARED, CLASSIC, SUBTESTS, TEXT, SAMPLED, PLAIN_TOO),
    *(TOML, SCANNED, AWAITED),
)
