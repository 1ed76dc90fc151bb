"""What happens to keys, as changes of a trust file's bytes. Pure: times and the log's size are arguments.

A key goes from active to grace to retired, or from any of them to revoked, and never back. `where` names the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust import parse_trust, trust_entry, with_changes, with_entry
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.model import rfc3339

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from pytest_cutover.keys.trusted import TrustedKey
    from pytest_cutover.keys.verifier import PublicKey

_SERIAL = re.compile(r"(.*) (\d+)")


def key_in(data: bytes, keyid: str, *, where: str) -> TrustedKey:
    """The key with that id.

    Raises:
        ConfigError: there is none, or the file is no trust file.
    """
    found = [key for key in parse_trust(data, where=where).keys if key.keyid == keyid]
    if not found:
        raise ConfigError(
            f"{where}: there is no key {keyid[:16]}…",
            hint="cutover keys list shows the keys; cutover keys show KEY prints an entry to add",
        )
    return found[0]


def with_successor(data: bytes, keyid: str, public: PublicKey, *, at: datetime, where: str) -> bytes:
    """The file that lists `public` too, for all that the key with that id may do; as it is, if it does already.

    A key that has a beginning and an end is followed by one that lasts as long, from `at` on.

    Raises:
        ConfigError: there is no such key, or the file is no trust file.
    """
    old, keys = key_in(data, keyid, where=where), parse_trust(data, where=where).keys
    if any(key.keyid == public.keyid for key in keys):
        return data
    entry = trust_entry(
        public,
        name=_next_name(old.name, {key.name for key in keys}),
        roles=tuple(sorted(old.roles)),
        environments=tuple(sorted(old.environments)),
        person=old.person,
        origin=old.origin,
    )
    if old.not_before is not None and old.not_after is not None:
        entry["not_before"] = rfc3339(at)
        entry["not_after"] = rfc3339(at + (old.not_after - old.not_before))
    return with_entry(data, entry, where=where)


def into_grace(
    data: bytes, keyid: str, *, origin: str, size: int, at: datetime, grace: timedelta, where: str
) -> bytes:
    """The file in which an active key counts only for what that log held below `size`, and until the grace is over.

    A key that is not active stays as it is: no rotation takes back a revocation.

    Raises:
        ConfigError: there is no such key, or the file is no trust file.
    """
    if key_in(data, keyid, where=where).state is not KeyState.ACTIVE:
        return data
    changes = {
        "state": KeyState.GRACE.value,
        "rotated": {"origin": origin, "size": size, "at": rfc3339(at)},
        "grace_until": rfc3339(at + grace),
    }
    return with_changes(data, keyid, changes, where=where)


def into_retirement(data: bytes, keyid: str, *, where: str) -> bytes:
    """The file in which a key in grace counts for nothing any more.

    Raises:
        ConfigError: it is not in grace, or not there.
    """
    key = key_in(data, keyid, where=where)
    if key.state not in (KeyState.GRACE, KeyState.RETIRED):
        raise ConfigError(
            f"{where}: expected a key in grace, got {key.name!r}, which is {key.state.value}",
            hint="cutover keys rotate puts an active key into grace; cutover keys revoke ends it at once",
        )
    return with_changes(data, keyid, {"state": KeyState.RETIRED.value}, where=where)


def into_revocation(data: bytes, keyid: str, *, at: datetime, reason: str, where: str) -> bytes:
    """The file in which a key counts for nothing; the first time and reason stay.

    Raises:
        ConfigError: there is no such key, or the file is no trust file.
    """
    if key_in(data, keyid, where=where).state is KeyState.REVOKED:
        return data
    changes = {"state": KeyState.REVOKED.value, "revoked_at": rfc3339(at), "reason": reason}
    return with_changes(data, keyid, changes, where=where)


def _next_name(name: str, taken: set[str]) -> str:
    """`release key` gives `release key 2`, and so on."""
    match = _SERIAL.fullmatch(name)
    stem, serial = (match[1], int(match[2])) if match else (name, 1)
    while f"{stem} {serial + 1}" in taken:
        serial += 1
    return f"{stem} {serial + 1}"
