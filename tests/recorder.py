"""A TCP server that writes down what arrives, and answers every request alike, or not at all."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recorder:
    """A server on loopback; ``with Recorder(answer) as server``.

    Parameters
    ----------
    status : str, default ""
        Such as ``"401 Unauthorized"``; without one no request is ever answered.
    body : str, default "{}"
        JSON.
    deaf : bool, default False
        Whether it takes the head of a request and then reads no more.

    Attributes
    ----------
    requests : list of bytes
        What arrived, one entry a request (with its body, as far as it came).
    connections : int
        How many were made, requests or not.
    """

    def __init__(self, status: str = "", body: str = "{}", *, deaf: bool = False) -> None:
        self._answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode() if status else b""
        self._deaf = deaf
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.reached = threading.Event()  # the head has come if it is deaf, else a whole request

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        if self._deaf:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:  # the listener is closed
                return
            self.connections += 1
            self._open.append(taken)
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        try:
            for request in self._requests(taken):
                self.requests.append(request)
                self.reached.set()
                if self._answer:
                    taken.sendall(self._answer)
        except OSError:  # broken off, by either side
            return

    def _requests(self, taken: socket.socket) -> Iterator[bytes]:
        got = b""
        while piece := taken.recv(1 << 16):
            got += piece
            head, ends, body = got.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if ends and self._deaf:
                self.requests.append(got)
                self.reached.set()
                return
            if ends and len(body) >= (int(length[1]) if length else 0):
                yield got
                got = b""
