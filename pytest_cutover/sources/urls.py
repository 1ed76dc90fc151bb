"""URLs as they may be shown, compared and joined; pure.

Evidence and messages carry URLs, and URLs carry secrets: what is shown keeps scheme, host, port,
path and the names of query parameters, never user names, passwords, values or fragments.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def split_http(url: str) -> SplitResult:
    """The parts of an absolute http or https URL.

    Raises:
        ValueError: anything else; the message never repeats the URL.
    """
    if any(c <= " " or c == "\x7f" or c == "\\" for c in url):
        raise ValueError("contains a space, a backslash or a control character")
    parts = urlsplit(url)  # may raise ValueError itself, e.g. for half an IPv6 address
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("is not an http or https URL")
    if not parts.hostname:
        raise ValueError("names no host")
    _ = parts.port  # raises ValueError when it is not a port
    return parts


def is_absolute(path_or_url: str) -> bool:
    """Whether it names a scheme; everything else is a path below a target."""
    head = path_or_url.partition("/")[0].partition("?")[0]
    return head.endswith(":") and len(head) > 1


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454): what must be equal for a redirect to be followed."""
    parts = split_http(url)
    return parts.scheme, (parts.hostname or "").lower().rstrip("."), parts.port or DEFAULT_PORTS[parts.scheme]


def below(base: str, path: str) -> str:
    """`path` below the base URL; a path such as `//elsewhere/` stays below it."""
    head = split_http(base)
    return f"{head.scheme}://{head.netloc}{head.path.rstrip('/')}/{path.lstrip('/')}"


def redirect_target(url: str, location: str) -> str | None:
    """Where a redirect leads when it stays at the same origin, with the credentials of `url`; else None."""
    try:
        there = urljoin(url, location)
        if origin(there) != origin(url):
            return None
        parts = split_http(there)
    except ValueError:
        return None
    return parts._replace(netloc=split_http(url).netloc, fragment="").geturl()


def shown(url: str) -> str:
    """The URL without user name, password, query values and fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(unreadable URL)"
    host = f"[{host}]" if ":" in host else host
    names = [pair.partition("=") for pair in parts.query.split("&") if pair]
    # A parameter without a value may itself be the secret (`/hook?s3cr3t`).
    query = "&".join(f"{name}=***" if equals else "***" for name, equals, _ in names)
    return parts._replace(
        netloc=host if port is None else f"{host}:{port}", query=query, fragment=""
    ).geturl()
