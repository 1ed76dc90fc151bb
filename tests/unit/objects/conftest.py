"""An S3 server for the tests of stores, started once."""

from tests.s3 import any_proxy, bucket, client, objects, proxy, s3_endpoint, s3_environ, shaky

__all__ = ["any_proxy", "bucket", "client", "objects", "proxy", "s3_endpoint", "s3_environ", "shaky"]
