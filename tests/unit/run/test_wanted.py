"""Which views are wanted."""

from __future__ import annotations

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.run.wanted import VIEWS, Wanted, wanted_views


class TestWanted:
    def test_all_files_and_nothing_else_by_default(self) -> None:
        """Annotations are GitHub's."""
        assert wanted_views({}) == Wanted(frozenset(VIEWS))

    def test_options_win_over_variables(self) -> None:
        """As everywhere."""
        found = wanted_views({"CUTOVER_VIEWS": "html", "CUTOVER_ANNOTATIONS": "github"}, views="none")

        assert found == Wanted(frozenset(), annotations=True)

    def test_github_actions(self) -> None:
        """Annotations, and the job's summary."""
        on = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/tmp/step.md"}

        assert wanted_views(on).annotations
        assert wanted_views(on).job_summary == "/tmp/step.md"
        assert not wanted_views(on, annotations="none").annotations
        assert wanted_views(on, annotations="none").job_summary is None

    def test_nothing(self) -> None:
        """Then nothing is loaded."""
        assert wanted_views({}, views="none").nothing
        assert not wanted_views({}, views="none", junit="x").nothing

    @pytest.mark.parametrize("views", ["pdf", "html,pdf", "none,html", ","])
    def test_unknown_views_are_refused(self, views: str) -> None:
        """By name."""
        with pytest.raises(ConfigError, match="views: expected summary, html, junit or none, got"):
            wanted_views({}, views=views)

    def test_unknown_annotations_are_refused(self) -> None:
        """By name."""
        with pytest.raises(ConfigError, match="annotations: expected auto, github or none, got 'all'"):
            wanted_views({}, annotations="all")
