"""A store of many runs in Ceph, on a disk: uploaded, its server killed in the middle, restored and proven.

Beside it what a plain boto3 loop and `aws s3 sync` need for the same files; neither retains them, reads them back or proves anything. All of it
waits for the server's disk, so wall time is compared. Without Ceph nothing is measured, without awscli one ratio less.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks.figures import Comparison, Figure
from benchmarks.timing import BenchmarkError, Command, run
from tests.real.ceph import PROGRAMS, Ceph
from tests.real.servers import SEARCH_PATH
from tests.unit.store.stores import LATER, filled, reindexed, trust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_cutover.store.drill import Drill

RUNS = 2_000
"""Of five files each: report, bundle, document and two attachments, ten thousand in all."""

COMPARED = 5
"""A fifth of them is uploaded and restored by others too."""

_PUT = """
import sys, boto3; from pathlib import Path
s3, root = boto3.client("s3"), Path(sys.argv[1])
for path in sorted(root.glob("history/*/**/*")):
    if path.is_file():
        s3.put_object(Bucket=sys.argv[2], Key=str(path.relative_to(root)), Body=path.read_bytes())
"""
_GET = """
import sys, boto3; from pathlib import Path
s3, root = boto3.client("s3"), Path(sys.argv[1])
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[2]):
    for entry in page.get("Contents", []):
        path = root / entry["Key"]; path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=sys.argv[2], Key=entry["Key"])["Body"].read())
"""


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Ratios to both, and a drill whose server was killed."""
    if any(shutil.which(name, path=SEARCH_PATH) is None for name in PROGRAMS):
        print("  no Ceph here: nothing is measured", file=sys.stderr)
        return
    runs = RUNS // 20 if quick else RUNS
    many, some = folder / "many", folder / "some"
    reindexed(filled(many, range(runs)))
    filled(some, range(runs // COMPARED))
    with Ceph(folder / "ceph", backend="bluestore") as ceph:
        yield from _killed(ceph, folder, many)
        yield from _ratios(ceph, folder, some)


def _ratios(ceph: Ceph, folder: Path, source: Path) -> Iterator[Figure]:
    loop, synced, ours = ceph.bucket(), ceph.bucket(), ceph.bucket()
    ways = [("a boto3 loop", [sys.executable, "-c", _PUT, str(source), loop])]
    back = [("a boto3 loop", [sys.executable, "-c", _GET, str(folder / "looped"), loop])]
    aws = shutil.which("aws", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")  # noqa: PTH120 # a text
    if aws is not None:
        there = f"s3://{synced}/history"
        ways.append(("aws s3 sync", [aws, "s3", "sync", "--quiet", f"{source}/history", there]))
        back.append(("aws s3 sync", [aws, "s3", "sync", "--quiet", there, str(folder / "synced")]))
    cutover = [sys.executable, "-m", "pytest_cutover", "evidence"]
    upload = [*cutover, "upload", str(source), f"s3://{ours}", "--for", "1h"]
    restore = [*cutover, "restore", f"s3://{ours}", str(folder / "restored")]
    for what, mine, others in (("upload", upload, ways), ("restore", restore, back)):
        took_s = _wall_s(ceph, folder, mine)
        for name, argv in others:
            theirs_s = _wall_s(ceph, folder, argv)
            yield Figure(f"{what} of {_files(source)} files", took_s, "s", theirs_s, name, Comparison.RATIO)


def _wall_s(ceph: Ceph, folder: Path, argv: list[str]) -> float:
    return run(Command(argv, folder, environ=ceph.environ())).wall_s


def _killed(ceph: Ceph, folder: Path, source: Path) -> Iterator[Figure]:
    """kill -9 of everything when half of it is there; the upload goes on by itself."""
    from pytest_cutover.objects.folder import FolderObjects
    from pytest_cutover.objects.s3 import S3Objects
    from pytest_cutover.objects.s3_client import s3_client
    from pytest_cutover.store.drill import known_before, run_drill
    from pytest_cutover.store.transfer import upload

    os.environ.update(ceph.environ())
    bucket = ceph.bucket()
    store = S3Objects(s3_client(), bucket, retry_for_s=300)
    down_s: list[float] = []

    def kill(done: int, total: int) -> None:
        if not down_s and done >= total // 2:
            began = time.perf_counter()
            ceph.kill()
            threading.Event().wait(1)  # others are under way meanwhile
            ceph.start()
            down_s.append(time.perf_counter() - began)

    here = FolderObjects(source)
    began = time.perf_counter()
    until = datetime.now(UTC) + timedelta(hours=1)
    sent = upload(here, store, retain_until=until, now=datetime.now(UTC), progress=kill)
    yield Figure(f"upload of {len(sent.moved)} files, killed in the middle", time.perf_counter() - began, "s")
    yield Figure("of which its server was away", down_s[0], "s")
    reindexed(store)
    drill = run_drill(
        store, FolderObjects(folder / "drilled"), known_before(here), trust(), clock=lambda: LATER
    )
    _check(drill, sent.problems, ceph, bucket)
    yield Figure(
        f"RTO of {drill.restored} files, proven", float(drill.rto_s), "s", aim=float(drill.rto_limit_s)
    )
    yield Figure("RPO", drill.rpo_files, "files", aim=drill.rpo_limit_files)


def _check(drill: Drill, problems: object, ceph: Ceph, bucket: str) -> None:
    """Nothing lost, nothing doubled, everything proven: else there is nothing to measure."""
    pages = ceph.client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="history/")
    keys = [entry["Key"] for page in pages for entry in page.get("Versions", [])]
    if not drill.passed or problems or len(keys) != len(set(keys)) or len(keys) != drill.existed:
        raise BenchmarkError(
            f"{len(keys)} versions of {len(set(keys))} files, {drill.existed} existed, {problems}, {drill}"
        )


def _files(source: Path) -> int:
    return sum(path.is_file() for path in source.glob("history/*/**/*"))
