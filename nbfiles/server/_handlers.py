"""``LandingHandler``: ``PUT {base_url}nbfiles/landing/{token}``, the body straight into the spool file.

Who may: whoever the Jupyter server knows, from its own origin, with a ticket that the kernel made. All of it is
checked in ``prepare``, before the first byte of the body: a decorator on the method alone would run after the last.

=======  ==========================================================================================================
200      every byte has landed; the body says how many
400      the body's size is not the ticket's
403      not known to the server, no XSRF token, or the wrong ``Host``
404      no such ticket here, used before, expired, given up by the kernel; or another origin
405      any method but PUT
507      the disk is full or cannot be written
=======  ==========================================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError, authenticated, stream_request_body

from nbfiles._landing import Arrival, claim

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

# Seconds that a body may take, so that a sleeping browser does not hold a descriptor for ever: the engine's own limit.
PATIENCE = 120.0
SLOWEST = 32 << 10  # bytes a second


@stream_request_body
class LandingHandler(APIHandler):
    """One file from the browser, appended to its ``.part`` piece by piece."""

    SUPPORTED_METHODS: ClassVar[tuple[str, ...]] = ("PUT",)  # type: ignore[misc]  # tornado declares it per instance
    auth_resource = "nbfiles"
    # Nothing is on its way here, and what has ended takes nothing and marks nothing. On the class, because
    # `on_connection_close` also runs for a request that `prepare` refused.
    arrival = Arrival(Path(), "", size=0, handle=-1)

    async def prepare(self) -> None:  # type: ignore[override]  # APIHandler narrows it in the same way
        """Let in whoever may, and claim the ticket; runs before the first byte of the body."""
        await super().prepare()  # host, identity, XSRF token and origin
        # The server's own check depends on how it was started (`allow_unauthenticated_access`), this one does not.
        user = self.current_user
        if user is None:
            raise HTTPError(403)
        if not await ensure_async(self.authorizer.is_authorized(self, user, "write", self.auth_resource)):
            raise HTTPError(403)
        announced = self._announced()
        try:
            arrival = claim(self.path_args[0])
        except OSError as error:
            raise HTTPError(507, "the spool folder is full or cannot be written") from error
        if arrival is None:
            raise HTTPError(404, "no such ticket")
        self.arrival = arrival
        if announced not in {None, arrival.size}:
            arrival.fail("its size is not what was announced")
            raise HTTPError(400, "the size is not the ticket's")
        connection: HTTP1Connection = self.request.connection  # type: ignore[assignment]  # declared as its base
        connection.set_max_body_size(arrival.size)  # lifts the server's 512 MiB, caps a body without length
        connection.set_body_timeout(PATIENCE + arrival.size / SLOWEST)

    def data_received(self, chunk: bytes) -> None:
        """Append what arrived. Straight from the loop: a thread for each piece costs most CPU (measured).

        Tornado hands nothing on once an answer has been given, so a landing that was refused gets no piece.
        """
        try:
            self.arrival.append(chunk)
        except OSError:
            self.arrival.fail("the disk is full or cannot be written")
            self.send_error(507)

    @authenticated
    async def put(self, _token: str) -> None:
        """Answer, once the last byte is there."""
        arrival = self.arrival
        try:
            finished = arrival.finish()
        except OSError as error:
            raise HTTPError(507, "the spool folder is full or cannot be written") from error
        if not finished:
            short = arrival.received != arrival.size
            raise HTTPError(400, "the size is not the ticket's") if short else HTTPError(404, "no longer wanted")
        self.finish({"size": arrival.size})

    def on_connection_close(self) -> None:
        """Tell the kernel that no more will come."""
        self.arrival.fail("the browser broke off")
        super().on_connection_close()

    def _announced(self) -> int | None:
        """Return the body's size as the request states it; None for a body in chunks, which is counted."""
        stated = self.request.headers.get("Content-Length")
        if stated is None:
            return None
        if not (stated.isascii() and stated.isdigit() and len(stated) < 20):
            raise HTTPError(400, "Content-Length is not a number")
        return int(stated)
