"""The routes of a witness (C2SP tlog-witness): add-checkpoint, and the checkpoint it cosigned last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pytest_cutover.errors import CutoverError
from pytest_cutover.tlog.witness import MAX_REQUEST_BYTES

if TYPE_CHECKING:
    from starlette.requests import Request

    from pytest_cutover.tlog.witness import Witness

PREFIX = "/witness"
"""Submission and monitoring prefix."""


def witness_routes(witness: Witness) -> list[Route]:
    """The routes, to be mounted as they are."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                return PlainTextResponse(f"expected at most {MAX_REQUEST_BYTES} bytes\n", 413)
        try:
            answer = await run_in_threadpool(witness.add_checkpoint, bytes(body))
        except CutoverError:  # what it says of this machine's disk is not for callers
            return PlainTextResponse("the witness cannot remember checkpoints\n", 503)
        # As a header: to a media type of text Starlette adds a charset, which tlog-witness has not.
        return Response(answer.body, answer.status, headers={"Content-Type": answer.media_type})

    async def checkpoint(request: Request) -> Response:
        try:
            found = await run_in_threadpool(witness.latest, request.path_params["origin_hash"])
        except CutoverError:
            return PlainTextResponse("the witness cannot read its checkpoints\n", 503)
        if found is None:
            return PlainTextResponse("no checkpoint of such a log was cosigned\n", 404)
        return PlainTextResponse(found, headers={"Cache-Control": "no-store"})

    return [
        Route(f"{PREFIX}/add-checkpoint", add_checkpoint, methods=["POST"]),
        Route(PREFIX + "/{origin_hash}/checkpoint", checkpoint),
    ]
