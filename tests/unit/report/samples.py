"""Runs to look at: one with everything a view can show, and large ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.model import Operator, Requirement, Runner, rfc3339
from pytest_cutover.record import fold
from pytest_cutover.report.view import (
    Evidence,
    GuardView,
    LastRun,
    ObligationView,
    View,
    WaiverView,
    build,
    values_of,
)
from pytest_cutover.run.views import starts_of
from tests.unit import journals
from tests.unit.journals import NOW, limit, measurement, phase

if TYPE_CHECKING:
    from pytest_cutover.model import EffectivePolicy, Limit, RunRecord
    from tests.unit.journals import Event

    Gate = tuple[str, str, str, list[Event], dict[str, Limit]]

EVIDENCE = Evidence(
    folder="var/cutover/runs/20261121T084750.125Z-1a2b3c4d",
    sealed=True,
    keyid="35faa1e871eb2be5e828a354148dce0e04d674d5b27bef430b3571ad30af61ae",
    signer="configured",
    report_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    url="https://github.com/example/shop/actions/runs/4711",
)


def at_most(bound: str, unit: str = "1") -> Limit:
    return limit(Operator.AT_MOST, Decimal(bound), unit=unit)


def at_least(bound: str, unit: str = "1") -> Limit:
    return limit(Operator.AT_LEAST, Decimal(bound), unit=unit)


def equals(bound: str) -> Limit:
    return limit(Operator.EQUALS, bound, unit="1")


def text(name: str, value: str) -> Event:
    return measurement(name, value, kind="text", unit="1")


GATES: list[Gate] = [
    (
        "service.ready",
        "The service says that it is ready",
        "infrastructure",
        [text("status", "ready"), measurement("latency", "0.0412")],
        {"status": equals("ready"), "latency": at_most("0.5", "s")},
    ),
    (
        "clock.skew",
        "Clocks agree with NTP",
        "infrastructure",
        [measurement("skew", "-0.013", samples=4)],
        {"skew": limit(Operator.BETWEEN, Decimal("-0.1"), Decimal("0.1"), unit="s")},
    ),
    (
        "disk.headroom",
        "Disks have room for a release and its rollback",
        "infrastructure",
        [measurement("free", "41.5", unit="%"), measurement("inodes_free", "88", unit="%")],
        {"free": at_least("20", "%"), "inodes_free": at_least("10", "%")},
    ),
    (
        "keys.expiry",
        "No key runs out within a week",
        "security",
        [measurement("days_left", "23", unit="d")],
        {"days_left": at_least("7", "d")},
    ),
    (
        "rbac.scopes",
        "Operators have no more rights than they need",
        "security",
        [measurement("excess_scopes", "0", unit="1")],
        {"excess_scopes": at_most("0")},
    ),
    (
        "canary.health",
        "The canary stays healthy under real traffic",
        "canary",
        [
            measurement("green_windows", "3", unit="1"),
            measurement("burst", "1.72", unit="x", samples=640),
            measurement("samples", "640", unit="1"),
        ],
        {"green_windows": at_least("3"), "burst": at_most("1.5", "x"), "samples": at_least("100")},
    ),
    (
        "canary.latency",
        "p99 of the canary against the baseline",
        "canary",
        [measurement("p99_ratio", "1.04", unit="x", samples=640)],
        {"p99_ratio": at_most("1.1", "x")},
    ),
    (
        "rehearsals.passed",
        "Two rehearsals passed for this version",
        "canary",
        [measurement("passed", "2", unit="1"), measurement("age", "3.5", unit="d")],
        {"passed": at_least("2"), "age": at_most("7", "d")},
    ),
    (
        "alerts.delivered",
        "A test alert reaches the people on call",
        "ops",
        [measurement("delay", "4.2")],
        {"delay": at_most("30", "s")},
    ),
    (
        "dr.restore",
        "Evidence can be restored in time",
        "ops",
        [],
        {"rto": at_most("15", "min"), "rpo": at_most("1")},
    ),
    (
        "orders.errors",
        "Orders succeed",
        "performance",
        [
            measurement("error_rate", "0.00042", unit="1", samples=51234),
            measurement("p95", "0.312", samples=51234),
        ],
        {"error_rate": at_most("0.005"), "p95": at_most("0.4", "s")},
    ),
]
"""Gates in words: key, title, category, measurements, limits."""


def policy_for(gates: list[Gate], *more: str, **changes: Any) -> EffectivePolicy:
    """A policy that requires these gates, and `more` that nobody collected."""
    fields: dict[str, Any] = {
        "name": "shop",
        "version": 14,
        "environment": "production",
        "sandbox": False,
        "runner": Runner.SUPERVISED,
        "limits": {key: limits for key, _, _, _, limits in gates},
        "requires": tuple(Requirement(key) for key in [*(g[0] for g in gates), *more]),
        "gate_code_digest": journals.GATE_CODE,
    }
    return replace(journals.policy(*(g[0] for g in gates)), **(fields | changes))


def events_for(gates: list[Gate], **changes: Any) -> list[Event]:
    """The journal of a supervised run of these gates, three tenths of a second after one another."""
    infos = [
        journals.info(
            key,
            title=title,
            category=category,
            owner="sre" if category != "security" else "secops",
            remedy=f"docs/runbooks/{key.split('.')[0]}.md",
            file=f"gates/test_{category}.py",
            nodeid=f"gates/test_{category}.py::test_{key.replace('.', '_')}",
            line=12 + 9 * number,
        )
        for number, (key, title, category, _, _) in enumerate(gates)
    ]
    begun = NOW - timedelta(seconds=2.1 * len(gates) + 3)
    events: list[Event] = [
        journals.started(
            environment="production",
            sandbox=False,
            runner="supervised",
            at=rfc3339(begun),
            run_id="20261121T084750.125Z-1a2b3c4d",
            target={"app": "https://shop.example"},
            versions={"pytest-cutover": "0.1.0", "pytest": "9.2.0", "python": "3.11.7"},
            **changes,
        ),
        journals.collected(*infos, at=rfc3339(begun)),
    ]
    for number, (info, (_, _, _, measured, _)) in enumerate(zip(infos, gates, strict=True)):
        took = 0.35 + (number * 7 % 5) * 0.4
        at = begun + timedelta(seconds=0.4 + 2.1 * number)
        end = rfc3339(at + timedelta(seconds=took))
        nodeid = info["nodeid"]
        events.append(journals.gate_started("x", nodeid=nodeid, at=rfc3339(at)))
        fields: dict[str, Any] = {"nodeid": nodeid, "at": end, "duration_s": took}
        if measured:
            events.append(journals.gate_finished("x", *measured, **fields))
        else:
            broken = "ConnectionError: evidence store s3://dr-evidence did not answer within 10 s"
            phases = [phase("setup"), phase("call", "failed", "error", broken, took), phase("teardown")]
            fields |= {"phases": [list(p) for p in phases], "reported": 3, "measurements": [], "measured": 0}
            event = journals.gate_finished("x", **fields)
            events.append(event | {"measurements": [], "measured": 0})
    end = rfc3339(begun + timedelta(seconds=2.1 * len(gates) + 1))
    return [*events, journals.finished(at=end, exit=11), journals.exited(at=end, status=11)]


def shop(*, last: bool = True, accepted: bool = False, **more: Any) -> View:
    """A run that is red at the canary, unproven at the restore, and lacks a gate that the plan requires."""
    policy = policy_for(GATES, "promotion.manual")
    lines = journals.sign(events_for(GATES))
    record = fold(lines)
    decision = decide(record, policy, NOW)
    fields: dict[str, Any] = {"starts": starts_of(record, lines)}
    if last:
        fields["last"] = earlier(record)
    if accepted:
        fields |= ACCEPTED
    return build(record, policy, decision, EVIDENCE, **(fields | more))


def green(**more: Any) -> View:
    """The same run, all green."""
    gates = [g for g in GATES if g[0] not in ("canary.health", "dr.restore")]
    policy = policy_for(gates)
    lines = journals.sign(events_for(gates))
    record = fold(lines)
    fields: dict[str, Any] = {"starts": starts_of(record, lines), "last": earlier(record)}
    return build(record, policy, decide(record, policy, NOW), EVIDENCE, **(fields | more))


def earlier(record: RunRecord) -> LastRun:
    """A last run with other figures."""
    from pytest_cutover.model import Verdict

    moved = {"latency": "0.0388", "burst": "1.21", "p99_ratio": "1.07", "free": "47.1", "days_left": "30"}
    moved |= {"error_rate": "0.00051", "p95": "0.298", "delay": "4.2", "samples": "512", "skew": "0.004"}
    values = {
        key: {n: replace(m, value=moved.get(n, m.value)) for n, m in measured.items()}
        for key, measured in values_of(record).items()
    }
    return LastRun("20261114T081500.002Z-77aa00ff", Verdict.GO, NOW - timedelta(days=7), values)


ACCEPTED: dict[str, Any] = {
    "waivers": (
        WaiverView(
            gate="canary.health",
            reason="The burst is the load test of the payments team, agreed until noon",
            persons=("Ada Lovelace", "Grace Hopper"),
            risk="medium",
            ticket="OPS-4711",
            expires_at=NOW + timedelta(hours=4),
            accepts=("limit.broken",),
        ),
    ),
    "guards": (
        GuardView("slow-rollout", "canary plan", "steps 5, 25, 100 wait min 30", confirmed=True),
        GuardView("payments-off", "flags", "payments v2 off", confirmed=False),
    ),
    "obligations": (
        ObligationView("canary.health", "from guard slow-rollout", NOW + timedelta(hours=2)),
        ObligationView("orders.errors", "from guard payments-off", NOW + timedelta(days=1), met=True),
    ),
}


def many(count: int) -> View:
    """A large run: every fiftieth gate is red."""
    gates: list[Gate] = [
        (
            f"service.n{n:05d}",
            f"Service {n} answers in time",
            ("infrastructure", "security", "canary", "ops")[n % 4],
            [measurement("latency", "0.9" if n % 50 == 7 else f"0.{n % 40 + 5:02d}")],
            {"latency": at_most("0.5", "s")},
        )
        for n in range(count)
    ]
    policy = policy_for(gates)
    lines = journals.sign(events_for(gates))
    record = fold(lines)
    later = NOW + timedelta(seconds=count)
    decision = decide(record, replace(policy, max_age_s=1e9), later)
    return build(record, policy, decision, EVIDENCE, last=earlier(record))
