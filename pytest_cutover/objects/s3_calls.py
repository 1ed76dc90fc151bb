"""Asking an S3 server until it answers, and its refusals in our words.

Three kinds of ends: an answer, a refusal (it is known that nothing happened), and silence, after which **what was asked
may have happened**. Only what may happen twice without harm is asked again blindly; a write looks first.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pytest_cutover.errors import ConfigError
from pytest_cutover.objects.protocol import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.exceptions import ClientError

RETRY_FOR_S = 60.0
"""Longer than a server's restart, shorter than anybody's patience."""

FIRST_CONTACT_S = 5.0
"""Until a server has answered once, silence more likely means a wrong address."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_TRANSIENT = frozenset(
    [
        "SlowDown",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "OperationAborted",
        "BadDigest",
        "IncompleteBody",
    ]
)
"""Error codes of Amazon S3 (API Reference, "Error responses") after which the same request may succeed."""

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_CREDENTIALS = "credentials are looked for the usual way: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role"

T = TypeVar("T")


class Patience:
    """How long one undertaking is tried again: waits that double, with jitter, up to a limit."""

    def __init__(self, where: str, for_s: float, sleep: Callable[[float], None]) -> None:
        self._where = where
        self._until = time.monotonic() + for_s
        self._sleep = sleep
        self._wait_s = _FIRST_WAIT_S
        self._tries = 0

    def wait(self, what: str, exc: Exception) -> None:
        """Return when it is time to try again.

        Raises:
            StoreUnavailableError: the time is over.
        """
        self._tries += 1
        if time.monotonic() + self._wait_s > self._until:
            raise StoreUnavailableError(
                f"{self._where}: no usable answer to {what}, {self._tries} times: {exc}",
                hint="is the endpoint right, and can it be reached? What was asked may have happened",
            ) from exc
        self._sleep(self._wait_s * random.uniform(0.5, 1.0))  # noqa: S311 # spreads clients over time
        self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)


class Calls:
    """Asks one server; may be used by several threads."""

    def __init__(self, where: str, retry_for_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._where = where
        self._retry_for_s = retry_for_s
        self._sleep = sleep
        self._answered = False

    def patience(self) -> Patience:
        for_s = self._retry_for_s if self._answered else min(FIRST_CONTACT_S, self._retry_for_s)
        return Patience(self._where, for_s, self._sleep)

    def ask(self, what: str, operation: Callable[[], T]) -> T:
        """The answer to something that may happen twice without harm.

        Raises:
            ClientError: it was refused for a reason that depends on what was asked; `refused` puts it into words.
            StoreUnavailableError: no answer for as long as is waited.
        """
        patience = self.patience()
        while True:
            try:
                return self.once(what, operation)
            except StoreUnavailableError:
                raise
            except Exception as exc:
                if not is_silence(exc):
                    raise
                patience.wait(what, exc)

    def once(self, what: str, operation: Callable[[], T]) -> T:
        """The answer, or the error as botocore raises it where `is_silence` or the caller can say more.

        Raises:
            ConfigError: there are no credentials, no bucket, or no such profile.
            StoreUnavailableError: this client is refused whatever it asks.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = operation()
        except ClientError as exc:
            self._answered = True
            self._raise_known(exc, what)
            raise
        except BotoCoreError as exc:
            if is_silence(exc):
                raise
            raise ConfigError(f"{self._where}: {exc}", hint=_CREDENTIALS) from None
        self._answered = True
        return answer

    def refused(self, what: str, exc: ClientError) -> NoReturn:
        """Raise a refusal that nobody else explains."""
        message = exc.response.get("Error", {}).get("Message") or "no reason is given"
        raise StoreUnavailableError(f"{self._where}: {what} was refused: {code_of(exc)}, {message}") from exc

    def _raise_known(self, exc: ClientError, what: str) -> None:
        code = code_of(exc)
        if code == "NoSuchBucket":
            raise ConfigError(
                f"{self._where}: there is no such bucket", hint="make it first, with Object Lock"
            ) from exc
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            raise ConfigError(
                f"{self._where}: the credentials are refused: {code}", hint=_CREDENTIALS
            ) from None
        if code == "RequestTimeTooSkewed":
            raise StoreUnavailableError(
                f"{self._where}: {what} was refused: this machine's clock is {_skew(exc)} the server's",
                hint="set the clock: chronyc tracking",
            ) from exc


def code_of(exc: ClientError) -> str:
    """The server's error code; of an answer without a body, its HTTP status."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def is_missing(exc: ClientError) -> bool:
    """Whether the object or version is not there."""
    return code_of(exc) in _MISSING


def is_denied(exc: ClientError) -> bool:
    """Whether this client may not do that, or nobody may."""
    return status_of(exc) == 403


def status_of(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_silence(exc: Exception) -> bool:
    """Whether nothing is known about what was asked, or the server asks to be asked later."""
    from botocore import exceptions as known

    if isinstance(exc, known.ClientError):
        return code_of(exc) in _TRANSIENT or status_of(exc) >= 500 or status_of(exc) == 429
    if isinstance(exc, known.SSLError):
        return False  # a certificate does not get better by waiting
    return isinstance(exc, (known.HTTPClientError, known.ConnectionError, known.IncompleteReadError))


def _skew(exc: ClientError) -> str:
    headers: Any = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        theirs = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return "too far from"
    ahead_s = (datetime.now(UTC) - theirs).total_seconds()
    return f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'}"
