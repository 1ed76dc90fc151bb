"""Text from gates, policies and file names made fit for where it is printed. What a gate says is hostile.

One function per format; each is total and leaves nothing that its format would read as structure.
"""

from __future__ import annotations

import re

_XML_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, production 2 (Char): everything else cannot be written, not even as a reference."""

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_XML = _HTML | str.maketrans({"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})
_MARKDOWN = str.maketrans({"`": "'", "|": "¦"})


def printable(text: str) -> str:
    """One line without characters that steer a terminal, hide, or turn the direction of writing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def html(text: str) -> str:
    """Text for an element or a quoted attribute of HTML; line breaks stay."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    return text.translate(_HTML)


def xml(text: str) -> str:
    """Text for an element of XML, what XML cannot hold spelt as `\\x1b`."""
    return _XML_FORBIDDEN.sub(lambda m: ascii(m[0])[1:-1], text).translate(_HTML)


def xml_attribute(text: str) -> str:
    """Text for a quoted attribute of XML, whose line breaks a reader would otherwise make spaces."""
    return _XML_FORBIDDEN.sub(lambda m: ascii(m[0])[1:-1], text).translate(_XML)


def code(text: str, limit: int = 300) -> str:
    """Text as a Markdown code span, also within a table: no markup, link, mention or HTML starts in it.

    A backquote becomes an apostrophe and a pipe a broken bar, because neither can be escaped there in a
    way that every renderer understands.
    """
    line = " ".join(printable(text).translate(_MARKDOWN).split())
    line = line or ("\ufffd" if text.strip() else "")
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return f"`{line}`" if line else ""


def command_data(text: str) -> str:
    """The message of a GitHub workflow command (actions/toolkit, escapeData)."""
    return _surrogates(text).translate(_DATA)


def command_property(text: str) -> str:
    """A property of a GitHub workflow command (actions/toolkit, escapeProperty)."""
    return _surrogates(text).translate(_PROPERTY)


def _surrogates(text: str) -> str:
    """Printable but for line breaks: other control characters have no business in an annotation."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\r\n" else " " for c in text)
