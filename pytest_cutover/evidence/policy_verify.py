"""Is the policy that a report goes by the one that was signed?

The report holds it resolved for one plan and environment, in the words of whoever decided; the bundle holds the
document that others signed. Resolved again, that one has to say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover import resolution, strictjson
from pytest_cutover.model import Limit, Requirement, Runner, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.model import EffectivePolicy

_SHOWN = 100
"""Characters of a value that a message quotes."""


def policy_differences(signed: bytes, told: EffectivePolicy) -> list[str]:
    """What the policy of a report says otherwise than the `signed` document does, in ASCII; nothing when they agree.

    Digest and signature are the caller's to check.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError, AttributeError: no document of a policy, or it does not have
            the report's plan and environment.
    """
    again = resolution.resolve(
        strictjson.loads(signed),
        digest=told.digest,
        signature=told.signature,
        plan=told.plan,
        environment=told.environment,
    ).effective
    names = [field.name for field in fields(told)]
    return [line for name in names for line in _differences(name, getattr(again, name), getattr(told, name))]


def _differences(name: str, signed: Any, told: Any) -> Iterator[str]:
    if signed == told:
        return
    if isinstance(signed, Mapping) and isinstance(told, Mapping):
        for key in {**signed, **told}:
            yield from _differences(f"{name} {_shown(key)}", signed.get(key), told.get(key))
    else:
        yield f"{name}: signed is {_shown(_words(signed))}, the report says {_shown(_words(told))}"


def _words(value: Any) -> str:
    match value:
        case None:
            return "none"
        case Limit():
            samples = "" if value.min_samples is None else f", of {value.min_samples} samples"
            return value.text() + samples + ("" if value.max_age_s is None else f", for {value.max_age_s} s")
        case Requirement():
            return value.gate if value.instances is None else f"{value.gate} ({_words(value.instances)})"
        case Mapping():
            return ", ".join(f"{name} {_words(item)}" for name, item in value.items())
        case tuple():
            return ", ".join(map(_words, value)) or "none"
        case Runner():
            return value.value
        case datetime():
            return rfc3339(value)
    return str(value)


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:_SHOWN]
