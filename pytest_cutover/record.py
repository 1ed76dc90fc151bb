"""From journal lines to the run record. Pure, total: a bad line becomes a problem, never an exception.

The journal's events and their fields are documented in `docs/reference/formats.md`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pytest_cutover.model import (
    GateInfo,
    GateResult,
    Limit,
    LogHead,
    Measurement,
    Opened,
    Phase,
    Problem,
    Runner,
    RunRecord,
    SignerKind,
    Subject,
    ValueKind,
    parse_rfc3339,
)
from pytest_cutover.reasons import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_cutover.obligation import Owed

FORMAT = 1
"""Of the journal; a new one is added beside the old, so that old evidence keeps verifying."""

_CLOCK_TOLERANCE = timedelta(seconds=1)  # an NTP step of less is not worth a NO-GO
_CLEAN_STATUS = (0, 5)  # pytest's "passed", and "nothing collected" of which the empty record tells
_AFTER_END = ("run.problem", "run.exited", "guards.confirmed")  # what the process that decides has to add
_MALFORMED = (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError, RecursionError)


def fold(lines: Sequence[bytes]) -> RunRecord:
    """The record of the run whose journal `lines` are, in order, each with its newline.

    Whatever is missing, out of order, doubled or unreadable is in `problems`, and `complete` is then false.
    """
    reader = _Reader()
    for number, line in enumerate(lines):
        reader.read(number, line)
    return reader.record()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


class _Reader:
    """State of one fold: what the lines so far have said."""

    def __init__(self) -> None:
        self.head: Mapping[str, Any] | None = None
        self.tail: Mapping[str, Any] | None = None
        self.exited: Mapping[str, Any] | None = None
        self.problems: list[Problem] = []
        self.collected: dict[tuple[str, str], GateInfo] = {}
        self.deselected: dict[tuple[str, str], GateInfo] = {}
        self.by_worker: dict[str, frozenset[tuple[str, str]]] = {}
        self.started: dict[str, int] = {}
        self.others: set[str] = set()
        self.results: list[GateResult] = []
        self.to_carry = 0  # so many gate.carried follow the first line, and none comes later
        self.carried: dict[GateInfo, GateResult] = {}
        self.told = 0
        self.expected = 0
        self.digest = hashlib.sha256()
        self.at: datetime | None = None
        self.guards: str | None = None
        self.handlers = {
            "gate.carried": self.on_gate_carried,
            "run.collected": self.on_collected,
            "gate.started": self.on_gate_started,
            "gate.finished": self.on_gate_finished,
            "run.problem": self.on_problem,
            "run.finished": self.on_finished,
            "run.exited": self.on_exited,
            "guards.confirmed": self.on_guards_confirmed,
        }

    def damaged(self, message: str) -> None:
        self.problems.append(Problem(Reason.RUN_JOURNAL_DAMAGED, message))

    def read(self, number: int, line: bytes) -> None:
        try:
            if not line.endswith(b"\n"):
                raise ValueError("the line is cut off")
            event = _DECODER.decode(line.decode())
            expected, seq = self.expected, _typed(event["seq"], int)
            if seq == -1 and event["code"] == Reason.RUN_FORKED.code:
                self.problems.append(Problem(Reason.RUN_FORKED, str(event["message"])))
                return
            self.expected = seq + 1  # go on from here, so that one lost line is told once
            if seq != expected:
                raise ValueError(f"expected event {expected}, got {seq}")
            self.tick(event["at"])
            self.dispatch(seq, event)
        except _MALFORMED as exc:
            self.damaged(f"journal line {number + 1}: {exc or type(exc).__name__}")
        finally:
            self.digest.update(line)

    def tick(self, text: str) -> None:
        at = parse_rfc3339(text)
        if self.at is not None and at < self.at and self.at - at > _CLOCK_TOLERANCE:
            self.problems.append(
                Problem(Reason.RUN_CLOCK, f"the clock went back by {(self.at - at).total_seconds():.1f} s")
            )
        self.at = at

    def dispatch(self, number: int, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if (kind == "run.started") != (number == 0):
            raise ValueError("expected exactly one run.started, as the first event")
        if (self.exited is not None and kind not in ("guards.confirmed", "run.problem")) or (
            self.tail is not None and kind not in _AFTER_END
        ):
            raise ValueError(f"{kind} after the end of the run")
        if self.to_carry and kind != "gate.carried":
            self.damaged(f"journal line {number + 1}: {self.to_carry} gates more were to be carried")
            self.to_carry = 0
        if kind == "run.started":
            _head_values(event)  # raises now, while the line number is known
            self.head = event
            self.to_carry = _to_carry(event)
            for unusable in event.get("unusable_waivers", []):
                message, where = _typed(unusable["reason"], str), _typed(unusable["file"], str)
                self.problems.append(Problem(Reason.WAIVER_UNUSABLE, message, where))
            return
        self.handlers[kind](event)

    def on_collected(self, event: Mapping[str, Any]) -> None:
        gates = {(g["key"], g["nodeid"]): gate_info(g) for g in event["gates"]}
        dropped = {(g["key"], g["nodeid"]): gate_info(g) for g in event["deselected"]}
        worker = _typed(event["worker"], str)
        if worker in self.by_worker:
            raise ValueError(f"worker {worker} reported twice what it collected")
        if len(gates) != len(event["gates"]):
            raise ValueError(f"worker {worker} listed a gate twice")
        self.by_worker[worker] = frozenset(gates)
        self.others.update(_typed(n, str) for n in _typed(event["others"], list))
        self.collected.update(gates)
        self.deselected.update(dropped)

    def on_gate_carried(self, event: Mapping[str, Any]) -> None:
        if not self.to_carry:
            raise ValueError("a gate is carried that the beginning of the run does not announce")
        self.to_carry -= 1
        info, result = gate_info(event["gate"]), gate_result(event["result"])
        for time in (event["started_at"], event["finished_at"]):
            parse_rfc3339(time)
        if result.nodeid != info.nodeid or any(info.nodeid == other.nodeid for other in self.carried):
            raise ValueError(f"{info.nodeid} is carried twice, or with the result of another gate")
        self.carried[info] = replace(result, carried_from=_typed(event["run_id"], str))

    def on_gate_started(self, event: Mapping[str, Any]) -> None:
        nodeid = _typed(event["nodeid"], str)
        self.started[nodeid] = self.started.get(nodeid, 0) + 1

    def on_gate_finished(self, event: Mapping[str, Any]) -> None:
        self.results.append(gate_result(event))

    def on_problem(self, event: Mapping[str, Any]) -> None:
        self.told += 1
        self.problems.append(
            Problem(Reason.of(event["code"]), str(event["message"]), _optional(event["where"], str))
        )

    def on_finished(self, event: Mapping[str, Any]) -> None:
        self.tail = event
        if event["nonce"] != (self.head or {}).get("nonce"):
            raise ValueError("the end does not carry this run's nonce")
        if event["sha256"] != self.digest.hexdigest():
            raise ValueError("the events before the end are not those that were written")
        counted = {
            "started": sum(self.started.values()),
            "finished": len(self.results),
            "problems": self.told,
        }
        if event["counts"] != counted:
            raise ValueError(f"expected counts {event['counts']}, got {counted}")
        status = _typed(event["status"], int)
        explained = any(p.reason.weight is not Weight.NOTE for p in self.problems) or any(
            p.outcome != "passed" for r in self.results for p in r.phases
        )
        if status not in _CLEAN_STATUS and not explained:
            message = f"pytest ended with {status}, and no event says why"
            self.problems.append(Problem(Reason.RUN_EXIT_STATUS, message))

    def on_exited(self, event: Mapping[str, Any]) -> None:
        self.exited = event
        if self.tail is None:
            return  # said by `complete`
        promised = _typed(self.tail["exit"], int)
        if event.get("signal") is not None or _typed(event["status"], int) != promised:
            how = f"signal {event['signal']}" if event.get("signal") else f"status {event.get('status')}"
            self.problems.append(
                Problem(
                    Reason.RUN_EXIT_STATUS,
                    f"the process that ran the gates ended with {how}, it said it would end with {promised}",
                )
            )

    def on_guards_confirmed(self, event: Mapping[str, Any]) -> None:
        if self.tail is None or (self.is_supervised and self.exited is None):
            raise ValueError("guards were confirmed before the gates had ended")
        if self.guards is not None:
            raise ValueError("guards were confirmed twice")
        self.guards = _typed(event["guards"], str)

    @property
    def is_supervised(self) -> bool:
        return self.head is not None and self.head["runner"] == Runner.SUPERVISED.value

    def finish(self) -> None:
        """Add what only the whole journal shows."""
        if self.head is None:
            self.damaged("the journal does not begin with run.started")
        if self.tail is None or (self.is_supervised and self.exited is None):
            self.problems.append(
                Problem(
                    Reason.RUN_JOURNAL_INCOMPLETE, "the journal ends before the run did: it was cut short"
                )
            )
        if len(set(self.by_worker.values())) > 1:
            self.problems.append(
                Problem(
                    Reason.RUN_WORKERS_DISAGREE,
                    f"workers {', '.join(self.by_worker)} collected different gates",
                )
            )
        silent = sorted({r.worker for r in self.results} - set(self.by_worker))
        if silent:
            self.problems.append(
                Problem(
                    Reason.RUN_WORKERS_DISAGREE,
                    f"worker {silent[0]} ran gates and never said what it collected",
                )
            )
        known = {nodeid for _, nodeid in self.collected} | self.others
        stray = sorted(({r.nodeid for r in self.results} | set(self.started)) - known)
        if stray:
            self.problems.append(
                Problem(
                    Reason.RUN_WORKERS_DISAGREE,
                    f"{stray[0]} ran, and no worker reported to have collected it",
                )
            )
        for info in self.carried:
            if self.collected.get((info.key, info.nodeid)) != info:
                message = f"{info.key} was carried, and is not collected as it was in the run it comes from"
                self.problems.append(Problem(Reason.CARRIED_CHANGED, message, info.nodeid))

    def record(self) -> RunRecord:
        self.finish()
        head = _head_values(self.head if self.head is not None else _NO_HEAD)
        incomplete = (Reason.RUN_JOURNAL_DAMAGED, Reason.RUN_JOURNAL_INCOMPLETE)
        return RunRecord(
            **head,
            finished_at=None if self.tail is None else self.at,
            collected=tuple(self.collected.values()),
            deselected=tuple(i for k, i in self.deselected.items() if k not in self.collected),
            started=self.started,
            results=(*self.carried.values(), *self.results),
            problems=tuple(self.problems),
            complete=not any(p.reason in incomplete for p in self.problems),
            guards_confirmed=self.guards,
        )


_NO_HEAD: Mapping[str, Any] = {
    "format": FORMAT,
    "run_id": "",
    "nonce": "",
    "plan": "",
    "environment": "",
    "sandbox": False,
    "runner": Runner.IN_PROCESS.value,
    "signer": SignerKind.NONE.value,
    "policy_digest": "",
    "gate_code_digest": "",
    "subjects": [],
    "shard": None,
    "at": "1970-01-01T00:00:00Z",
    "versions": {},
    "target": {},
}


def _head_values(event: Mapping[str, Any]) -> dict[str, Any]:
    """RunRecord's fields that come from run.started."""
    if _typed(event["format"], int) != FORMAT:
        raise ValueError(f"expected a journal of format {FORMAT}, got {event['format']}")
    names = ("run_id", "nonce", "plan", "environment", "policy_digest", "gate_code_digest")
    if not all(isinstance(event[n], str) for n in names) or not isinstance(event["sandbox"], bool):
        raise ValueError("run.started has a field of the wrong type")
    return {n: event[n] for n in names} | {
        "sandbox": event["sandbox"],
        "runner": Runner(event["runner"]),
        "signer": SignerKind(event["signer"]),
        "subjects": tuple(Subject(s["name"], dict(s["digest"])) for s in event["subjects"]),
        "shard": event["shard"],
        "started_at": parse_rfc3339(event["at"]),
        "versions": dict(event["versions"]),
        "target": dict(event["target"]),
        # Evidence of the first days has none; without authors no waiver counts.
        "authors": tuple(_typed(a, str) for a in _typed(event.get("authors", []), list)),
        "owed": _owed(event.get("owed", [])),
        "opened": _opened(event.get("opened")),
        "log": None if event.get("log") is None else LogHead(*_LOG(event["log"])),
    }


def _owed(value: Any) -> tuple[Owed, ...]:
    if not _typed(value, list):
        return ()  # nearly every run; verifying it need not wait for what it does not use
    from pytest_cutover.obligation import read_owed

    return tuple(map(read_owed, value))


def _opened(value: Any) -> Opened | None:
    return None if value is None else Opened(*_OPENED(value)[:-1])


def _to_carry(event: Mapping[str, Any]) -> int:
    """How many gates the run says that it carries."""
    value = event.get("opened")
    count: int = 0 if value is None else _OPENED(value)[-1]
    if value is not None and count < 1:
        raise ValueError("a run is opened to carry at least one gate")
    return count


def gate_result(event: Mapping[str, Any]) -> GateResult:
    """The result that a gate.finished event, or a worker's report, describes.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError: malformed input.
    """
    nodeid, worker, attempt, measured, reported, phases, measurements = _RESULT(event)
    return GateResult(
        nodeid=nodeid,
        attempt=attempt,
        phases=tuple([_phase(p) for p in phases]),
        measurements=tuple([_measurement(m) for m in measurements]),
        measured=measured,
        reported=reported,
        notes=tuple([_typed(n, str) for n in event["notes"]]),
        attachments=tuple([dict(a) for a in event["attachments"]]),
        worker=worker,
        duration_s=float(event["duration_s"]),
    )


_T = TypeVar("_T")
_KINDS = {kind.value: kind for kind in ValueKind}


class _Fields:
    """Reads fields of an event that must all be there, each of exactly its type: JSON's true is no int here."""

    def __init__(self, **kinds: type) -> None:
        self._get = itemgetter(*kinds)
        self._kinds = tuple(kinds.values())

    def __call__(self, event: Mapping[str, Any]) -> tuple[Any, ...]:
        values: tuple[Any, ...] = self._get(event)
        if tuple(map(type, values)) != self._kinds:  # thirty calls per gate would be a tenth of a fold
            for value, kind in zip(values, self._kinds, strict=True):
                _typed(value, kind)
        return values


_RESULT = _Fields(
    nodeid=str, worker=str, attempt=int, measured=int, reported=int, phases=list, measurements=list
)
_LOG = _Fields(origin=str, size=int, root=str)
_OPENED = _Fields(run_id=str, nonce=str, report=str, bundle=str, carried=int)
_INFO = _Fields(id=str, key=str, nodeid=str, file=str, line=int, title=str)
_MEASUREMENT = _Fields(name=str, value=str, unit=str, observed_at=str)


def _typed(value: Any, kind: type[_T]) -> _T:
    """`value`, of exactly this type: JSON's true is no int here."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r:.60}")
    return value


def _optional(value: Any, kind: type[_T]) -> _T | None:
    return None if value is None else _typed(value, kind)


def gate_info(g: Mapping[str, Any]) -> GateInfo:
    """The gate that an entry of run.collected describes; raises as `gate_result` does."""
    gate_id, key, nodeid, file, line, title = _INFO(g)
    return GateInfo(
        id=gate_id,
        key=key,
        nodeid=nodeid,
        file=file,
        line=line,
        title=title,
        category=_optional(g["category"], str),
        owner=_optional(g["owner"], str),
        remedy=_optional(g["remedy"], str),
        timeout_s=float(g["timeout_s"]) or None,
    )


def _phase(p: Sequence[Any]) -> Phase:
    when, outcome, raised, message, duration_s = p
    for text in (when, outcome, raised, message):
        if type(text) is not str:
            raise TypeError(f"expected str, got {text!r:.60}")
    return Phase(when, outcome, raised or None, message, float(duration_s))


def _measurement(m: Mapping[str, Any]) -> Measurement:
    name, value, unit, observed_at = _MEASUREMENT(m)
    limit = m.get("limit")
    return Measurement(
        name=name,
        value=value,
        kind=_KINDS[m["kind"]],
        unit=unit,
        observed_at=parse_rfc3339(observed_at),
        samples=_optional(m.get("samples"), int),
        source=_optional(m.get("source"), str),
        limit=None if limit is None else Limit.from_json(limit),
        information=_typed(m.get("information", False), bool),
    )
