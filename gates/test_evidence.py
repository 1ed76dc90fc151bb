"""The shipped gates about evidence: is what was decided kept, unchanged, logged and restorable, and will its keys hold?

They ask `cutover` itself, as an auditor would, and measure its answer and what it prints; the limits stand in configs/policy.json.
"""

from __future__ import annotations

import os
import sys

import pytest

DOCS = "docs/reference"
RUNS = "var/cutover/runs"
DRILLS = "var/cutover/drills"
LIMIT_S = 50

pytestmark = pytest.mark.preflight


@pytest.mark.gate(
    "evidence.integrity",
    title="Everything in the evidence store is there, unchanged and signed",
    category="ops",
    owner="sre",
    remedy=f"{DOCS}/evidence-store.md",
)
def test_integrity(gate, ask, places):
    reading = ask("evidence", "verify", "--store", places["store"], "--log", places["log"], "--json")
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)
    found = reading.json()

    gate.measure("findings", len(found["findings"]), observed_at=reading.observed_at, source=places["store"])
    gate.measure("runs", found["runs"], observed_at=reading.observed_at, source=places["store"])
    for finding in found["findings"][:5]:
        gate.note(f"{finding['code']} {finding['where']}: {finding['message']}")


@pytest.mark.gate(
    "evidence.enforcement",
    title="The evidence store refuses to change or remove what is retained",
    category="security",
    owner="sre",
    remedy=f"{DOCS}/evidence-s3.md",
)
def test_enforcement(gate, ask, places):
    reading = ask("evidence", "check-store", places["store"], "--json")
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)
    found = reading.json()

    allowed = [a["name"] for a in found["attempts"] if not a["denied"]]
    attempts = len(found["attempts"])
    gate.measure("allowed", len(allowed), samples=attempts, observed_at=reading.observed_at)
    gate.measure("unproven", len(found["unproven"]), observed_at=reading.observed_at)
    gate.measure("worm", "yes" if found["worm"] else "no", information=True)
    for name in allowed:
        gate.note(f"not denied: {name}")


@pytest.mark.gate(
    "evidence.drill",
    title="The newest restore drill passed, and is not stale",
    category="ops",
    owner="sre",
    remedy=f"{DOCS}/evidence-store.md",
)
def test_drill(gate, ask, places):
    reading = ask("evidence", "drilled", "--drills", DRILLS, "--store", places["store"], "--json")
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)
    for line in reading.stderr.splitlines()[:2]:
        gate.note(line)
    told = reading.json()
    drill = told["predicate"]

    gate.measure(
        "result", drill["result"], observed_at=reading.observed_at, source=told["subject"][0]["name"]
    )
    gate.measure("stale", "yes" if told["stale"] else "no", observed_at=reading.observed_at)
    gate.measure("rto", float(drill["rto"]["seconds"]), unit="s", samples=drill["restored"]["files"])
    gate.measure("rpo", drill["rpo"]["files"], unit="file", samples=drill["rpo"]["existed"])


@pytest.mark.gate(
    "log.inclusion",
    title="Every decision is in the transparency log, and the log was never rewritten",
    category="security",
    owner="sre",
    remedy=f"{DOCS}/transparency-log.md",
)
def test_inclusion(gate, ask, places):
    reading = ask(
        "log", "audit", "--log", places["log"], "--origin", places["origin"], "--runs", RUNS, "--json"
    )
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)
    found = reading.json()

    gate.measure("tlog_inclusion_gap", found["tlog_inclusion_gap"], observed_at=reading.observed_at)
    gate.measure("problems", len(found["problems"]), observed_at=reading.observed_at, source=places["log"])
    gate.measure("entries", found["checkpoint"]["size"], information=True)
    for problem in found["problems"][:5]:
        gate.note(str(problem))


@pytest.mark.gate(
    "keys.countdown",
    title="No trusted key ends within a week, and none outlived its grace",
    category="security",
    owner="key custodian",
    remedy=f"{DOCS}/keys.md",
)
def test_countdown(gate, ask):
    reading = ask("keys", "check", "--json")
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)
    found = reading.json()

    ending = [f for f in found["findings"] if f["severity"] != "fine"]
    gate.measure("severity", found["severity"], observed_at=reading.observed_at)
    gate.measure("ending", len(ending), samples=len(found["findings"]), observed_at=reading.observed_at)
    for finding in ending[:5]:
        gate.note(f"{finding['severity']}: {finding['name']} {finding['message']}")


@pytest.mark.gate(
    "policy.signatures",
    title="The policy's signatures are valid, and enough persons signed",
    category="security",
    owner="release manager",
    remedy=f"{DOCS}/policy.md",
)
def test_signatures(gate, ask):
    reading = ask("policy", "verify", "configs/policy.json")
    gate.measure("exit_code", reading.exit_code, observed_at=reading.observed_at)

    for line in reading.stdout.splitlines()[1:3]:
        gate.note(line.strip())


@pytest.fixture
def trust():
    """The anchor that the run has, where it comes from a variable."""
    return {name: os.environ[name] for name in ("CUTOVER_TRUST",) if name in os.environ}


@pytest.fixture
def ask(command, trust):
    """A `cutover` verb: its reading. Gates measure the exit code too: what it prints of a no may look like a yes."""

    def asked(*arguments):
        argv = [sys.executable, "-P", "-m", "pytest_cutover", *arguments]
        return command.run(argv, env=trust, timeout_s=LIMIT_S)

    return asked
