"""Mistakes of meaning, each with line and way out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.policy.documents import FILE, GOOD, MISSING, NOW, changed, issues_of, line_of, mistakes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_cutover.policy.issues import Issue

LATENCY = ("limits", "app.ready", "latency")
REQUIRES = ("plans", "preflight", "requires")
PROD = ("environments", "prod")
SANDBOX = ("environments", "sandbox")
CODE = ("defaults", "gate_code")

# Changed path, new value, path of the line that is named, message, hint.
REFUSED: list[tuple[Sequence[str | int], Any, Sequence[str | int], str, str]] = [
    (("expires",), "2026-11-20T00:00:00Z", ("expires",), "expected a time after .*: the policy has expired", "sign it again"),
    (("expires",), "tomorrow", ("expires",), "expected a UTC time, got the text 'tomorrow'", "2030-01-01T00:00:00Z"),
    (("expires",), "2030-01-01T00:00:00+02:00", ("expires",), "expected a UTC time", "2030-01-01T00:00:00Z"),
    (("default_environment",), "sandbx", ("default_environment",), "expected an environment of this policy, got 'sandbx'", "did you mean 'sandbox'.*prod"),
    (("plans", "nightly", "phase"), MISSING, ("plans", "nightly"), "expected a phase, because 'nightly' is none itself", "known phases: preflight"),
    ((*REQUIRES, 0), "region.ready", (*REQUIRES, 1), "gate 'region.ready' is required twice, first on line 15", "remove one"),
    ((*REQUIRES, 1, "instances"), ["eu", "eu"], (*REQUIRES, 1, "instances"), "expected different values, got the text 'eu' 2 times", "named once"),
    ((*REQUIRES, 0), "app.raedy", (*REQUIRES, 0), "no limit judges 'app.raedy'$", 'add "app.raedy" to limits'),
    (("limits", "region.ready"), MISSING, (*REQUIRES, 1), r"no limit judges 'region.ready\[us\]'$", "to limits"),
    ((*PROD, "plans", "nightly", "requires", 0), "db", (*PROD, "plans", "nightly", "requires", 0), "no limit judges 'db'$", "to limits"),
    (("limits", "app.ready"), {}, ("limits", "app.ready"), "expected the limit of a measurement, got none", "remove the gate"),
    (LATENCY, {}, LATENCY, "expected exactly one of at_least, at_most, between, equals, one_of, got none", '"at_most": 1'),
    (LATENCY, {"unit": "s"}, LATENCY, "expected exactly one of .*, got none", '"at_most": 1'),
    (LATENCY, {"at_least": 1, "at_most": 2}, LATENCY, "expected exactly one of .*, got at_least and at_most", r"between \[low, high\]"),
    (LATENCY, {"equals": 1, "one_of": [2]}, LATENCY, "expected exactly one of .*, got equals and one_of", "keep one"),
    (LATENCY, {"between": [2, 1]}, LATENCY, "got between 2 and 1: no value can satisfy that", r"write \[1, 2\]"),
    (LATENCY, {"one_of": [1, "a"]}, (*LATENCY, "one_of"), "expected all numbers or all texts, got both", "without quotes"),
    (LATENCY, {"one_of": ["a", "a"]}, (*LATENCY, "one_of"), "expected different values, got the text 'a' 2 times", "once"),
    (LATENCY, {"one_of": [1, 2, 1.0]}, (*LATENCY, "one_of"), "expected different values, got 1 2 times", "once"),
    (("limits", "region.ready[eu]", "ratio", "unit"), "%", ("limits", "region.ready[eu]", "ratio"), "expected the unit '1' of the gate's limit on line", "change both"),
    ((*PROD, "limits", "app.ready", "latency", "unit"), MISSING, (*PROD, "limits", "app.ready", "latency"), "expected the unit 's' of the limit it replaces on line .*, got '1' because none is written", 'add "unit": "s"'),
    ((*PROD, "limits", "app.ready", "latency", "unit"), "ms", (*PROD, "limits", "app.ready", "latency"), "expected the unit 's' of the limit it replaces on line .*, got 'ms'", "change both, or neither"),
    ((*PROD, "limits", "app.redy"), {"x": {"equals": 1}}, (*PROD, "limits", "app.redy"), "expected a gate that this policy requires or limits, got 'app.redy'", "did you mean 'app.ready'"),
    ((*PROD, "plans", "nightli"), {"requires": ["app.ready"]}, (*PROD, "plans", "nightli"), "expected a plan of this policy, got 'nightli'", "did you mean 'nightly'"),
    ((*CODE,), {"paths": ["/etc/gates"]}, (*CODE, "paths", 0), "expected a path inside the project, got the absolute '/etc/gates'", "relative"),
    ((*CODE,), {"paths": ["C:\\gates"]}, (*CODE, "paths", 0), "got the absolute", "relative"),
    ((*CODE,), {"paths": ["gates/../.."]}, (*CODE, "paths", 0), r"expected a path inside the project, got 'gates/\.\./\.\.'", "relative"),
    ((*CODE,), {"paths": ["."]}, (*CODE, "paths", 0), "expected a file or folder, got '.'", "a run itself writes"),
    ((*CODE,), {"paths": ["a", "a"]}, (*CODE, "paths"), "expected different values, got the text 'a' 2 times", "once"),
    ((*PROD, "sandbox"), True, (*PROD, "sandbox"), "expected no sandbox, got true for 'prod'", "only the environment named 'sandbox'"),
    ((*SANDBOX, "sandbox"), False, (*SANDBOX, "sandbox"), 'expected "sandbox": true in the environment named sandbox', 'add "sandbox": true'),
    ((*SANDBOX, "sandbox"), MISSING, SANDBOX, 'expected "sandbox": true', 'add "sandbox": true'),
    ((*PROD, "targets", "app"), "embedded", (*PROD, "targets", "app"), "expected an address, got 'embedded' outside of the sandbox", "sandbox service"),
    ((*PROD, "targets", "app"), "ftp://shop.example", (*PROD, "targets", "app"), "expected an http or https address, got 'ftp://shop.example'", "https://shop.example"),
    ((*PROD, "targets", "app"), "shop.example", (*PROD, "targets", "app"), "expected an http or https address", "https://shop.example"),
    ((*PROD, "targets", "app"), "https://", (*PROD, "targets", "app"), "expected an http or https address", "https://shop.example"),
    ((*PROD, "targets", "app"), "https://a:99999", (*PROD, "targets", "app"), "expected an http or https address", "https://shop.example"),
    ((*PROD, "targets", "app"), "https://a b", (*PROD, "targets", "app"), "expected an http or https address", "https://shop.example"),
    ((*PROD, "targets", "app"), "https://[x", (*PROD, "targets", "app"), "expected an http or https address", "https://shop.example"),
    ((*PROD, "targets", "app"), "https://u:hunter2@a", (*PROD, "targets", "app"), "expected an address without credentials, got one with$", "environment"),
    ((*PROD, "subjects", 0, "files"), MISSING, (*PROD, "subjects", 0), "expected exactly one of sha256, files, command, git, got none", "dist"),
    ((*PROD, "subjects", 0, "git"), "HEAD", (*PROD, "subjects", 0), "expected exactly one of .*, got files and git", "keep one"),
    ((*PROD, "subjects", 1, "name"), "shop", (*PROD, "subjects", 1), "subject 'shop' is listed twice, first on line", "its own name"),
    ((*PROD, "subjects", 1, "git"), "--upload-pack=x", (*PROD, "subjects", 1, "git"), "expected a revision, got '--upload-pack=x'", "HEAD"),
    ((*PROD, "subjects", 0, "files"), "../x/*.whl", (*PROD, "subjects", 0, "files"), "expected a glob inside the project", "dist"),
    ((*PROD, "subjects", 0, "files"), "/dist/*.whl", (*PROD, "subjects", 0, "files"), "expected a glob inside the project", "dist"),
    ((*PROD, "subjects", 0), {"name": "x", "command": [" "]}, (*PROD, "subjects", 0, "command", 0), "expected a program, got an empty text", "program's name"),
    ((*PROD, "store"), {"endpoint": "https://s3.example"}, (*PROD, "store", "endpoint"), "expected no endpoint where evidence is kept in a folder, got one", "s3://bucket"),
    ((*PROD, "store"), {"place": "evidence", "region": "eu"}, (*PROD, "store", "region"), "expected no region where evidence is kept in a folder, got one", "s3://bucket"),
    ((*PROD, "log"), {"endpoint": "https://s3.example"}, (*PROD, "log", "endpoint"), "expected no endpoint where the log is kept in a folder, got one", "s3://bucket"),
    ((*PROD, "log"), {"place": "log", "region": "eu"}, (*PROD, "log", "region"), "expected no region where the log is kept in a folder, got one", "s3://bucket"),
    (("name",), "a\x1b[2Jb", ("name",), r"expected plain text, got the control character U\+001B", "remove it"),
    (("limits", "app.ready", "x\x9by"), {"equals": 1}, ("limits", "app.ready"), r"control character U\+009B", "remove it"),
    ((*PROD, "log"), {"witnesses": ["https://w"], "cosignatures": 2}, (*PROD, "log", "cosignatures"), "cosignatures wanted: 2, witnesses asked: 1: every run would be NO-GO", "list the addresses"),
    ((*PROD, "log"), {"witnesses": ["https://w", "https://w"]}, (*PROD, "log", "witnesses"), "got the text 'https://w' 2 times", "counts once"),
]  # fmt: skip

NOTED: list[tuple[Sequence[str | int], Any, Sequence[str | int], str, str]] = [
    (("limits", "app.raedy"), {"x": {"equals": 1}}, ("limits", "app.raedy"), "no plan requires 'app.raedy'", "did you mean 'app.ready'"),
    (("limits", "region.ready[ap]"), {"ratio": {"at_least": 1}}, ("limits", "region.ready[ap]"), r"no plan names the instance 'region.ready\[ap\]'", "instances"),
    ((*PROD, "limits", "app.ready", "latncy"), {"at_most": 1}, (*PROD, "limits", "app.ready", "latncy"), "judges 'latncy', which has a limit in this environment only", "did you mean 'latency'"),
    (("plans", "preflight", "settings", "run_deadline_s"), 20, ("plans", "preflight", "settings", "run_deadline_s"), "ends after 20 s, before one gate's 30 s", "raise"),
    ((*PROD, "settings", "development_key"), True, (*PROD, "settings", "development_key"), "a development key may sign for 'prod'", "CUTOVER_KEY"),
]  # fmt: skip


def found(document: Any, message: str, *, note: bool = False) -> Issue:
    issues = issues_of(document)
    hits = [i for i in issues if re.search(message, i.message) and i.note is note]
    assert len(hits) == 1, [i.text for i in issues]
    return hits[0]


class TestCheck:
    @pytest.mark.parametrize(("path", "value", "place", "message", "hint"), REFUSED)
    def test_refuses_with_file_line_and_hint(
        self,
        path: Sequence[str | int],
        value: Any,
        place: Sequence[str | int],
        message: str,
        hint: str,
    ) -> None:
        document = changed((path, value))
        issue = found(document, message)

        assert issue.line == line_of(document, place)
        assert issue.text.startswith(f"{FILE}:{issue.line}: ")
        assert re.search(hint, issue.hint), issue.hint

    @pytest.mark.parametrize(("path", "value", "place", "message", "hint"), NOTED)
    def test_notes_what_stops_nothing(
        self,
        path: Sequence[str | int],
        value: Any,
        place: Sequence[str | int],
        message: str,
        hint: str,
    ) -> None:
        document = changed((path, value))
        issue = found(document, message, note=True)

        assert mistakes_of(document) == []
        assert issue.line == line_of(document, place)
        assert re.search(hint, issue.hint), issue.hint

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (LATENCY, {"between": [1, 1], "unit": "s"}),
            (LATENCY, {"equals": 0, "unit": "s"}),
            (LATENCY, {"at_least": -1e-9, "unit": "s"}),
            (("expires",), "2026-11-21T09:00:01Z"),
            (("expires",), MISSING),
            (("default_environment",), MISSING),
            (("defaults",), MISSING),
            (("$schema",), MISSING),
            ((*PROD, "sandbox"), False),
            ((*PROD, "targets", "app"), "http://127.0.0.1:8080/base?x=1"),
            ((*PROD, "targets", "app"), "https://[::1]:8443"),
            ((*PROD, "subjects", 0), {"name": "x", "sha256": "a" * 64}),
            ((*PROD, "subjects", 0), {"name": "x", "command": ["sh", "-c", "a\n\tb"]}),
            ((*REQUIRES, 1, "instances"), MISSING),
            ((*CODE,), {"paths": ["gates", "conftest.py", "a b/c"], "sha256": "0" * 64}),
            (("defaults", "clock_tolerance_s"), 0),
        ],
    )
    def test_accepts(self, path: Sequence[str | int], value: Any) -> None:
        assert mistakes_of(changed((path, value))) == []

    def test_a_password_is_not_repeated(self) -> None:
        document = changed(((*PROD, "targets", "app"), "https://u:hunter2@a"))

        assert not [i for i in issues_of(document) if "hunter2" in i.text + i.hint]

    def test_an_end_date_in_the_past_is_left_to_the_decision_without_now(self) -> None:
        document = changed((("expires",), "2020-01-01T00:00:00Z"))

        assert mistakes_of(document, now=None) == []
        assert mistakes_of(document, now=datetime(2019, 1, 1, tzinfo=UTC)) == []
        assert len(mistakes_of(document, now=NOW)) == 1

    def test_a_gate_that_one_environment_alone_judges_is_unjudged_in_the_others(self) -> None:
        document = changed(
            ((*REQUIRES, 0), "db.ready"), ((*PROD, "limits", "db.ready"), {"lag": {"at_most": 1}})
        )
        issue = found(document, "no limit judges 'db.ready' in environment sandbox$")

        assert issue.line == line_of(document, (*REQUIRES, 0))

    def test_a_gate_that_every_environment_judges_is_judged(self) -> None:
        document = changed(
            ((*REQUIRES, 0), "db.ready"),
            ((*PROD, "limits", "db.ready"), {"lag": {"at_most": 1}}),
            ((*SANDBOX, "limits"), {"db.ready": {"lag": {"at_most": 9}}}),
        )

        assert mistakes_of(document) == []

    def test_a_counted_gate_needs_a_limit_of_the_gate(self) -> None:
        """Instances that are only counted have no names that limits could name."""
        document = changed(
            (("limits", "app.ready"), MISSING), (("limits", "app.ready[x]"), {"a": {"equals": 1}})
        )

        assert [
            i
            for i in mistakes_of(document)
            if "no limit judges 'app.ready' in environment sandbox" in i.message
        ]

    def test_a_misspelt_operator_is_told_once(self) -> None:
        issues = mistakes_of(changed((LATENCY, {"at_mots": 1, "unit": "s"})))

        assert [i.message for i in issues] == ["unknown key 'at_mots'"]

    def test_the_good_document_has_no_note_either(self) -> None:
        assert issues_of(GOOD) == []
