"""How a place for objects is named everywhere: the path of a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError

if TYPE_CHECKING:
    from pytest_cutover.objects.protocol import ObjectStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def open_objects(text: str) -> ObjectStore:
    """The store that `text` names; nothing is made or asked yet.

    Raises:
        ConfigError: no such place can be used.
    """
    if not text.strip() or "\0" in text:
        raise ConfigError(f"expected the path of a folder, got {text!r}")
    if _SCHEME.match(text):
        raise ConfigError(f"expected the path of a folder, got {text!r:.200}")
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"expected a folder, {path} is a file")
    from pytest_cutover.objects.folder import FolderObjects

    return FolderObjects(path)
