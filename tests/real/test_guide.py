"""docs/guides/gate-a-real-system.md, followed step by step on real servers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pytest_cutover.reasons import Reason
from tests.guides import GUIDES, Guide, blocks
from tests.real.servers import free_port, need
from tests.real.system import EXAMPLE, PORTS, write_example

GUIDE = GUIDES / "gate-a-real-system.md"
PROVEN = Path(__file__).with_name("test_prometheus.py")

VARIES = ((r"(resident_memory|head_series)( =)?\s+[\d.E+]+", r"\1 N"), (r"answers_5xx \d+", "answers_5xx N"))


def test_does_what_it_says(tmp_path: Path) -> None:
    for program in ("prometheus", "promtool", "haproxy", "nginx"):
        need(program)
    home = tmp_path / "home"
    home.mkdir()
    write_example(
        home / "pytest-cutover/examples/prometheus-haproxy", ports := {n: free_port() for n in PORTS}
    )

    Guide(GUIDE, home, {PORTS[name]: port for name, port in ports.items()}, VARIES).follow()

    runs = sorted((home / "prometheus-haproxy/var/cutover/runs").iterdir())
    decisions = [json.loads((run / "report.json").read_text())["decision"] for run in runs]
    assert [d["exit_code"] for d in decisions] == [0, 10, 10, 0]


def test_shows_the_files_as_they_are() -> None:
    excerpts = [b for b in blocks(GUIDE.read_text()) if b.what == "part of"]

    assert len(excerpts) == 5
    for excerpt in excerpts:
        assert excerpt.text in (EXAMPLE / excerpt.note).read_text(), excerpt.note


def test_promises_only_what_is_tested() -> None:
    """Each reason code of the guide is real, and some test here breaks the system to get it."""
    known = {reason.code for reason in Reason}
    rows = [line.split("|")[3:5] for line in GUIDE.read_text().splitlines() if line.startswith("| ")][1:]
    tested = PROVEN.read_text()

    assert len(rows) >= 15
    for codes, exit_code in rows:
        for code in re.findall(r"`([^`]+)`", codes):
            assert code in known
            assert f'"{code}"' in tested
        assert exit_code.strip() in ("10", "11")
