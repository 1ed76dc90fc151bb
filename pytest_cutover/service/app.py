"""The ASGI application: /readyz with real checks, orders on SQLite, a request log and /metrics."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from pytest_cutover import strictjson
from pytest_cutover.errors import AdapterError, MissingExtraError
from pytest_cutover.service.checks import Checks, overall
from pytest_cutover.service.config import ORDERS
from pytest_cutover.service.orders import OrderStore, parse_order
from pytest_cutover.service.requestlog import Metrics, RequestLog

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route
except ImportError as exc:
    raise MissingExtraError(
        "the sandbox service needs Starlette", hint="pip install 'pytest-cutover[service]'"
    ) from exc

from pytest_cutover.service.witness import witness_routes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from pytest_cutover.service.config import ServiceConfig
    from pytest_cutover.tlog.witness import Witness

MAX_BODY_BYTES = 64 * 1024

HTTP_STATUS = {"ready": 200, "degraded": 503, "error": 503}
"""degraded is 503 too: whoever looks only at the HTTP status must not take it for ready."""


class Service:
    """The application of one state folder; an ASGI callable. Close it when the server has stopped."""

    def __init__(self, config: ServiceConfig) -> None:
        try:
            config.state.mkdir(parents=True, exist_ok=True)
            self._metrics = Metrics()
            self._orders = OrderStore(config.state / ORDERS)
            self._log = RequestLog(self._routes(config.witness), config.request_log, self._metrics)
        except (OSError, sqlite3.Error) as exc:
            raise AdapterError(
                f"cannot use the state folder {config.state}: {exc}", hint="--state DIR"
            ) from exc
        self._checks = Checks(config)
        self._broken = config.broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._log(scope, receive, send)

    def close(self) -> None:
        self._checks.close()
        self._orders.close()
        self._log.close()

    def warm_up(self) -> None:
        """Import what the checks import, so that the first caller does not wait for it."""
        self._checks.run()

    def _routes(self, witness: Witness | None) -> Starlette:
        return Starlette(
            routes=[
                *(() if witness is None else witness_routes(witness)),
                Route("/", self._index),
                Route("/readyz", self._readyz),
                Route("/metrics", self._expose),
                Route("/orders", self._create_order, methods=["POST"]),
                Route("/orders/{number:int}", self._show_order),
            ]
        )

    async def _index(self, request: Request) -> Response:
        return JSONResponse({"service": "cutover-sandbox", "routes": ["/readyz", "/metrics", "/orders"]})

    async def _readyz(self, request: Request) -> Response:
        results = await run_in_threadpool(self._checks.run)
        status = overall(results)
        document: dict[str, Any] = {
            "status": status,
            "checks": {n: {"status": r.status, "detail": r.detail, **r.data} for n, r in results.items()},
        }
        if self._broken:
            document["rehearsal"] = {"broken_on_purpose": list(self._broken)}
        return JSONResponse(document, HTTP_STATUS[status], headers={"Cache-Control": "no-store"})

    async def _expose(self, request: Request) -> Response:
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _create_order(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"error": f"the body is larger than {MAX_BODY_BYTES} bytes"}, 413)
        try:
            item, quantity = parse_order(strictjson.loads(bytes(body)))
        except ValueError as exc:
            return JSONResponse({"error": str(exc)}, 422)
        order = await run_in_threadpool(self._orders.add, item, quantity)
        return JSONResponse(order.to_json(), 201, headers={"Location": f"/orders/{order.id}"})

    async def _show_order(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        order = await run_in_threadpool(self._orders.find, number) if number < 2**63 else None
        return (
            JSONResponse({"error": "no such order"}, 404) if order is None else JSONResponse(order.to_json())
        )
