"""The sink: a server that swallows uploads as fast as they come and answers with the metadata they should have.

It runs as a process of its own, so that its work is not the client's. With ``--verify`` it also hashes what it got; the
client compares, so that no measurement is of bytes that were not sent.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import socket
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20
_TAIL = len("\r\n--") + 32 + len("--\r\n")  # the closing boundary of nbfiles: 32 hex digits


def serve(*, verify: bool) -> None:
    """Listen on a free port, say which, and serve until the standard input closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    threading.Thread(target=_accept, args=(listener, verify), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket, verify: bool) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_converse, args=(connection, verify), daemon=True).start()


def _converse(connection: socket.socket, verify: bool) -> None:
    """Answer one request after another on `connection`."""
    with connection:
        buffer = bytearray()
        while True:
            while b"\r\n\r\n" not in buffer:
                piece = connection.recv(_PIECE)
                if not piece:
                    return
                buffer += piece
            head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
            buffer = bytearray()
            length = int(re.search(rb"(?im)^content-length: *(\d+)", head)[1])
            connection.sendall(_answer(_body(connection, rest, length), length, verify))


def _body(connection: socket.socket, rest: bytes, length: int) -> Iterator[memoryview]:
    """Yield the body in pieces: what came with the head, then what the socket gives, into one buffer."""
    yield memoryview(rest)
    left = length - len(rest)
    space = memoryview(bytearray(_PIECE))
    while left:
        got = connection.recv_into(space, min(left, _PIECE))
        if not got:
            raise ConnectionError("the client went away")
        left -= got
        yield space[:got]


def _answer(body: Iterator[memoryview], length: int, verify: bool) -> bytes:
    """Swallow the body and describe the file that was in it."""
    start, digest, held = bytearray(), hashlib.sha256(), b""
    for piece in body:
        start += piece
        if b"\r\n\r\n" in start:
            break
    begin = start.index(b"\r\n\r\n") + 4
    for piece in itertools.chain([memoryview(bytes(start[begin:]))], body):
        if verify:  # the closing boundary is not the file's: hold back as many bytes as it has
            held += bytes(piece)
            digest.update(held[:-_TAIL])
            held = held[-_TAIL:]
    name = re.search(rb'filename="([^"]*)"', start)[1].decode()
    answer = json.dumps(
        {
            "id": "file_sink",
            "type": "file",
            "filename": name,
            "mime_type": "application/octet-stream",
            "size_bytes": length - begin - _TAIL,
            "created_at": "2026-01-01T00:00:00Z",
            "sha256": digest.hexdigest() if verify else None,
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer)


if __name__ == "__main__":
    serve(verify="--verify" in sys.argv)
