"""summary.md, annotations and the code quality report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_cutover.report import annotations as github
from pytest_cutover.report import codequality, summary
from tests.unit.report import samples
from tests.unit.report.hostile import ATTACKS, hostile
from tests.unit.report.test_safe import RUNNER_DATA, RUNNER_PROPERTY

if TYPE_CHECKING:
    from pytest_cutover.report.view import View


def skeleton(text: str) -> str:
    """A Markdown text without what stands in code spans."""
    return re.sub(r"`[^`\n]*`", "``", text)


class TestSummary:
    def test_verdict_impact_label_table_and_evidence(self) -> None:
        """What a comment is read for."""
        text = summary.render(samples.shop())

        assert "## ❌ NO-GO: `preflight` → `production`" in text
        assert "**1 red**, **2 unproven**, **9 green** · exit 10" in text
        assert "Top impact: `canary.health`: `burst = 1.72 x, limit at most 1.5 x (+0.22 x)`" in text
        assert "Label: `top-impact: canary.health`" in text
        assert "| `burst 1.72 x` and 2 more | `at most 1.5 x` | `1.21 x` (+42 %) | `sre` |" in text
        assert (
            "- evidence: [20261121T084750.125Z-1a2b3c4d](https://github.com/example/shop/actions/runs/4711)"
            in text
        )

    def test_in_a_go_nothing_has_an_impact(self) -> None:
        """It is what may break next, as the page says."""
        text = summary.render(samples.green())

        assert "Nearest to its limit: `" in text
        assert "Top impact" not in text

    def test_red_stands_first(self) -> None:
        """And what is green is folded away."""
        text = summary.render(samples.shop())

        assert text.index("`canary.health` |") < text.index("`dr.restore` |") < text.index("<details>")
        assert text.index("<details>") < text.index("`service.ready`")

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_foreign_text_stands_in_code_spans_alone(self, attack: str) -> None:
        """No heading, row, link, mention or HTML comes from a gate."""
        assert skeleton(summary.render(hostile(attack))) == skeleton(summary.render(hostile("x")))

    @pytest.mark.parametrize("count", [1, 300, 3000])
    def test_it_fits_into_a_comment(self, count: int) -> None:
        """Rows that do not fit are counted."""
        view = samples.many(count)
        text = summary.render(view)

        assert len(text) < 65_536
        assert ("more in report.html" in text) == (count > 200)

    def test_long_names_fit_too(self) -> None:
        """The room is counted in characters, not in rows."""
        view = samples.many(400)
        wide = tuple(replace(g, name="n" * 900 + g.name) for g in view.gates)

        assert len(summary.render(replace(view, gates=wide))) < 65_536

    def test_waivers_and_guards(self) -> None:
        """Whoever reads the comment sees who accepted what."""
        text = summary.render(samples.shop(accepted=True))

        assert (
            "`canary.health` is waived by `Ada Lovelace` and `Grace Hopper` until 2026-11-21 12:48 UTC"
            in text
        )
        assert "- guard `payments-off`: `payments v2 off`, **not confirmed**" in text
        assert "- owed: `canary.health` green by 2026-11-21 10:48 UTC" in text

    def test_a_go_says_until_when(self) -> None:
        """The decision expires."""
        assert "valid until 2026-11-21 09:48 UTC" in summary.render(samples.green())


LINE = re.compile(r"::(error|warning|notice) ([^:\r\n]*)::([^\r\n]*)")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """A command as GitHub's runner reads it."""
    match = LINE.fullmatch(line)
    assert match is not None, ascii(line)
    properties = {}
    for part in match[2].split(","):
        name, _, value = part.partition("=")
        for code, sign in RUNNER_PROPERTY:
            value = value.replace(code, sign)
        properties[name] = value
    data = match[3]
    for code, sign in RUNNER_DATA:
        data = data.replace(code, sign)
    return match[1], properties, data


class TestAnnotations:
    def test_a_red_gate_is_an_error_at_its_line(self) -> None:
        """With owner and remedy."""
        first = read(next(github.render(samples.shop())))

        assert first == (
            "error",
            {"file": "gates/test_canary.py", "line": "57", "title": "RED canary.health"},
            "burst = 1.72 x, limit at most 1.5 x (+0.22 x) [limit.broken]\nowner sre · remedy docs/runbooks/canary.md",
        )

    def test_the_verdict_stands_last(self) -> None:
        """Also when there is nothing to annotate."""
        lines = list(github.render(samples.green()))

        assert [read(line)[:2] for line in lines] == [("notice", {"title": "GO preflight → production"})]

    def test_no_more_than_github_shows(self) -> None:
        """The others are counted."""
        lines = [read(line) for line in github.render(samples.many(3000))]

        assert len(lines) == github.MAX_EACH
        assert "51 more than GitHub shows are in the report" in lines[-1][2]

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_what_a_gate_says_stays_within_its_command(self, attack: str) -> None:
        """Neither a line of its own nor another property."""
        lines, plain = list(github.render(hostile(attack))), list(github.render(hostile("x")))

        assert len(lines) == len(plain)
        for line, other in zip(map(read, lines), map(read, plain), strict=True):
            assert (line[0], list(line[1])) == (other[0], list(other[1]))

    def test_the_fence_has_a_token_nobody_can_guess(self) -> None:
        """A gate that knew it could make GitHub listen again."""
        (stop, resume), (other, _) = github.fence(), github.fence()

        token = resume.strip(":")
        assert re.fullmatch("[0-9a-f]{32}", token)
        assert stop == f"::stop-commands::{token}"
        assert stop != other


def issues(view: View) -> list[dict[str, object]]:
    found = json.loads(codequality.render(view))
    assert isinstance(found, list)
    return found


class TestCodeQuality:
    def test_one_issue_per_thing_that_is_not_green(self) -> None:
        """With the fields that GitLab asks for."""
        first = issues(samples.shop())[0]

        assert len(issues(samples.shop())) == 3
        assert first["location"] == {"path": "gates/test_canary.py", "lines": {"begin": 57}}
        assert first["severity"] == "blocker"
        assert first["check_name"] == "limit.broken"
        assert first["description"] == "canary.health: burst = 1.72 x, limit at most 1.5 x (+0.22 x)"

    def test_an_issue_without_a_place_is_about_the_policy(self) -> None:
        """GitLab drops an issue that has none."""
        assert issues(samples.shop(prefix="shop/"))[2]["location"] == {
            "path": "shop/configs/policy.json",
            "lines": {"begin": 1},
        }

    def test_fingerprints_are_unique_and_outlive_a_new_figure(self) -> None:
        """GitLab compares branches by them."""
        view = samples.shop()
        told = [i["fingerprint"] for i in issues(view)]

        assert len(set(told)) == 3
        assert [i["fingerprint"] for i in issues(samples.shop(last=False))] == told

    def test_green_is_an_empty_list(self) -> None:
        """Not an empty file."""
        assert issues(samples.green()) == []

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_whatever_a_gate_says(self, attack: str) -> None:
        """Printable, on one line, and JSON."""
        for issue in issues(hostile(attack)):
            assert str(issue["description"]).isprintable()
