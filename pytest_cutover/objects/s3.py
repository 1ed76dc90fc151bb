"""Objects in an S3 bucket that keeps versions.

A write is whole or not there: one PUT, never a multipart upload. After silence the store looks before it writes again.
Which version counts is said by `s3_versions`; If-None-Match and If-Match are sent where the server honours
them, and nothing rests on that alone. Object Lock protects versions, so what is retained is read by its version id, and a
delete marker or another version on top hides nothing.

IAM actions: s3:GetBucketVersioning, s3:ListBucketVersions, s3:GetObject, s3:GetObjectVersion, s3:PutObject; to retain and
hold s3:PutObjectRetention, s3:GetObjectRetention, s3:PutObjectLegalHold, s3:GetObjectLegalHold,
s3:GetBucketObjectLockConfiguration; to remove s3:DeleteObjectVersion.
"""

from __future__ import annotations

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, dropwhile, groupby, islice
from typing import TYPE_CHECKING, TypeVar

from pytest_cutover.errors import EvidenceError
from pytest_cutover.objects.names import check_key
from pytest_cutover.objects.protocol import (
    ABSENT,
    Absent,
    Held,
    ObjectConflictError,
    ObjectLockedError,
    ObjectMissingError,
    StoreUnavailableError,
    check_size,
)
from pytest_cutover.objects.s3_bucket import Bucket, ChangedError, md5, place_of, version_of, whole_seconds
from pytest_cutover.objects.s3_calls import RETRY_FOR_S, Calls, is_silence, status_of
from pytest_cutover.objects.s3_versions import NOTHING, Version, current, oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

OWN = "_cutover/"
"""Leases and throw-away objects; they are listed nowhere."""

LEASES = f"{OWN}locks/"

WRITE_ONCE = ("history/", "tile/")
"""Of these keys nothing is ever replaced: the oldest version counts, whatever a later one says that it follows."""

THREADS = 16
"""Requests at once where many objects are asked about."""

_BATCH = 1000
_LOOKS = 25
"""At a key whose versions come and go meanwhile."""

_BETWEEN_LOOKS_S = 0.08
"""At the most: several writers withdraw one after another, and somebody has to see the end of it."""

_IF_MATCH_REFUSALS = 2
"""So often an If-Match that is right is refused before it is left away: once could be a writer who came and went."""


_AMAZON = re.compile(r"https://s3\.(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?/?")
"""Hosts below `compute.amazonaws.com` are anybody's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at a key."""

    counts: Version | None
    latest: Version | None
    """On top of all, whoever put it there; None below a delete marker too."""


class S3Objects:
    """An ObjectStore in a bucket with versioning (Object Lock implies it); safe to use from several threads."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        prefix: str = "",
        *,
        retry_for_s: float = RETRY_FOR_S,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calls = Calls(place_of(bucket, prefix), retry_for_s, sleep)
        self.bucket = Bucket(client, bucket, prefix, self._calls)
        self._sleep = sleep
        self._now = now
        self._wrong_refusals = 0
        self._default: timedelta | None = None

    @property
    def where(self) -> str:
        """`s3://bucket/prefix`."""
        return self.bucket.where

    @property
    def server(self) -> str | None:
        """URL of the server that is asked; None: Amazon's."""
        url = self.bucket.client.meta.endpoint_url
        return None if _AMAZON.fullmatch(url) else url

    def read(self, key: str, *, version: str | None = None) -> tuple[bytes, Held]:
        """The bytes of the version that counts, or of the one that is named.

        Raises:
            ObjectMissingError: there are none.
            StoreUnavailableError: no answer, or not allowed.
        """
        self.bucket.check()
        if version is not None:
            return self.bucket.get(key, version)

        def read_what_counts() -> tuple[bytes, Held] | None:
            counts = self._look(key).counts
            try:
                return None if counts is None else self.bucket.get(key, counts.id)
            except ObjectMissingError:
                raise ChangedError from None

        found = self._steadily(key, read_what_counts)
        if found is None:
            raise ObjectMissingError(f"there is no {self.where}/{key}")
        return found

    def stat(self, key: str) -> Held | None:
        """What counts under `key`.

        Raises:
            StoreUnavailableError: no answer, or not allowed.
        """

        def ask_about_what_counts() -> Held | None:
            counts = self._look(key).counts
            return None if counts is None else self.bucket.held(key, counts.id)

        return self._steadily(key, ask_about_what_counts)

    def write(
        self, key: str, data: bytes, *, expected: Absent | str, retain_until: datetime | None = None
    ) -> Held:
        """Put `data` under `key` if what counts there is what was expected; retained from the first moment on if asked.

        Raises:
            ObjectConflictError, ObjectLockedError: as the protocol says.
            StoreUnavailableError: no answer, or not allowed; it may have been written.
        """
        check_size(key, len(data))
        until = None if retain_until is None else whole_seconds(retain_until)
        patience = self._calls.patience()
        while True:
            seen, there = self._look_for(key, data, expected, until)
            if there is not None:
                return there
            try:
                version = self._put(key, data, seen, until)
            except Exception as exc:
                self._after_refusal(key, exc, seen)
                patience.wait(f"writing {key}", exc)
                continue
            if self._is_counted(key, version):
                return Held(key, len(data), version.tag, version.id)
            self._withdraw(key, version.id)

    def write_unconfirmed(self, key: str, data: bytes, *, retain_until: datetime | None = None) -> Held:
        """A first write in one request, where a listing has just shown that there is nothing.

        **Whether this version counts, only a later listing says**: another writer may have been there first. What gets no
        answer, or is refused, goes the way of `write`.

        Raises: as `write`.
        """
        until = None if retain_until is None else whole_seconds(retain_until)
        try:
            version = self._put(key, data, _Seen(None, None), until)
        except Exception as exc:
            self._after_refusal(key, exc, _Seen(None, None))
            return self.write(key, data, expected=ABSENT, retain_until=retain_until)
        return Held(key, len(data), version.tag, version.id)

    def list(self, prefix: str = "", *, protection: bool = True) -> Iterator[Held]:
        """Everything below `prefix`, in the order of the keys; a request for each where `protection` is wanted too.

        Raises:
            EvidenceError: something there has a name that no key has.
            StoreUnavailableError: no answer, or not allowed.
        """
        self.bucket.check()
        keys = self._keys(prefix)
        with ThreadPoolExecutor(THREADS) as pool:
            while batch := tuple(islice(keys, _BATCH)):
                found = pool.map(lambda entry: self._listed(*entry, protection=protection), batch)
                yield from (held for held in found if held is not None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys alone, without a request for each.

        Raises:
            EvidenceError, StoreUnavailableError: as `list`.
        """
        return (held.key for held in self.list(prefix, protection=False))

    def fence(self, key: str, expected: str) -> Held:
        """Put the same bytes as a version of their own, which follows `expected`: another that follows it counts no more.

        Raises:
            ObjectConflictError: another version counts by now, perhaps this one, whose answer was lost.
            StoreUnavailableError: no answer, or not allowed.
        """
        data, _ = self.bucket.get(key, expected)
        patience = self._calls.patience()
        while True:
            seen = self._look(key)
            if seen.counts is None or seen.counts.id != expected:
                raise ObjectConflictError(f"expected {expected:.16} at {self.where}/{key}, got another")
            try:
                version = self._put(key, data, seen, None)
            except Exception as exc:
                self._after_refusal(key, exc, seen)
                patience.wait(f"writing {key}", exc)
                continue
            if self._is_counted(key, version):
                return Held(key, len(data), version.tag, version.id)
            self._withdraw(key, version.id)

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove that version of `key`, or every one, the oldest first.

        Raises:
            ObjectLockedError: one of them is retained or held; then none is removed.
            StoreUnavailableError: no answer, or not allowed.
        """
        self.bucket.check()
        if version is not None:
            self.bucket.remove(key, version)
            return
        versions = tuple(self.bucket.versions(key))
        for each in versions:
            with suppress(ChangedError):
                self._refuse_protected(self.bucket.held(key, each.id), "removed")
        for gone in (*(v.id for v in reversed(versions)), *self.bucket.markers(key)):
            self.bucket.remove(key, gone)

    def retain(self, key: str, until: datetime) -> Held:
        """Keep the version that counts until then, in COMPLIANCE mode; never shortens what was promised.

        Raises:
            ObjectMissingError: there is nothing to keep.
            EvidenceError: the server said yes and does not retain it.
            StoreUnavailableError: no answer, or not allowed.
        """
        until = whole_seconds(until)
        held = self._there(key)
        if held.retain_until is not None and held.retain_until >= until:
            return held
        self.bucket.retain(key, held.version or "", until)
        after = self._there(key)
        if after.retain_until is None or after.retain_until < until:
            raise EvidenceError(
                f"{self.where}/{key}: expected retention until {until:%Y-%m-%d %H:%M:%S} UTC, got {after.retain_until}",
                hint="cutover evidence check-store shows what this store enforces",
            )
        return after

    def hold(self, key: str, on: bool) -> Held:
        """Set or lift the legal hold of the version that counts.

        Raises:
            ObjectMissingError: there is nothing to hold.
            EvidenceError: the server said yes and did not do it.
            StoreUnavailableError: no answer, or not allowed.
        """
        self.bucket.hold(key, self._there(key).version or "", on)
        after = self._there(key)
        if after.legal_hold is not on:
            raise EvidenceError(
                f"{self.where}/{key}: expected the legal hold to be {'on' if on else 'off'}, it is not"
            )
        return after

    def exclusive(self, name: str, *, timeout_s: float = 60.0) -> AbstractContextManager[Callable[[], None]]:
        """Be the only writer of that name; see `s3_lease` for what happens to one that was stopped for long.

        Raises:
            StoreUnavailableError: another one had it for all of `timeout_s`, or this one lost it meanwhile.
        """
        from pytest_cutover.objects.s3_lease import leased

        check_key(name)
        return leased(self, LEASES + name.replace("/", "."), timeout_s=timeout_s, sleep=self._sleep)

    def age_s(self, key: str) -> float | None:
        """Seconds since the version that counts was written, by the server's clock; None: there is none."""

        def age_of_what_counts() -> float | None:
            counts = self._look(key).counts
            return None if counts is None else self.bucket.age_s(key, counts.id)

        return self._steadily(key, age_of_what_counts)

    def forget_older(self, key: str) -> None:
        """Remove the versions below the one that counts, as far as the store lets go of them."""
        counts = self._look(key).counts
        ids = [version.id for version in self.bucket.versions(key)]
        if counts is not None and counts.id in ids:
            for gone in reversed(ids[ids.index(counts.id) + 1 :]):
                self._withdraw(key, gone)

    # -- looking -----------------------------------------------------------------------------------

    def _look(self, key: str) -> _Seen:
        self.bucket.check()

        def look() -> _Seen:
            versions = self.bucket.versions(key)
            first = next(versions, None)
            if first is None:
                return _Seen(None, None)
            counts = self._counting(key, chain([first], versions))
            return _Seen(counts, first if first.is_latest else None)

        return self._steadily(key, look)

    def _counting(self, key: str, versions: Iterable[Version]) -> Version | None:
        """Of all versions, the newest first, the one that counts."""
        if key.startswith(WRITE_ONCE):
            return oldest(versions)
        return current(versions, lambda version: self.bucket.follows(key, version.id))

    def _is_counted(self, key: str, ours: Version) -> bool:
        """Whether our version counts, or did until others followed it.

        Raises:
            StoreUnavailableError: it is not there any more.
        """

        def look() -> bool:
            below = dropwhile(lambda v: v.id != ours.id, self.bucket.versions(key))
            first = next(below, None)
            if first is None:
                raise StoreUnavailableError(f"{self.where}/{key}: version {ours.id} was written and is gone")
            return self._counting(key, chain([first], below)) == first

        return self._steadily(key, look)

    def _steadily(self, key: str, look: Callable[[], T]) -> T:
        """What a look gives during which no version came or went.

        Raises:
            StoreUnavailableError: there is no such moment, or what is listed cannot be read.
        """
        for _ in range(_LOOKS):
            with suppress(ChangedError):
                return look()
            time.sleep(random.uniform(0, _BETWEEN_LOOKS_S))  # noqa: S311 # spreads writers over time
        raise StoreUnavailableError(f"{self.where}/{key} is listed, and what is listed cannot be read")

    def _there(self, key: str) -> Held:
        held = self.stat(key)
        if held is None:
            raise ObjectMissingError(f"there is no {self.where}/{key}")
        return held

    def _keys(self, prefix: str) -> Iterator[tuple[str, tuple[Version, ...]]]:
        entries = (
            (entry["Key"].removeprefix(self.bucket.prefix), version_of(entry))
            for page in self.bucket.pages(prefix, _BATCH)
            for entry in page.get("Versions", [])
        )
        for key, found in groupby(entries, lambda entry: entry[0]):
            versions = tuple(version for _, version in found)
            if not key.startswith(OWN) and not _is_folder(key, versions):
                check_key(key)
                yield key, versions

    def _listed(self, key: str, versions: tuple[Version, ...], *, protection: bool) -> Held | None:
        try:
            counts = self._counting(key, versions)
            if counts is None or protection:
                return None if counts is None else self.bucket.held(key, counts.id)
        except ChangedError:
            return self.stat(key)
        return Held(key, counts.size, counts.tag, counts.id)

    # -- writing -----------------------------------------------------------------------------------

    def _look_for(
        self, key: str, data: bytes, expected: Absent | str, until: datetime | None
    ) -> tuple[_Seen, Held | None]:
        """One look, and what `_already` says of it."""

        def look() -> tuple[_Seen, Held | None]:
            seen = self._look(key)
            return seen, self._already(key, seen.counts, data, expected, until)

        return self._steadily(key, look)

    def _already(
        self, key: str, counts: Version | None, data: bytes, expected: Absent | str, until: datetime | None
    ) -> Held | None:
        """What is there if it has these very bytes; None when they are to be written."""
        if counts is None:
            if expected is not ABSENT:
                raise ObjectConflictError(f"expected {expected:.16} at {self.where}/{key}, there is nothing")
            return None
        if expected in (counts.tag, counts.id) and counts.tag != md5(data).hex():
            if key.startswith(WRITE_ONCE):
                raise ObjectLockedError(f"{self.where}/{key} is written once: it cannot be replaced")
            self._refuse_protected(self.bucket.held(key, counts.id), "replaced", is_followed=True)
            return None
        try:
            there, held = self.bucket.get(key, counts.id)
        except ObjectMissingError:
            raise ChangedError from None
        if there != data:
            wanted = "nothing" if isinstance(expected, Absent) else expected[:16]
            raise ObjectConflictError(f"expected {wanted} at {self.where}/{key}, got {counts.tag:.16}")
        return held if until is None else self.retain(key, until)

    def _put(self, key: str, data: bytes, seen: _Seen, until: datetime | None) -> Version:
        condition = {}
        if seen.latest is None:
            condition = {"IfNoneMatch": "*"}
        elif self._wrong_refusals < _IF_MATCH_REFUSALS:
            condition = {"IfMatch": f'"{seen.latest.tag}"'}
        follows = NOTHING if seen.counts is None else seen.counts.id
        return self.bucket.put(key, data, follows=follows, condition=condition, until=until)

    def _after_refusal(self, key: str, exc: Exception, seen: _Seen) -> None:
        """Return where it is worth looking again, else raise."""
        from botocore.exceptions import ClientError

        if is_silence(exc):
            return
        if not isinstance(exc, ClientError):
            raise exc
        if status_of(exc) == 412 and seen.latest is not None and self._look(key).latest == seen.latest:
            self._wrong_refusals += 1
        elif status_of(exc) not in (409, 412):
            self._calls.refused(f"writing {key}", exc)

    def _withdraw(self, key: str, version: str) -> None:
        """Take a version away that does not count; where the store keeps it, it goes on not counting."""
        with suppress(StoreUnavailableError, ObjectLockedError):
            self.bucket.remove(key, version)

    def _refuse_protected(self, held: Held, what: str, *, is_followed: bool = False) -> None:
        """What is followed stays a version: a retention that the bucket gives to everything does not forbid it."""
        if not held.is_protected(self._now()):
            return
        until = held.retain_until
        if is_followed and until is not None and not held.legal_hold and self._is_by_default(held, until):
            return
        why = "held" if held.legal_hold else f"retained until {until:%Y-%m-%d %H:%M} UTC"
        raise ObjectLockedError(f"{self.where}/{held.key} is {why}: it cannot be {what}")

    def _is_by_default(self, held: Held, until: datetime) -> bool:
        default = self._default_retention()
        if not default:
            return False
        written: datetime = self.bucket.head(held.key, held.version or "")["LastModified"]
        return until <= written + default + timedelta(seconds=60)

    def _default_retention(self) -> timedelta:
        """How long the bucket retains what comes without a date of its own; 0: not at all."""
        if self._default is None:
            rule = self.bucket.lock_configuration().get("Rule", {}).get("DefaultRetention", {})
            self._default = timedelta(days=rule.get("Days", 0) + 366 * rule.get("Years", 0))
        return self._default


def _is_folder(key: str, versions: tuple[Version, ...]) -> bool:
    """Whether a console made it to show a folder: an empty object whose key ends in `/`, as no key of ours does."""
    return (not key or key.endswith("/")) and not any(version.size for version in versions)
