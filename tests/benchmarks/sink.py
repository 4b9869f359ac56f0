"""The sink: a Files API that swallows uploads as fast as they come, in a process of its own.

It is cheap enough not to be what is measured. Without ``--verify`` it looks at the head of a request and of the file's
part only: over http the kernel drops the rest uncopied (``MSG_TRUNC``; Linux), and over https a long body's TLS records
are counted by their headers, not decrypted, after which the connection is closed (its cipher has lost its place). The
client cannot tell: it has encrypted and sent every byte, and the answer comes when the last record has. How one knows:
the sink reports its own CPU time, a figure at which it used more than the client is marked, and a raw socket (client
``raw``) is measured against it beside the others.

With ``--verify`` everything is decrypted, taken apart and hashed. A file whose name says what it holds
(``<sha256>-<bytes>.bin``) must be that, or the answer is a 400, which no client takes for a success. Sizes are checked
always.

Standard output: ``{"base_url": ...}``, then for each line of standard input a report of what came since the last one:
``{"files": ..., "bytes": ..., "cpu": seconds}``. It ends with its standard input. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE = 1 << 20  # bytes taken from the socket at a time
_LONG = 4 << 20  # bytes of a body whose records are counted instead of decrypted: those after it pay for a handshake
_DROP = socket.MSG_TRUNC if sys.platform == "linux" else 0
_RECORD = 5  # bytes of a TLS record's header; its last two are the length of what follows
_SEAL = 17  # bytes by which a TLS 1.3 record outgrows what is in it: the true type and the tag (RFC 8446, 5.2)
_NAMED = re.compile(r"([0-9a-f]{64})-(\d+)\.bin")
_BETA = b"files-api-2025-04-14"
_CREATED = "2026-01-01T00:00:00Z"


class Gone(ConnectionError):
    """The client has closed its connection."""


class Wire:
    """An accepted connection: pieces of plain text in, plain text out."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._space = memoryview(bytearray(PIECE))
        self.usable = True  # whether another request can be read

    def read(self) -> memoryview:
        """Return the next bytes, which are good until the next call."""
        return self._space[: self._receive(0, PIECE)]

    def skip(self, left: int) -> None:
        """Swallow the next `left` bytes, unseen."""
        while left > 0:
            left -= self._receive(0, min(left, PIECE), _DROP)

    def write(self, data: bytes) -> None:
        """Send `data`."""
        self._socket.sendall(data)

    def _receive(self, start: int, most: int, flags: int = 0) -> int:
        got = self._socket.recv_into(self._space[start:], most, flags)
        if not got:
            raise Gone
        return got


class SealedWire(Wire):
    """The same over TLS 1.3. OpenSSL is fed record by record, so that it never holds one that is to be counted."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(connection)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._start = self._end = 0  # of what was received and not yet fed
        self._plain = memoryview(bytearray(1 << 14))  # the most that a record holds
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            else:
                self._flush()
                return

    def read(self) -> memoryview:
        while True:
            try:
                got = self._tls.read(len(self._plain), self._plain)
            except ssl.SSLWantReadError:
                self._feed()
            else:
                if not got:
                    raise Gone
                return self._plain[:got]

    def skip(self, left: int) -> None:
        if left < _LONG:
            while left > 0:
                left -= len(self.read())
            return
        self.usable = False
        while left > 0:
            size = self._record()
            left -= size - _RECORD - _SEAL
            beyond = self._start + size - self._end
            if beyond > 0:  # the rest of this record has not come: the socket owes it before the next header
                self._start = self._end = 0
                while beyond > 0:
                    beyond -= self._receive(0, min(beyond, PIECE), _DROP)
            else:
                self._start += size

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def _record(self) -> int:
        """Return the size of the next record, header included; the header is there when this returns."""
        self._hold(_RECORD)
        at = self._start
        return _RECORD + (self._space[at + 3] << 8 | self._space[at + 4])

    def _feed(self) -> None:
        """Give OpenSSL the next record."""
        self._hold(self._record())
        size = self._record()
        self._in.write(self._space[self._start : self._start + size])
        self._start += size

    def _hold(self, size: int) -> None:
        """Receive until `size` bytes are there that were not fed."""
        while self._end - self._start < size:
            if self._start > PIECE // 2:
                rest = bytes(self._space[self._start : self._end])
                self._space[: len(rest)] = rest
                self._start, self._end = 0, len(rest)
            self._end += self._receive(self._end, PIECE - self._end)

    def _flush(self) -> None:
        if self._out.pending:
            self._socket.sendall(self._out.read())


class Body:
    """The body of one request, by Content-Length or in chunks, taken from what came with the head and then the wire."""

    def __init__(self, wire: Wire, head: bytes, rest: bytes) -> None:
        self._wire = wire
        self._rest = rest
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        chunked = re.search(rb"(?im)^transfer-encoding: *chunked", head)
        self.left: int | None = None if chunked else int(length[1]) if length else 0  # None: nobody has said
        self.size = 0  # bytes that were read

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the rest of the body, undone of its chunks."""
        for piece in self._chunks() if self.left is None else self._plain():
            self.size += len(piece)
            yield piece

    def skip(self) -> None:
        """Swallow the rest of the body."""
        if self.left is None:
            for _ in self.pieces():
                pass
        else:
            self.size += self.left
            self._wire.skip(self.left)

    def _plain(self) -> Iterator[bytes | memoryview]:
        piece: bytes | memoryview = self._rest
        while True:
            self.left -= len(piece)
            yield piece
            if not self.left:
                return
            piece = self._wire.read()

    def _chunks(self) -> Iterator[bytes]:
        held = bytearray(self._rest)
        while True:
            while b"\r\n" not in held:
                held += self._wire.read()
            line, _, held = held.partition(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            while len(held) < size + 2:
                held += self._wire.read()
            if not size:
                return
            yield bytes(held[:size])
            del held[: size + 2]


class Sink:
    """What all connections share: how it answers, and what has come.

    Parameters
    ----------
    verify : bool
        Whether what comes is hashed and compared.
    latency : float
        Seconds from the last byte of an upload to its answer.
    listing : int
        Files in the list.
    context : ssl.SSLContext or None
        TLS, or none.
    """

    def __init__(self, *, verify: bool, latency: float, listing: int, context: ssl.SSLContext | None) -> None:
        self._verify = verify
        self._latency = latency
        self._context = context
        self._ids = itertools.count(1)
        self._list = [
            json.dumps(_metadata(f"file_{number:024}", f"file-{number:06}.csv", 1000 + number), separators=(",", ":"))
            for number in range(listing)
        ]
        self._lock = threading.Lock()
        self._files = self._bytes = 0
        self._cpu = time.process_time()

    def report(self) -> dict[str, float]:
        """Return what came since the last report."""
        with self._lock:
            now = time.process_time()
            said = {"files": self._files, "bytes": self._bytes, "cpu": now - self._cpu}
            self._files = self._bytes = 0
            self._cpu = now
        return said

    def accept(self, listener: socket.socket) -> None:
        """Give every connection a thread: they wait most of the time, and waiting threads cost nothing."""
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        """Answer one request after another on `connection`, until the client goes away."""
        with connection:
            try:
                wire = Wire(connection) if self._context is None else SealedWire(connection, self._context)
                while wire.usable:
                    self._exchange(wire)
            except (OSError, Gone):
                return

    def _exchange(self, wire: Wire) -> None:
        buffer = bytearray()
        while b"\r\n\r\n" not in buffer:
            buffer += wire.read()
        head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
        if re.search(rb"(?im)^expect: *100-continue", head):  # curl, which else waits a second
            wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        ga = _BETA not in head
        if head.startswith(b"GET "):
            status, answer = "200 OK", self._page(head.split(b" ", 2)[1].decode(), ga=ga)
        else:
            status, answer = self._upload(head, Body(wire, head, rest), ga=ga)
            if self._latency:
                time.sleep(self._latency)
        close = "" if wire.usable else "connection: close\r\n"
        lines = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n{close}\r\n"
        wire.write(lines.encode() + answer)

    def _upload(self, head: bytes, body: Body, *, ga: bool) -> tuple[str, bytes]:
        """Swallow an upload; return the status and the metadata of the file in it, or what is wrong with it."""
        boundary = re.search(rb'(?im)^content-type: *multipart/form-data;.*?boundary="?([^"\r\n;]+)', head)[1]
        tail = b"\r\n--" + boundary + b"--\r\n"
        pieces = body.pieces()
        start = bytearray()
        while (found := re.search(rb'(?is)name="?file"?;.*?\r\n\r\n', start)) is None:
            start += next(pieces)
        name = re.search(rb'filename="([^"]*)"', found[0])[1].decode()
        wrong, digest = "", None
        if self._verify:
            digest, end = _hash(itertools.chain([start[found.end() :]], pieces), len(tail))
            wrong = "" if end == tail else "the body does not end with its boundary"
        else:
            body.skip()
        size = body.size - found.end() - len(tail)
        expected = _NAMED.fullmatch(name)
        if expected and (size != int(expected[2]) or digest not in (None, expected[1])):
            wrong = "what arrived is not what was sent"
        with self._lock:
            self._files += 1
            self._bytes += size
        if wrong:
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": wrong}}
            return "400 Bad Request", json.dumps(error).encode()
        answer = _metadata(f"file_{next(self._ids):024}", name, size) | ({"expires_at": None} if ga else {})
        return "200 OK", json.dumps(answer | {"sha256": digest}).encode()

    def _page(self, target: str, *, ga: bool) -> bytes:
        """Return a page of the list, as the surface has it."""
        found = re.search(r"[?&](?:page=page_|after_id=file_)(\d+)", target)
        limit = re.search(r"[?&]limit=(\d+)", target)
        start = int(found[1]) + (not ga) if found else 0  # a page begins where it says, the other after the last file
        end = min(start + (int(limit[1]) if limit else 20), len(self._list))
        more = end < len(self._list)
        data = ",".join(self._list[start:end])
        if ga:
            return f'{{"data":[{data}],"next_page":{json.dumps(f"page_{end}" if more else None)}}}'.encode()
        ends = f'"file_{start:024}","last_id":"file_{end - 1:024}"'
        return f'{{"data":[{data}],"has_more":{json.dumps(more)},"first_id":{ends}}}'.encode()


def _metadata(file_id: str, name: str, size: int) -> dict[str, object]:
    return {
        "id": file_id,
        "type": "file",
        "filename": name,
        "mime_type": "application/octet-stream",
        "size_bytes": size,
        "created_at": _CREATED,
        "downloadable": False,
    }


def _hash(pieces: Iterator[bytes | memoryview], tail: int) -> tuple[str, bytes]:
    """Return the sha256 of all but the last `tail` bytes, and those: the closing boundary is not the file's."""
    digest, held = hashlib.sha256(), b""
    for piece in pieces:
        held += piece
        digest.update(memoryview(held)[:-tail])
        held = held[-tail:]
    return digest.hexdigest(), held


def serve(sink: Sink) -> None:
    """Listen on a free port, say which, and report for each line of the standard input until it ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    scheme = "http" if sink._context is None else "https"
    print(json.dumps({"base_url": f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    threading.Thread(target=sink.accept, args=(listener,), daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(sink.report()), flush=True)


def context(certificate: Path | str) -> ssl.SSLContext:
    """Return TLS with the certificate and the key in one PEM file; 1.3 only, whose records `SealedWire` can count."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(certificate)
    return made


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--listing", type=int, default=0)
    parser.add_argument("--certificate")
    options = parser.parse_args()
    tls = context(options.certificate) if options.certificate else None
    serve(Sink(verify=options.verify, latency=options.latency, listing=options.listing, context=tls))


if __name__ == "__main__":
    main()
