"""`addopts` of a project, read without starting pytest: what a supervised run leaves out, and what it keeps."""

from __future__ import annotations

import configparser
import shlex
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_INI = (
    ("pytest.ini", "pytest"),
    (".pytest.ini", "pytest"),
    ("tox.ini", "pytest"),
    ("setup.cfg", "tool:pytest"),
)


def addopts(rootdir: Path) -> list[str]:
    """The options of the project's own `addopts`; pytest reads the first of these files that has a section."""
    for name in (
        "pytest.toml",
        ".pytest.toml",
        "pytest.ini",
        ".pytest.ini",
        "pyproject.toml",
        "tox.ini",
        "setup.cfg",
    ):
        file = rootdir / name
        if file.is_file():
            found = _from_toml(file) if name.endswith(".toml") else _from_ini(file, dict(_INI)[name])
            if found is not None:
                return found
    return []


def kept_options(options: Sequence[str]) -> list[str]:
    """Those that say how the project's files are imported: without them its gates might not load."""
    out = []
    for i, option in enumerate(options):
        if option.startswith("--import-mode="):
            out.append(option)
        elif option == "--import-mode":
            out += options[i : i + 2]
    return out


def _from_toml(file: Path) -> list[str] | None:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    tool = (
        document.get("tool", {}).get("pytest", {})
        if file.name == "pyproject.toml"
        else document.get("pytest", {})
    )
    section = tool.get("ini_options", tool)
    if not section:
        return None
    value = section.get("addopts", [])
    return shlex.split(value) if isinstance(value, str) else [str(v) for v in value]


def _from_ini(file: Path, section: str) -> list[str] | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return None
    if not parser.has_section(section):
        return None
    return shlex.split(parser.get(section, "addopts", fallback=""))
