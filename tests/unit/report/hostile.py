"""Runs whose every text is an attack on the format it is shown in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_cutover.decision import decide
from pytest_cutover.model import Runner, Subject
from pytest_cutover.report.view import Evidence, GuardView, ObligationView, View, WaiverView, build
from tests.unit import journals
from tests.unit.journals import NOW, phase
from tests.unit.report.samples import earlier, policy_for

if TYPE_CHECKING:
    from pytest_cutover.report.view import LastRun

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style><style>*{display:none}</style>",
    "</title></head><body>",
    "<!-- x --> --><a href=javascript:alert(1)>y</a>",
    "]]></failure><testcase name='forged'/>",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "a\n::error file=x.py,line=1::forged",
    "a\r\n::stop-commands::x",
    "##[error]forged ##[add-mask]x",
    "%0A::error::forged %25 %3A",
    "a | b | c\n| forged | row |",
    "`code` **bold** [link](https://evil.example) ![i](https://evil.example/x.png)",
    "@org/team #1 https://evil.example www.evil.example </details>",
    "line one\n\n## forged heading\n\n- forged item",
    "\\| \\` \\",
    "\x1b[2J\x1b]0;title\x07\x00\x08",
    "\u202egnirts\u2066 \u200b\u2028\u2029\x85",
    "\ud800\ufffe\uffff",
    "x" * 5000,
]
"""One text per trick; each is put into every field at once."""


def hostile(attack: str, **more: Any) -> View:
    """A run in which every text that somebody else writes is `attack`, one gate green and one of each other state."""
    keys = ["ok", "red", "broken", "left"]
    texts = {"title": attack, "category": attack, "owner": attack, "remedy": attack}
    infos = [
        journals.info(key, **texts, file=f"gates/{attack[:40]}.py", nodeid=f"gates/x.py::{key}")
        for key in keys
    ]
    odd = {"name": attack, "unit": attack, "source": attack}
    measured = journals.measurement(value=attack, kind="text", **odd)
    fine = journals.measurement(value="0.2")
    events = [
        journals.started(
            environment="production",
            sandbox=False,
            run_id=attack,
            versions={attack: attack},
            target={attack: attack},
            shard=attack,
        ),
        journals.collected(*infos),
    ]
    over = journals.measurement(value="9")
    each: tuple[list[journals.Event], ...] = (
        [fine, measured | {"information": True}],
        [over, measured],
        [measured],
        [],
    )
    for info, what in zip(infos, each, strict=True):
        phases = [phase("setup"), phase("call"), phase("teardown")]
        if info["key"] == "broken":
            phases[1] = phase("call", "failed", "error", attack)
        if info["key"] == "left":
            phases[1] = phase("call", "skipped", "skip", attack)
        events.append(journals.gate_started("x", nodeid=info["nodeid"]))
        attached = [{"file": attack, "name": attack, "sha256": "0", "media_type": attack, "bytes": "1"}]
        ended: dict[str, Any] = {"phases": phases, "reported": 3, "notes": [attack], "attachments": attached}
        event = journals.gate_finished("x", *what, nodeid=info["nodeid"], **ended)
        events.append(event | {"measurements": what, "measured": len(what)})
    events += [journals.problem("run.not-clean", attack, attack), journals.finished(exit=None)]
    record = journals.record(events)
    names: list[Any] = [(key, "", "", [], {"latency": journals.limit()}) for key in keys[:3]]
    policy = policy_for(names, "gone", name=attack, gate_code_digest=None, runner=Runner.IN_PROCESS)
    record = replace(record, environment="production", subjects=(Subject(attack, {attack: attack}),))
    decision = decide(record, policy, NOW)
    policy = replace(policy, plan=attack, environment=attack)
    evidence = Evidence(folder=attack, sealed=True, keyid=attack, problems=(attack,), report_sha256=attack)
    fields: dict[str, Any] = {
        "last": last(attack, earlier(record)),
        "waivers": (WaiverView(attack, attack, (attack,), attack, attack, NOW, (attack,), attack),),
        "guards": (GuardView(attack, attack, attack, confirmed=False),),
        "obligations": (ObligationView(attack, attack, NOW, met=False),),
    }
    return build(record, policy, decision, evidence, **(fields | more))


def last(attack: str, run: LastRun) -> LastRun:
    return replace(run, run_id=attack)
