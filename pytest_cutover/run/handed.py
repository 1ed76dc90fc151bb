"""What the process that runs the gates is handed by the one that began the run; never a key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.model import EffectivePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Handed:
    """In one process it is handed as it is; to a supervised child and to xdist's workers as JSON.

    `places` are where the store and the log are kept, if there are any. `carried` are the gates of an earlier run that are not run, `prove_red` what is to be distorted.
    """

    run_dir: Path
    nonce: str
    policy: EffectivePolicy
    targets: Mapping[str, str]
    places: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[Mapping[str, Any], ...] = ()
    prove_red: Any = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run_dir": str(self.run_dir),
            "nonce": self.nonce,
            "policy": self.policy.to_json(),
            "targets": dict(self.targets),
            "places": dict(self.places),
            "carried": list(self.carried),
            "prove_red": self.prove_red,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Handed:
        """The inverse of `to_json`; raises KeyError and its like for anything else."""
        return cls(
            run_dir=Path(data["run_dir"]),
            nonce=data["nonce"],
            policy=EffectivePolicy.from_json(data["policy"]),
            targets=data["targets"],
            places=data["places"],
            carried=tuple(data["carried"]),
            prove_red=data["prove_red"],
        )
