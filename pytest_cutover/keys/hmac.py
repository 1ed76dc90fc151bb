"""A ring of HMAC-SHA256 keys (RFC 2104): several with ids, one that makes tags now.

For what lives briefly and is checked by who shares the key: judges' verdicts, stage tokens. A tag covers its purpose,
so one made for a token is none for a verdict. **Proves nothing to third parties**: whoever can check can also make.
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import ConfigError
from pytest_cutover.model import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from datetime import datetime, timedelta

SECRET_BYTES = 32
"""As long as the hash's output, under which RFC 2104 section 3 advises against keys."""

_MAX_SECRET_BYTES = 1024
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HINT = "a ring of HMAC keys is made with HmacRing.new(), and written with to_json()"


@dataclass(frozen=True, slots=True, repr=False)
class HmacKey:
    """One secret, and until when its tags count after it was rotated (None: it is the one that makes them)."""

    id: str
    secret: bytes
    grace_until: datetime | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


@dataclass(frozen=True, slots=True)
class HmacRing:
    """The keys, the active one first."""

    keys: tuple[HmacKey, ...]

    @classmethod
    def new(cls, key_id: str) -> HmacRing:
        """A ring with one new secret.

        Raises:
            ValueError: that is no id: small letters, digits, dots, dashes.
        """
        return cls((_new_key(key_id),))

    def tag(self, purpose: str, message: bytes) -> tuple[str, bytes]:
        """The id of the active key, and its tag of 32 bytes over the message, for that purpose alone."""
        active = self.keys[0]
        return active.id, _tag(active.secret, purpose, message)

    def verify(self, key_id: str, tag: bytes, purpose: str, message: bytes, *, now: datetime) -> bool:
        """Whether that key, which must still count, made the tag; takes as long for a wrong as for a right one."""
        key = next((k for k in self.keys if k.id == key_id), None)
        # With a key that nobody has, an unknown id takes as long as a known one.
        secret = b"\0" * SECRET_BYTES if key is None else key.secret
        is_same = hmac.compare_digest(_tag(secret, purpose, message), tag)
        return is_same and key is not None and (key.grace_until is None or now <= key.grace_until)

    def rotated(self, key_id: str, *, now: datetime, grace: timedelta) -> HmacRing:
        """The ring with a new active key; the old one counts until its grace is over, and those before as they did.

        Raises:
            ValueError: that is no id, or it was used before.
        """
        if key_id in {k.id for k in self.keys}:
            raise ValueError(f"expected an id that no key of the ring has, got {key_id!r}")
        old = replace(self.keys[0], grace_until=now + grace)
        left = [k for k in self.keys[1:] if k.grace_until is not None and now <= k.grace_until]
        return HmacRing((_new_key(key_id), old, *left))

    def to_json(self) -> str:
        """The text of the ring, **with its secrets**: for a file only its owner reads, or a SecureString."""
        return json.dumps({"format": 1, "keys": [_to_json(k) for k in self.keys]}, indent=1) + "\n"


def read_hmac_ring(text: str, *, where: str) -> HmacRing:
    """The ring in its text; `where` begins every message, and none repeats a secret.

    Raises:
        ConfigError: anything else.
    """
    try:
        document = strictjson.loads(text)
    except ValueError:  # whose words quote what was read
        raise ConfigError(f"{where}: expected a ring of HMAC keys in strict JSON", hint=_HINT) from None
    try:
        if not isinstance(document, dict) or set(document) != {"format", "keys"} or document["format"] != 1:
            raise ValueError("the fields format (1) and keys")
        keys = tuple(_key(entry) for entry in _list(document["keys"]))
    except ValueError as exc:
        raise ConfigError(f"{where}: expected a ring of HMAC keys: {exc}", hint=_HINT) from None
    if len({k.id for k in keys}) != len(keys):
        raise ConfigError(f"{where}: expected different ids of keys", hint=_HINT)
    if [k.grace_until is None for k in keys] != [at == 0 for at in range(len(keys))]:
        raise ConfigError(
            f"{where}: expected one key without grace_until, the first, and the others with it", hint=_HINT
        )
    return HmacRing(keys)


def _tag(secret: bytes, purpose: str, message: bytes) -> bytes:
    name = purpose.encode()
    # The length in front: no purpose and message run together into those of another tag.
    return hmac.digest(secret, b"cutover-hmac-v1 %d " % len(name) + name + message, "sha256")


def _new_key(key_id: str) -> HmacKey:
    if not _ID.fullmatch(key_id):
        raise ValueError(f"expected an id such as stage-1, got {key_id!r:.80}")
    return HmacKey(key_id, secrets.token_bytes(SECRET_BYTES))


def _to_json(key: HmacKey) -> dict[str, Any]:
    secret = binascii.b2a_base64(key.secret, newline=False).decode("ascii")
    grace = {} if key.grace_until is None else {"grace_until": rfc3339(key.grace_until)}
    return {"id": key.id, "secret": secret, **grace}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError("keys: a list of at least one")
    return value


def _key(entry: Any) -> HmacKey:
    if not isinstance(entry, dict) or not {"id", "secret"} <= set(entry) <= {"id", "secret", "grace_until"}:
        raise ValueError("each key with id, secret, and grace_until once it was rotated")
    if not isinstance(entry["id"], str) or not _ID.fullmatch(entry["id"]):
        raise ValueError("id: small letters, digits, dots, dashes")
    try:
        secret = binascii.a2b_base64(entry["secret"], strict_mode=True)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("secret: base64") from None
    if not SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise ValueError(f"secret: {SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes, got {len(secret)}")
    if "grace_until" not in entry:
        return HmacKey(entry["id"], secret)
    try:
        return HmacKey(entry["id"], secret, parse_rfc3339(entry["grace_until"]))
    except ValueError:
        raise ValueError("grace_until: a UTC time such as 2026-11-21T08:48:00Z") from None
