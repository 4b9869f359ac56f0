"""``FaultServer``: a Files API in memory that goes wrong on cue, and keeps what really was stored.

::

    Step(when, what)      when   after_headers | a number of bytes of the body | after_body | after_store
                          what   rst | fin | hang | drip | flood | answer | raw

The k-th request of a verb plays the k-th of its steps; when they are used up, the verb works. Trials are judged by
`FaultServer.stored`, never by what the client believes. No step lasts for ever, so that a trial that failed leaves no
thread behind, and all end at once when the server is closed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from doubles import Exchange, Server, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NOTHING: dict[str, Any] = {}
LONGEST = 10.0  # seconds for which it drips or floods


@dataclass
class Stored:
    """One file at the server.

    Parameters
    ----------
    name, sha256, size
        As they arrived.
    connection : int
        The number of the connection that it came over; -1 if it was there before.
    created : datetime
        By the server's clock.
    visible_at : float
        Of `time.monotonic`: lists may lag behind.
    """

    name: str
    mime_type: str
    size: int
    sha256: str
    connection: int
    created: datetime
    visible_at: float = 0.0
    downloadable: bool = False
    content: bytes = b""
    id: str = field(default_factory=lambda: f"file_{secrets.token_hex(10)}")

    @property
    def said(self) -> dict[str, Any]:
        """What the API says of it."""
        return metadata(
            self.id,
            filename=self.name,
            mime_type=self.mime_type,
            size_bytes=self.size,
            created_at=self.created.isoformat(),
            downloadable=self.downloadable,
        )


@dataclass(frozen=True)
class Step:
    """What goes wrong with one request, and when.

    Parameters
    ----------
    body : Any
        Of the answer: bytes, or what goes as JSON; a function is given what the API would have said. None says that.
    raw : bytes or None
        Sent as it is, instead of a head and a body.
    delay : float
        Seconds after which a file that this request stores is visible in lists.
    before_end : float
        Seconds between the answer and the end of the connection, where `what` is ``rst`` and `status` is set.
    """

    when: str | int = "after_store"
    what: str = "answer"
    status: int = 0
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay: float = 0.0
    before_end: float = 0.0


class FaultServer(Server):
    """A Files API on loopback with a script of faults.

    Parameters
    ----------
    *uploads : Step
        For the first upload, the second, and so on.
    skew : timedelta
        How far its clock is ahead.
    newest_first : bool
        False: lists come in any order.
    page_size : int
        The most files on one page.
    **others : list of Step
        For ``list``, ``get``, ``download`` and ``delete``.

    Attributes
    ----------
    stored : list of Stored
        The truth, oldest first.
    steps : dict of str to deque of Step
    """

    def __init__(
        self,
        *uploads: Step,
        skew: timedelta = timedelta(0),
        newest_first: bool = True,
        page_size: int = 1000,
        tls: Any = None,
        **others: Iterable[Step],
    ) -> None:
        self.stored: list[Stored] = []
        self.steps: dict[str, deque[Step]] = defaultdict(deque, upload=deque(uploads))
        for verb, steps in others.items():
            self.steps[verb] = deque(steps)
        self.by_name: dict[str, Step] = {}  # what goes wrong with every upload of a name
        self.skew = skew
        self._newest_first, self._page_size = newest_first, page_size
        self._truth = threading.Lock()
        super().__init__(self._play, tls=tls)
        # An answer goes out in two writes; without this the second waits 40 ms for the client's delayed ACK.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def now(self) -> datetime:
        """What time it is here."""
        return datetime.now(UTC) + self.skew

    def seed(self, name: str, content: bytes, *, age: float = 60, **fields: Any) -> Stored:
        """Put in a file that has been there for `age` seconds."""
        digest = hashlib.sha256(content).hexdigest()
        created = self.now - timedelta(seconds=age)
        file = Stored(name, "application/octet-stream", len(content), digest, -1, created, content=content, **fields)
        self.stored.append(file)
        self.stored.sort(key=lambda each: each.created)
        return file

    def holding(self, content: bytes) -> list[Stored]:
        """Return the files that have this content and were not there before."""
        digest = hashlib.sha256(content).hexdigest()
        return [file for file in self.stored if (file.sha256, file.connection >= 0) == (digest, True)]

    def __contains__(self, file_id: object) -> bool:
        return any(file.id == file_id for file in self.stored)

    def rest(self, seconds: float = 10) -> None:
        """Let whoever sits still go on, and wait until every connection that clients have ended is dealt with.

        From then on `stored` is what it will be, whatever was still on its way when a client was interrupted.
        """
        until = time.monotonic() + seconds

        def wait_until(condition: Callable[[], bool]) -> None:
            while not condition():
                assert time.monotonic() < until, "a connection does not end"
                time.sleep(0.002)

        self.go_on.set()
        with socket.create_connection(self.address) as last:  # they are accepted in their order
            name = last.getsockname()
            wait_until(lambda: name in [_peer(wire.sock) for wire in self.wires])
        wait_until(lambda: all(wire.sock.fileno() < 0 for wire in self.wires))
        self.go_on.clear()

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def _play(self, exchange: Exchange) -> None:
        path = urlsplit(exchange.target).path
        verb = {"POST": "upload", "DELETE": "delete"}.get(exchange.method)
        verb = verb or ("list" if path == "/v1/files" else "download" if path.endswith("/content") else "get")
        with self._truth:
            step = self.steps[verb].popleft() if self.steps[verb] else Step()
        status, said = 200, NOTHING
        if verb == "upload":
            if isinstance(step.when, int):
                exchange.read(step.when)
            elif step.when != "after_headers":
                file = self._receive(exchange)
                step, said = self.by_name.get(file.name, step), file.said
                if step.when == "after_store":
                    file.visible_at = time.monotonic() + step.delay
                    self.stored.append(file)
        elif step.when == "after_store":
            with self._truth:
                status, said = self._list(exchange) if verb == "list" else self._one(verb, unquote(path.split("/")[3]))
        self._end(exchange, step, status, said)

    def _receive(self, exchange: Exchange) -> Stored:
        """Read an upload to its end, keeping only its digest; it is laid out as the contract says.

        That is: plain fields, then the file, then the closing boundary. Other parsers are asked in ``tests/contract``.
        """
        content_type = exchange.header("content-type") or ""
        boundary = content_type.partition("boundary=")[2].encode()
        start = -1
        while start < 0:
            field = exchange.body.find(b'name="file"')
            start = exchange.body.find(b"\r\n\r\n", max(field, 0)) if field >= 0 else -1
            if start < 0:
                exchange.body += self._more(exchange)
        head, tail = bytes(exchange.body[:start]), b"\r\n--%b--\r\n" % boundary
        rest, exchange.body = bytes(exchange.body[start + 4 :]), bytearray()
        size = left = exchange.length - start - 4 - len(tail)
        digest = hashlib.sha256()
        while True:
            piece = rest or self._more(exchange)
            digest.update(piece[:left])
            end, rest = piece[left:], b""
            left = max(0, left - len(piece))
            if end:
                while len(end) < len(tail):
                    end += self._more(exchange)
                assert end == tail, "the form does not end where it says"
                break
        exchange.arrived.set()
        named = re.search(rb'filename="([^"]*)"\r\nContent-Type: ([^\r]+)$', head)
        assert named is not None, head
        name, mime_type = (group.decode() for group in named.groups())
        wire = self.wires.index(exchange.wire)
        return Stored(name, mime_type, size, digest.hexdigest(), wire, self.now)

    def _more(self, exchange: Exchange) -> bytes:
        data = exchange.wire.read()
        if not data:
            raise ConnectionResetError  # the client broke off, so there is nothing whole to keep
        return data

    def _one(self, verb: str, file_id: str) -> tuple[int, Any]:
        for file in self.stored:
            if file.id != file_id:
                continue
            if verb == "delete":
                self.stored.remove(file)
                return 200, {"id": file_id, "type": "file_deleted"}
            return 200, file.content if verb == "download" else file.said
        return 404, {"type": "error", "error": {"type": "not_found_error", "message": "no such file"}}

    def _list(self, exchange: Exchange) -> tuple[int, Any]:
        """Answer with a page of the surface that was asked for; its cursors name the last file of the page before."""
        query = {name: values[-1] for name, values in parse_qs(urlsplit(exchange.target).query).items()}
        files = [file for file in reversed(self.stored) if file.visible_at <= time.monotonic()]
        if not self._newest_first:
            files.sort(key=lambda file: file.id)
        if "ids[]" in query:
            return 200, {"data": [file.said for file in files if file.id == query["ids[]"]], "next_page": None}
        after = query.get("after_id") or query.get("page", "").removeprefix("page_")
        start = next((number for number, file in enumerate(files, 1) if file.id == after), 0)
        size = min(int(query.get("limit", 20)), self._page_size)
        page, more = files[start : start + size], len(files) > start + size
        data = [file.said for file in page]
        if query.get("beta") == "true":
            ends = {"first_id": page[0].id if page else None, "last_id": page[-1].id if page else None}
            return 200, {"data": data, "has_more": more, **ends}
        return 200, {"data": data, "next_page": f"page_{page[-1].id}" if more else None}

    # -- how a request ends ------------------------------------------------------------------------------------------

    def _end(self, exchange: Exchange, step: Step, status: int, said: Any) -> None:
        if step.raw is not None:
            exchange.wire.write(step.raw)
        elif step.what == "answer" or step.status:
            body = said if step.body is None else step.body(said) if callable(step.body) else step.body
            date = format_datetime(self.now, usegmt=True)
            exchange.answer(step.status or status, body, {"date": date, **step.headers})
        if step.what != "answer":
            self.go_on.wait(step.before_end)
            getattr(self, f"_{step.what}")(exchange)
            raise ConnectionResetError  # the connection is over

    def _rst(self, exchange: Exchange) -> None:
        exchange.wire.reset()

    def _fin(self, exchange: Exchange) -> None:
        exchange.wire.wake()

    def _hang(self, _exchange: Exchange) -> None:
        """Read nothing more and say nothing more: a large body finds the window at zero."""
        self.go_on.wait(30)

    def _drip(self, exchange: Exchange) -> None:
        exchange.begin(200, {"content-length": "100000"})
        until = time.monotonic() + LONGEST
        while time.monotonic() < until and not self.go_on.wait(0.02):
            exchange.wire.write(b" ")

    def _flood(self, exchange: Exchange) -> None:
        exchange.wire.sock.settimeout(LONGEST)  # for a client that reads nothing of it
        until = time.monotonic() + LONGEST
        while time.monotonic() < until and not self.go_on.is_set():
            exchange.wire.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 50)


def _peer(sock: socket.socket) -> Any:
    """Return who is at the other end; None if nobody is any more."""
    try:
        return sock.getpeername()
    except OSError:
        return None
