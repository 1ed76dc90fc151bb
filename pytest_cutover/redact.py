"""Secrets out of text before it is kept or shown: by their shape, and by their value.

Not a guarantee: a secret of unknown shape that no secret-named variable holds is not recognised.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARK = "[redacted]"

_NAME = re.compile(
    r"token|secret|passw|passphrase|pwd|credential|api_?key|access_?key|private_?key|key_pem|cookie|session_?id"
    r"|authorization|dsn$|connection_?string|(^|_)auth$|(^|_)(pass|key|pat|jwt)$",
    re.IGNORECASE,
)
_NOT_SECRET = {"CUTOVER_KEY", "PWD", "OLDPWD"}
"""Paths: the text of a key is in CUTOVER_KEY_PEM, and `pwd` is here no password."""
_SHORTEST = 6  # characters; a shorter value would blot out ordinary words

_SHAPES = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    r"(?i:(?<=authorization)[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|token|digest|aws4-hmac-sha256)\s+)?[^\s\"',;]+)",
    r"(?i:(?<=bearer )[A-Za-z0-9._~+/=-]{8,})",
    r"\b(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}\b",
    r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abposr]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)",
    r"(?i:(?<![a-z])(?:aws_secret_access_key|aws_session_token|client_secret|password|passwd|secret|api[_-]?key"
    r"|access[_-]?token|refresh[_-]?token|auth[_-]?token|private[_-]?key|token)[\"']?\s*[:=]\s*[\"']?)[^\s\"'&,;})]{4,}",
)
_KEEP = re.compile(r"^(?i:[a-z_-]+[\"']?\s*[:=]\s*[\"']?|[\"']?\s*[:=]\s*[\"']?)")


class Redactor:
    """Replaces secrets in text; made once per process from its environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = sorted({form for v in _secret_values(environ) for form in _forms(v)}, key=len, reverse=True)
        self._pattern = re.compile("|".join([*(re.escape(v) for v in values), *_SHAPES]), re.DOTALL)
        self._values = frozenset(values)
        self.found_in_name = lru_cache(1024)(self.found_in)
        """`found_in`, remembered: ten thousand gates have the same few names of measurements."""

    def found_in(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    def __call__(self, text: str) -> str:
        """`text` with every recognised secret replaced by `[redacted]`; names before it stay readable."""
        return self._pattern.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        text = match.group()
        if text in self._values:
            return MARK
        kept = _KEEP.match(text)
        return (kept.group() if kept else "") + MARK


def _secret_values(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if len(value) >= _SHORTEST and name not in _NOT_SECRET and _NAME.search(name):
            yield value


def _forms(value: str) -> Iterator[str]:
    """The value as it stands, and as JSON, URLs, reprs and basic authentication spell it."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    yield repr(value)[1:-1]
    try:
        yield base64.b64encode(value.encode()).decode().rstrip("=")
    except UnicodeEncodeError:
        return
