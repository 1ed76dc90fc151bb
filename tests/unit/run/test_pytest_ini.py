"""`addopts`, read without starting pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_cutover.run.pytest_ini import addopts, kept_options

if TYPE_CHECKING:
    from pathlib import Path


class TestAddopts:
    """Where a project may keep them."""

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("pytest.ini", "[pytest]\naddopts = -x --tb='short er'\n"),
            (".pytest.ini", "[pytest]\naddopts = -x\n  --tb='short er'\n"),
            ("tox.ini", "[tox]\n[pytest]\naddopts = -x --tb='short er'\n"),
            ("setup.cfg", "[tool:pytest]\naddopts = -x --tb='short er'\n"),
            ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = \"-x --tb='short er'\"\n"),
            ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = ['-x', '--tb=short er']\n"),
            ("pyproject.toml", "[tool.pytest]\naddopts = ['-x', '--tb=short er']\n"),
            ("pytest.toml", "[pytest]\naddopts = ['-x', '--tb=short er']\n"),
            (".pytest.toml", "[pytest]\naddopts = ['-x', '--tb=short er']\n"),
        ],
    )
    def test_each_file_is_read(self, tmp_path: Path, file: str, text: str) -> None:
        """Words in quotes stay together, as pytest splits them."""
        (tmp_path / file).write_text(text)

        assert addopts(tmp_path) == ["-x", "--tb=short er"]

    def test_first_file_with_a_section_wins(self, tmp_path: Path) -> None:
        """As in pytest."""
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-x'\n")
        (tmp_path / "setup.cfg").write_text("[tool:pytest]\naddopts = -v\n")

        assert addopts(tmp_path) == ["-x"]

    def test_file_without_a_section_is_passed_over(self, tmp_path: Path) -> None:
        """A pyproject.toml of other tools does not count."""
        (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        (tmp_path / "setup.cfg").write_text("[tool:pytest]\naddopts = -v\n")

        assert addopts(tmp_path) == ["-v"]

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("pyproject.toml", b"not toml ["),
            ("pyproject.toml", b"\xff"),
            ("pytest.ini", b"no section"),
            ("pytest.ini", b"[pytest]\n\xff"),
            ("setup.cfg", b"[metadata]\n"),
        ],
    )
    def test_unreadable_file_has_none(self, tmp_path: Path, file: str, text: bytes) -> None:
        """pytest itself reports it."""
        (tmp_path / file).write_bytes(text)

        assert addopts(tmp_path) == []

    def test_project_without_files(self, tmp_path: Path) -> None:
        """Nothing to leave out."""
        assert addopts(tmp_path) == []


class TestKeptOptions:
    """How files are imported is kept."""

    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            (["-x", "--import-mode=importlib", "-q"], ["--import-mode=importlib"]),
            (["--import-mode", "append", "-x"], ["--import-mode", "append"]),
            (["-p", "no:pytest_cutover", "--deselect", "a"], []),
        ],
    )
    def test_import_mode(self, options: list[str], kept: list[str]) -> None:
        """All the rest could change what runs."""
        assert kept_options(options) == kept
