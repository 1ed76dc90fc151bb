"""Gate markers that cannot be used, gate ids that two tests share, and tests that are no gates."""

from __future__ import annotations

from tests.false_go.harness import VARIANT, LyingRun, gate_module, unproven
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, PLAIN_TOO, TWO, TWO_FILE

SAME_PATH = "markers are read after collection, the same way in every process"
UNUSABLE = unproven("gate.invalid")
PLAIN = "gates/test_plain.py"


def _marker(name: str, why: str, marker: str) -> LyingRun:
    text = gate_module(GREEN).replace('@pytest.mark.gate("one")', marker)
    return LyingRun(name, why, ONE, UNUSABLE, files={ONE_FILE: text}, modes=VARIANT, reduced=SAME_PATH)


def _plain(name: str, why: str, body: str, code: str = "run.not-clean") -> LyingRun:
    text = f"import pytest\n\npytestmark = pytest.mark.preflight\n\n{body}"
    return LyingRun(
        name, why, PLAIN_TOO, unproven(code), files={PLAIN: text}, modes=VARIANT, reduced=SAME_PATH
    )


LIES = (
    _marker("marker-empty", "gate() without an id", "@pytest.mark.gate()"),
    _marker("marker-bare", "gate without parentheses", "@pytest.mark.gate"),
    _marker("marker-upper", "an id in capitals", '@pytest.mark.gate("One")'),
    _marker("marker-two-ids", "two ids", '@pytest.mark.gate("one", "two")'),
    _marker("marker-unknown", "a misspelt argument", '@pytest.mark.gate("one", onwer="me")'),
    _marker("marker-timeout-zero", "a time limit of 0", '@pytest.mark.gate("one", timeout=0)'),
    _marker(
        "marker-timeout-infinite",
        "a time limit without end",
        '@pytest.mark.gate("one", timeout=float("inf"))',
    ),
    _marker("marker-timeout-nan", "a time limit of NaN", '@pytest.mark.gate("one", timeout=float("nan"))'),
    LyingRun(
        "no-phase",
        "a gate without a phase marker is in no plan",
        TWO,
        unproven("gate.not-collected"),
        files={TWO_FILE: gate_module(GREEN, gate="two").replace("pytestmark = pytest.mark.preflight", "")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "no-marker",
        "a required gate lost its gate marker",
        ONE,
        unproven("gate.not-collected"),
        files={
            ONE_FILE: gate_module(GREEN, args="")
            .replace('@pytest.mark.gate("one")', "")
            .replace(GREEN, "pass")
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "duplicate-id",
        "two tests carry the same gate id",
        ONE,
        unproven("gate.duplicate"),
        files={TWO_FILE: gate_module(GREEN).replace("test_one", "test_two")},
    ),
    LyingRun(
        "duplicate-id-one-skipped",
        "two tests carry the same id, and one of them is skipped",
        ONE,
        unproven("gate.duplicate"),
        files={TWO_FILE: gate_module(GREEN, marks="@pytest.mark.skip").replace("test_one", "test_two")},
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "duplicate-class",
        "a base class's gate is collected for each of its heirs",
        ONE,
        unproven("gate.duplicate"),
        files={
            ONE_FILE: "import pytest\n\npytestmark = pytest.mark.preflight\n\nclass Base:\n    @pytest.mark.gate('one')\n    def test_one(self, gate):\n        gate.measure('v', 1)\n\nclass TestA(Base):\n    pass\n\nclass TestB(Base):\n    pass\n"
        },
        modes=VARIANT,
        reduced=SAME_PATH,
    ),
    LyingRun(
        "keep-duplicates",
        "the same gate is collected twice",
        ONE,
        unproven("gate.rerun"),
        args=("--keep-duplicates", ONE_FILE, ONE_FILE),
    ),
    _plain("plain-fails", "a plain test of the phase fails", "def test_plain():\n    assert False\n"),
    _plain(
        "plain-errors",
        "a plain test's fixture fails",
        "@pytest.fixture\ndef ground():\n    raise OSError\n\ndef test_plain(ground):\n    pass\n",
    ),
    _plain(
        "plain-teardown",
        "a plain test's fixture fails afterwards",
        "@pytest.fixture\ndef ground():\n    yield\n    raise OSError\n\ndef test_plain(ground):\n    pass\n",
    ),
    _plain(
        "plain-xpass-strict",
        "a plain test passes that was strictly expected to fail",
        "@pytest.mark.xfail(strict=True)\ndef test_plain():\n    pass\n",
    ),
    _plain(
        "plain-subtest",
        "a subtest of a plain test fails",
        "def test_plain(subtests):\n    with subtests.test('a'):\n        assert False\n",
    ),
    _plain(
        "plain-asks-for-gate",
        "a plain test asks for the gate fixture",
        "def test_plain(gate):\n    gate.measure('v', 1)\n",
    ),
)
