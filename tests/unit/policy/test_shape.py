"""Mistakes of shape, each with line and way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.phases import PHASES
from pytest_cutover.policy.document import Document
from pytest_cutover.policy.schema import policy_schema
from pytest_cutover.resolution import BuiltIn
from tests.unit.policy.documents import FILE, GOOD, MISSING, changed, line_of, mistakes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LATENCY = ("limits", "app.ready", "latency")
PREFLIGHT = ("plans", "preflight")
PROD = ("environments", "prod")

REFUSED: list[tuple[Sequence[str | int], Any, str, str]] = [
    (("format",), 2, "expected 1, got 2", "newer pytest-cutover"),
    (("format",), True, "expected 1, got true", "newer pytest-cutover"),
    (("name",), "", "expected one line of text without whitespace around it, got an empty text", "whitespace"),
    (("name",), "a\nb", "expected one line of text", "whitespace"),
    (("name",), "x" * 401, "expected at most 400 characters", "shorten"),
    (("version",), 0, "expected at least 1, got 0", "count from 1"),
    (("version",), 1.5, r"expected a whole number, got 1\.5", "without a fraction"),
    (("version",), True, "expected a whole number, got true", "without a fraction"),
    (("expires",), 5, "expected a text, got 5", "docs/reference/policy.md, `expires`"),
    (("name",), None, "expected a value, got null", "leave the key out"),
    (("nmae",), "x", "unknown key 'nmae'", "did you mean 'name'"),
    (("max_age_s",), 5, "unknown key 'max_age_s'", "'max_age_s' belongs in defaults, or a plan's"),
    (("defaults", "max_age"), 5, "unknown key 'max_age'", "did you mean 'max_age_s'"),
    (("defaults", "max_age_s"), 0, r"expected at least 0\.001 seconds, got 0", "unit is seconds"),
    (("defaults", "max_age_s"), -5, r"expected at least 0\.001 seconds, got -5", "unit is seconds"),
    (("defaults", "max_age_s"), "900", "expected a number, got the text '900'", "without quotes"),
    (("defaults", "max_age_s"), 10**9, "expected at most 31622400 seconds", "unit is seconds"),
    (("defaults", "decision_ttl_s"), True, "expected a number, got true", "`decision_ttl_s`"),
    (("defaults", "gate_timeout_s"), 0, "expected at least", "seconds"),
    (("defaults", "run_deadline_s"), 0, "expected at least", "seconds"),
    (("defaults", "clock_tolerance_s"), -1, "expected at least 0 seconds, got -1", "seconds"),
    (("defaults", "clock_tolerance_s"), 301, "expected at most 300 seconds, got 301", "seconds"),
    (("defaults", "min_samples"), 0, "expected at least 1, got 0", "leave it out"),
    (("defaults", "min_samples"), 10**13, "expected at most 1000000000000", "nobody collects"),
    (("defaults", "runner"), "supervise", "expected one of 'in-process' or 'supervised'", "did you mean 'supervised'"),
    (("defaults", "development_key"), "yes", "expected true or false, got the text 'yes'", "`development_key`"),
    (("defaults", "gate_code"), "gates", "expected an object, got the text 'gates'", "`gate_code`"),
    (("defaults", "gate_code"), {"paths": []}, "expected at least 1 entry, got an empty list", "add an entry"),
    (("defaults", "gate_code"), {"sha": "x"}, "unknown key 'sha'", "did you mean 'sha256'"),
    (("defaults", "gate_code"), {"sha256": "sha256:" + "a" * 64}, "64 small hex digits", "leave out any sha256: prefix"),
    (("plans",), {}, "expected at least 1 entry, got an empty object", "add a plan"),
    (("plans", "Pre Flight"), GOOD["plans"]["preflight"], "expected an id such as service.ready", "small letters"),
    ((*PREFLIGHT, "requires"), [], "expected at least 1 entry, got an empty list", "requires nothing proves nothing"),
    ((*PREFLIGHT, "requires"), "app.ready", "expected a list, got the text 'app.ready'", "`requires`"),
    ((*PREFLIGHT, "requires", 0), 5, "expected a gate id, or an object with gate and instances, got 5", "`requires`"),
    ((*PREFLIGHT, "requires", 0), "App", "expected an id such as service.ready, got the text 'App'", "small letters"),
    ((*PREFLIGHT, "requires", 0), "app.ready[x]", "expected a gate, not one of its", r'"instances": \["x"\]'),
    ((*PREFLIGHT, "requires", 1, "instances"), [], "expected at least 1 entry, got an empty list", "name the instances"),
    ((*PREFLIGHT, "requires", 1, "instances"), 0, "expected at least 1, got 0", "count from 1"),
    ((*PREFLIGHT, "requires", 1, "instances"), True, "expected a list of instance names, or their number", "instances"),
    ((*PREFLIGHT, "requires", 1, "instances", 0), "", "one line of text", "whitespace"),
    ((*PREFLIGHT, "phase"), "canry", "expected one of 'preflight'", "did you mean 'canary'"),
    ((*LATENCY, "at_mots"), 1, "unknown key 'at_mots'", "did you mean 'at_most'"),
    ((*LATENCY, "at_most"), "5", "expected a number, got the text '5'", "texts are judged by equals or one_of"),
    ((*LATENCY, "at_most"), True, "expected a number, got true", "`at_most`"),
    (LATENCY, {"equals": True}, "expected a number or a text, got true", 'measure a text such as "pass"'),
    (LATENCY, {"equals": ""}, "expected a number or a text with something in it, got an empty", "absent"),
    (LATENCY, {"one_of": []}, "expected at least 1 entry, got an empty list", "list at least one value"),
    (LATENCY, {"one_of": [[1]]}, "expected a number or a text, got a list", "never true or false"),
    (LATENCY, {"between": [1]}, r"expected \[low, high\], got 1 of them", "both ends"),
    (LATENCY, {"between": [1, 2, 3]}, r"expected \[low, high\], got 3 of them", "both ends"),
    (LATENCY, {"between": ["a", "b"]}, "expected a number, got the text 'a'", "texts are judged by"),
    ((*LATENCY, "unit"), "", "expected one line of text without whitespace around it, got an empty", "leave the unit out"),
    ((*LATENCY, "unit"), "s ", "expected one line of text without whitespace around it", '"s" is not "s "'),
    ((*LATENCY, "min_samples"), 0, "expected at least 1, got 0", "leave it out"),
    ((*LATENCY, "max_age_s"), 0, r"expected at least 0\.001 seconds", "seconds"),
    (LATENCY, 5, "expected an object, got 5", "`latency`"),
    (("limits", "Bad Gate"), {"x": {"at_most": 1}}, r"expected a gate id such as .*region\.ready\[eu\]", "small letters"),
    (("limits", "gate[]"), {"x": {"at_most": 1}}, "expected a gate id", "small letters"),
    (("limits", "app.ready", " x"), {"at_most": 1}, "one line of text", "whitespace"),
    (("environments",), {}, "expected at least 1 entry, got an empty object", "add an environment"),
    (("environments", "prod", "sandbx"), True, "unknown key 'sandbx'", "did you mean 'sandbox'"),
    (("environments", "prod", "plans", "nightly", "phase"), "orr", "unknown key 'phase'", "belongs in a plan"),
    (("environments", "prod", "targets", "app"), 5, "expected a text, got 5", "`app`"),
    (("environments", "prod", "subjects", 0, "sha1"), "x", "unknown key 'sha1'", "did you mean 'sha256'"),
    ((*PROD, "store"), {"plaec": "x"}, "unknown key 'plaec'", "did you mean 'place'"),
    ((*PROD, "store"), {"days": 3}, "unknown key 'days'", "belongs in a store's retention"),
    ((*PROD, "store"), {"endpoint": "minio:9"}, "expected the address of a server such as .*, got the text 'minio:9'", "begin with http"),
    ((*PROD, "store"), {"endpoint": "https://me:hunter2@a"}, "expected the address of a server .*, got one with credentials$", "environment"),
    ((*PROD, "store"), {"region": "a b"}, "expected a region such as eu-central-1, got the text 'a b'", "small letters"),
    ((*PROD, "store"), {"retention": {}}, "expected the key 'days', got none", "how many days"),
    ((*PROD, "store"), {"retention": {"days": 0}}, "expected at least 1 days, got 0", "a day to a century"),
    ((*PROD, "store"), {"retention": {"days": 365250}}, "expected at most 36525 days, got 365250", "a century"),
    ((*PROD, "store"), {"retention": {"days": 1, "mode": "GOVERNANCE"}}, "expected one of 'COMPLIANCE', got the text 'GOVERNANCE'", "COMPLIANCE"),
    ((*PROD, "log"), {"endpoint": "https://me:hunter2@a"}, "expected the address of a server .*, got one with credentials$", "environment"),
    ((*PROD, "log"), {"region": "a b"}, "expected a region such as eu-central-1, got the text 'a b'", "small letters"),
    ((*PROD, "log"), {"days": 3}, "unknown key 'days'", "belongs in a store's retention"),
    ((*PROD, "log"), {"origin": "a b"}, "expected the name of a log, without blanks and plus signs, got the text 'a b'", "checkpoints"),
    ((*PROD, "log"), {"witnesses": ["w.example"]}, "expected the address of a witness such as .*, got the text 'w.example'", "begin with http"),
    ((*PROD, "log"), {"witnesses": ["https://w"], "cosignatures": -1}, "expected at least 0, got -1", ""),
    ((*PROD, "change"), {}, "expected the key 'git', got none", "range of commits"),
    ((*PROD, "guards"), {}, "expected the key 'command', got none", '"command": '),
]  # fmt: skip

ABSENT = [
    (("name",), "expected the key 'name', got none", "give it a name"),
    (("version",), "expected the key 'version', got none", '"version": 1'),
    (("plans",), "expected the key 'plans', got none", '"plans": {'),
    (("limits",), "expected the key 'limits', got none", '"limits": {'),
    (("environments",), "expected the key 'environments', got none", '"environments": {'),
    (("plans", "preflight", "requires"), "expected the key 'requires', got none", "list the gates"),
    (("plans", "preflight", "requires", 1, "gate"), "expected the key 'gate', got none", "name the gate"),
    (("environments", "prod", "subjects", 0, "name"), "expected the key 'name', got none", "name"),
]


class TestCheckShape:
    def test_the_good_document_has_no_mistake(self) -> None:
        assert mistakes_of(GOOD) == []

    @pytest.mark.parametrize(("path", "value", "message", "hint"), REFUSED)
    def test_refuses_with_file_line_and_hint(
        self, path: Sequence[str | int], value: Any, message: str, hint: str
    ) -> None:
        document = changed((path, value))
        issues = mistakes_of(document)

        found = [i for i in issues if re.search(message, i.message)]
        assert found, [i.text for i in issues]
        first = line_of(document, path)
        # What is wrong inside of a new list or object stands on one of its own lines.
        assert found[0].line - first in (range(9) if isinstance(value, dict | list) else (0,))
        assert re.match(rf"{re.escape(FILE)}:{found[0].line}: ", found[0].text)
        assert re.search(hint, found[0].hint), found[0].hint

    @pytest.mark.parametrize(("path", "message", "hint"), ABSENT)
    def test_a_missing_key_is_told_where_it_belongs(
        self, path: Sequence[str | int], message: str, hint: str
    ) -> None:
        document = changed((path, MISSING))
        found = [i for i in mistakes_of(document) if i.message == message]

        assert len(found) == 1
        assert found[0].line == line_of(document, path[:-1])
        assert hint in found[0].hint

    def test_all_mistakes_are_told_at_once(self) -> None:
        """Of shape and of meaning, in file order."""
        document = changed(
            (("name",), ""),
            (("defaults", "max_age_s"), -1),
            (("plans", "preflight", "requires", 0), "app.raedy"),
            (("environments", "prod", "targets", "app"), "ftp://x"),
        )
        issues = mistakes_of(document)

        assert [i.where for i in issues] == [
            "name",
            "defaults/max_age_s",
            "plans/preflight/requires/0",
            "environments/prod/targets/app",
        ]
        assert [i.line for i in issues] == sorted(i.line for i in issues)

    def test_another_format_is_the_only_mistake_told(self) -> None:
        assert len(mistakes_of({"format": 2, "anything": "else"})) == 1

    @pytest.mark.parametrize("value", [[], 5, "x", True])
    def test_a_document_that_is_no_object_is_refused(self, value: Any) -> None:
        assert "expected an object, got" in mistakes_of(value)[0].text

    @pytest.mark.parametrize("key", ["<text>", "<object>", "[key]", "<list>", "0"])
    def test_keys_that_look_like_pydantics_marks_are_named_right(self, key: str) -> None:
        document = changed((("plans", "preflight", "requires", 1, key), 1), ((key,), 1))

        assert [i.where for i in mistakes_of(document) if "unknown key" in i.message] == [
            "plans/preflight/requires/1",
            "",
        ]

    def test_a_measurement_may_be_called_like_pydantics_mark_of_keys(self) -> None:
        issues = mistakes_of(changed((("limits", "app.ready", "[key]"), {"at_most": "x"})))

        assert [i.where for i in issues] == ["limits/app.ready/[key]/at_most"]


class TestModels:
    def test_phases_are_those_of_the_markers(self) -> None:
        phase = policy_schema()["$defs"]["Plan"]["properties"]["phase"]

        assert tuple(phase["enum"]) == PHASES

    def test_every_setting_has_a_built_in_value(self) -> None:
        settings = Document.model_fields["defaults"].annotation

        assert set(BuiltIn._fields) == set(settings.model_fields)  # type: ignore[union-attr] # a model
