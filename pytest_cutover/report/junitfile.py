"""A JUnit file of our own: one test case per gate, and per reason that is about the run as a whole.

The dialect that the most readers share (Jenkins' junit-10 schema, ADR 10): no `error`, because dorny's
pytest reader takes a test case with nothing but an error for a success; no properties within test cases. The
first line of a failure's text is `file:line` and a later one looks like a stack frame, which is where
dorny's readers find the place; mikepenz, GitLab and Jenkins read the attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.reasons import Weight
from pytest_cutover.report.numbers import amount
from pytest_cutover.report.safe import xml, xml_attribute
from pytest_cutover.report.terminal import finding_text
from pytest_cutover.report.view import troubles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_cutover.model import Finding, GateInfo
    from pytest_cutover.report.view import GateView, Trouble, View

_FAILED = ("red", "unproven", "hold")


def render(view: View) -> str:
    """The whole file."""
    of_run = [t for t in troubles(view) if t.findings[0].gate is None]
    states = [g.state for g in view.gates]
    tests = len(states) + len(of_run)
    failures = sum(state in _FAILED for state in states) + len(of_run)
    seconds = f"{sum(map(_took_s, view.gates)):.6f}"
    name = xml_attribute(f"cutover {view.policy.plan} {view.policy.environment}")
    counts = f'tests="{tests}" failures="{failures}" errors="0"'
    at = f"{view.record.started_at:%Y-%m-%dT%H:%M:%S}"  # UTC; the schemas know no zone
    return "".join(
        (
            '<?xml version="1.0" encoding="utf-8"?>\n',
            f'<testsuites name="{name}" {counts} time="{seconds}">\n',
            f'<testsuite name="{name}" {counts} skipped="{states.count("left")}" time="{seconds}" timestamp="{at}">\n',
            "<properties>\n",
            *_properties(view),
            "</properties>\n",
            *_numbered(of_run),
            *(_gate(view, gate) for gate in view.gates),
            "</testsuite>\n</testsuites>\n",
        )
    )


def _properties(view: View) -> Iterator[str]:
    yield _property("cutover.verdict", view.verdict.value)
    yield _property("cutover.exit_code", str(view.exit_code))
    yield _property("cutover.run", view.record.run_id)
    yield _property("cutover.plan", view.policy.plan)
    yield _property("cutover.environment", view.policy.environment)
    yield _property("cutover.evidence", view.evidence.url or view.evidence.folder)
    for gate in view.gates:
        yield _property(f"cutover.gate.{gate.name}", gate.state)
        if gate.carried:
            yield _property(f"cutover.carried.{gate.name}", gate.carried)
        for judged in gate.judged.measurements:
            limit = "no limit" if judged.limit is None else f"limit {judged.limit.text()}"
            m = judged.measurement
            yield _property(
                f"cutover.measurement.{gate.name}.{m.name}", f"{amount(m.value, m.unit)} ({limit})"
            )
    for finding in view.findings:
        text = f"{finding.reason.code}: {finding.gate or 'run'}: {finding.message}"
        yield _property("cutover.finding", text)


def _property(name: str, value: str) -> str:
    return f'<property name="{xml_attribute(name)}" value="{xml_attribute(value)}"/>\n'


def _numbered(of_run: Sequence[Trouble]) -> Iterator[str]:
    """Test cases for what is held against the run; a code that comes twice is numbered."""
    seen: dict[str, int] = {}
    for trouble in of_run:
        count = seen[trouble.name] = seen.get(trouble.name, 0) + 1
        name = trouble.name if count == 1 else f"{trouble.name} ({count})"
        place = (
            ""
            if trouble.file is None
            else f' file="{xml_attribute(trouble.file)}" line="{trouble.line or 1}"'
        )
        at = None if trouble.file is None else f"{trouble.file}:{trouble.line or 1}"
        yield (
            f'<testcase name="{xml_attribute(name)}" classname="cutover.run"{place} time="0.000000">\n'
            f"{_failure(trouble.findings, at, None)}</testcase>\n"
        )


def _gate(view: View, gate: GateView) -> str:
    info, judged = gate.info, gate.judged
    place = at = ""
    module = "cutover.plan"
    if info is not None:
        path = view.path_of(info)
        at = f"{path}:{info.line}"
        place = f' file="{xml_attribute(path)}" line="{info.line}"'
        module = _module(info)
    inner = ""
    if gate.state in _FAILED:
        inner = _failure(gate.serious, at or None, info)
    elif gate.state == "left":
        why = judged.findings[0].message if judged.findings else "not applicable"
        inner = f'<skipped message="{xml_attribute(why)}"/>\n'
    out = "\n".join(_said(gate))
    return (
        f'<testcase name="{xml_attribute(gate.name)}" classname="{xml_attribute(module)}"{place}'
        f' time="{_took_s(gate):.6f}">\n{inner}<system-out>{xml(out)}</system-out>\n</testcase>\n'
    )


def _took_s(gate: GateView) -> float:
    """What the gate took of this run's time."""
    return 0.0 if gate.carried else gate.judged.duration_s


def _module(info: GateInfo) -> str:
    return info.file.removesuffix(".py").removesuffix(".toml").replace("/", ".")


def _failure(findings: Iterable[Finding], at: str | None, info: GateInfo | None) -> str:
    findings = list(findings)
    first = findings[0]
    lines = [] if at is None else [at]
    lines += [f"{finding_text(f)} [{f.reason.code}]" for f in findings]
    lines += list(dict.fromkeys(f"owner: {f.owner}" for f in findings if f.owner))
    lines += list(dict.fromkeys(f"remedy: {f.remedy}" for f in findings if f.remedy))
    if info is not None:
        folder, _, name = info.file.rpartition("/")
        dotted = f"{folder.replace('/', '.')}." if folder else ""
        lines.append(f"at {dotted}Gate({name}:{info.line})")
    return (
        f'<failure type="{first.reason.code}" message="{xml_attribute(finding_text(first))}">'
        f"{xml(chr(10).join(lines))}</failure>\n"
    )


def _said(gate: GateView) -> Iterator[str]:
    """What the gate measured and noted, a line each."""
    yield gate.judged.title
    if gate.carried:
        yield gate.carried
    for judged in gate.judged.measurements:
        limit = "no limit" if judged.limit is None else judged.limit.text()
        m = judged.measurement
        yield f"{m.name} = {amount(m.value, m.unit)} ({limit}: {'green' if judged.green else 'not green'})"
    if gate.state == "waived":
        yield from (f"waived: {finding_text(f)}" for f in gate.judged.findings if f.weight is Weight.NOTE)
    if gate.result is not None:
        yield from gate.result.notes
