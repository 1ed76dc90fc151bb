"""The page: complete, self-contained, and deaf to what gates say."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cutover.model import Subject
from pytest_cutover.report import html
from tests.unit.report import samples
from tests.unit.report.hostile import ATTACKS, hostile

if TYPE_CHECKING:
    from pytest_cutover.report.view import View

_VOID = {"meta", "col"}


class Page(HTMLParser):
    """The tags of a page with their attributes, its texts, and what is wrong with their nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(view: View) -> Page:
    return Page(html.render(view))


VIEWS = [
    samples.shop(),
    samples.green(),
    samples.shop(accepted=True),
    samples.shop(last=False),
    samples.many(150),
]


class TestPage:
    @pytest.mark.parametrize("view", VIEWS)
    def test_tags_are_closed_in_order(self, view: View) -> None:
        """No browser has to guess."""
        found = page(view)

        assert found.wrong == []
        assert found.open == []

    @pytest.mark.parametrize("view", VIEWS)
    def test_it_loads_and_runs_nothing(self, view: View) -> None:
        """Self-contained: it can be mailed, archived and printed."""
        found = page(view)
        names = {name for _, attributes in found.tags for name, _ in attributes}

        assert not {tag for tag, _ in found.tags} & {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "base",
            "form",
        }
        assert not {n for n in names if n.startswith("on")} | (names & {"src", "style", "srcset", "action"})

    def test_the_policy_allows_its_own_style_and_nothing_else(self) -> None:
        """By digest: a style that was smuggled in has another one."""
        text = html.render(samples.shop())
        style = re.search("<style>(.*?)</style>", text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

        assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in text
        assert text.index("Content-Security-Policy") < text.index("<style>")

    @pytest.mark.parametrize("view", VIEWS)
    def test_headings_do_not_skip_a_level(self, view: View) -> None:
        """Who listens to the page finds the way by them."""
        levels = [int(tag[1]) for tag, _ in page(view).tags if re.fullmatch("h[1-6]", tag)]

        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))

    @pytest.mark.parametrize("view", VIEWS)
    def test_tables_say_what_their_headings_are_for(self, view: View) -> None:
        """Each has a scope, and each section a name."""
        found = page(view).tags

        assert all(dict(attributes).get("scope") for tag, attributes in found if tag == "th")
        ids = {dict(a).get("id") for _, a in found}
        assert {dict(a)["aria-labelledby"] for t, a in found if t == "section"} <= ids

    def test_no_state_is_told_by_colour_alone(self) -> None:
        """The word stands there too."""
        found = page(samples.shop())
        spoken = [dict(a).get("aria-label") for t, a in found.tags if t == "b"]

        assert "1 red" in found.text
        assert "2 unproven" in found.text
        assert {"red", "unproven", "green"} <= set(spoken)


class TestContent:
    def test_the_verdict_first_then_what_stands_against_it(self) -> None:
        """Red before unproven."""
        text = page(samples.shop()).text

        order = [
            "NO-GO",
            "Weighs most",
            "What stands against it",
            "The canary stays healthy",
            "Evidence can be restored",
        ]
        order += [
            "promotion.manual is required",
            "What was measured",
            "Decision sheet",
            "Timeline",
            "Provenance",
        ]
        at = [text.index(part) for part in [*order, "How to verify"]]
        assert at == sorted(at)

    def test_what_was_measured_stands_beside_its_limit_and_the_last_run(self) -> None:
        """As text; the chart is for the eye."""
        text = page(samples.shop()).text

        assert "burst 640 samples 1.72 x at most 1.5 x 1.21 x +42 %" in text

    def test_owner_remedy_and_place(self) -> None:
        """What somebody needs at three in the morning."""
        text = page(samples.shop()).text

        assert "Owner sre Remedy docs/runbooks/canary.md Where gates/test_canary.py:57" in text

    def test_a_go_names_what_is_nearest_to_its_limit_and_when_it_ends(self) -> None:
        """Nothing stands against it."""
        text = page(samples.green()).text

        assert "Nearest to its limit" in text
        assert "Valid until 2026-11-21 09:48:00 UTC" in text
        assert "What stands against it" not in text

    def test_of_many_subjects_three_stand_at_the_top(self) -> None:
        """And it says how many more there are, so that nobody takes three for all."""
        subjects = tuple(Subject(f"part-{n}", {"sha256": f"{n}" * 64}) for n in range(5))
        record = replace(samples.green().record, subjects=subjects)
        text = page(replace(samples.green(), record=record)).text

        assert "part-2 sha256:2222222222222222… and 2 more, under Provenance" in text
        assert "more, under" not in page(samples.green()).text

    def test_one_sample_is_one(self) -> None:
        """Not `1 samples`."""
        view = samples.shop()
        gate = next(g for g in view.gates if g.judged.measurements)
        judged = gate.judged.measurements[0]
        one = replace(judged, measurement=replace(judged.measurement, samples=1))
        shown = replace(gate, judged=replace(gate.judged, measurements=(one,)))

        assert " 1 sample " in page(replace(view, gates=(shown,))).text

    def test_waivers_guards_and_obligations(self) -> None:
        """Only where there are any."""
        text = page(samples.shop(accepted=True)).text

        assert "Ada Lovelace, Grace Hopper medium OPS-4711 2026-11-21 12:48:00 UTC yes" in text
        assert "slow-rollout canary plan steps 5, 25, 100 wait min 30 ✓ confirmed" in text
        assert "payments v2 off … not confirmed" in text
        assert "canary.health from guard slow-rollout 2026-11-21 10:48:00 UTC … owed" in text
        assert "Waivers" not in page(samples.shop()).text

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"sealed": False}, "Nothing was sealed"),
            ({"keyid": None}, "The evidence is not signed"),
            ({"problems": ()}, "signed with key 35faa1e871eb , verified"),
            (
                {"problems": ("report.digest: other",)},
                "This evidence does not verify. Do not rely on it. report.digest: other",
            ),
            ({"signer": "development"}, "signed with development key"),
        ],
    )
    def test_what_stands_behind_it(self, changes: dict[str, Any], said: str) -> None:
        """Never more than is known."""
        view = samples.shop()
        changed = replace(view, evidence=replace(view.evidence, **changes))

        assert said in page(changed).text

    def test_it_says_how_to_verify_without_it(self) -> None:
        """The page is not evidence, and says so."""
        text = page(samples.shop()).text

        assert "cutover verify var/cutover/runs/20261121T084750.125Z-1a2b3c4d" in text
        assert f"cutover admit --digest sha256:{'c' * 64} --environment production" in text
        assert "It is not evidence" in text

    def test_many_gates_stand_in_tables_of_a_hundred(self) -> None:
        """So that a browser lays out only what is seen."""
        tables = [a for t, a in page(samples.many(850)).tags if t == "table" and dict(a).get("class") == "m"]

        assert len(tables) == 4 * 3

    def test_gates_are_drawn_on_a_time_line(self) -> None:
        """Or, of very many, the slowest."""
        assert "Gates over" in page(samples.shop()).text
        assert "The 40 slowest gates, of 150" in page(samples.many(150)).text


class TestHostile:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_no_text_changes_the_structure_of_the_page(self, attack: str) -> None:
        """Tag for tag the same page as with a harmless word."""
        plain, attacked = page(hostile("x")), page(hostile(attack))

        assert [t for t, _ in attacked.tags] == [t for t, _ in plain.tags]
        assert attacked.wrong == []
        names = [tuple(n for n, _ in a) for _, a in attacked.tags]
        assert names == [tuple(n for n, _ in a) for _, a in plain.tags]

    @pytest.mark.parametrize("attack", [a for a in ATTACKS if a.isprintable() and len(a) < 120])
    def test_and_what_was_said_can_be_read(self, attack: str) -> None:
        """Escaped, not dropped."""
        assert " ".join(attack.split()) in page(hostile(attack)).text

    @pytest.mark.parametrize("url", ["javascript:alert(1)", 'https://x.example/a?b="><script>'])
    def test_a_link_cannot_be_broken_out_of(self, url: str) -> None:
        """`places` lets no such address through; the page escapes it all the same."""
        view = samples.shop()
        found = page(replace(view, evidence=replace(view.evidence, url=url)))

        assert [dict(a)["href"] for t, a in found.tags if t == "a"] == [url]
        assert "script" not in {t for t, _ in found.tags}
