"""The S3 server of the tests of stores."""

from tests.s3 import any_proxy, bucket, client, objects, proxy, s3_endpoint, s3_environ, shaky

__all__ = ["any_proxy", "bucket", "client", "objects", "proxy", "s3_endpoint", "s3_environ", "shaky"]
