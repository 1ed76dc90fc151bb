"""How a place for objects is named everywhere: the path of a folder, or `s3://bucket/prefix`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError

if TYPE_CHECKING:
    from pytest_cutover.objects.protocol import ObjectStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*?))?/?", re.DOTALL)
"""Names of buckets: Amazon S3, User Guide, "Bucket naming rules"."""


def open_objects(text: str, *, endpoint: str | None = None, region: str | None = None) -> ObjectStore:
    """The store that `text` names; nothing is made or asked yet.

    `endpoint` and `region` are those of an S3 bucket; else the environment and the AWS profile name them.

    Raises:
        ConfigError: no such place can be used.
        MissingExtraError: it is a bucket, and boto3 is not installed.
    """
    if not text.strip() or "\0" in text:
        raise ConfigError(f"expected the path of a folder or s3://bucket/prefix, got {text!r}")
    if _SCHEME.match(text):
        return _open_s3(text, endpoint, region)
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"expected a folder, {path} is a file")
    from pytest_cutover.objects.folder import FolderObjects

    return FolderObjects(path)


def open_below(
    root: Path, text: str, *, endpoint: str | None = None, region: str | None = None
) -> ObjectStore:
    """`open_objects`, of a folder relative to `root`."""
    return open_objects(text if _SCHEME.match(text) else str(root / text), endpoint=endpoint, region=region)


def absolute(text: str) -> str:
    """The place `text`, which any folder may be asked from: links are followed, and an address stays as it is."""
    return text.rstrip("/") if _SCHEME.match(text) else os.path.realpath(text)


def _open_s3(text: str, endpoint: str | None, region: str | None) -> ObjectStore:
    match = _S3.fullmatch(text)
    if match is None:
        raise ConfigError(f"expected the path of a folder or s3://bucket/prefix, got {text!r:.200}")
    from pytest_cutover.objects.names import check_key
    from pytest_cutover.objects.s3 import S3Objects
    from pytest_cutover.objects.s3_client import s3_client

    prefix = match["prefix"] or ""
    if prefix:
        check_key(prefix)
    return S3Objects(s3_client(endpoint=endpoint, region=region), match["bucket"], prefix)
