"""A policy tried on the past: each recorded run judged again at the time it was decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import rfc3339
from pytest_cutover.rejudge.diff import Findings, findings_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.model import Decision, EffectivePolicy
    from pytest_cutover.rejudge.case import Case


@dataclass(frozen=True, slots=True)
class Retried:
    """One run: what it came to, what it would have come to, and why."""

    name: str
    before: Decision
    after: Decision
    findings: Findings

    @property
    def is_changed(self) -> bool:
        """Whether the verdict, or how it is reached (10 or 11), would have been another."""
        return (self.before.verdict, self.before.exit_code) != (self.after.verdict, self.after.exit_code)

    @property
    def turn(self) -> str:
        """`GO → NO-GO (exit 10)`"""
        return f"{_verdict(self.before)} → {_verdict(self.after)}"

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.name,
            "decided_at": rfc3339(self.before.decided_at),
            "changed": self.is_changed,
            "before": {"verdict": self.before.verdict.value, "exit_code": int(self.before.exit_code)},
            "after": {"verdict": self.after.verdict.value, "exit_code": int(self.after.exit_code)},
            "findings": self.findings.to_json(),
        }


def retry(name: str, case: Case, policy: EffectivePolicy) -> Retried:
    """The run judged by this policy as it would have been then: nothing has grown stale since."""
    before = case.decide()
    after = case.under(policy, case.at).decide()
    return Retried(name, before, after, findings_between(before, after))


def turns(tried: Sequence[Retried]) -> dict[str, int]:
    """How many runs would have turned from which verdict to which, the most frequent first."""
    return dict(Counter(r.turn for r in tried if r.is_changed).most_common())


def _verdict(decision: Decision) -> str:
    exit_code = int(decision.exit_code)
    return f"{decision.verdict.value} (exit {exit_code})" if exit_code else decision.verdict.value
