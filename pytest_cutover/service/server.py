"""Runs the service until SIGTERM, SIGINT or the end of the parent; prints its URL when it accepts connections."""

from __future__ import annotations

import json
import os
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
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service = Service(config)
    listener = _listen(host, port)
    server = _server(service)
    # In a thread uvicorn leaves the signals alone; it would end the process by the signal it got.
    thread = threading.Thread(target=server.run, args=([listener],), name="cutover-serve", daemon=True)
    thread.start()
    if follow_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
    try:
        _wait_until_started(server, thread, stop)
        if not stop.is_set():
            _announce(host, listener)
            service.warm_up()
        while thread.is_alive() and not stop.wait(0.5):
            pass
    finally:
        crashed = not thread.is_alive() and not stop.is_set()
        server.should_exit = True
        thread.join(STOP_WAIT_S + 1)
        service.close()
        listener.close()
    if crashed:
        raise AdapterError("the server ended by itself", hint="its last log lines say why")
    return 0


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
    listener = socket.socket(family, socket.SOCK_STREAM)
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


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread, stop: threading.Event) -> None:
    while not server.started and thread.is_alive() and not stop.is_set():
        time.sleep(0.002)


def _announce(host: str, listener: socket.socket) -> None:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def _wait_for_end_of_stdin(stop: threading.Event) -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stop.set()
