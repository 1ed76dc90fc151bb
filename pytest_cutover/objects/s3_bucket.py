"""One bucket below one prefix: each request of S3 that a store needs, asked, and its refusal in our words."""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pytest_cutover.errors import ConfigError
from pytest_cutover.objects.names import check_key
from pytest_cutover.objects.protocol import Held, ObjectLockedError, ObjectMissingError, check_size
from pytest_cutover.objects.s3_calls import Calls, code_of, is_denied, is_missing, status_of
from pytest_cutover.objects.s3_versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

FOLLOWS = "cutover-follows"
SHA256 = "cutover-sha256"
"""Metadata of each version that is written here."""

_PAGE = 100


class ChangedError(Exception):
    """A version that was listed is gone: look again."""


class Bucket:
    """Requests about keys, which are relative to the prefix; safe to use from several threads."""

    def __init__(self, client: S3Client, name: str, prefix: str, calls: Calls) -> None:
        self.client = client
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.calls = calls
        self._is_checked = False

    @property
    def where(self) -> str:
        """`s3://bucket/prefix`."""
        return place_of(self.name, self.prefix)

    def full(self, key: str) -> str:
        check_key(key)
        return self.prefix + key

    def ask(self, what: str, operation: Callable[[], Any]) -> Any:
        """The answer to what may be asked twice without harm.

        Raises:
            StoreUnavailableError: no answer, or refused.
        """
        from botocore.exceptions import ClientError

        try:
            return self.calls.ask(what, operation)
        except ClientError as exc:
            self.calls.refused(what, exc)

    # -- versions ----------------------------------------------------------------------------------

    def head(self, key: str, version: str) -> Any:
        """The answer to HeadObject.

        Raises:
            ChangedError: there is no such version.
            StoreUnavailableError: no answer, or refused.
        """
        from botocore.exceptions import ClientError

        what = f"asking about {key}"
        try:
            return self.calls.ask(
                what,
                lambda: self.client.head_object(Bucket=self.name, Key=self.full(key), VersionId=version),
            )
        except ClientError as exc:
            if is_missing(exc):
                raise ChangedError from exc
            self.calls.refused(what, exc)

    def held(self, key: str, version: str) -> Held:
        """What HeadObject says; raises as `head`."""
        return _held(key, self.head(key, version))

    def follows(self, key: str, version: str) -> str | None:
        """The version that the writer of this one had seen; raises as `head`."""
        follows: str | None = self.head(key, version)["Metadata"].get(FOLLOWS)
        return follows

    def get(self, key: str, version: str) -> tuple[bytes, Held]:
        """The bytes of one version.

        Raises:
            ObjectMissingError: there is no such version.
            EvidenceError: it is too large to be ours.
            StoreUnavailableError: no answer, or refused.
        """
        from botocore.exceptions import ClientError

        def get() -> tuple[bytes, Any]:
            answer = self.client.get_object(Bucket=self.name, Key=self.full(key), VersionId=version)
            with closing(answer["Body"]) as body:
                check_size(f"{self.where}/{key}", answer["ContentLength"])
                return body.read(), answer

        what = f"reading {key}"
        try:
            data, answer = self.calls.ask(what, get)
        except ClientError as exc:
            # Amazon calls an id that was never given out an InvalidArgument.
            if is_missing(exc) or code_of(exc) == "InvalidArgument":
                raise ObjectMissingError(f"there is no {self.where}/{key} of version {version}") from exc
            self.calls.refused(what, exc)
        return data, _held(key, answer)

    def put(
        self, key: str, data: bytes, *, follows: str, condition: dict[str, str], until: datetime | None
    ) -> Version:
        """Put a new version, asked once; the server checks the bytes by Content-MD5, Amazon's by SHA-256 as well.

        Raises:
            Exception: as botocore raises it, see `Calls.once`.
        """
        digest = hashlib.sha256(data)
        more: dict[str, Any] = dict(condition)
        if until is not None:
            more |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        answer: Any = self.calls.once(
            f"writing {key}",
            lambda: self.client.put_object(
                Bucket=self.name,
                Key=self.full(key),
                Body=data,
                ContentMD5=base64.b64encode(md5(data)).decode("ascii"),
                ChecksumSHA256=base64.b64encode(digest.digest()).decode("ascii"),
                Metadata={FOLLOWS: follows, SHA256: digest.hexdigest()},
                **more,
            ),
        )
        return Version(answer["VersionId"], answer["ETag"].strip('"'), len(data))

    def remove(self, key: str, version: str) -> None:
        """Remove one version; nothing happens when it is not there.

        Raises:
            ObjectLockedError: the server refuses to.
            StoreUnavailableError: no answer, or refused for another reason.
        """
        from botocore.exceptions import ClientError

        what = f"removing {key}"
        try:
            self.calls.ask(
                what,
                lambda: self.client.delete_object(Bucket=self.name, Key=self.full(key), VersionId=version),
            )
        except ClientError as exc:
            if is_denied(exc):
                raise ObjectLockedError(
                    f"{self.where}/{key}: the store refuses to remove version {version}",
                    hint="it is retained or held, or these credentials lack s3:DeleteObjectVersion",
                ) from exc
            if not is_missing(exc):
                self.calls.refused(what, exc)

    def retain(self, key: str, version: str, until: datetime, *, mode: Any = "COMPLIANCE") -> None:
        """Ask for retention of a version; what it is then, `held` says."""
        self.ask(
            f"retaining {key}",
            lambda: self.client.put_object_retention(
                Bucket=self.name,
                Key=self.full(key),
                VersionId=version,
                Retention={"Mode": mode, "RetainUntilDate": until},
            ),
        )

    def hold(self, key: str, version: str, on: bool) -> None:
        """Ask for a legal hold of a version, or for its end; what it is then, `held` says."""
        self.ask(
            f"holding {key}",
            lambda: self.client.put_object_legal_hold(
                Bucket=self.name,
                Key=self.full(key),
                VersionId=version,
                LegalHold={"Status": "ON" if on else "OFF"},
            ),
        )

    def age_s(self, key: str, version: str) -> float:
        """Seconds since a version was written, both ends by the server's clock; raises as `head`."""
        answer = self.head(key, version)
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return float((now - answer["LastModified"]).total_seconds())

    # -- listings ----------------------------------------------------------------------------------

    def versions(self, key: str) -> Iterator[Version]:
        """All of exactly one key, the newest first; asked for as far as they are taken."""
        full = self.full(key)
        for page in self.pages(key, _PAGE):
            yield from (version_of(v) for v in page.get("Versions", []) if v["Key"] == full)
            # Other keys that begin the same come after it.
            if any(e["Key"] != full for e in (*page.get("Versions", []), *page.get("DeleteMarkers", []))):
                return

    def markers(self, key: str) -> Iterator[str]:
        """The version ids of a key's delete markers."""
        for page in self.pages(key, _PAGE):
            yield from (m["VersionId"] for m in page.get("DeleteMarkers", []) if m["Key"] == self.full(key))

    def pages(self, prefix: str, size: int) -> Iterator[Any]:
        """Answers of ListObjectVersions: in the order of keys, and each key's versions the newest first."""
        more: dict[str, Any] = {}
        while True:
            page = self._page(prefix, size, more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                more["VersionIdMarker"] = page["NextVersionIdMarker"]

    def _page(self, prefix: str, size: int, more: dict[str, Any]) -> Any:
        return self.ask(
            "listing",
            lambda: self.client.list_object_versions(
                Bucket=self.name, Prefix=self.prefix + prefix, MaxKeys=size, **more
            ),
        )

    # -- the bucket itself -------------------------------------------------------------------------

    def check(self) -> None:
        """Return where the bucket keeps versions; asked once.

        Raises:
            ConfigError: it does not, or there is none.
        """
        if self._is_checked:
            return
        state = self.versioning()
        if state != "Enabled":
            raise ConfigError(
                f"expected a bucket that keeps versions, in {self.name} that is {state.lower()}",
                hint="make a bucket with Object Lock, which implies it",
            )
        self._is_checked = True

    def versioning(self) -> str:
        """`Enabled`, `Suspended`, or `Off` where it never was on."""
        answer = self.ask(
            "reading whether it keeps versions", lambda: self.client.get_bucket_versioning(Bucket=self.name)
        )
        return str(answer.get("Status", "Off"))

    def lock_configuration(self) -> dict[str, Any]:
        """ObjectLockConfiguration as the server gives it; empty where the bucket has none."""
        from botocore.exceptions import ClientError

        what = "reading the lock configuration"
        try:
            answer: Any = self.calls.ask(
                what, lambda: self.client.get_object_lock_configuration(Bucket=self.name)
            )
        except ClientError as exc:
            if status_of(exc) == 404:
                return {}
            self.calls.refused(what, exc)
        return dict(answer.get("ObjectLockConfiguration", {}))


def place_of(bucket: str, prefix: str) -> str:
    """`s3://bucket/prefix`."""
    return f"s3://{bucket}/{prefix}".rstrip("/")


def version_of(entry: Any) -> Version:
    """One entry of a listing."""
    return Version(entry["VersionId"], entry["ETag"].strip('"'), entry["Size"], entry.get("IsLatest", False))


def whole_seconds(at: datetime) -> datetime:
    """`at` rounded up: servers cut off the rest, and a promise is not shortened.

    Raises:
        ValueError: it is naive.
    """
    if at.tzinfo is None:
        raise ValueError("a time must be timezone-aware")
    whole = at.astimezone(UTC).replace(microsecond=0)
    return whole if whole >= at else whole + timedelta(seconds=1)


def md5(data: bytes) -> bytes:
    """As Content-MD5 and most servers' ETags have it; no security rests on it."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def _held(key: str, answer: Any) -> Held:
    """From the answer to HEAD or GET. GOVERNANCE does not count: whoever may bypass it can remove the version."""
    until = answer.get("ObjectLockRetainUntilDate")
    is_kept = until is not None and answer.get("ObjectLockMode") == "COMPLIANCE"
    return Held(
        key,
        answer["ContentLength"],
        answer["ETag"].strip('"'),
        answer.get("VersionId"),
        until.astimezone(UTC) if is_kept else None,
        answer.get("ObjectLockLegalHoldStatus") == "ON",
    )
