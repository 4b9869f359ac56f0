"""``Server`` and ``Proxy``: doubles that keep every byte that reached them, so that tests judge by what was sent.

They know nothing of nbfiles. A server plays scripts, one for each request, the last one for all that follow. A script
is a function of the `Exchange`: it reads as much of the request as it likes, then answers, breaks off, or sits there.
Standard library only.
"""

from __future__ import annotations

import contextlib
import email.parser
import itertools
import json
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[["Exchange"], None]

_PIECE = 1 << 16


class Wire:
    """One accepted connection: the bytes as they came over the cable (`raw`), and what they say beneath TLS."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.raw = bytearray()
        self.ended = threading.Event()  # the peer has ended the connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if context is None else context.wrap_bio(self._in, self._out, server_side=True)

    def open(self) -> None:
        """Shake hands, if this is TLS."""
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def read(self) -> bytes:
        """Return the next bytes; none when the peer has ended the connection, properly or not."""
        try:
            data = self._receive() if self._tls is None else self._decrypt()
        except OSError:
            data = b""
        if not data:
            self.ended.set()
        return data

    def write(self, data: bytes) -> None:
        """Send `data`."""
        if self._tls is None:
            return self.sock.sendall(data)
        self._tls.write(data)
        return self._flush()

    def drain(self) -> None:
        """Read until the peer ends the connection."""
        while self.read():
            pass

    def reset(self) -> None:
        """Break off with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wake(self) -> None:
        """Make whoever reads here stop."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bytes:
        data = self.sock.recv(_PIECE)
        self.raw += data
        return data

    def _decrypt(self) -> bytes:
        while True:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                self._fill()

    def _fill(self) -> None:
        data = self._receive()
        if not data:
            raise ConnectionResetError
        self._in.write(data)

    def _flush(self) -> None:
        self.sock.sendall(self._out.read())


class Exchange:
    """One request as it arrived, and the hand that answers it.

    Attributes
    ----------
    head : bytes
        Everything before the body.
    method, target : str
    headers : list of (str, str)
        Names in small letters, in their order.
    body : bytearray
        What was read of it so far.
    arrived : threading.Event
        Set when the whole request has been read.
    """

    def __init__(self, server: Server, wire: Wire, head: bytes, rest: bytes) -> None:
        self.server, self.wire, self.head = server, wire, head
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        self.method, self.target, _ = first.split(" ", 2)
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.body = bytearray(rest)
        self.arrived = threading.Event()

    def header(self, name: str) -> str | None:
        """Return the one header called `name`, or None; it must not stand there twice."""
        values = [value for found, value in self.headers if found == name]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def length(self) -> int:
        """The Content-Length, 0 where there is none."""
        return int(self.header("content-length") or 0)

    def read(self, size: int | None = None) -> bytes:
        """Read until `size` bytes of the body are there (None: all), and return what there is."""
        wanted = self.length if size is None else size
        while len(self.body) < wanted and (data := self.wire.read()):
            self.body += data
        if len(self.body) >= self.length:
            self.arrived.set()
        return bytes(self.body)

    def answer(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        """Send a whole answer; a body that is no bytes goes as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.begin(status, {"content-length": str(len(data)), **(headers or {})})
        self.wire.write(data)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send the head of an answer."""
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        self.wire.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))


class Server:
    """An HTTP/1.1 server on loopback.

    Parameters
    ----------
    *scripts : callable
        What to do with the first request, the second, and so on.
    listing : callable or None
        What to do with requests for the list of files, which then are none of those that `scripts` count.
    tls : ssl.SSLContext or None
        Makes it https.
    host : str
        Where to listen.

    Attributes
    ----------
    exchanges : list of Exchange
        Every request whose head arrived.
    wires : list of Wire
        Every connection that was accepted.
    go_on : threading.Event
        Lets scripts that sit still go on.
    files : list of dict
        What `stored` made of uploads.
    """

    def __init__(
        self,
        *scripts: Script,
        listing: Script | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.wires: list[Wire] = []
        self.files: list[dict[str, Any]] = []
        self.go_on = threading.Event()
        self._scripts = scripts or (stored,)
        self._listing = listing
        self._played = 0
        self._tls = tls
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http{'s' if tls else ''}://{shown}:{self.address[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread."""
        self.go_on.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in list(self.wires):
            wire.wake()
        for thread in list(self._threads):
            thread.join(5)

    @property
    def uploads(self) -> int:
        """How many uploads began."""
        return sum(exchange.method == "POST" for exchange in self.exchanges)

    @property
    def looks(self) -> int:
        """How many times the list was asked for."""
        return sum(target.split("?")[0] == "GET /v1/files" for target in self.targets)

    @property
    def targets(self) -> list[str]:
        """Method and target of every request, in their order."""
        return [f"{exchange.method} {exchange.target}" for exchange in self.exchanges]

    def wait_for(self, count: int, seconds: float = 5) -> Exchange:
        """Return the request number `count` (from 1) as soon as its head is there."""
        until = time.monotonic() + seconds
        while len(self.exchanges) < count and time.monotonic() < until:
            time.sleep(0.002)
        return self.exchanges[count - 1]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms
                wire = Wire(sock, self._tls)
                self.wires.append(wire)
                self._threads.append(threading.Thread(target=self._serve, args=(wire,), daemon=True))
                self._threads[-1].start()

    def _serve(self, wire: Wire) -> None:
        with wire.sock, contextlib.suppress(OSError):
            wire.open()
            rest = b""
            while True:
                while b"\r\n\r\n" not in rest and (data := wire.read()):
                    rest += data
                head, end, rest = rest.partition(b"\r\n\r\n")
                if not end:
                    return
                exchange = Exchange(self, wire, head + end, rest)
                self._script_for(exchange)(exchange)
                if not exchange.arrived.is_set() and exchange.length:
                    return  # half a request is left on the wire
                rest = bytes(exchange.body[exchange.length :])

    def _script_for(self, exchange: Exchange) -> Script:
        with self._lock:
            self.exchanges.append(exchange)
            if self._listing is not None and exchange.method == "GET" and exchange.target.split("?")[0] == "/v1/files":
                return self._listing
            self._played += 1
            return self._scripts[min(self._played, len(self._scripts)) - 1]


# -- scripts ---------------------------------------------------------------------------------------------------------


def stored(exchange: Exchange) -> None:
    """Do as the Files API does with an upload."""
    exchange.answer(200, kept(exchange), {"request-id": "req_1"})


def kept(exchange: Exchange) -> dict[str, Any]:
    """Take an upload and keep it; return its metadata."""
    exchange.read()
    file = metadata_of(exchange, f"file_{len(exchange.server.files):04}")
    exchange.server.files.append(file | {"created_at": datetime.now(UTC).isoformat()})
    return exchange.server.files[-1]


def lost(exchange: Exchange) -> None:
    """Keep an upload, and break off instead of answering."""
    kept(exchange)
    exchange.wire.reset()
    raise ConnectionResetError


def lists(*files: dict[str, Any], ahead: float = 0.0, **fields: Any) -> Script:
    """Answer a request for the list with `files`, by a clock that is `ahead` seconds ahead."""

    def script(exchange: Exchange) -> None:
        answer = {"data": list(files), "has_more": False} | fields
        exchange.answer(200, answer, {"date": formatdate(time.time() + ahead, usegmt=True)})

    return script


def lists_all(exchange: Exchange) -> None:
    """Answer a request for the list with what was kept, newest first."""
    lists(*reversed(exchange.server.files))(exchange)


def answers(status: int, body: Any = b"", **headers: str) -> Script:
    """Take the whole request, then answer so; ``retry_after="1"`` sends ``retry-after: 1``."""

    def script(exchange: Exchange) -> None:
        exchange.read()
        exchange.answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return script


def says(raw: bytes) -> Script:
    """Take the whole request, then send these very bytes and end the connection."""

    def script(exchange: Exchange) -> None:
        exchange.read()
        exchange.wire.write(raw)
        exchange.wire.wake()

    return script


def silent(exchange: Exchange) -> None:
    """Take the whole request and never answer."""
    exchange.read()
    exchange.wire.drain()


def silent_after_the_head(exchange: Exchange) -> None:
    """Take the whole request, begin an answer and never end it."""
    exchange.read()
    exchange.begin(200, {"content-length": "300"})
    exchange.wire.drain()


def deaf(exchange: Exchange) -> None:
    """Read nothing of the body until it is let go on; then see how the connection ended."""
    exchange.server.go_on.wait(30)
    exchange.wire.drain()


def drips(exchange: Exchange) -> None:
    """Take the whole request and answer with one byte each 20 ms, for as long as anybody listens."""
    exchange.read()
    exchange.begin(200, {"content-length": "100000"})
    for _ in range(100_000):
        if exchange.server.go_on.wait(0.02):
            return
        exchange.wire.write(b" ")


def breaks_off(after: int | None = None, *, reset: bool = True, early: bytes = b"") -> Script:
    """Read so many bytes of the body (None: all), say `early`, then break off with RST or FIN."""

    def script(exchange: Exchange) -> None:
        exchange.read(after)
        if early:
            exchange.wire.write(early)
        if reset:
            exchange.wire.reset()
        else:
            exchange.wire.wake()
        raise ConnectionResetError

    return script


# -- what a request says, by a parser that is not ours ---------------------------------------------------------------


class Part(NamedTuple):
    """One part of a form."""

    headers: tuple[str, ...]
    name: str
    filename: str | None
    mime_type: str
    content: bytes


def parts_by_email(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of a form as the standard library's mail parser finds them.

    Latin-1 makes one character of each byte, which keeps content exact and lets UTF-8 names be read afterwards.
    """
    message = email.parser.Parser().parsestr(f"Content-Type: {content_type}\r\n\r\n{body.decode('latin-1')}")
    assert message.is_multipart(), "no form"
    assert not message.defects, message.defects
    parts = []
    for part in message.get_payload():
        assert not part.defects, part.defects
        name, filename = (part.get_param(key, header="content-disposition") for key in ("name", "filename"))
        parts.append(
            Part(
                headers=tuple(key.lower() for key in part),
                name=name,
                filename=None if filename is None else filename.encode("latin-1").decode("utf-8"),
                mime_type=part.get_content_type() if "content-type" in part else "",
                content=part.get_payload().encode("latin-1"),
            )
        )
    return parts


def metadata_of(exchange: Exchange, file_id: str) -> dict[str, Any]:
    """Return what the Files API would say of the file in an upload."""
    (part,) = (part for part in parts_by_email(exchange.header("content-type") or "", bytes(exchange.body))
               if part.name == "file")  # fmt: skip
    return metadata(file_id, filename=part.filename, mime_type=part.mime_type, size_bytes=len(part.content))


def metadata(file_id: str = "file_0000", **fields: Any) -> dict[str, Any]:
    """Return the JSON object of a file."""
    return {
        "id": file_id,
        "type": "file",
        "filename": "report.pdf",
        "mime_type": "application/pdf",
        "size_bytes": 5,
        "created_at": "2026-11-23T10:00:00.123456Z",
        "downloadable": False,
    } | fields


# -- the proxy -------------------------------------------------------------------------------------------------------


@dataclass
class Tunnel:
    """One connection through the proxy: what was asked for, and every byte that the client sent after that."""

    head: bytes
    raw: bytearray


class Proxy:
    """An HTTP proxy on loopback that knows CONNECT, and where invented hosts are.

    Parameters
    ----------
    routes : dict of str to (str, int)
        Address of each host that it can reach; CONNECT to another, and any other request, gets 502.
    """

    def __init__(self, routes: dict[str, tuple[str, int]] | None = None) -> None:
        self.tunnels: list[Tunnel] = []
        self._routes = routes or {}
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(_PIECE)):
                head += data
            tunnel = Tunnel(head, bytearray())
            self.tunnels.append(tunnel)
            method, target, *_ = [*head.decode("latin-1").split(" "), "", ""]
            address = self._routes.get(target.rpartition(":")[0])
            if method != "CONNECT" or address is None:
                client.sendall(b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n")
                return
            with socket.create_connection(address) as server:
                self._sockets.append(server)
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = self._start(_relay, server, client, bytearray())
                _relay(client, server, tunnel.raw)
                back.join(5)


def _relay(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    """Carry bytes until either side ends, then end the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            seen += data
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def tls_records(raw: bytes) -> list[int]:
    """Return the types of the TLS records in `raw`; anything that is no TLS is an error. The last may be cut short."""
    types = []
    for _ in itertools.count():
        if len(raw) < 5:
            return types
        kind, version, length = struct.unpack("!BHH", raw[:5])
        assert kind in {20, 21, 22, 23}, f"no TLS record: {raw[:20]!r}"
        assert version in {0x0301, 0x0303}, f"no TLS version: {raw[:20]!r}"
        types.append(kind)
        raw = raw[5 + length :]
    return types
