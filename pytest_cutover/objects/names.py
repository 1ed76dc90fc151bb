"""Which keys there are: the same in every store, so that what one holds can be put into another. No I/O."""

from __future__ import annotations

import re

from pytest_cutover.errors import EvidenceError

MAX_KEY_BYTES = 1024
"""Of Amazon S3 (User Guide, "Naming Amazon S3 objects")."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
"""No name is hidden, `.` or `..`; none needs quoting in a URL, a shell or a terminal. Folders allow 255 bytes."""


def check_key(key: str) -> tuple[str, ...]:
    """The names that `key` is made of.

    Raises:
        EvidenceError: it is not a relative path of plain names.
    """
    names = tuple(key.split("/"))
    if len(key) > MAX_KEY_BYTES or not all(_NAME.fullmatch(name) for name in names):
        raise EvidenceError(
            f"expected names of letters, digits, `.`, `_` and `-` with `/` between them, got {key!r:.120}",
            hint="a name begins with a letter, a digit or `_`, and has at most 200 characters",
        )
    return names


def is_name(name: str) -> bool:
    """Whether it can stand in a key."""
    return _NAME.fullmatch(name) is not None
