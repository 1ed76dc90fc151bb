"""Readiness endpoints: many payload shapes, one of four statuses; what is not understood is never ready.

`assess` is pure. Shapes: `{"status": …}` with sub-checks as dicts or lists under `checks`,
`components` or `details` (Spring Boot actuator, MicroProfile Health, health+json), one word as
text, and Kubernetes `?verbose` lines. The worst of HTTP class, own status and sub-checks wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_cutover import strictjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from pytest_cutover.sources.http import HttpReading, HttpSource

Status = Literal["ready", "degraded", "unknown", "error"]

SEVERITY: Mapping[Status, int] = {"ready": 0, "degraded": 1, "unknown": 2, "error": 3}

WORDS: Mapping[str, Status] = {
    **dict.fromkeys(("ready", "ok", "up", "pass", "healthy", "true"), "ready"),
    **dict.fromkeys(("warn", "degraded"), "degraded"),
    **dict.fromkeys(
        ("fail", "down", "error", "unhealthy", "out_of_service", "shutting_down", "not_ready", "false"),
        "error",
    ),
}
"""Lower case, `_` for blanks and hyphens; any other word is unknown."""

MAX_DEPTH = 16
MAX_CHECKS = 1000

_STRICT = ("checks", "components")
"""Everything in here is a sub-check; elsewhere only what looks like one."""
_NAMES = ("name", "id", "component", "componentId", "check")
_DETAILS = ("detail", "output", "message", "error", "reason", "description")
_VERBOSE = re.compile(r"\[([+-])\](\S+) (.*)")
_VERDICT = re.compile(r"(?:\S+ )?check (passed|failed)")


@dataclass(frozen=True, slots=True)
class Check:
    """One sub-check, nested names joined by `/`."""

    name: str
    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What an endpoint says of itself; `detail` says why when the checks do not."""

    status: Status
    checks: tuple[Check, ...] = ()
    detail: str = ""

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of the sub-checks that are not ready."""
        return tuple(check.name for check in self.checks if check.status != "ready")


@dataclass(frozen=True, slots=True)
class ReadyzReading:
    """A readiness endpoint's answer, assessed."""

    status: Status
    checks: tuple[Check, ...]
    failing: tuple[str, ...]
    latency_s: float
    http_status: int
    observed_at: datetime
    attempts: int
    url: str
    detail: str = ""


class ReadyzSource:
    """Asks readiness endpoints; call it with a path below a target."""

    def __init__(self, http: HttpSource) -> None:
        self._http = http

    def __call__(
        self,
        path_or_url: str = "/readyz",
        *,
        target: str = "app",
        retries: int = 0,
        timeout_s: float | None = None,
    ) -> ReadyzReading:
        """The assessed answer.

        Raises:
            SourceError: unreachable or too slow; the gate is then unproven.
        """
        return read(self._http.get(path_or_url, target=target, retries=retries, timeout_s=timeout_s))


def read(answer: HttpReading) -> ReadyzReading:
    """An HTTP reading as a readiness reading."""
    found = assess(answer.status_code, answer.headers.get("content-type"), answer.body)
    return ReadyzReading(
        status=found.status,
        checks=found.checks,
        failing=found.failing,
        latency_s=answer.latency_s,
        http_status=answer.status_code,
        observed_at=answer.observed_at,
        attempts=answer.attempts,
        url=answer.url,
        detail=found.detail,
    )


def assess(status_code: int, content_type: str | None, body: bytes) -> Readiness:
    """What a readiness answer means; never raises, and never reads doubt as ready."""
    found = _body(content_type or "", body)
    agreed = _agree(status_code, found.status)
    if agreed == found.status:
        return found
    detail = f"HTTP {status_code} does not go with status {found.status}"
    return Readiness(agreed, found.checks, f"{detail}; {found.detail}" if found.detail else detail)


def word(value: object) -> Status:
    """The meaning of one status word (or boolean)."""
    if isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return "unknown"
    return WORDS.get(re.sub(r"[\s-]", "_", value.strip().lower()), "unknown")


def worst(*statuses: Status) -> Status:
    """The most severe of some statuses: error, unknown, degraded, ready."""
    return max(statuses, key=SEVERITY.__getitem__)


def _agree(status_code: int, status: Status) -> Status:
    if 200 <= status_code < 300:
        return status  # says more than the HTTP class, and whatever is bad in it is bad
    if status == "degraded" and status_code in (429, 503):  # 429: Consul's warning
        return status
    if status in ("degraded", "error") and status_code >= 400:
        return "error"
    return "unknown"  # redirect, refused, or a failing HTTP class over a green word


def _body(content_type: str, body: bytes) -> Readiness:
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        return Readiness("unknown", detail="the body is not UTF-8")
    if not text:
        return Readiness("unknown", detail="the body is empty")
    if "html" in kind or text[:1] == "<":
        return Readiness("unknown", detail="the body is markup, not a status")
    if "json" in kind or text[:1] in '{["':
        return _json(text, kind)
    if text.startswith("["):
        return _verbose(text)
    return _text(text)


def _text(text: str) -> Readiness:
    status = word(text)
    return Readiness(status, detail="" if status == "ready" else f"the body says {text[:80]!r}")


def _verbose(text: str) -> Readiness:
    """Kubernetes `?verbose`: `[+]ping ok`, `[-]etcd failed: reason withheld`, then the verdict line."""
    checks: list[Check] = []
    verdict: Status | None = None
    for line in text.splitlines():
        entry, end = _VERBOSE.fullmatch(line.strip()), _VERDICT.fullmatch(line.strip())
        if entry:
            checks.append(Check(entry[2], "ready" if entry[1] == "+" else "error", entry[3]))
        elif end and verdict is None:
            verdict = "ready" if end[1] == "passed" else "error"
        elif line.strip():
            checks.append(Check("line", "unknown", line.strip()[:80]))
    # Without its verdict line the list may have been cut before the failing check.
    status = worst(verdict or "unknown", *(c.status for c in checks))
    return Readiness(status, tuple(checks), "" if verdict else "the list ends without its verdict line")


def _json(text: str, kind: str) -> Readiness:
    if text.startswith(("[+]", "[-]")):
        return _verbose(text)
    try:
        document = strictjson.loads(text)
    except ValueError as exc:
        return Readiness("unknown", detail=f"the body is not JSON: {exc}")
    if not isinstance(document, dict):
        return _text(str(document)) if isinstance(document, str | bool) else _no_status()
    own = word(document.get("status"))
    try:
        checks = tuple(_children(document, "", metrics="health+json" in kind, depth=0))
    except _TooMuchError as exc:
        return Readiness("error" if own == "error" else "unknown", detail=str(exc))
    status = worst(own, *(c.status for c in checks))
    if own == "unknown":
        return Readiness(status, checks, _no_status(document).detail)
    return Readiness(status, checks)


def _no_status(document: Mapping[str, Any] | None = None) -> Readiness:
    if document is None or "status" not in document:
        return Readiness("unknown", detail="the document has no status")
    return Readiness("unknown", detail=f"unknown status {str(document['status'])[:80]!r}")


class _TooMuchError(Exception):
    """The document is nested too deeply, or has too many checks, to be read whole."""


def _children(node: Mapping[str, Any], prefix: str, *, metrics: bool, depth: int) -> Iterator[Check]:
    """The sub-checks of a document or check, deep first to last, in document order."""
    if depth > MAX_DEPTH:
        raise _TooMuchError(f"checks are nested more than {MAX_DEPTH} deep")
    found = 0
    for key, value in node.items():
        for name, child in _entries(key, value):
            strict = key in _STRICT
            if not strict and not _looks_like_check(key, child, top=depth == 0):
                continue
            if metrics and isinstance(child, dict) and "status" not in child and "observedValue" in child:
                continue  # health+json: an observation without a status is not judged
            found += 1
            if found > MAX_CHECKS:
                raise _TooMuchError(f"more than {MAX_CHECKS} checks")
            yield from _check(f"{prefix}{name}", child, metrics=metrics, depth=depth)


def _check(name: str, child: Any, *, metrics: bool, depth: int) -> Iterator[Check]:
    if not isinstance(child, dict):
        yield Check(name, word(child))
        return
    nested = tuple(_children(child, f"{name}/", metrics=metrics, depth=depth + 1))
    own = word(child["status"]) if "status" in child else ("ready" if nested else "unknown")
    detail = next((str(child[d]) for d in _DETAILS if isinstance(child.get(d), str)), "")
    yield Check(name, own, detail[:200])
    yield from nested


def _entries(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Candidates for sub-checks under one key: a dict's items, a list's elements, lists in a dict, the value itself."""
    if key == "status":
        return
    if isinstance(value, dict) and key not in _STRICT and "status" in value:
        yield key, value  # a component right beside the status (Spring Boot 1)
    elif isinstance(value, dict):
        for name, child in value.items():
            if isinstance(child, list):
                yield from _numbered(str(name), child)
            else:
                yield str(name), child
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield _own_name(child) or f"{key}[{number}]", child
    elif key in _STRICT and value is not None:
        yield key, value


def _numbered(name: str, children: list[Any]) -> Iterator[tuple[str, Any]]:
    for number, child in enumerate(children):
        own = _own_name(child)
        yield (name if len(children) == 1 else f"{name}/{own or number}"), child


def _own_name(child: Any) -> str:
    if not isinstance(child, dict):
        return ""
    return next((str(child[n]) for n in _NAMES if isinstance(child.get(n), str) and child[n]), "")


def _looks_like_check(key: str, child: Any, *, top: bool) -> bool:
    """Outside of `checks` and `components`: an object with a known status, or a known word under `details`."""
    if isinstance(child, dict):
        return "status" in child and (word(child["status"]) != "unknown" or key == "details")
    if key != "details":
        return False
    return word(child) != "unknown" and (top or isinstance(child, str))
