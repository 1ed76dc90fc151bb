"""What attempts show of each gate: seen red, stopped but never red, or green whatever it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_cutover.outlook.calls import calls_in
from pytest_cutover.reasons import Weight
from pytest_cutover.sources.adverse import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_cutover.model import GateDecision, GateInfo
    from pytest_cutover.proof.attempts import Attempt, Attempts


class State(Enum):
    """Worst first."""

    NEVER = "never"  # green under everything
    ABSENT = "absent"  # not collected
    UNPROVEN = "unproven"  # already with true readings
    STOPS = "stops"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Proof:
    """One gate. `kind` is the adverse reading that `finding` came with; None: it was so with true readings."""

    key: str
    state: State
    where: str | None = None
    kind: str | None = None
    code: str | None = None
    finding: str | None = None
    reads: Mapping[str, int] | None = None
    constants: tuple[str, ...] = ()
    """Measurements whose value stands in the source of a gate that cannot turn red."""

    @property
    def why(self) -> str:
        """The state in a sentence."""
        if self.state is State.NEVER:
            if self.constants:
                return f"cannot turn red: it measures constants ({', '.join(self.constants)})"
            read = ", ".join(
                f"{name} {'once' if n == 1 else f'{n} times'}"
                for name, n in sorted((self.reads or {}).items())
            )
            if not read:
                return "cannot turn red: it reads nothing through http, readyz, command or a scan"
            return f"cannot turn red: it stays green whatever it reads ({read})"
        if self.state is State.ABSENT:
            return "was not collected"
        if self.state is State.UNPROVEN:
            return f"was unproven with true readings: {self.finding}"
        said = "red with true readings" if self.kind is None else f"red with {KINDS[self.kind]}"
        if self.state is State.STOPS:
            said = f"stops, but is not red, with {KINDS[self.kind or '']}"
        return f"{said}: {self.finding}"

    @property
    def hint(self) -> str | None:
        """The way out."""
        if self.state is State.NEVER and self.constants:
            return "measure what was read, and leave the judging to the limit"
        if self.state is State.NEVER and not self.reads:
            return "read through a source, or break what it looks at and see for yourself"
        return {
            State.NEVER: "does it measure what it reads? does it swallow errors? is its limit too wide?",
            State.STOPS: "an error is no measurement: measure what was read, and let a limit judge it",
            State.UNPROVEN: "make it green first: cutover check and cutover run say more",
            State.ABSENT: "cutover check says more",
        }.get(self.state)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"gate": self.key, "state": self.state.value, "said": self.why}
        more = {
            "where": self.where,
            "injected": self.kind,
            "code": self.code,
            "hint": self.hint,
            "reads": dict(self.reads) if self.reads else None,
        }
        return out | {name: value for name, value in more.items() if value is not None}


def prove(
    attempts: Attempts,
    gates: Sequence[str],
    progress: Callable[[str], None],
    *,
    again: bool,
    root: Path,
) -> tuple[Proof, ...]:
    """Try until each gate was seen red or every kind was tried; worst first.

    `again`: what remembered readings do not show red is tried once more with readings taken anew.
    """
    progress("with true readings")
    truth = attempts.run(None, ())
    reads = attempts.reads()
    shared = reads.get("", {})  # by fixtures, before the first gate
    infos = {info.key: info for info in truth.collected}
    found = {
        key: _truthful(key, info, truth, {**shared, **reads.get(info.nodeid, {})})
        for key, info in infos.items()
    }
    for kind, anew in [*((k, False) for k in KINDS), *((k, True) for k in KINDS if again)]:
        left = [key for key, proof in found.items() if _is_open(proof, anew=anew)]
        if not left:
            continue
        progress(f"with {KINDS[kind]}: {len(left)} to be seen red")
        done = [info.nodeid for key, info in infos.items() if key not in left]
        for judged in attempts.run(kind, done, again=anew).decision.gates:
            if judged.key in left:
                found[judged.key] = _after(found[judged.key], kind, judged)
    present = {info.id for info in infos.values()}
    absent = [Proof(gate, State.ABSENT) for gate in gates if gate not in present]
    seen = [_explained(proof, infos[key], root) for key, proof in found.items()]
    order = list(State)
    return tuple(sorted([*absent, *seen], key=lambda p: order.index(p.state)))


def _is_open(proof: Proof, *, anew: bool) -> bool:
    """Whether it may yet be seen red; commands are never taken anew."""
    can_be_taken = not anew or bool(set(proof.reads or ()) - {"command"})
    return proof.state in (State.NEVER, State.STOPS) and can_be_taken


def _explained(proof: Proof, info: GateInfo, root: Path) -> Proof:
    """With the values that its source holds, where those are all that a gate measures."""
    if proof.state is not State.NEVER or not info.file.endswith(".py"):
        return proof
    try:
        found = calls_in((root / info.file).read_text(encoding="utf-8"), info.line)
    except (OSError, ValueError):
        return proof
    constants = tuple(f"{c.name} = {c.value!r:.20}" for c in found.calls if c.value is not None)
    is_all = not found.unknown and len(constants) == len(found.calls)
    return replace(proof, constants=constants if is_all else ())


def _truthful(key: str, info: GateInfo, attempt: Attempt, reads: Mapping[str, int]) -> Proof:
    judged = next(g for g in attempt.decision.gates if g.key == key)
    where = f"{info.file}:{info.line}"
    weight, code, finding = _heaviest(judged)
    if weight is Weight.RED:
        return Proof(key, State.RED, where, None, code, finding, reads)
    if judged.green:
        return Proof(key, State.NEVER, where, reads=reads)
    return Proof(key, State.UNPROVEN, where, None, code, finding, reads)


def _after(before: Proof, kind: str, judged: GateDecision) -> Proof:
    weight, code, finding = _heaviest(judged)
    if weight is Weight.RED:
        return Proof(before.key, State.RED, before.where, kind, code, finding, before.reads)
    if before.state is State.NEVER and not judged.green:
        return Proof(before.key, State.STOPS, before.where, kind, code, finding, before.reads)
    return before


def _heaviest(judged: GateDecision) -> tuple[Weight | None, str | None, str | None]:
    for weight in Weight:
        for finding in judged.findings:
            if finding.weight is weight:
                return weight, finding.reason.code, (finding.message.splitlines() or [""])[0]
    return None, None, None
