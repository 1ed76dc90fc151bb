"""Where the signing key would come from, source by source in the order that counts, and why not from the others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import CutoverError
from pytest_cutover.keys.signer import (
    DEVELOPMENT_KEY,
    KEY_VARIABLE,
    KMS_VARIABLE,
    PEM_VARIABLE,
    SSM_VARIABLE,
    VARIABLES,
    chosen_variable,
    is_key_set,
    load_private_key,
    load_signer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAMES = {
    KMS_VARIABLE: "AWS KMS",
    SSM_VARIABLE: "AWS SSM parameter",
    PEM_VARIABLE: "environment",
    KEY_VARIABLE: "file or key ring",
}


class Use(Enum):
    """What becomes of a source."""

    SIGNS = "signs"
    SWITCHED_OFF = "none"
    UNUSABLE = "unusable"
    NOT_USED = "not used"


@dataclass(frozen=True, slots=True)
class KeySource:
    """One place a key can come from; `detail` never holds anything of a private key."""

    name: str
    where: str
    use: Use
    detail: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "where": self.where, "use": self.use.value, "detail": self.detail}


def key_sources(environ: Mapping[str, str], rootdir: Path) -> tuple[KeySource, ...]:
    """Every source in its order. The one that counts is asked, AWS too; nothing is made or written."""
    chosen = chosen_variable(environ)
    found = [_variable(name, environ, chosen, rootdir) for name in VARIABLES]
    return (*found, _development(environ, rootdir))


def _variable(name: str, environ: Mapping[str, str], chosen: str | None, rootdir: Path) -> KeySource:
    if name not in environ:
        return KeySource(_NAMES[name], name, Use.NOT_USED, "not set")
    if name != chosen:
        said = f"{chosen} comes first" if environ[name] else "set, and empty"
        return KeySource(_NAMES[name], name, Use.NOT_USED, said)
    try:
        signer = load_signer(environ, rootdir, option=None, say=_never)
    except CutoverError as exc:
        return KeySource(_NAMES[name], name, Use.UNUSABLE, str(exc), exc.hint)
    if signer is None:
        return KeySource(_NAMES[name], name, Use.SWITCHED_OFF, "it says that nothing is signed")
    return KeySource(_NAMES[name], name, Use.SIGNS, f"key {signer.keyid}")


def _development(environ: Mapping[str, str], rootdir: Path) -> KeySource:
    name, where = "development key", str(DEVELOPMENT_KEY)
    if is_key_set(environ):
        return KeySource(name, where, Use.NOT_USED, "only where no variable is set, not even an empty one")
    path = rootdir / DEVELOPMENT_KEY
    if not path.exists():
        return KeySource(name, where, Use.SIGNS, "made when it is needed; counts in the sandbox")
    try:
        return KeySource(name, where, Use.SIGNS, f"key {load_private_key(path).keyid}")
    except CutoverError as exc:
        return KeySource(name, where, Use.UNUSABLE, str(exc), exc.hint)


def _never(text: str) -> None:
    raise AssertionError(f"asking for a key that is set says nothing, and this said {text}")
