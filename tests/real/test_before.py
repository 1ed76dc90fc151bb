"""`cutover check` and `cutover prove-red` on real servers: Prometheus behind HAProxy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.real.system import Project, cutover

if TYPE_CHECKING:
    from typing import Any


def asked(project: Project, verb: str) -> dict[str, Any]:
    done = cutover([verb, "--json", "--env", "staging"], project.folder, project.environ)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestProxied:
    def test_all_is_there_for_a_run(self, project: Project) -> None:
        project.sign()

        found = asked(project, "check")

        assert [m for m in found["matters"] if m["weight"] != "note"] == []
        assert found["exit_code"] == 0

    def test_each_required_gate_is_seen_red(self, project: Project) -> None:
        project.sign()

        found = asked(project, "prove-red")

        assert [p for p in found["gates"] if p["state"] != "red"] == []
        assert len(found["gates"]) == 9
        assert found["exit_code"] == 0
