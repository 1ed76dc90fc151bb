"""Whether a store keeps what it was told to keep, shown by trying to get rid of it.

Each attempt is made on a throw-away object of its own, retained for a few minutes, and looked at afterwards: a refusal
counts only where the object is still there and still retained. Controls show that the same requests succeed where nothing
forbids them; else a refusal could be for want of permission, and would prove nothing. **What an administrator of the
server can do to its disks is not seen from here.**

IAM actions, beside those of `objects.s3`: s3:BypassGovernanceRetention, s3:PutBucketVersioning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pytest_cutover.objects.protocol import ObjectLockedError
from pytest_cutover.objects.s3 import OWN, S3Objects
from pytest_cutover.objects.s3_bucket import ChangedError, whole_seconds
from pytest_cutover.objects.s3_calls import code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_cutover.objects.protocol import ObjectStore
    from pytest_cutover.objects.s3_bucket import Bucket

PROBES = f"{OWN}worm/"
RETAINED_S = 300.0
"""How long the throw-away objects stay; the next check removes them."""

_SHORTER_S = 120.0
_ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried; `answer` is the store's error code, or that it accepted."""

    name: str
    denied: bool
    answer: str


@dataclass(frozen=True, slots=True)
class WormCheck:
    """What a check found. `unproven` says why refusals prove nothing."""

    place: str
    checked_at: datetime
    versions: str
    object_lock: bool
    default_retention: str | None
    attempts: tuple[Attempt, ...]
    unproven: tuple[str, ...] = ()

    @property
    def holes(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.attempts if not attempt.denied)

    @property
    def is_worm(self) -> bool:
        """Whether everything was tried, and everything was denied for the right reason."""
        named = {attempt.name for attempt in self.attempts}
        return self.object_lock and named == set(ATTEMPTS) and not self.holes and not self.unproven


@dataclass(frozen=True, slots=True)
class _Probe:
    """A throw-away version that is retained until then."""

    bucket: Bucket
    key: str
    version: str
    until: datetime

    @property
    def named(self) -> dict[str, Any]:
        return {"Bucket": self.bucket.name, "Key": self.bucket.full(self.key)}

    def is_intact(self) -> bool:
        """Whether it is still there, and retained as long as it was."""
        try:
            held = self.bucket.held(self.key, self.version)
        except ChangedError:
            return False
        return held.retain_until is not None and held.retain_until >= self.until

    def retain(self, mode: str, until: datetime, **more: Any) -> Any:
        retention: Any = {"Mode": mode, "RetainUntilDate": until}
        return self.bucket.client.put_object_retention(
            **self.named, VersionId=self.version, Retention=retention, **more
        )


def _delete(probe: _Probe) -> Any:
    return probe.bucket.client.delete_object(**probe.named, VersionId=probe.version)


def _delete_bypassing(probe: _Probe) -> Any:
    return probe.bucket.client.delete_object(
        **probe.named, VersionId=probe.version, BypassGovernanceRetention=True
    )


def _delete_in_batch(probe: _Probe) -> Any:
    batch: Any = {"Objects": [{"Key": probe.bucket.full(probe.key), "VersionId": probe.version}]}
    return probe.bucket.client.delete_objects(Bucket=probe.bucket.name, Delete=batch)


def _shorten(probe: _Probe) -> Any:
    return probe.retain("COMPLIANCE", probe.until - timedelta(seconds=_SHORTER_S))


def _shorten_bypassing(probe: _Probe) -> Any:
    until = probe.until - timedelta(seconds=_SHORTER_S)
    return probe.retain("COMPLIANCE", until, BypassGovernanceRetention=True)


def _to_governance(probe: _Probe) -> Any:
    return probe.retain("GOVERNANCE", probe.until)


def _to_governance_bypassing(probe: _Probe) -> Any:
    return probe.retain("GOVERNANCE", probe.until, BypassGovernanceRetention=True)


def _suspend(probe: _Probe) -> Any:
    return probe.bucket.client.put_bucket_versioning(
        Bucket=probe.bucket.name, VersioningConfiguration={"Status": "Suspended"}
    )


ATTEMPTS: dict[str, Callable[[_Probe], Any]] = {
    "delete the version": _delete,
    "delete the version, bypassing governance": _delete_bypassing,
    "delete the version in a batch": _delete_in_batch,
    "shorten the retention": _shorten,
    "shorten the retention, bypassing governance": _shorten_bypassing,
    "switch COMPLIANCE to GOVERNANCE": _to_governance,
    "switch to GOVERNANCE, bypassing governance": _to_governance_bypassing,
    "suspend versioning": _suspend,
}
"""What must be denied."""


def check_worm(store: ObjectStore, *, now: datetime) -> WormCheck:
    """Try everything; a folder is never WORM, as whoever owns it can change and remove what is in it.

    Raises:
        ConfigError, StoreUnavailableError: the store cannot be asked.
    """
    if not isinstance(store, S3Objects):
        owner = Attempt("change and remove files as their owner", False, "a folder cannot refuse that")
        return WormCheck(store.where, now, "none", False, None, (owner,))
    bucket = store.bucket
    lock = bucket.lock_configuration()
    is_on = lock.get("ObjectLockEnabled") == "Enabled"
    rule = lock.get("Rule", {}).get("DefaultRetention", {})
    versions = bucket.versioning()
    if not is_on or versions != "Enabled":
        return WormCheck(store.where, now, versions, is_on, _words(rule), ())
    check = _Check(bucket, has_default=bool(rule))
    check.remove_leftovers()
    attempts = tuple(check.attempt(name, ask) for name, ask in ATTEMPTS.items())
    return WormCheck(store.where, now, versions, is_on, _words(rule), attempts, check.unproven())


class _Check:
    def __init__(self, bucket: Bucket, *, has_default: bool) -> None:
        self._bucket = bucket
        self._has_default = has_default
        self._stamp = f"{PROBES}{token_hex(8)}"
        self._number = 0

    def attempt(self, name: str, ask: Callable[[_Probe], Any]) -> Attempt:
        """Try it on a new object, and look."""
        probe = self._probe("COMPLIANCE")
        answer = self._asked(name, lambda: ask(probe))
        if self._bucket.versioning() != "Enabled":
            self._bucket.ask("enabling versions again", self._enable_versions)
            return Attempt(name, False, answer)
        return Attempt(name, answer != _ACCEPTED and probe.is_intact(), answer)

    def unproven(self) -> tuple[str, ...]:
        """Why refusals prove nothing: what is allowed everywhere was refused too."""
        controls: dict[str, Callable[[], Any]] = {
            "lengthen a retention": lambda: self._lengthen(self._probe("COMPLIANCE")),
            "delete a version under GOVERNANCE, bypassing it": lambda: _delete_bypassing(
                self._probe("GOVERNANCE")
            ),
            "switch versioning on, as it is": self._enable_versions,
        }
        if not self._has_default:
            controls["delete a version that is not retained"] = lambda: _delete(self._probe(None))
        refused = {what: self._asked(what, ask) for what, ask in controls.items()}
        return tuple(
            f"{what}: {answer}, so a refusal may be for want of permission"
            for what, answer in refused.items()
            if answer != _ACCEPTED
        )

    def remove_leftovers(self) -> None:
        """Throw-away objects of earlier checks, as far as their time is over."""
        for page in self._bucket.pages(PROBES, 1000):
            for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                key = entry["Key"].removeprefix(self._bucket.prefix)
                try:
                    self._bucket.remove(key, entry["VersionId"])
                except ObjectLockedError:
                    continue

    def _probe(self, mode: str | None) -> _Probe:
        """A new throw-away version; retained by the server's clock, which may not be ours."""
        self._number += 1
        key = f"{self._stamp}-{self._number:02}"
        until = whole_seconds(self._server_time() + timedelta(seconds=RETAINED_S))
        lock: Any = {} if mode is None else {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}
        answer = self._bucket.ask(
            "writing a throw-away object",
            lambda: self._bucket.client.put_object(
                Bucket=self._bucket.name, Key=self._bucket.full(key), Body=b"throw-away", **lock
            ),
        )
        return _Probe(self._bucket, key, answer["VersionId"], until)

    def _server_time(self) -> datetime:
        answer = self._bucket.ask(
            "asking for the time", lambda: self._bucket.client.get_bucket_versioning(Bucket=self._bucket.name)
        )
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return datetime.now(UTC) if date is None else parsedate_to_datetime(date)

    def _lengthen(self, probe: _Probe) -> Any:
        return probe.retain("COMPLIANCE", probe.until + timedelta(seconds=1))

    def _asked(self, what: str, ask: Callable[[], Any]) -> str:
        from botocore.exceptions import ClientError

        try:
            answer = self._bucket.calls.ask(what, ask)
        except ClientError as exc:
            return code_of(exc)
        errors = answer.get("Errors", [])  # a batch is answered with 200 whatever became of it
        return str(errors[0].get("Code", "refused")) if errors else _ACCEPTED

    def _enable_versions(self) -> Any:
        return self._bucket.client.put_bucket_versioning(
            Bucket=self._bucket.name, VersioningConfiguration={"Status": "Enabled"}
        )


def _words(rule: dict[str, Any]) -> str | None:
    """`COMPLIANCE, 30 days`."""
    if not rule:
        return None
    length = f"{rule['Days']} days" if "Days" in rule else f"{rule.get('Years')} years"
    return f"{rule.get('Mode')}, {length}"
