"""The trust file: which public keys count, for what, where and when; and how much that proves.

Format 1. Read strictly: an unknown word, a duplicate key or a key id that is not the key's own is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_cutover import strictjson
from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.verifier import PublicKey, load_public_key
from pytest_cutover.model import SANDBOX, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TRUST_VARIABLE = "CUTOVER_TRUST"
REPOSITORY_TRUST = Path("configs/trust.json")
DEVELOPMENT_PUBLIC_KEY = Path("var/cutover/keys/development.pub.pem")
MAX_TRUST_BYTES = 4_194_304
"""Thousands of keys fit; more is another file."""

ROLES = ("policy", "decision", "approval", "waiver", "log", "witness", "store")
NOTE_ROLES = frozenset({"log", "witness"})
"""Their signatures stand in signed notes, where a key is known by a name: `origin`."""

EVERYWHERE = "*"

_REQUIRED = ("keyid", "name", "roles", "environments", "public_key")
_OPTIONAL = ("person", "origin", "not_before", "not_after")
_FORMAT_HINT = "cutover keys show KEY prints a ready entry"


class AnchorSource(Enum):
    """Where the trusted keys came from, and with that what a good signature proves."""

    GIVEN = "given"
    REPOSITORY = "repository"
    DEVELOPMENT = "development"

    @property
    def integrity_only(self) -> bool:
        """True when whoever wrote the evidence may have chosen the keys too."""
        return self is not AnchorSource.GIVEN


_PROVES = {
    AnchorSource.GIVEN: "proves that a key you trust signed this",
    AnchorSource.REPOSITORY: (
        "from the repository being released: proves little, "
        "as whoever changes the release can change the trusted keys"
    ),
    AnchorSource.DEVELOPMENT: "proves only that nothing changed since this machine signed",
}


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One public key and what it may be used for."""

    public: PublicKey
    keyid: str
    name: str
    roles: frozenset[str]
    environments: frozenset[str]
    person: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    origin: str | None = None  # the key's name in signed notes; set exactly when it has a role of NOTE_ROLES

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def covers(self, environment: str) -> bool:
        return EVERYWHERE in self.environments or environment in self.environments

    def is_valid_at(self, at: datetime) -> bool:
        """Whether `at` lies within not_before and not_after, both inclusive."""
        if self.not_before is not None and at < self.not_before:
            return False
        return self.not_after is None or at <= self.not_after

    def verify(self, message: bytes, signature: bytes) -> bool:
        return self.public.verify(message, signature)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The keys a verification starts from; nothing else is believed."""

    keys: tuple[TrustedKey, ...]
    source: AnchorSource
    where: str

    @property
    def integrity_only(self) -> bool:
        return self.source.integrity_only

    @property
    def description(self) -> str:
        """Where the keys came from and how much a good signature therefore proves."""
        kind = "development key" if self.source is AnchorSource.DEVELOPMENT else "trust file"
        return f"{kind} {self.where}: {_PROVES[self.source]}"

    def verifiers(self, *, role: str, environment: str, at: datetime) -> tuple[TrustedKey, ...]:
        """The keys that may act in `role` for `environment` at that time.

        Raises:
            ValueError: no such role, or `at` is naive.
        """
        if role not in ROLES:
            raise ValueError(f"expected one of {', '.join(ROLES)}, got {role!r}")
        if at.tzinfo is None:
            raise ValueError("a time must be timezone-aware")
        return tuple(k for k in self.keys if k.has_role(role) and k.covers(environment) and k.is_valid_at(at))


def find_anchor(option: str | None, environ: Mapping[str, str], rootdir: Path) -> Anchor | None:
    """The anchor: `option`, CUTOVER_TRUST, the repository's trust file, else this machine's development key.

    A file below `rootdir` is the repository's even when it was given: what is released could change it.
    None when there is nothing at all to start from.

    Raises:
        ConfigError: a trust file was asked for, or is there, and cannot be used.
    """
    for value, name in ((option, "--trust"), (environ.get(TRUST_VARIABLE), TRUST_VARIABLE)):
        if value is not None:
            return _given(value, name, rootdir)
    repository = rootdir / REPOSITORY_TRUST
    development = rootdir / DEVELOPMENT_PUBLIC_KEY
    if _is_there(repository):
        anchor = load_trust(repository, source=AnchorSource.REPOSITORY)
        return _with_sandbox_key(anchor, development) if _is_there(development) else anchor
    return development_anchor(development) if _is_there(development) else None


def load_trust(path: Path, *, source: AnchorSource = AnchorSource.GIVEN) -> Anchor:
    """The anchor in the trust file at `path`.

    Raises:
        ConfigError: unreadable or not a trust file of format 1.
    """
    return parse_trust(_read(path), where=str(path), source=source)


def parse_trust(data: bytes, *, where: str, source: AnchorSource = AnchorSource.GIVEN) -> Anchor:
    """The anchor in the bytes of a trust file; `where` begins every message.

    Raises:
        ConfigError: not a trust file of format 1.
    """
    try:
        document = strictjson.loads(data)
    except ValueError as exc:
        raise ConfigError(f"{where}: expected a trust file in JSON: {exc}", hint=_FORMAT_HINT) from None
    reader = _Reader(where)
    fields = reader.fields(document, "the file", ("format", "keys"), ())
    if fields["format"] != 1 or isinstance(fields["format"], bool):
        reader.refuse("format", "1", fields["format"])
    entries = fields["keys"]
    if not isinstance(entries, list) or not entries:
        reader.refuse("keys", "a list of at least one key", entries)
    keys = tuple(reader.key(entry, f"keys[{at}]") for at, entry in enumerate(entries))
    seen: dict[str, int] = {}
    for at, key in enumerate(keys):
        if key.keyid in seen:
            raise ConfigError(
                f"{where}: keys[{at}] is the same key as keys[{seen[key.keyid]}] ({key.keyid[:16]}…)",
                hint="merge the two entries: roles and environments are lists",
            )
        seen[key.keyid] = at
    return Anchor(keys, source, where)


def _with_sandbox_key(anchor: Anchor, development: Path) -> Anchor:
    """The repository's anchor, and for the sandbox alone this machine's development key, which signs there."""
    known = {key.keyid for key in anchor.keys}
    public = load_public_key(_read(development).decode("utf-8", "replace"), where=str(development))
    if public.keyid in known:
        return anchor
    roles, sandbox = frozenset({"decision", "policy"}), frozenset({SANDBOX})
    key = TrustedKey(public, public.keyid, "development key of this machine", roles, sandbox)
    return replace(anchor, keys=(*anchor.keys, key))


def development_anchor(path: Path) -> Anchor:
    """An anchor that trusts this machine's development key: for decisions, and in the sandbox for policies.

    Raises:
        ConfigError: the file is not a public key.
    """
    public = load_public_key(_read(path).decode("utf-8", "replace"), where=str(path))
    keyid, name = public.keyid, "development key of this machine"
    return Anchor(
        (
            TrustedKey(public, keyid, name, frozenset({"decision"}), frozenset({EVERYWHERE})),
            # Whoever runs gates holds this key, so elsewhere a policy signed with it proves nothing.
            TrustedKey(public, keyid, name, frozenset({"policy"}), frozenset({SANDBOX})),
        ),
        AnchorSource.DEVELOPMENT,
        str(path),
    )


def trust_entry(
    public: PublicKey,
    *,
    name: str,
    roles: tuple[str, ...] = ("decision",),
    environments: tuple[str, ...] = (EVERYWHERE,),
    person: str | None = None,
    origin: str | None = None,
) -> dict[str, Any]:
    """An entry for the `keys` of a trust file."""
    return {
        "keyid": public.keyid,
        "name": name,
        **({} if person is None else {"person": person}),
        **({} if origin is None else {"origin": origin}),
        "roles": list(roles),
        "environments": list(environments),
        "public_key": public.pem(),
    }


def with_entry(data: bytes | None, entry: Mapping[str, Any], *, where: str) -> bytes:
    """The trust file in `data`, or a new one, with one more entry.

    Raises:
        ConfigError: not a trust file of format 1, or the entry does not fit into it.
    """
    keys: list[Any] = []
    if data is not None:
        parse_trust(data, where=where)
        keys = strictjson.loads(data)["keys"]
    text = json.dumps({"format": 1, "keys": [*keys, entry]}, indent=1, ensure_ascii=False)
    out = f"{text}\n".encode()
    parse_trust(out, where=where)
    return out


def read_trust(path: Path) -> bytes | None:
    """The bytes of the trust file at `path`; None when there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    return _read(path) if _is_there(path) else None


def _is_there(path: Path) -> bool:
    """False only when there surely is nothing: what cannot be looked at must not mean weaker trust."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _given(value: str, where: str, rootdir: Path) -> Anchor:
    if not value.strip():
        # Falling back to the repository's own file would trust less than was asked for, silently.
        raise ConfigError(
            f"{where}: expected the path of a trust file, got nothing",
            hint=f"give a path or leave {where} out",
        )
    path = Path(value)
    try:
        inside = path.resolve().is_relative_to(rootdir.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False  # unreadable: load_trust says so
    return load_trust(path, source=AnchorSource.REPOSITORY if inside else AnchorSource.GIVEN)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a usable file name"
        raise ConfigError(
            f"{path}: the trusted keys cannot be read: {reason}", hint="check --trust and CUTOVER_TRUST"
        ) from None
    if len(data) > MAX_TRUST_BYTES:
        raise ConfigError(
            f"{path}: expected a trust file, got more than {MAX_TRUST_BYTES} bytes", hint=_FORMAT_HINT
        )
    return data


class _Reader:
    """Reads entries and says where in the file something is wrong."""

    def __init__(self, where: str) -> None:
        self._where = where

    def refuse(self, at: str, expected: str, got: object) -> NoReturn:
        raise ConfigError(f"{self._where}: {at}: expected {expected}, got {_short(got)}", hint=_FORMAT_HINT)

    def fields(
        self, value: object, at: str, required: tuple[str, ...], optional: tuple[str, ...]
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.refuse(at, "an object", value)
        unknown = sorted(set(value) - set(required) - set(optional))
        if unknown:
            self.refuse(at, f"only {', '.join((*required, *optional))}", unknown[0])
        missing = [name for name in required if name not in value]
        if missing:
            raise ConfigError(f"{self._where}: {at}: {missing[0]} is missing", hint=_FORMAT_HINT)
        return value

    def key(self, value: object, at: str) -> TrustedKey:
        fields = self.fields(value, at, _REQUIRED, _OPTIONAL)
        public = load_public_key(
            self._text(fields["public_key"], f"{at}.public_key"), where=f"{self._where}: {at}.public_key"
        )
        if fields["keyid"] != public.keyid:
            self.refuse(f"{at}.keyid", f"{public.keyid} (SHA-256 of this public key)", fields["keyid"])
        person = fields.get("person")
        roles = self._words(fields["roles"], f"{at}.roles", ROLES)
        times = {n: self._time(fields[n], f"{at}.{n}") for n in ("not_before", "not_after") if n in fields}
        if len(times) == 2 and times["not_before"] > times["not_after"]:
            self.refuse(f"{at}.not_after", "a time after not_before", fields["not_after"])
        return TrustedKey(
            public=public,
            keyid=public.keyid,
            name=self._text(fields["name"], f"{at}.name"),
            roles=roles,
            environments=self._words(fields["environments"], f"{at}.environments", None),
            person=None if person is None and "person" not in fields else self._text(person, f"{at}.person"),
            origin=self._origin(fields, roles, at),
            **times,
        )

    def _origin(self, fields: Mapping[str, Any], roles: frozenset[str], at: str) -> str | None:
        """The key's name in signed notes: no white space and no plus, by C2SP signed-note."""
        needed = sorted(roles & NOTE_ROLES)
        if "origin" not in fields:
            if needed:
                raise ConfigError(
                    f"{self._where}: {at}: origin is missing, and role {needed[0]} needs it",
                    hint="the name under which the key signs notes, such as log.example.org/cutover",
                )
            return None
        origin = self._text(fields["origin"], f"{at}.origin")
        if not needed:
            self.refuse(f"{at}.origin", f"it only beside role {' or '.join(sorted(NOTE_ROLES))}", origin)
        if re.search(r"[\s+]", origin):
            self.refuse(f"{at}.origin", "a name without white space and +", origin)
        return origin

    def _text(self, value: object, at: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.refuse(at, "a text", value)
        return value

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
