"""The effective policy, as people read it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.model import EffectivePolicy
from pytest_cutover.policy.load import LoadedPolicy, load_policy
from pytest_cutover.policy.view import as_json, as_text, duration
from tests.unit.policy.documents import FILE, GOOD, NOW, changed, line_of, write

if TYPE_CHECKING:
    from pathlib import Path


def load(
    folder: Path, document: Any = GOOD, *, plan: str = "preflight", environment: str = "prod"
) -> LoadedPolicy:
    return load_policy(write(folder, document), plan=plan, environment=environment, anchor=None, now=NOW)


def lines(folder: Path, document: Any = GOOD, **names: str) -> list[str]:
    return as_text(load(folder, document, **names), FILE, now=NOW).splitlines()


class TestAsText:
    def test_a_value_stands_beside_its_line_and_what_it_replaced(self, tmp_path: Path) -> None:
        text = lines(tmp_path)
        at = line_of(GOOD, ("environments", "prod", "limits", "app.ready", "latency"))
        age = line_of(GOOD, ("environments", "prod", "settings", "max_age_s"))

        latency = next(x for x in text if " latency " in x)
        assert re.search(rf"at most 0\.2 s .*line {at} \(environment\), instead of at most 0\.5 s$", latency)
        setting = next(x for x in text if x.startswith("max_age_s"))
        assert re.search(
            rf"120 s \(2 min\) .*line {age} \(environment\), instead of 600 s \(10 min\)$", setting
        )

    def test_every_setting_and_every_limit_is_there(self, tmp_path: Path) -> None:
        loaded = load(tmp_path)
        text = as_text(loaded, FILE, now=NOW)

        for key in loaded.resolved.origins:
            assert (key if isinstance(key, str) else key[1]) in text
        assert "built-in" in next(x for x in text.splitlines() if x.startswith("decision_ttl_s"))

    def test_columns_are_aligned_and_nothing_trails(self, tmp_path: Path) -> None:
        text = lines(tmp_path)
        start = next(i for i, x in enumerate(text) if x.startswith("GATE"))
        column = text[start].index("FROM")

        table = text[start + 1 : text.index("", start)]
        assert all(x[column - 1] == " " and x[column] != " " for x in table if FILE in x)
        assert all(x == x.rstrip() for x in text)

    def test_says_what_an_environment_leaves_out(self, tmp_path: Path) -> None:
        text = lines(tmp_path, plan="nightly")

        assert any(re.match(r"\(app\.ready\) +left out by the environment", x) for x in text)
        assert any("(not required by this plan)" in x for x in text)

    def test_says_when_the_policy_has_expired(self, tmp_path: Path) -> None:
        expired = changed((("expires",), "2020-01-01T00:00:00Z"))

        assert "EXPIRED 2020-01-01 00:00 UTC" in lines(tmp_path, expired)[0]
        assert "valid until 2030-01-01 00:00 UTC" in lines(tmp_path)[0]

    def test_says_that_a_signature_is_missing_and_what_to_do(self, tmp_path: Path) -> None:
        text = lines(tmp_path)

        assert any("UNSIGNED: the policy carries no signature" in x for x in text)
        assert any("hint: cutover policy sign" in x for x in text)

    def test_the_samples_and_age_that_apply_are_shown(self, tmp_path: Path) -> None:
        """Of the limit if it names them, otherwise of the settings; those of samples are for numbers."""
        text = lines(tmp_path, environment="sandbox")

        assert re.search(r"latency +at most 0\.5 s +3 or more +60 s \(1 min\)", "\n".join(text))
        assert re.search(r"ratio +between 0\.9 and 1 +5 or more +600 s \(10 min\)", "\n".join(text))
        assert re.search(r"status +one of ready, ok +any +600 s", "\n".join(text))


class TestStore:
    def test_its_server_and_retention_are_shown(self, tmp_path: Path) -> None:
        server = {"endpoint": "https://s3.example", "region": "eu"}
        store = {"place": "s3://evidence", **server, "retention": {"days": 30}}
        document = changed((("environments", "prod", "store"), store))

        shown = next(line for line in lines(tmp_path, document) if line.startswith("store "))
        assert shown.split(maxsplit=1)[1] == (
            "s3://evidence at https://s3.example, region eu, retained for 30 days at least"
        )
        out = as_json([load(tmp_path, document)], FILE)["plans"]["preflight"]["store"]
        assert out == {"place": "s3://evidence", **server, "retention_days": 30}

    def test_one_that_says_no_more_is_its_place(self, tmp_path: Path) -> None:
        document = changed((("environments", "prod", "store"), {}))

        assert "var/evidence" in next(x for x in lines(tmp_path, document) if x.startswith("store ")).split()
        assert as_json([load(tmp_path)], FILE)["plans"]["preflight"]["store"] is None


class TestLog:
    def test_its_server_and_witnesses_are_shown(self, tmp_path: Path) -> None:
        at = {"place": "s3://log", "endpoint": "https://s3.example", "region": "eu"}
        asked = {"witnesses": ["https://w.example"], "cosignatures": 1}
        document = changed((("environments", "prod", "log"), at | asked | {"origin": "shop.log"}))

        shown = next(line for line in lines(tmp_path, document) if line.startswith("log "))
        assert shown.split(maxsplit=1)[1] == (
            "shop.log in s3://log at https://s3.example, region eu, 1 cosignatures, asking https://w.example"
        )
        out = as_json([load(tmp_path, document)], FILE)["plans"]["preflight"]["log"]
        assert out == at | {"witnesses": ["https://w.example"]}

    def test_one_that_says_no_more_is_its_place(self, tmp_path: Path) -> None:
        document = changed((("environments", "prod", "log"), {}))

        shown = next(line for line in lines(tmp_path, document) if line.startswith("log "))
        assert shown.endswith(" cutover.local in var/cutover/log")
        out = as_json([load(tmp_path, document)], FILE)["plans"]["preflight"]["log"]
        assert out == {"place": "var/cutover/log", "endpoint": None, "region": None, "witnesses": []}
        assert as_json([load(tmp_path)], FILE)["plans"]["preflight"]["log"] is None


class TestAsJson:
    def test_is_the_effective_policy_with_its_origins(self, tmp_path: Path) -> None:
        loaded = load(tmp_path)
        out = json.loads(json.dumps(as_json([loaded], FILE)))["plans"]["preflight"]

        assert EffectivePolicy.from_json(out["effective"]) == loaded.effective
        assert out["origins"]["app.ready/latency"] == {
            "from": "environment",
            "file": FILE,
            "line": line_of(GOOD, ("environments", "prod", "limits", "app.ready", "latency")),
            "instead_of": "at most 0.5 s",
        }
        assert out["origins"]["decision_ttl_s"] == {"from": "built-in"}
        assert out["subjects"][0] == {"name": "shop", "from": "files dist/*.whl"}


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (5.0, "5 s"),
            (0.001, "0.001 s"),
            (Decimal("0.5"), "0.5 s"),
            (60.0, "60 s (1 min)"),
            (90.0, "90 s"),
            (3600.0, "3600 s (1 h)"),
            (Decimal(86400), "86400 s (1 d)"),
            (100.0, "100 s"),
            (31622400.0, "31622400 s (366 d)"),
        ],
    )
    def test_is_exact_and_readable(self, seconds: float | Decimal, text: str) -> None:
        assert duration(seconds) == text
