"""When the end of the session itself goes wrong: the decision is NO-GO, and there is evidence of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.projects import Project

RAISES = {
    "raise OSError('no room')": ("run.internal-error", "pytest_sessionfinish: OSError: no room"),
    "raise SystemExit(0)": ("run.internal-error", "pytest_sessionfinish: SystemExit: 0"),
    "import pytest; pytest.exit('bye', 0)": ("run.internal-error", "pytest_sessionfinish: Exit: bye"),
    "raise KeyboardInterrupt": ("run.interrupted", "pytest_sessionfinish: KeyboardInterrupt"),
}


@pytest.mark.parametrize("body", RAISES)
class TestSessionfinishThatRaises:
    """A conftest's own hook at the end of the session."""

    def test_is_a_sealed_no_go(self, small: Project, body: str) -> None:
        """Signed and whole: it takes an older GO back, and says why."""
        small.key = None
        small.write("conftest.py", f"def pytest_sessionfinish():\n    {body}\n")

        ran = small.pytest("-m", "preflight")

        code, message = RAISES[body]
        assert ran.code == 11
        assert code in ran.codes()
        findings = [(f["code"], f["message"]) for f in ran.report()["decision"]["findings"]]
        assert (code, message) in findings
        assert ran.report()["decision"]["verdict"] == "NO-GO"
        assert small.cutover("verify", str(ran.folder)).code == 0

    def test_red_stays_red(self, small: Project, body: str) -> None:
        """10 before 11."""
        small.policy(
            limits={
                "db.ready": {"latency": {"at_most": 0.1, "unit": "s"}},
                "api.ready": {"status": {"equals": "ready"}},
            }
        )
        small.write("conftest.py", f"def pytest_sessionfinish():\n    {body}\n")

        ran = small.pytest("-m", "preflight")

        assert ran.code == 10
        assert {RAISES[body][0], "limit.broken"} <= ran.codes()


def test_ctrl_c_in_it_is_no_traceback(small: Project) -> None:
    """pytest expects none there."""
    small.write("conftest.py", "def pytest_sessionfinish():\n    raise KeyboardInterrupt\n")

    ran = small.pytest("-m", "preflight")

    assert "Traceback" not in ran.text
    assert "interrupted while pytest ended" in ran.err


def test_secrets_in_what_it_raised_are_not_kept(small: Project) -> None:
    small.write(
        "conftest.py",
        "def pytest_sessionfinish():\n    raise OSError('Authorization: Bearer abcdef123456789')\n",
    )

    ran = small.pytest("-m", "preflight")

    assert "abcdef123456789" not in (ran.folder / "report.json").read_text()
    assert "abcdef123456789" not in (ran.folder / "journal.jsonl").read_text()
