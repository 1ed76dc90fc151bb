"""Reads the document of a trust file strictly, and says where in the file something is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trusted import NOTE_ROLES, ROLES, KeyState, Rotation, TrustedKey
from pytest_cutover.keys.verifier import KeyKind, load_public_key
from pytest_cutover.model import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

FORMAT_HINT = "cutover keys show KEY prints a ready entry"

_REQUIRED = ("keyid", "name", "roles", "environments", "public_key")
_OPTIONAL = (
    *("person", "origin", "not_before", "not_after"),
    *("state", "rotated", "grace_until", "revoked_at", "reason"),
)
_OF_STATE = {
    KeyState.ACTIVE: (set(), set()),
    KeyState.GRACE: ({"rotated", "grace_until"}, set()),
    KeyState.RETIRED: (set(), {"rotated", "grace_until"}),
    KeyState.REVOKED: ({"revoked_at", "reason"}, {"rotated", "grace_until"}),
}
"""The fields of a key's life that each state needs, and those it may have as well."""

_LIFE = ("rotated", "grace_until", "revoked_at", "reason")
_MOST = 2**53 - 1  # the largest integer every JSON reader agrees about
_MOST_PERSONS = 64


class TrustReader:
    """One trust file; `where` begins every message."""

    def __init__(self, where: str) -> None:
        self._where = where

    def keys(self, value: object) -> tuple[TrustedKey, ...]:
        """The keys, each once, each person in one spelling.

        Raises:
            ConfigError: anything else.
        """
        if not isinstance(value, list) or not value:
            self.refuse("keys", "a list of at least one key", value)
        keys = tuple(self.key(entry, f"keys[{at}]") for at, entry in enumerate(value))
        seen: dict[str, int] = {}
        for at, key in enumerate(keys):
            if key.keyid in seen:
                raise ConfigError(
                    f"{self._where}: keys[{at}] is the same key as keys[{seen[key.keyid]}] ({key.keyid[:16]}…)",
                    hint="merge the two entries: roles and environments are lists",
                )
            seen[key.keyid] = at
        return keys

    def thresholds(self, value: object) -> dict[str, int]:
        """How many persons have to sign, by role."""
        if not isinstance(value, dict):
            self.refuse("thresholds", "an object of roles", value)
        out = {}
        for role, wanted in value.items():
            at = f"thresholds.{role}"
            if role not in ROLES or role in NOTE_ROLES:
                known = ", ".join(r for r in ROLES if r not in NOTE_ROLES)
                self.refuse("thresholds", f"one of the roles {known}", role)
            fields = self.fields(wanted, at, ("persons",), ())
            out[role] = self._whole(fields["persons"], f"{at}.persons", 1, _MOST_PERSONS)
        return out

    def policies(self, value: object) -> dict[str, int]:
        """The lowest version that counts, by the policy's name."""
        if not isinstance(value, dict):
            self.refuse("policies", "an object of policies by name", value)
        out = {}
        for name, floor in value.items():
            at = f"policies.{name}"
            fields = self.fields(floor, at, ("min_version",), ())
            out[self._text(name, "policies")] = self._whole(
                fields["min_version"], f"{at}.min_version", 1, _MOST
            )
        return out

    def key(self, value: object, at: str) -> TrustedKey:
        """The key of one entry."""
        fields = self.fields(value, at, _REQUIRED, _OPTIONAL)
        public = load_public_key(
            self._text(fields["public_key"], f"{at}.public_key"), where=f"{self._where}: {at}.public_key"
        )
        if fields["keyid"] != public.keyid:
            self.refuse(f"{at}.keyid", f"{public.keyid} (SHA-256 of this public key)", fields["keyid"])
        roles = self._words(fields["roles"], f"{at}.roles", ROLES)
        if roles & NOTE_ROLES and public.kind is not KeyKind.ED25519:
            wanted = f"an Ed25519 key for role {min(roles & NOTE_ROLES)}, as signed notes know no other"
            self.refuse(f"{at}.public_key", wanted, public.kind.value)
        times = self._times(fields, at, ("not_before", "not_after"))
        if len(times) == 2 and times["not_before"] > times["not_after"]:
            self.refuse(f"{at}.not_after", "a time after not_before", fields["not_after"])
        return TrustedKey(
            public=public,
            keyid=public.keyid,
            name=self._text(fields["name"], f"{at}.name"),
            roles=roles,
            environments=self._words(fields["environments"], f"{at}.environments", None),
            person=self._text(fields["person"], f"{at}.person") if "person" in fields else None,
            origin=self._origin(fields, roles, at),
            **times,
            **self._life(fields, at),
        )

    def fields(
        self, value: object, at: str, required: tuple[str, ...], optional: tuple[str, ...]
    ) -> dict[str, Any]:
        """An object with these fields and no others."""
        if not isinstance(value, dict):
            self.refuse(at, "an object", value)
        unknown = sorted(set(value) - set(required) - set(optional))
        if unknown:
            self.refuse(at, f"only {', '.join((*required, *optional))}", unknown[0])
        missing = [name for name in required if name not in value]
        if missing:
            raise ConfigError(f"{self._where}: {at}: {missing[0]} is missing", hint=FORMAT_HINT)
        return value

    def refuse(self, at: str, expected: str, got: object) -> NoReturn:
        raise ConfigError(f"{self._where}: {at}: expected {expected}, got {_short(got)}", hint=FORMAT_HINT)

    def _life(self, fields: Mapping[str, Any], at: str) -> dict[str, Any]:
        """The state, and the fields that belong to it: one too many could be a revocation that was undone."""
        told = fields.get("state", KeyState.ACTIVE.value)
        if told not in [s.value for s in KeyState]:
            self.refuse(f"{at}.state", f"one of {', '.join(s.value for s in KeyState)}", told)
        state = KeyState(told)
        needed, allowed = _OF_STATE[state]
        for name in _LIFE:
            if name in needed and name not in fields:
                raise ConfigError(
                    f"{self._where}: {at}: {name} is missing, and state {state.value} needs it",
                    hint="cutover keys rotate, retire and revoke write these fields",
                )
            if name in fields and name not in needed | allowed:
                self.refuse(f"{at}.{name}", f"none beside state {state.value}", fields[name])
        out: dict[str, Any] = {"state": state, **self._times(fields, at, ("grace_until", "revoked_at"))}
        if "rotated" in fields:
            out["rotated"] = self._rotation(fields["rotated"], f"{at}.rotated")
            if "grace_until" in out and out["grace_until"] < out["rotated"].at:
                self.refuse(f"{at}.grace_until", "a time after the rotation", fields["grace_until"])
        if "reason" in fields:
            out["reason"] = self._text(fields["reason"], f"{at}.reason")
        return out

    def _rotation(self, value: object, at: str) -> Rotation:
        fields = self.fields(value, at, ("origin", "size", "at"), ())
        return Rotation(
            self._name(fields["origin"], f"{at}.origin"),
            self._whole(fields["size"], f"{at}.size", 0, _MOST),
            self._time(fields["at"], f"{at}.at"),
        )

    def _origin(self, fields: Mapping[str, Any], roles: frozenset[str], at: str) -> str | None:
        """The key's name in signed notes."""
        needed = sorted(roles & NOTE_ROLES)
        if "origin" not in fields:
            if needed:
                raise ConfigError(
                    f"{self._where}: {at}: origin is missing, and role {needed[0]} needs it",
                    hint="the name under which the key signs notes, such as log.example.org/cutover",
                )
            return None
        if not needed:
            self.refuse(
                f"{at}.origin", f"it only beside role {' or '.join(sorted(NOTE_ROLES))}", fields["origin"]
            )
        return self._name(fields["origin"], f"{at}.origin")

    def _name(self, value: object, at: str) -> str:
        """A name in signed notes: no white space and no plus, by C2SP signed-note."""
        name = self._text(value, at)
        if re.search(r"[\s+]", name):
            self.refuse(at, "a name without white space and +", name)
        return name

    def _text(self, value: object, at: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.refuse(at, "a text", value)
        return value

    def _whole(self, value: object, at: str, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(at, f"a whole number from {low} to {high}", value)
        return value

    def _times(self, fields: Mapping[str, Any], at: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: self._time(fields[name], f"{at}.{name}") for name in names if name in fields}

    def _time(self, value: object, at: str) -> datetime:
        try:
            return parse_rfc3339(value)  # type: ignore[arg-type] # it checks the type itself
        except ValueError:
            self.refuse(at, "a UTC time such as 2026-11-21T08:48:00Z", value)

    def _words(self, value: object, at: str, allowed: tuple[str, ...] | None) -> frozenset[str]:
        if not isinstance(value, list) or not value:
            self.refuse(at, "a list of at least one name", value)
        for index, word in enumerate(value):
            if not isinstance(word, str) or not word or (allowed is not None and word not in allowed):
                self.refuse(f"{at}[{index}]", f"one of {', '.join(allowed)}" if allowed else "a name", word)
        if len(set(value)) != len(value):
            self.refuse(at, "each name once", value)
        return frozenset(value)


def _short(value: object) -> str:
    text = repr(value)
    if re.search("PRIVATE KEY", text):
        return "a private key"
    return text if len(text) <= 100 else f"{text[:99]}…"
