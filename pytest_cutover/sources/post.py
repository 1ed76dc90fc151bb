"""One HTTP POST, bounded in time and size."""

from __future__ import annotations

import time

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.sources._http_client import Client, RequestFailedError

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 65_536


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer.

    Raises:
        ConfigError: no such URL can be asked.
        AdapterError: there is no complete answer.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"expected a URL that begins with http:// or https://, got {url!r}")
    client = Client()
    try:
        answer = client.send(
            "POST",
            url,
            headers={"Content-Type": "text/plain; charset=utf-8"},
            content=body,
            deadline=time.monotonic() + TIMEOUT_S,
            max_body_bytes=MAX_ANSWER_BYTES,
        )
    except RequestFailedError as exc:
        raise AdapterError(f"{url}: {exc.detail}", hint="is it running, and is that its address?") from exc
    except ValueError as exc:
        raise ConfigError(f"{url}: {exc}") from None
    finally:
        client.close()
    return answer.status_code, answer.body
