"""``Gate``: what every request to the local Files API passes, on its way in and on its way out.

In: no web page, the right host, the right key, before one byte of a body is read. Out: a request id, an answer that
arrives even at a client that is still sending, and one line in the log for a fault.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nbfiles._names import visible
from nbfiles.local._refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How long the rest of a refused body is read, so that a client that sends first and reads then sees the answer
# instead of a connection reset. Seconds without a byte, and in all.
DRAIN_IDLE, DRAIN_TOTAL = 2.0, 30.0

log = logging.getLogger("nbfiles.local")


class Gate:
    """Lets in whoever holds the key and is no web page; numbers every request; sees to it that the answer arrives.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    api_key : str
        The key.
    port : int
        The port of the server.
    """

    def __init__(self, app: ASGIApp, api_key: str, port: int) -> None:
        self._app = app
        self._key = api_key.encode("ascii")
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        exchange = _Exchange(scope, receive, send)
        request = Request(scope, exchange.receive)
        try:
            self._admit(request.headers)
            await self._app(scope, exchange.receive, exchange.send)
        except Refusal as refusal:
            await answer_refusal(request, refusal)(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001  # the server goes on; Starlette has answered
            log.error(  # noqa: TRY400  # one line a request: a flood of tracebacks is an attack
                "%s %s: %s", scope["method"], visible(scope["path"][:200]), visible(repr(error)[:500])
            )

    def _admit(self, headers: Headers) -> None:
        """Refuse web pages (also by DNS rebinding), then whoever does not hold the key; no byte of a body is read.

        A page's form post needs no permission of ours to be sent, so it must be recognised by its ``Origin``.
        """
        if "origin" in headers:
            raise Refusal(401, "CORS requests are not allowed: this server does not answer web pages.")
        if headers.get("host", "").lower() not in self._hosts:
            raise Refusal(403, "The Host header does not name this server.")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else ""]
        # latin-1 is how the headers were decoded. Both are compared, so the time says nothing.
        if not any([hmac.compare_digest(text.encode("latin-1"), self._key) for text in given]):  # noqa: C419
            raise Refusal(401, "invalid x-api-key: this server takes the api_key that it printed when it started.")


class _Exchange:
    """One request and its answer: gives both an id, and reads what is left of a body that was refused.

    An answer that comes before the whole body was read is sent in full at once, then the connection stays open to
    read on for a while, and is closed. Closing at once would reset the connection, and a client that is still sending
    would lose the answer.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._receive, self._send = receive, send
        self._unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._id = scope["request_id"] = f"req_local_{secrets.token_hex(12)}"

    async def receive(self) -> Message:
        """Receive, as ASGI has it."""
        message = await self._receive()
        self._unread = bool(message.get("more_body", False))
        return message

    async def send(self, message: Message) -> None:
        """Send, as ASGI has it."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["request-id"] = self._id
            # uvicorn renews its own once a second at best; created_at is compared with this one.
            headers["date"] = formatdate(usegmt=True)
            if self._unread:
                headers["connection"] = "close"
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_TOTAL
        try:
            while self._unread and time.monotonic() < deadline:
                async with asyncio.timeout(DRAIN_IDLE):
                    await self.receive()
        except TimeoutError:
            pass  # the client has stopped sending; most have read the answer


def answer_refusal(request: Request, refusal: Exception) -> Response:
    """Answer with the error that `refusal` is."""
    assert isinstance(refusal, Refusal)  # noqa: S101  # Starlette types every handler for Exception
    return JSONResponse(refusal.body(request.scope["request_id"]), refusal.status, refusal.headers)
