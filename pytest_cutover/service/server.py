"""Runs the service until SIGTERM, SIGINT or the end of the parent; prints its URL when it accepts connections."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from pytest_cutover.errors import AdapterError, MissingExtraError
from pytest_cutover.service.app import Service

if TYPE_CHECKING:
    import uvicorn

    from pytest_cutover.service.config import ServiceConfig

STOP_WAIT_S = 1
"""For requests that are being answered when the service is told to stop."""


def serve(config: ServiceConfig, *, host: str, port: int, follow_stdin: bool) -> int:
    """Serve until told to stop; exit code 0 after a clean stop.

    `follow_stdin`: stop when standard input ends. A pipe held by the parent ends however the parent dies.

    Raises:
        AdapterError: the address cannot be listened on, or the server does not start.
    """
    stop = _Stop(follow_stdin=follow_stdin)
    listener = _listen(host, port)
    service = Service(config)
    server = _server(service)
    # In a thread uvicorn leaves the signals alone; it would end the process by the signal it got.
    thread = threading.Thread(target=server.run, args=([listener],), name="cutover-serve", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        if server.started:
            _announce(host, listener)
            service.warm_up()
        while thread.is_alive() and not stop.wait(0.5):
            pass
        crashed = not thread.is_alive()
    finally:
        server.should_exit = True
        thread.join(STOP_WAIT_S + 1)
        service.close()
        listener.close()
    if crashed:
        raise AdapterError("the server ended by itself", hint="its last log lines say why")
    return 0


class _Stop:
    """Wakes the main thread on SIGTERM, SIGINT or the end of standard input.

    By a pipe that the signal is written to in C: a Python handler that takes a lock may wait for itself for
    ever, and runs late when another thread got the signal.
    """

    def __init__(self, *, follow_stdin: bool) -> None:
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._watched = [self._read, 0] if follow_stdin else [self._read]

    def wait(self, timeout_s: float) -> bool:
        """Whether it was asked to stop, or standard input ended, within the time."""
        ready, _, _ = select.select(self._watched, [], [], timeout_s)
        return self._read in ready or (0 in ready and not os.read(0, 4096))


def _server(service: Service) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError as exc:
        raise MissingExtraError(
            "the sandbox service needs uvicorn", hint="pip install 'pytest-cutover[service]'"
        ) from exc
    return uvicorn.Server(
        uvicorn.Config(
            service,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,  # the request log is ours, without queries
            server_header=False,
            timeout_graceful_shutdown=STOP_WAIT_S,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as exc:
        listener.close()
        raise AdapterError(
            f"cannot listen on {host} port {port}: {exc}", hint="--port 0 takes a free one"
        ) from exc
    return listener


def _announce(host: str, listener: socket.socket) -> None:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
