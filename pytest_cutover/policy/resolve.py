"""The policy as it stands for one plan and one environment, each value with the line that it comes from.

What applies, `resolution` says; here its places in the document become lines of the file. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_cutover import resolution

if TYPE_CHECKING:
    from pytest_cutover.model import EffectivePolicy, PolicySignature
    from pytest_cutover.policy.positions import Located
    from pytest_cutover.resolution import Layer, Source


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, and what it replaced; the line is None for what is built in."""

    layer: Layer
    line: int | None
    instead_of: Any = None


Origins = dict[str | tuple[str, str], Origin]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The effective policy and where each part of it comes from.

    Keys of `origins`: a setting's name, or (gate, measurement) of a limit. `required` says the same of
    each entry of `requires`; `left_out` are gates of the plan that the environment does not require.
    """

    effective: EffectivePolicy
    origins: Origins
    required: tuple[Origin, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the document cannot say about itself."""

    digest: str
    signature: PolicySignature


def resolve(located: Located, identity: Identity, *, plan: str, environment: str) -> Resolved:
    """The policy of a document without mistakes for one plan and environment, both of which it has."""
    found = resolution.resolve(
        located.value,
        digest=identity.digest,
        signature=identity.signature,
        plan=plan,
        environment=environment,
    )
    origins = {key: _origin(located, source) for key, source in found.sources.items()}
    required = tuple(_origin(located, source) for source in found.required)
    return Resolved(found.effective, origins, required, found.left_out)


def _origin(located: Located, source: Source) -> Origin:
    line = None if source.path is None else located.key_line(source.path)
    return Origin(source.layer, line, source.instead_of)
