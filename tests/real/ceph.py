"""Ceph's S3 server, one node on loopback: one monitor, one OSD, one gateway; no manager runs.

`memstore` keeps objects in memory and starts in two seconds; `bluestore` keeps them in a file and survives kill -9.
Everything runs as whoever runs the tests, and ends with them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from typing import TYPE_CHECKING, Self

from tests.real.servers import Server, fetch, free_port, need

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
ACCESS_KEY, SECRET_KEY = "AKIATEST", "SECRETTEST"
REGION = "us-east-1"
COMMAND_LIMIT_S = 60
RESTART_S = 60.0
"""On a disk that others use too; it takes ten seconds after everything was killed."""


# Without `ms mon client mode` the gateway does not come up where nothing authenticates; without `paxos propose
# interval` that takes ten seconds; without tcp_nodelay each answer with a body waits 40 ms for an acknowledgement;
# without the watch timeout a new bucket waits half a minute for a gateway that was killed.
CONFIGURATION = """\
[global]
fsid={fsid}
mon host={monitors}
public addr=127.0.0.1
cluster addr=127.0.0.1
auth cluster required=none
auth service required=none
auth client required=none
ms mon client mode=crc
paxos propose interval=0.05
osd pool default size=1
osd pool default min size=1
osd pool default pg num=1
osd pool default pg autoscale mode=off
osd crush chooseleaf type=0
mon allow pool size one=true
mon max pg per osd=1000
osd client watch timeout=3
run dir={folder}/run
admin socket={folder}/run/$name.$pid.asok
log file={folder}/log/$name.log
[mon.a]
mon data={folder}/mon
[osd.0]
osd data={folder}/osd
osd objectstore={backend}
bluestore block size=2147483648
[client.rgw.a]
rgw data={folder}/rgw
rgw frontends=beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw run sync thread=false
"""


class Ceph:
    """A cluster of its own in `folder`; a context manager."""

    def __init__(self, folder: Path, *, backend: str = "memstore") -> None:
        self._programs = {name: need(name) for name in PROGRAMS}
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        monitor = free_port()
        self._monitors = f"[v2:127.0.0.1:{monitor + 1},v1:127.0.0.1:{monitor}]"
        self._fsid = str(uuid.uuid4())
        for name in ("mon", "osd", "rgw", "log", "run"):
            (folder / name).mkdir(parents=True)
        (folder / "ceph.conf").write_text(
            CONFIGURATION.format(
                fsid=self._fsid, monitors=self._monitors, folder=folder, backend=backend, port=self.port
            )
        )
        self._running: dict[str, Server] = {}

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def environ(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> S3Client:
        """A plain boto3 client."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=32),
        )

    def bucket(self, *, lock: bool = True) -> str:
        """A new bucket."""
        name = f"evidence-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    def kill_gateway(self) -> None:
        """kill -9 of what clients talk to."""
        self._kill("radosgw")

    def start_gateway(self) -> None:
        self._start("radosgw", "-n", "client.rgw.a", "-f")
        self._running["radosgw"].ready(self.is_up, RESTART_S)

    def kill(self) -> None:
        """kill -9 of everything."""
        for name in ("radosgw", "ceph-osd", "ceph-mon"):
            self._kill(name)

    def start(self) -> None:
        """Everything again, on what is on the disk."""
        self._start("ceph-mon", "-i", "a", "-f")
        self._start("ceph-osd", "-i", "0", "-f")
        self.start_gateway()

    def is_up(self) -> bool:
        """Whether the gateway answers."""
        return fetch(self.endpoint)[0] == 200

    def _make(self) -> None:
        monmap = str(self.folder / "monmap")
        self._run("monmaptool", "--create", "--addv", "a", self._monitors, "--fsid", self._fsid, monmap)
        self._run("ceph-mon", *self._conf, "--mkfs", "-i", "a", "--monmap", monmap)
        self._start("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self._run("ceph", *self._conf, "--connect-timeout", "30", "osd", "new", osd)
        self._run("ceph-osd", *self._conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start("ceph-osd", "-i", "0", "-f")
        self.start_gateway()
        user = ["user", "create", "--uid=t", "--display-name=t"]
        keys = [f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}"]
        self._run("radosgw-admin", *self._conf, *user, *keys)

    @property
    def _conf(self) -> list[str]:
        return ["-c", str(self.folder / "ceph.conf")]

    def _start(self, name: str, *arguments: str) -> None:
        self._running[name] = Server([self._programs[name], *self._conf, *arguments], self.folder)

    def _kill(self, name: str) -> None:
        server = self._running.pop(name, None)
        if server is not None:
            server.signal(signal.SIGKILL)
            server.stop()

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs[name], *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
