"""What the service is started with, and the rehearsal switch that breaks one check for real. No Starlette here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.keys.signer import KEY_VARIABLE, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_cutover.tlog.witness import Witness

CHECK_NAMES = ("signing_key", "evidence_folder", "clock", "policy_signature", "disk")

BUILD_YEAR = 2026
"""No honest clock shows an earlier year than the one this was written in."""

MIN_FREE_BYTES = 64 * 1024 * 1024
MIN_FREE_INODES = 1000
REQUEST_LOG = "requests.jsonl"
ORDERS = "orders.sqlite3"


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Everything the checks and the application read; nothing else is looked up."""

    state: Path
    rootdir: Path
    policy: Path | None = None
    evidence: Path | None = None  # where runs are written; None: var/cutover/runs below rootdir
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a key
    earliest: datetime = datetime(BUILD_YEAR, 1, 1, tzinfo=UTC)
    min_free_bytes: int = MIN_FREE_BYTES
    min_free_inodes: int = MIN_FREE_INODES
    broken: tuple[str, ...] = ()
    witness: Witness | None = None  # cosigns checkpoints of other machines' logs

    @property
    def evidence_folder(self) -> Path:
        return self.evidence if self.evidence is not None else self.rootdir / "var" / "cutover" / "runs"

    @property
    def request_log(self) -> Path:
        return self.state / REQUEST_LOG


def with_broken(config: ServiceConfig, names: Iterable[str]) -> ServiceConfig:
    """The configuration with these checks made to fail by what they read, not by a faked answer.

    Raises:
        ConfigError: no such check.
        AdapterError: the state folder is not writable.
    """
    broken = tuple(dict.fromkeys(names))
    unknown = [name for name in broken if name not in _BREAKS]
    if unknown:
        raise ConfigError(f"no check {unknown[0]!r} to break", hint=f"one of: {', '.join(CHECK_NAMES)}")
    folder = config.state / "broken"
    try:
        if broken:
            folder.mkdir(parents=True, exist_ok=True)
        for name in broken:
            config = _BREAKS[name](config, folder)
    except OSError as exc:
        raise AdapterError(f"cannot write below {folder}: {exc.strerror}") from exc
    return replace(config, broken=broken)


def _break_signing_key(config: ServiceConfig, folder: Path) -> ServiceConfig:
    """CUTOVER_KEY names a file that is no key."""
    key = folder / "signing_key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nnot a key\n-----END PRIVATE KEY-----\n", "ascii")
    key.chmod(0o600)
    rest = {k: v for k, v in config.environ.items() if k not in VARIABLES}
    return replace(config, environ={**rest, KEY_VARIABLE: str(key)})


def _break_evidence_folder(config: ServiceConfig, folder: Path) -> ServiceConfig:
    """The folder lies below a plain file: not even root can write there."""
    file = folder / "evidence_folder"
    file.write_bytes(b"")
    return replace(config, evidence=file / "runs")


def _break_clock(config: ServiceConfig, folder: Path) -> ServiceConfig:
    """The build is dated ten years ahead: the clock is then before it."""
    return replace(config, earliest=datetime.now(UTC) + timedelta(days=3650))


def _break_policy_signature(config: ServiceConfig, folder: Path) -> ServiceConfig:
    """A copy of the policy, changed after it was signed."""
    changed = folder / "policy.json"
    original = config.policy.read_bytes() if config.policy is not None else b"{}"
    changed.write_bytes(original + b"\n")
    signature = None if config.policy is None else Path(f"{config.policy}.dsse")
    signed = signature is not None and signature.is_file()
    content = signature.read_bytes() if signed and signature is not None else b'{"not": "an envelope"}\n'
    Path(f"{changed}.dsse").write_bytes(content)
    return replace(config, policy=changed)


def _break_disk(config: ServiceConfig, folder: Path) -> ServiceConfig:
    """More free space is asked for than the disk has in all."""
    whole = os.statvfs(folder)
    return replace(config, min_free_bytes=(whole.f_blocks + 1) * whole.f_frsize)


_BREAKS: Mapping[str, Callable[[ServiceConfig, Path], ServiceConfig]] = {
    "signing_key": _break_signing_key,
    "evidence_folder": _break_evidence_folder,
    "clock": _break_clock,
    "policy_signature": _break_policy_signature,
    "disk": _break_disk,
}
