"""A file on the web: an ``http(s)://`` URL as one payload, streamed from its server to the Files API.

Nothing is kept: every attempt asks anew and hands on 1 MiB at a time. One question for the first bytes tells the size,
and the version (ETag, Last-Modified) by which a change is seen. A connection that breaks is taken up where it broke,
if the server still has that version. Where the server does not say how large the file is, it goes through a temporary
file first.

By the standard library (`_get`): httpx has its door in ``_client``, floors above, and a plain URL needs no extra.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from nbfiles._errors import SourceChangedError, SourceError
from nbfiles._names import HEAD, check_filename, ending_of, mime_type_for
from nbfiles._payload import CHUNK, Payload, Payloads, Spool
from nbfiles.sources._get import Address, Line
from nbfiles.sources._limit import refuse_larger

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from nbfiles.sources._get import Answer, Seen
    from nbfiles.sources._request import Request

RESUMES = 3  # times that a reader takes up a connection that broke without having brought a byte
FIRST_WAIT = 0.25  # seconds before it does; doubles


def payloads(url: str, request: Request, *, shown: str, check: Callable[[str], str]) -> Payloads:
    """Return the one payload of the file at `url`.

    Parameters
    ----------
    url : str
        Checked, in ASCII.
    request : Request
        Its `storage_options` are headers, as pandas has it for web addresses.
    shown, check
        As in `Address`.
    """
    request.refuse_zip("a web address")
    address = Address(url, shown, request.storage_options, check)
    with contextlib.closing(address.get(last=HEAD - 1)) as answer:
        head = answer.read(HEAD)
        name = check_filename(request.name or _name(url, answer.headers) or "index.html")
        mime_type = mime_type_for(name, head=head, **request.mime)
        notes = _is_a_page(name, shown, answer.headers)
        seen = answer.seen
    if seen.size is None:
        return Payloads([_spooled(address, request, name, notes)], many=False)
    readers = _Readers(address, seen)
    made = Payload(name, mime_type, seen.size, readers.open, shown, notes=notes, discard=readers.cut)
    return Payloads([made], many=False)


def _name(url: str, headers: Message) -> str:
    """Choose the file name: that of the path if it has an ending, else the server's, else that of the path.

    Both are data: what stands before the last slash or backslash, written plainly or not, is no part of it.
    """
    in_path = _last(unquote(urlsplit(url).path))
    return in_path if ending_of(in_path) else _last(headers.get_filename() or "") or in_path


def _last(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def _is_a_page(name: str, shown: str, headers: Message) -> tuple[str, ...]:
    """Say so if a web page came where a file was named: mostly it is a page to sign in, or one about the file."""
    if headers.get_content_type() == "text/html" and ending_of(name) not in {"", ".html", ".htm"}:
        return (f"{shown} is a web page, whatever its name says",)
    return ()


def _spooled(address: Address, request: Request, name: str, notes: tuple[str, ...]) -> Payload:
    """Copy what has no known size into a temporary file."""
    with Spool() as spool, contextlib.closing(address.get()) as answer:
        size = 0
        while piece := answer.read(CHUNK):
            size += spool.write(piece)
            refuse_larger(name, size)
        return spool.payload(name=name, source=address.shown, notes=notes, **request.mime)


class _Readers:
    """The readers of one payload, and the way to stop them all: a worker that waits for a server does not look up."""

    def __init__(self, address: Address, seen: Seen) -> None:
        self._address, self._seen = address, seen
        self._lock = threading.Lock()
        self._lines: set[Line] = set()

    def open(self) -> BinaryIO:
        """Return a new reader from byte 0."""
        line = Line()
        with self._lock:
            self._lines.add(line)
        return cast("BinaryIO", _Reader(self._address, self._seen, line))

    def cut(self) -> None:
        """Stop every reader."""
        with self._lock:
            for line in self._lines:
                line.cut()
            self._lines.clear()


class _Reader(io.RawIOBase):
    """Reads one version of the file from its first byte, over as many connections as it takes."""

    def __init__(self, address: Address, seen: Seen, line: Line) -> None:
        super().__init__()
        self._address, self._seen, self._line = address, seen, line
        self._at = self._idle = 0  # bytes read; times in a row that a connection brought none
        self._answer: Answer | None = self._ask()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`; none at the end of the file."""
        while True:
            failure: SourceError | None = None
            piece = b""
            try:
                self._answer = self._answer or self._ask()
                piece = self._answer.read(size)
            except SourceError as error:
                failure = error
            if piece or (failure is None and self._at >= (self._seen.size or 0)):
                self._at += len(piece)
                self._idle = 0
                return piece
            self._hang_up()
            if self._line.over or self._idle == RESUMES:
                raise failure or SourceError(
                    f"{self._address.shown} cannot be read: the connection broke", "Nothing was bound. Run it again."
                )
            time.sleep(FIRST_WAIT * (1 << self._idle))
            self._idle += 1

    def check_unchanged(self) -> bool:
        """Whether the server still has the version that was measured."""
        with contextlib.closing(self._address.get(last=0, line=self._line)) as answer:
            return answer.seen == self._seen

    def close(self) -> None:
        """Let go of the connection."""
        self._hang_up()
        super().close()

    def _hang_up(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _ask(self) -> Answer:
        """Ask for the rest of the file, of the version that was measured."""
        answer = self._address.get(self._at, line=self._line)
        if answer.seen == self._seen and answer.start == self._at:
            return answer
        answer.close()
        if answer.seen == self._seen:
            raise SourceError(
                f"{self._address.shown} cannot be read: the connection broke, and its server sends no parts",
                "Nothing was bound. Run the line again.",
            )
        raise SourceChangedError(
            f"{self._address.shown} is no longer what it was when it was measured",
            "Nothing was bound. Run the line again once nobody writes to it.",
        )
