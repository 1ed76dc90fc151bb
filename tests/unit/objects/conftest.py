"""An S3 server for the tests of stores, started once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.s3 import ENVIRON, FaultProxy, client_at, moto, new_bucket, objects_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from pytest_cutover.objects.s3 import S3Objects


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def s3_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(s3_endpoint: str, s3_environ: None) -> S3Client:
    return client_at(s3_endpoint)


@pytest.fixture
def bucket(client: S3Client) -> str:
    return new_bucket(client)


@pytest.fixture
def objects(s3_endpoint: str, bucket: str) -> S3Objects:
    return objects_at(s3_endpoint, bucket, "some/where")


@pytest.fixture(scope="session")
def any_proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(any_proxy: FaultProxy, s3_environ: None) -> FaultProxy:
    """Without the faults of the test before."""
    any_proxy.reset()
    return any_proxy


@pytest.fixture
def shaky(proxy: FaultProxy, bucket: str) -> S3Objects:
    """The same objects, behind the proxy."""
    return objects_at(proxy.endpoint, bucket, "some/where")
