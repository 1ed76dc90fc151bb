"""Is the policy that a report goes by the one that was signed?

The report holds it resolved for one plan and environment, in the words of whoever decided; the bundle holds the
document that others signed. Resolved again, that one has to say the same.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pytest_cutover import resolution, strictjson

if TYPE_CHECKING:
    from pytest_cutover.model import EffectivePolicy

_SHOWN = 100
"""Characters of a value that a message quotes."""


def policy_differences(signed: bytes, told: EffectivePolicy) -> list[str]:
    """What the policy of a report says otherwise than the `signed` document does, in ASCII; nothing when they agree.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError, AttributeError: no document of a policy, or it does not have
            the report's plan and environment.
    """
    again = resolution.resolve(
        strictjson.loads(signed),
        digest=told.digest,
        signature=told.signature,  # both are the caller's to check
        plan=told.plan,
        environment=told.environment,
    ).effective
    out = []
    for name in (field.name for field in fields(told)):
        expected, got = getattr(again, name), getattr(told, name)
        if expected != got:
            out.append(f"{name}: signed is {_text(expected)}, the report says {_text(got)}")
    return out


def _text(value: Any) -> str:
    return ascii(str(value))[1:-1][:_SHOWN]
