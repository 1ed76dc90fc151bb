"""The trust file: which public keys count, for what, where and when; and how much that proves.

Format 1. Read strictly: an unknown word, a duplicate key or a key id that is not the key's own is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import ConfigError
from pytest_cutover.keys.trust_reader import FORMAT_HINT, TrustReader
from pytest_cutover.keys.trusted import (
    EVERYWHERE,
    ROLES,
    KeyState,
    Refusal,
    TrustedKey,
    persons_of,
)
from pytest_cutover.keys.verifier import PublicKey, load_public_key
from pytest_cutover.model import LOCAL_LOG, SANDBOX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pytest_cutover.keys.position import Position

__all__ = [
    "EVERYWHERE",
    "ROLES",
    "Anchor",
    "AnchorSource",
    "KeyState",
    "Refusal",
    "TrustedKey",
    "development_anchor",
    "find_anchor",
    "load_trust",
    "parse_trust",
    "read_trust",
    "trust_entry",
    "with_changes",
    "with_entry",
]

TRUST_VARIABLE = "CUTOVER_TRUST"
REPOSITORY_TRUST = Path("configs/trust.json")
DEVELOPMENT_PUBLIC_KEY = Path("var/cutover/keys/development.pub.pem")
LOG_KEY = Path("var/cutover/keys/log.pem")
"""The key of this machine's own transparency log; its public half is beside it."""

MAX_TRUST_BYTES = 4_194_304
"""Thousands of keys fit; more is another file."""


class AnchorSource(Enum):
    """Where the trusted keys came from, and with that what a good signature proves."""

    GIVEN = "given"
    REPOSITORY = "repository"
    DEVELOPMENT = "development"

    @property
    def integrity_only(self) -> bool:
        """True when whoever wrote the evidence may have chosen the keys too."""
        return self is not AnchorSource.GIVEN


_STATES = {
    KeyState.GRACE: "in grace, and counts for what was signed before",
    KeyState.RETIRED: "retired",
    KeyState.REVOKED: "revoked",
}
_PROVES = {
    AnchorSource.GIVEN: "proves that a key you trust signed this",
    AnchorSource.REPOSITORY: (
        "from the repository being released: proves little, "
        "as whoever changes the release can change the trusted keys"
    ),
    AnchorSource.DEVELOPMENT: "proves only that nothing changed since this machine signed",
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """The keys a verification starts from; nothing else is believed."""

    keys: tuple[TrustedKey, ...]
    source: AnchorSource
    where: str
    thresholds: Mapping[str, int] = field(
        default_factory=dict, hash=False
    )  # persons who have to sign, by role
    floors: Mapping[str, int] = field(
        default_factory=dict, hash=False
    )  # lowest version that counts, by policy name

    @property
    def integrity_only(self) -> bool:
        return self.source.integrity_only

    @property
    def description(self) -> str:
        """Where the keys came from and how much a good signature therefore proves."""
        kind = "development key" if self.source is AnchorSource.DEVELOPMENT else "trust file"
        return f"{kind} {self.where}: {_PROVES[self.source]}"

    def verifiers(
        self, *, role: str, environment: str, at: datetime, position: Position | None = None
    ) -> tuple[TrustedKey, ...]:
        """The keys that may act in `role` for `environment` at that time: the one place where this is decided.

        `position` is where a log holds what was signed, or something that contains it, **as an inclusion proof
        has shown**. Without one, keys that were rotated do not count.

        Raises:
            ValueError: no such role, or `at` is naive.
        """
        _check(role, at)
        return tuple(
            key
            for key in self.keys
            if key.refusal(role=role, environment=environment, at=at, position=position) is None
        )

    def refusal(
        self, keyid: str, *, role: str, environment: str, at: datetime, position: Position | None = None
    ) -> Refusal | None:
        """Why `verifiers` leaves out the key with that id, which is one of `keys`; None: it does not.

        Raises:
            ValueError: no such role or key, or `at` is naive.
        """
        _check(role, at)
        found = [
            key.refusal(role=role, environment=environment, at=at, position=position)
            for key in self.keys
            if key.keyid == keyid
        ]
        if not found:
            raise ValueError(f"there is no key {keyid[:16]}")
        # A development key has two entries: what the one refuses, the other may allow.
        return None if None in found else max(filter(None, found), key=list(Refusal).index)

    def refuse_old(self, keyid: str) -> None:
        """Let nobody sign with a key that the anchor knows, and knows not to sign any more.

        Raises:
            ConfigError: it was rotated, retired or revoked.
        """
        found = [key for key in self.keys if key.keyid == keyid]
        if found and all(key.state is not KeyState.ACTIVE for key in found):
            state = _STATES[found[0].state]
            raise ConfigError(
                f"key {found[0].name!r} signs no more: {self.where} says that it is {state}",
                hint="sign with the key that is active now: cutover keys list",
            )

    def shortfall(self, role: str, signers: Iterable[TrustedKey]) -> str | None:
        """What `signers` lack of the persons who have to sign in that role; None: nothing, or no number is set.

        One person with two keys is one person, and a key that belongs to nobody is none.
        """
        needed = self.thresholds.get(role)
        if needed is None:
            return None
        persons = persons_of(signers)
        if len(persons) >= needed:
            return None
        signed = f"{len(persons)} ({', '.join(persons)})" if persons else "none"
        return f"expected signatures of {needed} persons in role {role}, got {signed}"

    def is_outdated(self, policy: str, version: int) -> bool:
        """Whether that version of the policy is below the lowest that counts."""
        return version < self.floors.get(policy, 0)


def _check(role: str, at: datetime) -> None:
    if role not in ROLES:
        raise ValueError(f"expected one of {', '.join(ROLES)}, got {role!r}")
    if at.tzinfo is None:
        raise ValueError("a time must be timezone-aware")


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
    if is_there(repository):
        anchor = load_trust(repository, source=AnchorSource.REPOSITORY)
        anchor = _with_sandbox_key(anchor, development) if is_there(development) else anchor
        return _with_local_log(anchor, rootdir, SANDBOX)
    if not is_there(development):
        return None
    return _with_local_log(development_anchor(development), rootdir, EVERYWHERE)


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
        raise ConfigError(f"{where}: expected a trust file in JSON: {exc}", hint=FORMAT_HINT) from None
    reader = TrustReader(where)
    fields = reader.fields(document, "the file", ("format", "keys"), ("thresholds", "policies"))
    if fields["format"] != 1 or isinstance(fields["format"], bool):
        reader.refuse("format", "1", fields["format"])
    return Anchor(
        reader.keys(fields["keys"]),
        source,
        where,
        reader.thresholds(fields.get("thresholds", {})),
        reader.policies(fields.get("policies", {})),
    )


def _with_sandbox_key(anchor: Anchor, development: Path) -> Anchor:
    """The repository's anchor, and for the sandbox alone this machine's development key, which signs there."""
    known = {key.keyid for key in anchor.keys}
    public = load_public_key(_read(development).decode("utf-8", "replace"), where=str(development))
    if public.keyid in known:
        return anchor
    roles, sandbox = frozenset({"decision", "policy"}), frozenset({SANDBOX})
    key = TrustedKey(public, public.keyid, "development key of this machine", roles, sandbox)
    return replace(anchor, keys=(*anchor.keys, key))


def _with_local_log(anchor: Anchor, rootdir: Path, environment: str) -> Anchor:
    """The anchor, and for that environment the key of this machine's own log, if it has one."""
    path = rootdir / LOG_KEY.with_name("log.pub.pem")
    if not is_there(path):
        return anchor
    public = load_public_key(_read(path).decode("utf-8", "replace"), where=str(path))
    if any(key.keyid == public.keyid for key in anchor.keys):
        return anchor
    roles, places = frozenset({"log"}), frozenset({environment})
    key = TrustedKey(public, public.keyid, "log key of this machine", roles, places, origin=LOCAL_LOG)
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
    document: dict[str, Any] = {"format": 1, "keys": []}
    if data is not None:
        parse_trust(data, where=where)
        document = strictjson.loads(data)
    document["keys"].append(entry)
    return written(document, where=where)


def with_changes(data: bytes, keyid: str, changes: Mapping[str, Any], *, where: str) -> bytes:
    """The trust file in `data`, with these fields of the key's entry set; None takes a field away.

    Raises:
        ConfigError: not a trust file of format 1, before or after; or it has no such key.
    """
    parse_trust(data, where=where)
    document = strictjson.loads(data)
    found = [entry for entry in document["keys"] if entry["keyid"] == keyid]
    if not found:
        raise ConfigError(f"{where}: there is no key {keyid[:16]}…", hint="cutover keys list shows the keys")
    for name, value in changes.items():
        found[0].pop(name, None)
        if value is not None:
            found[0][name] = value
    return written(document, where=where)


def written(document: Mapping[str, Any], *, where: str) -> bytes:
    """The bytes of a trust file.

    Raises:
        ConfigError: the document is none.
    """
    out = f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode()
    parse_trust(out, where=where)
    return out


def read_trust(path: Path) -> bytes | None:
    """The bytes of the trust file at `path`; None when there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    return _read(path) if is_there(path) else None


def is_there(path: Path) -> bool:
    """False only when there surely is nothing: what cannot be looked at must not mean that less is asked for."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):  # ValueError: a null byte in the name, of which reading it tells more
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
            f"{path}: expected a trust file, got more than {MAX_TRUST_BYTES} bytes", hint=FORMAT_HINT
        )
    return data
