"""Paths from the repository's root, and links that lead where they should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_cutover.report import places

if TYPE_CHECKING:
    from pathlib import Path


class TestPrefix:
    @pytest.mark.parametrize("name", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR", "WORKSPACE"])
    def test_a_project_below_its_repository(self, tmp_path: Path, name: str) -> None:
        """In each CI system."""
        (tmp_path / "services/shop").mkdir(parents=True)

        assert places.prefix(tmp_path / "services/shop", {name: str(tmp_path)}) == "services/shop/"

    def test_a_project_that_is_its_repository(self, tmp_path: Path) -> None:
        """Or lies elsewhere, or nobody says."""
        assert places.prefix(tmp_path, {"GITHUB_WORKSPACE": str(tmp_path)}) == ""
        assert places.prefix(tmp_path, {"GITHUB_WORKSPACE": str(tmp_path / "below")}) == ""
        assert places.prefix(tmp_path, {}) == ""


class TestEvidenceUrl:
    def test_of_each_ci_system(self) -> None:
        """As it names its pages."""
        github = {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "a/b"}
        assert places.evidence_url(github, "r") == "https://github.com/a/b/actions/runs/7"
        gitlab = {"CI_JOB_URL": "https://gl.example/a/b/-/jobs/7"}
        assert (
            places.evidence_url(gitlab, "var/r") == "https://gl.example/a/b/-/jobs/7/artifacts/browse/var/r"
        )
        jenkins = {"BUILD_URL": "https://ci.example/job/a/7/"}
        assert places.evidence_url(jenkins, "var/r") == "https://ci.example/job/a/7/artifact/var/r"
        assert places.evidence_url({}, "r") is None

    def test_a_given_one_wins(self) -> None:
        """Evidence may be kept elsewhere."""
        given = {"CUTOVER_EVIDENCE_URL": "https://store.example/x", "CI_JOB_URL": "https://gl.example"}
        assert places.evidence_url(given, "r") == "https://store.example/x"

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "data:text/html,x",
            'https://x.example/"><script>',
            "https://x.example/) [y](z",
            "https://x.example/\n::error::x",
            "file:///etc/passwd",
        ],
    )
    def test_no_link_that_does_something_else(self, url: str) -> None:
        """Nor one that ends before its end."""
        assert places.evidence_url({"CUTOVER_EVIDENCE_URL": url}, "r") is None
