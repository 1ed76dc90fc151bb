"""Lines that fit a terminal: broken between words and indented, where a terminal would break them anywhere.

Only on a terminal: in a pipe or a file a line stays a line, for `grep`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LABEL = re.compile(r" *(?:\S +|\S+(?: \S+)?(?:  +|: +))")
_MOST_HANG = 26


def columns(stream: TextIO) -> int | None:
    """How wide the terminal behind `stream` is; None where there is none."""
    if not stream.isatty():
        return None
    import shutil  # only here: `cutover verify` starts without it

    return shutil.get_terminal_size().columns


def fitted(line: str, width: int | None, *, hang: int | None = None) -> list[str]:
    """`line` in parts of at most `width` columns where its words let it: words, paths and digests stay whole.

    Parts after the first begin at column `hang`; left out, below what follows a label: `trust    …`, `hint: …`, `✗ …`.
    """
    if width is None or _columns(line) <= width:
        return [line]
    if hang is None:
        bare = _COLOUR.sub("", line)
        label = _LABEL.match(bare)
        end = 0 if label is None else label.end()
        hang = end if 0 < end <= _MOST_HANG else len(bare) - len(bare.lstrip()) + 2
    parts, part = [], ""
    for word in re.findall(r" *[^ ]+", line):
        room = width - _columns(word.lstrip(" "))
        if part.strip() and _columns(part + word) > width and room >= 0:
            parts.append(part)
            part = " " * min(hang, room) + word.lstrip(" ")
        else:  # it fits, or would not fit in a line of its own either
            part += word
    return [*parts, part]


def put(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines, each as it fits."""
    stream = stream or sys.stdout
    width = columns(stream)
    for line in lines:
        for part in fitted(line, width):
            print(part, file=stream)


def _columns(text: str) -> int:
    return len(_COLOUR.sub("", text))
