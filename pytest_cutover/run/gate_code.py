"""The digest of the gate code: what a policy pins so that a gate cannot quietly change what it measures."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def digest_code(rootdir: Path, paths: Sequence[str]) -> str:
    """`sha256:…` over every file below `paths` with its relative name; byte code left out.

    A path that does not exist counts as such, so that removing a file changes the digest.
    """
    whole = hashlib.sha256()
    for path in sorted(set(paths)):
        for name, digest in _code_files(rootdir, path):
            whole.update(f"{name}\0{digest}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def _code_files(rootdir: Path, path: str) -> Iterator[tuple[str, str]]:
    top = rootdir / path
    if top.is_file():
        yield path, hashlib.sha256(top.read_bytes()).hexdigest()
        return
    if not top.is_dir():
        yield path, "absent"
        return
    for folder, folders, files in os.walk(top, followlinks=True):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for file in sorted(f for f in files if not f.endswith((".pyc", ".pyo"))):
            full = Path(folder) / file
            yield str(full.relative_to(rootdir)), hashlib.sha256(full.read_bytes()).hexdigest()
