"""What `--junitxml` says of the whole run; each gate's own properties are written where it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.reasons import Weight

if TYPE_CHECKING:
    import pytest

    from pytest_cutover.model import Decision
    from pytest_cutover.run.context import RunContext


def add_suite_properties(config: pytest.Config, decision: Decision, context: RunContext) -> None:
    """Put verdict, run and every finding on the test suite element; xdist loses them anywhere but on the controller."""
    if not getattr(config.option, "xmlpath", None):
        return
    from _pytest.junitxml import xml_key  # no public way leads to the suite's properties under xdist

    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    xml.add_global_property("cutover.verdict", decision.verdict.value)
    xml.add_global_property("cutover.exit_code", str(int(decision.exit_code)))
    xml.add_global_property("cutover.run", context.run_id)
    xml.add_global_property("cutover.environment", context.policy.environment)
    for gate in decision.gates:
        if gate.carried_from is not None:
            xml.add_global_property("cutover.carried", f"{gate.key}: {gate.carried_from}")
    for finding in decision.findings:
        if finding.weight is not Weight.NOTE:
            xml.add_global_property(
                "cutover.finding", f"{finding.reason.code}: {finding.gate or 'run'}: {finding.message}"
            )
