"""`cutover debug`: one primitive at a time, so that published test vectors can be run against this program."""

from __future__ import annotations

import binascii
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_cutover.cli import Parser
from pytest_cutover.cli._evidence import MAX_FILE_BYTES, read, show
from pytest_cutover.errors import ConfigError, EvidenceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_cutover.keys.verifier import PublicKey
    from pytest_cutover.tlog.note import Verifier

VALID, INVALID = 0, 1

_FORMS = "VALUE is hex:…, base64:…, text:… or @FILE (@- is standard input); without such a beginning, hex or base64"
_EXIT_CODES = "exit codes: 0 valid, 1 invalid, 2 unusable input, 64 usage"


def run(argv: Sequence[str]) -> int:
    """Check one thing; 0 valid, 1 invalid, 2 unusable."""
    options = _parser().parse_args(argv)
    actions = {
        "verify-signature": _verify_signature,
        "verify-inclusion": _verify_inclusion,
        "verify-consistency": _verify_consistency,
        "verify-note": _verify_note,
        "canonicalize": _canonicalize,
    }
    return actions[options.action](options)


def _parser() -> Parser:
    parser = Parser(
        prog="cutover debug",
        description="One cryptographic primitive at a time, as others publish test vectors for it.",
        epilog=_EXIT_CODES,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="PRIMITIVE", parser_class=Parser)

    def action(name: str, line: str) -> Any:
        return actions.add_parser(
            name, help=line, description=f"{line[0].upper()}{line[1:]}. {_FORMS}.", epilog=_EXIT_CODES
        )

    signature = action("verify-signature", "verify a signature, Ed25519 or ECDSA P-256 with SHA-256 (DER)")
    signature.add_argument(
        "--key", metavar="VALUE", required=True, help="public key: PEM, or 32 bytes, or a point of 65"
    )
    signature.add_argument("--message", metavar="VALUE", required=True)
    signature.add_argument("--signature", metavar="VALUE", required=True)
    signature.add_argument(
        "--dsse", metavar="TYPE", help="the message is the payload of a DSSE envelope of this type"
    )
    inclusion = action("verify-inclusion", "verify an inclusion proof (RFC 6962, RFC 9162)")
    inclusion.add_argument("--index", metavar="N", type=int, required=True, help="of the leaf, from 0")
    inclusion.add_argument("--size", metavar="N", type=int, required=True, help="of the tree")
    inclusion.add_argument("--root", metavar="VALUE", required=True)
    leaf = inclusion.add_mutually_exclusive_group(required=True)
    leaf.add_argument("--leaf-hash", metavar="VALUE")
    leaf.add_argument("--entry", metavar="VALUE", help="what the leaf is the hash of")
    consistency = action("verify-consistency", "verify a consistency proof (RFC 6962, RFC 9162)")
    for age in ("old", "new"):
        consistency.add_argument(f"--{age}-size", metavar="N", type=int, required=True)
        consistency.add_argument(f"--{age}-root", metavar="VALUE", required=True)
    for proof in (inclusion, consistency):
        proof.add_argument(
            "--proof", metavar="VALUE", action="append", default=[], help="a hash of it; in order, repeatable"
        )
    note = action("verify-note", "verify a signed note, checkpoint or cosigned checkpoint (C2SP)")
    note.add_argument("note", metavar="FILE", help="- is standard input")
    note.add_argument(
        "--vkey", metavar="KEY", action="append", required=True, help="a verifier key; repeatable"
    )
    canonical = action("canonicalize", "print a JSON document as RFC 8785 writes it")
    canonical.add_argument("document", metavar="FILE", help="- is standard input")
    return parser


# -- signatures and notes ----------------------------------------------------------------------


def _verify_signature(options: argparse.Namespace) -> int:
    key, message = _public_key(options.key), _value(options.message, "--message")
    if options.dsse is not None:
        from pytest_cutover.evidence.envelope import pae

        message = pae(options.dsse, message)
    valid = key.verify(message, _value(options.signature, "--signature"))
    return _answer(None if valid else f"the signature does not fit key and message ({key.kind.value})")


def _public_key(text: str) -> PublicKey:
    from pytest_cutover.keys.verifier import ed25519_key, load_public_key, p256_key

    data = _value(text, "--key")
    if b"-----BEGIN" in data:
        return load_public_key(data.decode("utf-8", "replace"), where="--key")
    if len(data) == 65:
        return p256_key(data, where="--key")
    try:
        return ed25519_key(data)
    except ValueError as exc:
        raise ConfigError(
            f"--key: {exc}", hint="PEM and the 65 bytes of a P-256 point are read too"
        ) from None


def _verify_note(options: argparse.Namespace) -> int:
    from pytest_cutover.tlog.cosignature import CosignatureVerifier
    from pytest_cutover.tlog.note import ED25519, NoteVerifier, parse_note, parse_vkey, verify_note

    keys: list[Verifier] = []
    for at, text in enumerate(options.vkey):
        name, kind, public = parse_vkey(text, f"--vkey {at + 1}")
        keys.append(NoteVerifier(name, public) if kind == ED25519 else CosignatureVerifier(name, public))
    data = _file(options.note)
    try:
        signed = verify_note(parse_note(data, options.note), keys, options.note)
    except EvidenceError as exc:
        return _answer(str(exc))
    return _answer(None, f"valid: signed by {', '.join(key.name for key in signed)}")


# -- Merkle proofs -----------------------------------------------------------------------------


def _verify_inclusion(options: argparse.Namespace) -> int:
    from pytest_cutover.tlog.merkle import leaf_hash, verify_inclusion

    if options.entry is None:
        leaf = _value(options.leaf_hash, "--leaf-hash")
    else:
        leaf = leaf_hash(_value(options.entry, "--entry"))
    root = _value(options.root, "--root")
    try:
        verify_inclusion(leaf, options.index, options.size, _proof(options), root)
    except EvidenceError as exc:
        return _answer(str(exc))
    return _answer(None)


def _verify_consistency(options: argparse.Namespace) -> int:
    from pytest_cutover.tlog.merkle import verify_consistency

    old, new = _value(options.old_root, "--old-root"), _value(options.new_root, "--new-root")
    try:
        verify_consistency(options.old_size, old, options.new_size, new, _proof(options))
    except EvidenceError as exc:
        return _answer(str(exc))
    return _answer(None)


def _proof(options: argparse.Namespace) -> list[bytes]:
    return [_value(text, f"--proof {at + 1}") for at, text in enumerate(options.proof)]


# -- JSON --------------------------------------------------------------------------------------


def _canonicalize(options: argparse.Namespace) -> int:
    import rfc8785

    data = _file(options.document)
    try:
        canonical = rfc8785.dumps(_plain(data))
    except (ValueError, RecursionError) as exc:  # UnicodeError, and rfc8785's own, are ValueErrors
        return _answer(f"{options.document}: {str(exc) or 'nested too deeply'}")
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # whatever the terminal speaks
    sys.stdout.write(canonical.decode())
    return VALID


def _plain(data: bytes) -> Any:
    """JSON as RFC 7493 restricts it: no duplicate keys, every number an IEEE 754 double."""
    import json

    from pytest_cutover import strictjson

    strictjson.loads(data)  # refuses duplicate keys, NaN, absurd numbers, what is not UTF-8
    return json.loads(data)


# -- input and output --------------------------------------------------------------------------


def _value(text: str, where: str) -> bytes:
    form, colon, rest = text.partition(":")
    if text.startswith("@"):
        return _file(text[1:])
    if colon and form == "text":
        return rest.encode()
    if colon and form not in ("hex", "base64"):
        raise ConfigError(f"{where}: expected hex:, base64:, text: or @FILE, got {text[:60]!r}")
    decoders = {"hex": bytes.fromhex, "base64": _base64}
    for name in [form] if colon else decoders:
        try:
            return decoders[name](rest if colon else text)
        except ValueError:
            continue
    raise ConfigError(
        f"{where}: expected {form if colon else 'hex or base64'}, got {text[:60]!r}", hint=_FORMS
    )


def _base64(text: str) -> bytes:
    """Standard or URL-safe base64 with padding: what others publish; strictness belongs to what is read from it."""
    return binascii.a2b_base64(text.translate(str.maketrans("-_", "+/")).encode("ascii"), strict_mode=True)


def _file(name: str) -> bytes:
    if name != "-":
        return read(Path(name))
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"standard input is larger than {MAX_FILE_BYTES} bytes")
    return data


def _answer(problem: str | None, valid: str = "valid") -> int:
    show([valid if problem is None else f"invalid: {problem}"])
    return VALID if problem is None else INVALID
