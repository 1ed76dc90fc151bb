"""The readiness checks: each does the thing it vouches for, every time it is asked. No Starlette here."""

from __future__ import annotations

import concurrent.futures
import os
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_cutover.errors import CutoverError
from pytest_cutover.service.config import CHECK_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_cutover.service.config import ServiceConfig

MAX_DRIFT_S = 2.0
"""Between wall clock and steady clock since the start: more means somebody set the time meanwhile."""

CHECK_TIMEOUT_S = 3.0
"""A hung disk must not hang the endpoint; the answer then says which check did not end."""

CheckStatus = Literal["pass", "warn", "fail"]
Overall = Literal["ready", "degraded", "error"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's outcome; `data` holds figures beside the sentence."""

    status: CheckStatus
    detail: str
    data: Mapping[str, Any] = field(default_factory=dict)


def overall(results: Mapping[str, CheckResult]) -> Overall:
    """error when a check failed or is missing, degraded when one warns, else ready."""
    statuses = {r.status for r in results.values()}
    if "fail" in statuses or not set(CHECK_NAMES) <= set(results):
        return "error"
    return "degraded" if "warn" in statuses else "ready"


class Checks:
    """Runs all checks of one service side by side; `run` may be called from several threads."""

    def __init__(self, config: ServiceConfig, *, timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._clock = ClockCheck(config.earliest)
        self._functions: Mapping[str, Callable[[], CheckResult]] = {
            "signing_key": lambda: signing_key(config),
            "evidence_folder": lambda: evidence_folder(config.evidence_folder),
            "clock": self._clock,
            "policy_signature": lambda: policy_signature(config),
            "disk": lambda: disk(config.state, config.min_free_bytes, config.min_free_inodes),
        }
        self._pool = concurrent.futures.ThreadPoolExecutor(len(self._functions) * 2, "cutover-check")

    def run(self) -> dict[str, CheckResult]:
        """The result of every check, in the order of `CHECK_NAMES`."""
        deadline = time.monotonic() + self._timeout_s
        running = {name: self._pool.submit(_guarded, check) for name, check in self._functions.items()}
        results: dict[str, CheckResult] = {}
        for name, future in running.items():
            try:
                results[name] = future.result(max(0.0, deadline - time.monotonic()))
            except concurrent.futures.TimeoutError:
                future.cancel()
                results[name] = CheckResult("fail", f"did not end within {self._timeout_s:g} s")
        return results

    def close(self) -> None:
        """Let no further check begin."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _guarded(check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except CutoverError as exc:
        return CheckResult("fail", str(exc))
    except OSError as exc:
        return CheckResult("fail", f"{exc.strerror or type(exc).__name__}")
    except Exception as exc:  # a check that crashes proves nothing: it has failed
        return CheckResult("fail", f"the check crashed: {type(exc).__name__}")


def signing_key(config: ServiceConfig) -> CheckResult:
    """The configured key signs a fresh message, and its public half verifies the signature and no other message."""
    from pytest_cutover.keys.signer import load_signer
    from pytest_cutover.keys.verifier import load_public_key

    signer = load_signer(config.environ, config.rootdir, option=None, say=lambda _: None)
    if signer is None:
        return CheckResult("fail", "no signing key is configured")
    message = b"pytest-cutover readiness " + secrets.token_bytes(16)
    public = load_public_key(signer.public_pem().decode("ascii"), where="signing key")
    signature = signer.sign(message)
    if not public.verify(message, signature) or public.verify(message + b".", signature):
        return CheckResult("fail", "the signature of the configured key does not verify")
    return CheckResult("pass", f"a {signer.kind.value} key signs and verifies", {"keyid": signer.keyid})


def evidence_folder(folder: Path) -> CheckResult:
    """A file can be written durably into the folder, read back the same, and removed."""
    folder.mkdir(parents=True, exist_ok=True)
    content = secrets.token_bytes(64)
    descriptor, name = tempfile.mkstemp(prefix=".readyz-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        same = Path(name).read_bytes() == content
    finally:
        Path(name).unlink()
    return (
        CheckResult("pass", "written, read back and removed")
        if same
        else CheckResult("fail", "what was written is not what was read back")
    )


class ClockCheck:
    """The wall clock is not before the build, runs with the steady clock, and does not go back."""

    def __init__(
        self,
        earliest: datetime,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self._earliest = earliest
        self._wall = wall
        self._steady = _boot_time if steady is None else steady
        self._started = (self._wall(), self._steady())
        self._latest = self._started

    def __call__(self) -> CheckResult:
        wall, steady = self._wall(), self._steady()
        drift = (wall - self._started[0]) - (steady - self._started[1])
        back = self._latest[0] - wall
        self._latest = max(self._latest, (wall, steady))
        data = {"drift_s": round(drift, 6)}
        if wall < self._earliest.timestamp():
            now = datetime.fromtimestamp(wall, UTC)
            return CheckResult(
                "fail", f"{now:%Y-%m-%d} is before the build ({self._earliest:%Y-%m-%d})", data
            )
        if abs(drift) > MAX_DRIFT_S:
            return CheckResult("fail", f"the time was set by {drift:+.1f} s since the start", data)
        if back > MAX_DRIFT_S:
            return CheckResult("fail", f"the time went back by {back:.1f} s", data)
        return CheckResult("pass", "after the build, steady since the start", data)


def _boot_time() -> float:
    """Steady seconds that go on while the machine sleeps, as wall time does."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def policy_signature(config: ServiceConfig) -> CheckResult:
    """The policy file is exactly what a trusted policy key has signed."""
    from pytest_cutover.keys.trust import find_anchor
    from pytest_cutover.model import SANDBOX, PolicySignature
    from pytest_cutover.policy.load import read_envelope, read_policy
    from pytest_cutover.policy.signature import verify_policy

    if config.policy is None:
        return CheckResult("fail", "no policy file is configured")
    file = read_policy(config.policy, now=None)
    report = verify_policy(
        file.raw,
        read_envelope(config.policy),
        find_anchor(None, config.environ, config.rootdir),
        name=file.document.name,
        version=file.document.version,
        environment=SANDBOX,
        development_key=True,
        now=datetime.now(UTC),
    )
    data = {"signature": report.state.value, "policy": file.digest}
    if report.state is PolicySignature.TRUSTED:
        return CheckResult("pass", "signed by a trusted policy key", data)
    if report.state is PolicySignature.UNSIGNED:
        return CheckResult("pass", "unsigned: accepted in the sandbox, nowhere else", data)
    return CheckResult("fail", report.detail, data)


def disk(folder: Path, min_free_bytes: int, min_free_inodes: int) -> CheckResult:
    """There is room for evidence: free bytes and inodes for an unprivileged user."""
    stats = os.statvfs(folder)
    free = stats.f_bavail * stats.f_frsize
    data = {"free_bytes": free, "free_inodes": stats.f_favail}
    if free < min_free_bytes:
        return CheckResult("warn", f"{free} bytes are free, below the floor of {min_free_bytes}", data)
    # File systems without an inode table (btrfs) report 0 of 0.
    if stats.f_files and stats.f_favail < min_free_inodes:
        return CheckResult(
            "warn", f"{stats.f_favail} inodes are free, below the floor of {min_free_inodes}", data
        )
    return CheckResult("pass", "above the floor", data)
