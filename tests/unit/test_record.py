"""`fold`: every way a journal can be less than whole, and that it never raises."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cutover.decision import decide
from pytest_cutover.model import Runner, RunRecord, SignerKind, ValueKind, rfc3339
from pytest_cutover.reasons import Reason
from pytest_cutover.record import fold
from tests.unit.journals import (
    AT,
    NOW,
    Event,
    clean_run,
    collected,
    encode,
    exited,
    finished,
    gate_finished,
    gate_started,
    gates,
    info,
    limit,
    measurement,
    nodeid,
    phase,
    policy,
    problem,
    record,
    sign,
    started,
)

SUPERVISED = [started(runner="supervised"), *clean_run()[1:-1], finished(exit=11), exited()]


def messages(folded: RunRecord) -> str:
    return "\n".join(p.message for p in folded.problems)


def reasons(folded: RunRecord) -> set[Reason]:
    return {p.reason for p in folded.problems}


class TestWholeJournal:
    """What a whole journal says arrives in the record."""

    def test_head(self) -> None:
        """Every field of run.started that somebody judges or shows."""
        folded = record(clean_run())

        assert folded.complete
        assert folded.problems == ()
        assert (folded.run_id, folded.plan, folded.environment) == (
            "20261121T084750Z-1a2b3c4d",
            "preflight",
            "sandbox",
        )
        assert (folded.runner, folded.signer) == (Runner.IN_PROCESS, SignerKind.CONFIGURED)
        assert folded.started_at == folded.finished_at == NOW - timedelta(seconds=10)
        assert folded.subjects[0].digest == {"sha256": "c" * 64}

    def test_gate(self) -> None:
        """A gate's phases and measurements with everything that was recorded of them."""
        full = measurement(samples=3, source="https://shop", limit=limit().to_json(), information=True)
        folded = record([*clean_run()[:3], gate_finished("ready", full, notes=["n"]), finished()])

        (result,) = folded.results
        (measured,) = result.measurements
        assert [p.when for p in result.phases] == ["setup", "call", "teardown"]
        assert [p.raised for p in result.phases] == [None] * 3
        assert (measured.value, measured.kind, measured.samples) == ("0.2", ValueKind.NUMBER, 3)
        assert (measured.source, measured.limit, measured.information) == ("https://shop", limit(), True)
        assert (result.notes, result.measured, result.reported) == (("n",), 1, 3)

    def test_own_timeout(self) -> None:
        """0 stands for none of its own."""
        folded = record([started(), collected(info(timeout_s=5), info("b")), finished()])

        assert [i.timeout_s for i in folded.collected] == [5.0, None]

    def test_supervised_end(self) -> None:
        """The parent's word that the child ended as it promised."""
        assert record(SUPERVISED).complete
        assert record(SUPERVISED).problems == ()

    def test_workers_that_agree(self) -> None:
        """Two workers list the same gates; each gate is collected once."""
        events = [
            started(),
            *(gate_started(k) for k in ("ready", "b")),
            gate_finished("ready", worker="gw0"),
            gate_finished("b", worker="gw1"),
            collected("ready", "b", worker="gw0"),
            collected("ready", "b", worker="gw1"),
            finished(),
        ]

        folded = record(events)

        assert folded.problems == ()
        assert len(folded.collected) == 2

    def test_other_tests_may_start(self) -> None:
        """xdist's controller journals every start; those that are no gates are listed as others."""
        other = "tests/test_a.py::test_a"
        events = [started(), gate_started(nodeid=other), collected(gates=[], others=[other]), finished()]

        assert record(events).problems == ()

    def test_deselected_by_one_worker_collected_by_another(self) -> None:
        """What one worker runs is not deselected."""
        folded = record([started(), collected(deselected=[info()]), *gates(), finished()])

        assert folded.deselected == ()


class TestDamage:
    """A line that cannot be believed is a problem with its number."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b'{"seq":1', "the line is cut off"),
            (b"not json\n", "journal line 2"),
            (b"\xff\n", "journal line 2"),
            (
                b'{"seq":1,"event":"gate.started","at":"2026-11-21T08:47:50Z","nodeid":NaN}\n',
                "NaN is not JSON",
            ),
            (b'{"seq":true,"event":"x"}\n', "expected int, got True"),
            (b"[]\n", "journal line 2"),
            (b"1\n", "journal line 2"),
            (b'{"event":"x"}\n', "'seq'"),
            (b'{"seq":-1,"code":"gate.failed"}\n', "expected event 1, got -1"),
            (b"[" * 100_000 + b"\n", "journal line 2"),
        ],
    )
    def test_unreadable_line(self, line: bytes, message: str) -> None:
        """Not JSON, not an object, without a number: damaged, and the verdict is NO-GO."""
        lines = sign(clean_run())
        lines[1] = line

        folded = fold(lines)

        assert Reason.RUN_JOURNAL_DAMAGED in reasons(folded)
        assert message in messages(folded)
        assert not folded.complete

    @pytest.mark.parametrize("at", range(1, 4))
    def test_missing_line_is_told_once(self, at: int) -> None:
        """The numbers show the gap; what follows is still read."""
        lines = sign(clean_run())
        del lines[at]

        assert messages(fold(lines)).count(f"expected event {at}, got {at + 1}") == 1

    def test_swapped_lines(self) -> None:
        """Order is part of what was written."""
        lines = sign(clean_run())
        lines[2], lines[3] = lines[3], lines[2]

        assert Reason.RUN_JOURNAL_DAMAGED in reasons(fold(lines))

    def test_doubled_line(self) -> None:
        """The same line twice is one too many."""
        lines = sign(clean_run())

        assert "expected event 3, got 2" in messages(fold([*lines[:3], *lines[2:]]))

    def test_one_changed_byte(self) -> None:
        """The end carries the digest of all before it."""
        lines = sign(clean_run())
        lines[3] = lines[3].replace(b'"0.2"', b'"0.1"')

        assert "not those that were written" in messages(fold(lines))

    def test_end_of_another_run(self) -> None:
        """The nonce ties an end to its beginning."""
        assert "this run's nonce" in messages(record([*clean_run()[:-1], finished(nonce="00" * 16)]))

    @pytest.mark.parametrize("counted", ["started", "finished", "problems"])
    def test_wrong_counts(self, counted: str) -> None:
        """The end says how many there were."""
        lines = sign(clean_run())
        end = json.loads(lines[-1])
        end["counts"][counted] += 1

        assert "expected counts" in messages(fold([*lines[:-1], encode(end)]))

    @pytest.mark.parametrize("events", [[*clean_run(), gate_started()], [*SUPERVISED, exited()]])
    def test_nothing_follows_the_end(self, events: list[Event]) -> None:
        """An event after the end was not the run's."""
        assert "after the end of the run" in messages(record(events))

    @pytest.mark.parametrize("events", [clean_run()[1:], [started(), *clean_run()]])
    def test_exactly_one_beginning(self, events: list[Event]) -> None:
        """run.started is the first event, and only that."""
        assert "exactly one run.started" in messages(record(events))

    @pytest.mark.parametrize(
        "change",
        [
            {"run_id": None},
            {"nonce": 1},
            {"sandbox": 1},
            {"runner": "nobody"},
            {"signer": None},
            {"subjects": None},
            {"versions": None},
            {"target": None},
            {"at": "yesterday"},
        ],
        ids=lambda c: next(iter(c)),
    )
    def test_beginning_of_the_wrong_shape(self, change: dict[str, Any]) -> None:
        """A beginning that cannot be read is none, and the record says so."""
        folded = record([started(**change), *clean_run()[1:]])

        assert "the journal does not begin with run.started" in messages(folded)
        assert folded.run_id == ""

    @pytest.mark.parametrize(
        "event",
        [
            collected() | {"worker": None},
            collected(others=None),
            collected(others="ab"),
            collected(others=[1]),
            collected(gates=None),
            collected(deselected=None),
            collected("ready", "ready"),
            collected(info(timeout_s=None)),
            collected(info(line="12")),
            collected(info(owner=1)),
            gate_started(nodeid=None),
            gate_finished(measured=None),
            gate_finished(reported=None),
            gate_finished(attempt=True),
            gate_finished(notes=[None]),
            gate_finished(phases=[["call", "passed", None, "", 0.1]]),
            gate_finished(phases=[["call", "passed"]]),
            gate_finished(attachments=[1]),
            gate_finished("ready", measurement(kind="bool")),
            gate_finished("ready", measurement() | {"value": 1}),
            gate_finished("ready", measurement(information=None)),
            gate_finished("ready", measurement(samples=1.5)),
            gate_finished("ready", measurement(observed_at="2026-11-21 08:48")),
            gate_finished("ready", measurement(limit={**limit().to_json(), "bounds": []})),
            gate_finished("ready", measurement(limit={**limit().to_json(), "bounds": [None]})),
            gate_finished("ready", measurement(limit={**limit().to_json(), "bounds": ["NaN"]})),
            gate_finished("ready", measurement(limit={**limit().to_json(), "operator": "between"})),
            gate_finished("ready", measurement(limit={**limit().to_json(), "min_samples": None})),
            gate_finished("ready", measurement(limit={**limit().to_json(), "unit": None})),
            problem("gate.nonsense"),
            {"event": "gate.invented", "at": AT},
            {"event": "gate.started", "at": None, "nodeid": "x"},
        ],
        ids=lambda e: e["event"],
    )
    def test_event_of_the_wrong_shape(self, event: Event) -> None:
        """A field that is missing, null or of another type damages its line; nothing is guessed."""
        folded = record([*clean_run()[:2], event, finished()])

        assert "journal line 3" in messages(folded)

    def test_worker_that_reports_twice(self) -> None:
        """What a worker collected is said once."""
        assert "reported twice" in messages(record([started(), collected(), collected(), finished()]))


class TestEnd:
    """How a run has to end."""

    @pytest.mark.parametrize("events", [clean_run()[:-1], SUPERVISED[:-1], []])
    def test_without_its_end_a_journal_is_incomplete(self, events: list[Event]) -> None:
        """Killed, or cut off; supervised, the parent's line is part of the end."""
        folded = record(events)

        assert Reason.RUN_JOURNAL_INCOMPLETE in reasons(folded)
        assert not folded.complete

    @pytest.mark.parametrize(
        ("end", "message"),
        [
            (exited(signal=9), "ended with signal 9"),
            (exited(status=0), "ended with status 0, it said it would end with 11"),
        ],
    )
    def test_child_that_ends_otherwise(self, end: Event, message: str) -> None:
        """A child that was killed, or exits 0 by itself, did not end as it had promised."""
        folded = record([*SUPERVISED[:-1], end])

        assert reasons(folded) == {Reason.RUN_EXIT_STATUS}
        assert message in messages(folded)

    @pytest.mark.parametrize(("promised", "status"), [(None, None), (11, None), (None, 11)])
    def test_nulled_exit_is_damage(self, promised: int | None, status: int | None) -> None:
        """Two missing numbers are not two equal ones."""
        events = [*SUPERVISED[:-2], finished(exit=promised), exited(status=status)]

        assert Reason.RUN_JOURNAL_DAMAGED in reasons(record(events))

    def test_exit_of_a_child_without_an_end(self) -> None:
        """Said once, as an incomplete journal."""
        assert reasons(record([*SUPERVISED[:-2], exited(signal=9)])) == {Reason.RUN_JOURNAL_INCOMPLETE}

    @pytest.mark.parametrize("status", [1, 2, 3, 4, 137])
    def test_status_that_no_event_explains(self, status: int) -> None:
        """pytest ended badly, and whatever said why is gone from the journal."""
        assert reasons(record([*clean_run()[:-1], finished(status=status)])) == {Reason.RUN_EXIT_STATUS}

    def test_status_that_is_explained(self) -> None:
        """By a problem, or by a phase that did not pass."""
        red = gate_finished(phases=(phase("setup"), phase("call", "failed", "judged"), phase("teardown")))

        assert record([*clean_run()[:3], red, finished(status=1)]).problems == ()
        told = [*clean_run()[:-1], problem("run.not-clean"), finished(status=1)]
        assert reasons(record(told)) == {Reason.RUN_NOT_CLEAN}

    def test_status_is_a_number(self) -> None:
        """A nulled status is not a clean one."""
        assert Reason.RUN_JOURNAL_DAMAGED in reasons(record([*clean_run()[:-1], finished(status=None)]))


class TestRun:
    """What only the whole journal shows."""

    def test_clock_that_goes_back(self) -> None:
        """More than a second: ages cannot be believed."""
        events = clean_run()
        events[2]["at"] = rfc3339(NOW - timedelta(seconds=11.5))

        assert "the clock went back by 1.5 s" in messages(record(events))

    def test_clock_that_steps_a_little(self) -> None:
        """NTP may correct by less than a second."""
        events = clean_run()
        events[2]["at"] = rfc3339(NOW - timedelta(seconds=10.9))

        assert record(events).problems == ()

    def test_workers_that_disagree(self) -> None:
        """xdist workers have to collect the same gates."""
        events = [started(), collected(worker="gw0"), collected("b", worker="gw1"), finished()]

        assert "workers gw0, gw1 collected different gates" in messages(record(events))

    def test_gate_that_nobody_collected(self) -> None:
        """Something ran that no worker reported."""
        events = [started(), collected(), *gates(), *gates("ghost"), finished()]

        assert f"{nodeid('ghost')} ran, and no worker reported" in messages(record(events))

    def test_worker_that_never_said_what_it_collected(self) -> None:
        """Whoever runs gates has to say which it knows."""
        events = [started(), collected(worker="gw0"), gate_started(), gate_finished(worker="gw1"), finished()]

        assert reasons(record(events)) == {Reason.RUN_WORKERS_DISAGREE}

    def test_forked_copy(self) -> None:
        """The line of a forked copy makes the journal unusable, and says why."""
        lines = sign(clean_run())
        lines.insert(3, encode({"seq": -1, "at": AT, **problem("run.forked")}))

        assert {Reason.RUN_FORKED, Reason.RUN_JOURNAL_DAMAGED} == reasons(fold(lines))


_SCALARS = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=8)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_LINES = [
    sign(SUPERVISED),
    sign(
        [
            *clean_run("ready", "b")[:-1],
            gate_finished(
                "b", measurement("x", limit=limit().to_json(), samples=2), attachments=[{"a": "b"}]
            ),
            problem("run.not-clean", where="x"),
            finished(),
        ]
    ),
]


NASTY: tuple[Any, ...] = (
    *(None, True, False, -1, 0.5, 2**70, 10**400, float("inf"), "", "x", "1e999", "NaN", "-0", "\ud800"),
    *([], [[]], [None], ["a"], {}, {"a": None}, {"id": []}, [["a", "b"]], "9999-12-31T23:59:59Z"),
    "2026-11-21T08:48:00+00:00Z",
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside of a JSON document."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(p for key, child in children for p in paths(child, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """`document` with the value at `path` replaced."""
    if not path:
        return value
    copied = dict(document) if isinstance(document, dict) else list(document)
    copied[path[0]] = replaced(copied[path[0]], path[1:], value)
    return copied


@st.composite
def damaged_journals(draw: st.DrawFn) -> list[bytes]:
    """A real journal in which values, bytes and lines were replaced by anything."""
    lines = list(draw(st.sampled_from(_LINES)))
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        try:
            document = json.loads(lines[number])
        except ValueError:
            document = {}
        how = draw(st.sampled_from(["value", "value", "value", "bytes", "cut", "line"]))
        if how == "value":
            path = draw(st.sampled_from(paths(document)))
            lines[number] = json.dumps(replaced(document, path, draw(_JSON))).encode() + b"\n"
        elif how == "bytes":
            at = draw(st.integers(0, len(lines[number])))
            lines[number] = lines[number][:at] + draw(st.binary(max_size=4)) + lines[number][at + 1 :]
        elif how == "cut":
            lines[number] = lines[number][: draw(st.integers(0, len(lines[number])))]
        else:
            lines[number] = draw(st.binary(max_size=30))
    return lines


class TestTotal:
    """fold and decide answer whatever they are given."""

    @pytest.mark.parametrize("lines", _LINES, ids=["supervised", "problem"])
    def test_any_value_in_any_place_never_raises(self, lines: list[bytes]) -> None:
        """Every value of every line replaced by each of the values that parsers trip over."""
        for number, line in enumerate(lines):
            document = json.loads(line)
            for path in paths(document):
                for value in NASTY:
                    changed = encode(replaced(document, path, value))
                    decided = decide(fold([*lines[:number], changed, *lines[number + 1 :]]), policy(), NOW)
                    # The end carries the digest of what is before it, not of itself.
                    same = changed == line or document["event"] in ("run.finished", "run.exited")
                    assert same or decided.exit_code in (10, 11), (path, value)

    @settings(max_examples=400, deadline=None)
    @given(damaged_journals())
    def test_damaged_journal_never_raises(self, lines: list[bytes]) -> None:
        """Anything in place of anything: a record and a decision, never an exception."""
        assert decide(fold(lines), policy(), NOW).exit_code in (0, 10, 11)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=60), max_size=6))
    def test_noise_never_raises(self, lines: list[bytes]) -> None:
        """Noise is no run, and no run is no GO."""
        assert decide(fold(lines), policy(), NOW).exit_code == 11
