"""The boto3 client of an S3 store: credentials the usual boto3 way, every timeout explicit, no retries of its own.

A retry hidden in the library could write twice; what is tried again, and after which look, is decided in `s3_calls`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_cutover.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
"""Without a byte of the answer; what was asked may have happened all the same."""

CONNECTIONS = 32
"""Kept open at once; more threads than this would wait for one another."""


def s3_client(
    *,
    endpoint: str | None = None,
    region: str | None = None,
    read_timeout_s: float = READ_TIMEOUT_S,
    environ: Mapping[str, str] = os.environ,
) -> S3Client:
    """A client for `endpoint` and `region`, or for those that AWS_ENDPOINT_URL, AWS_REGION and the profile name.

    Raises:
        MissingExtraError: boto3 is not installed.
        ConfigError: endpoint, region or profile cannot be used.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as exc:
        raise MissingExtraError("S3 needs boto3", hint="pip install 'pytest-cutover[aws]'") from exc
    endpoint = endpoint or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # Servers other than Amazon's rarely have a DNS name for each bucket; a profile says for itself.
        s3=None if endpoint is None else {"addressing_style": "path"},
    )
    try:
        session = boto3.session.Session(
            region_name=region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
        )
        # Servers of one's own have no regions; a request is signed for one all the same.
        name = session.region_name or (None if endpoint is None else "us-east-1")
        return session.client("s3", region_name=name, endpoint_url=endpoint, config=config)
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(
            f"S3: {exc}", hint="are AWS_PROFILE and AWS_ENDPOINT_URL (https://s3.example.org) right?"
        ) from None
