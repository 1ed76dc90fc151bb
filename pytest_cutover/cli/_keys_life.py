"""`cutover keys list|check|rotate|retire|revoke`: the life of the keys in a trust file."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import ConfigError, CutoverError
from pytest_cutover.keys.countdown import KeyFinding, Severity, check_keys
from pytest_cutover.keys.ring import KeyRing, alone_in, is_ring, retire, revoke
from pytest_cutover.keys.signer import KEY_VARIABLE
from pytest_cutover.keys.trust import (
    REPOSITORY_TRUST,
    TRUST_VARIABLE,
    Anchor,
    find_anchor,
    load_trust,
)
from pytest_cutover.keys.trusted import KeyState
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.model import counted, rfc3339

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from pytest_cutover.evidence.envelope import Envelope
    from pytest_cutover.keys.trusted import TrustedKey

FINE, RED = 0, 1

_SIGNED_BEFORE = frozenset({"policy", "waiver"})
"""Roles in which something is signed that later runs go by."""


def run(options: argparse.Namespace) -> int:
    """Do what is asked; 0 fine, 1 red (check)."""
    actions = {"list": _list, "check": _check, "rotate": _rotate, "retire": _retire, "revoke": _revoke}
    return actions[options.action](options)


# -- list, check


def _list(options: argparse.Namespace) -> int:
    anchor = _anchor(options.trust)
    if options.json:
        print(json.dumps({"trust": anchor.where, "keys": [_key_json(k) for k in anchor.keys]}, indent=1))
        return FINE
    print(f"{anchor.description}\n")
    for key in anchor.keys:
        person = f", {key.person}" if key.person else ""
        print(f"{key.state.value:<8} {key.name}{person}  {key.keyid[:16]}…")
        print(
            f"         {', '.join(sorted(key.roles))} in {', '.join(sorted(key.environments))}{_until(key)}"
        )
    for role, persons in anchor.thresholds.items():
        print(f"\nrole {role} takes {persons} persons")
    for policy, version in anchor.floors.items():
        print(f"\npolicy {policy} counts from version {version} on")
    return FINE


def _until(key: TrustedKey) -> str:
    said = []
    if key.not_before is not None:
        said.append(f"from {key.not_before:%Y-%m-%d}")
    if key.ends_at is not None and key.state in (KeyState.ACTIVE, KeyState.GRACE):
        said.append(f"until {key.ends_at:%Y-%m-%d}")
    if key.rotated is not None and key.state is KeyState.GRACE:
        said.append(f"for entries of {key.rotated.origin} below {key.rotated.size}")
    if key.revoked_at is not None:
        said.append(f"since {key.revoked_at:%Y-%m-%d}: {key.reason}")
    return f"; {', '.join(said)}" if said else ""


def _key_json(key: TrustedKey) -> dict[str, Any]:
    times = {n: getattr(key, n) for n in ("not_before", "not_after", "grace_until", "revoked_at")}
    rotated = key.rotated
    return {
        "keyid": key.keyid,
        "name": key.name,
        "person": key.person,
        "kind": key.public.kind.value,
        "state": key.state.value,
        "roles": sorted(key.roles),
        "environments": sorted(key.environments),
        "origin": key.origin,
        **{name: None if at is None else rfc3339(at) for name, at in times.items()},
        "rotated": None
        if rotated is None
        else {"origin": rotated.origin, "size": rotated.size, "at": rfc3339(rotated.at)},
        "reason": key.reason,
    }


def _check(options: argparse.Namespace) -> int:
    if options.critical_days > options.warn_days:
        raise ConfigError(
            f"expected --critical-days of at most --warn-days, got {options.critical_days} "
            f"and {options.warn_days}"
        )
    anchor = _anchor(options.trust)
    now = options.at or _now()
    warn, critical = (timedelta(days=d) for d in (options.warn_days, options.critical_days))
    findings = [*check_keys(anchor, now, warn=warn, critical=critical), *_ring_findings(options.ring, anchor)]
    red = [f for f in findings if f.severity is not Severity.FINE]
    if options.json:
        worst = max((f.severity for f in findings), key=list(Severity).index)
        document = {
            "at": rfc3339(now),
            "trust": anchor.where,
            "severity": worst.value,
            "findings": [f.to_json() for f in findings],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return RED if red else FINE
    for finding in findings:
        mark = "✓" if finding.severity is Severity.FINE else "✗"
        print(f"{mark} {finding.severity.value:<8} {finding.name}: {finding.message}")
    print(f"\n{'RED' if red else 'FINE'}  {len(red)} of {len(findings)} need somebody" if red else "\nFINE")
    return RED if red else FINE


def _ring_findings(folder: Path | None, anchor: Anchor) -> list[KeyFinding]:
    """Whether the ring signs with a key that counts, and nothing in it was left half done."""
    folder = folder or _ring_of_environment()
    if folder is None:
        return []
    ring = KeyRing(folder)
    name = f"ring {folder}"
    if ring.is_prepared():
        message = "a rotation is prepared: cutover keys rotate makes the next key active"
        return [KeyFinding(Severity.WARN, name, message)]
    if ring.is_unfinished():
        message = "a rotation was begun and not finished: cutover keys rotate goes on with it"
        return [KeyFinding(Severity.CRITICAL, name, message)]
    keyid = ring.signer().keyid
    found = next((k for k in anchor.keys if k.keyid == keyid), None)
    if found is None:
        message = f"it signs with {keyid[:16]}…, which {anchor.where} does not list"
        return [KeyFinding(Severity.CRITICAL, name, message)]
    if found.state is not KeyState.ACTIVE:
        message = f"it signs with {found.name}, which is {found.state.value}: cutover keys rotate"
        return [KeyFinding(Severity.CRITICAL, name, message, found)]
    return [KeyFinding(Severity.FINE, name, f"signs with {found.name}", found)]


# -- rotate, retire, revoke


def _rotate(options: argparse.Namespace) -> int:
    folder = options.ring or _ring_of_environment()
    if folder is None:
        raise ConfigError(
            f"expected a key ring, got none and {KEY_VARIABLE} names none",
            hint="cutover keys rotate FOLDER; cutover keys new FOLDER --ring makes one",
        )
    ring = KeyRing(folder)
    ring.active()  # says why there is none
    with alone_in(folder):  # what is signed for the next key must not meet the one after it
        return _rotate_alone(options, ring, _trust_path(options.trust))


def _rotate_alone(options: argparse.Namespace, ring: KeyRing, trust: Path) -> int:
    kind = None if options.kind is None else KeyKind(options.kind)
    # What cannot be used is said before a next key is made and listed.
    envelopes = _signed_before(options.sign, ring, trust)
    if options.prepare:
        following = ring.prepare(trust, at=_now(), kind=kind)
        _sign_again(envelopes, ring)
        print(f"next    {following.name} ({following.keyid[:16]}…): listed, and not active yet")
        print(f"wrote   {trust}: give it to everybody who verifies, then rotate without --prepare")
        return FINE
    log = _log(options, trust, ring.active())
    if envelopes and not ring.is_unfinished():
        ring.prepare(trust, at=_now(), kind=kind)
    _sign_again(envelopes, ring)
    done = ring.rotate(trust, log, grace=timedelta(days=options.grace_days), at=_now(), kind=kind)
    if done.was_begun:
        print("finished the rotation that was begun before; nothing new was rotated", file=sys.stderr)
    print(f"active  {done.new.name} ({done.new.keyid[:16]}…)")
    print(f"{done.old.state.value:<7} {done.old.name} ({done.old.keyid[:16]}…){_until(done.old)}")
    print(f"wrote   {trust}: give it to everybody who verifies")
    if not options.sign and done.old.roles & _SIGNED_BEFORE:
        name = done.old.name
        print(f"again   policies and waivers that {name} has signed: new runs take no signature of it")
    return FINE


def _signed_before(files: Sequence[Path], ring: KeyRing, trust: Path) -> Mapping[Path, Envelope]:
    if not files:
        return {}
    from pytest_cutover.cli._sign_again import signed_by

    return signed_by(_named(ring.leaving(), load_trust(trust).keys, trust), files, _now())


def _sign_again(envelopes: Mapping[Path, Envelope], ring: KeyRing) -> None:
    if not envelopes:
        return
    from pytest_cutover.cli._sign_again import sign_again

    following = ring.successor()
    for path in sign_again(envelopes, following):
        print(f"signed  {path}: with key {following.keyid[:16]}… as well")


def _retire(options: argparse.Namespace) -> int:
    trust = _trust_path(options.trust)
    keys = load_trust(trust).keys
    if options.key is None:
        now = _now()
        named = [k for k in keys if k.state is KeyState.GRACE and k.ends_at is not None and k.ends_at < now]
        if not named:
            print(f"no grace in {trust} is over")
    else:
        named = [_named(options.key, keys, trust)]
    for key in named:
        retire(trust, key.keyid, at=_now(), log=_log(options, trust, key.keyid))
        print(f"retired {key.name} ({key.keyid[:16]}…): it counts for nothing any more")
    return FINE


def _revoke(options: argparse.Namespace) -> int:
    trust = _trust_path(options.trust)
    key = _named(options.key, load_trust(trust).keys, trust)
    try:
        log = _log(options, trust, key.keyid)
        done = revoke(trust, key.keyid, reason=options.reason, at=_now(), log=log)
    except CutoverError as exc:  # a log that is away must not keep a stolen key alive
        revoke(trust, key.keyid, reason=options.reason, at=_now(), log=None)
        print(f"revoked {key.name} ({key.keyid[:16]}…), and that is not logged", file=sys.stderr)
        raise ConfigError(f"{exc}", hint="run it again when the log is there, to log it") from None
    print(f"revoked {done.name} ({done.keyid[:16]}…): it counts for nothing, at no time")
    print(f"wrote   {trust}: give it to everybody who verifies")
    return FINE


# -- what they share


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # people read these times


def _anchor(option: str | None) -> Anchor:
    anchor = find_anchor(option, os.environ, Path())
    if anchor is None:
        raise ConfigError(
            "there is no trust file", hint=f"--trust FILE, {TRUST_VARIABLE} or {REPOSITORY_TRUST}"
        )
    return anchor


def _trust_path(option: str | None) -> Path:
    return Path(option or os.environ.get(TRUST_VARIABLE) or REPOSITORY_TRUST)


def _ring_of_environment() -> Path | None:
    value = os.environ.get(KEY_VARIABLE, "").strip()
    return Path(value) if value and is_ring(Path(value)) else None


def _named(text: str, keys: tuple[TrustedKey, ...], trust: Path) -> TrustedKey:
    """The key with that name, or whose id begins so."""
    wanted = text.removesuffix("…")
    found = [k for k in keys if k.name == text or (len(wanted) >= 8 and k.keyid.startswith(wanted))]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{k.name} ({k.keyid[:16]}…)" for k in (found or keys)[:8])
    raise ConfigError(
        f"{trust}: expected the name of one key, or how its id begins, got {text!r:.80}, "
        f"which fits {counted(len(found), 'key')}",
        hint=f"one of: {known}",
    )


def _log(options: argparse.Namespace, trust: Path, keyid: str) -> Any:
    from pytest_cutover.cli._key_log import KeyEventLog

    return KeyEventLog.at(options.log, options.origin, trust, keyid)
