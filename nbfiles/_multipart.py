r"""``Multipart``: a form with one file, as a stream of bytes of exact length that can be started anew.

The encoding is RFC 7578, with the file name as UTF-8 in quotes as browsers send it (WHATWG, "multipart/form-data
encoding algorithm"). Names are checked before (`_names.check_filename`), so none needs escaping: the characters that
would (``"``, CR, LF, ``\``) are refused by the Files API itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbfiles._names import check_filename, check_mime_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbfiles._payload import Digest, Payload

SMALL = 1 << 17  # bytes


class Multipart:
    """A ``multipart/form-data`` body: plain fields first, then the part named ``file``.

    Parameters
    ----------
    payload : Payload
        The file.
    fields : Mapping of str to str, default {}
        Plain form fields, such as ``expires_in_seconds``; names and values are the caller's own, in ASCII.

    Attributes
    ----------
    content_type : str
        For the header; it carries a boundary of 128 random bits (RFC 2046 wants it absent from the content).
    content_length : int
        Bytes of the whole body.
    head_size : int
        Bytes of the body before the file's first.
    """

    def __init__(self, payload: Payload, fields: Mapping[str, str] | None = None) -> None:
        boundary = os.urandom(16).hex()
        name, mime_type = check_filename(payload.name), check_mime_type(payload.mime_type)
        head = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in (fields or {}).items()
        ]
        head.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {mime_type}\r\n\r\n"
        )
        self._payload = payload
        self._head = "".join(head).encode("utf-8")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.head_size = len(self._head)
        self.content_length = len(self._head) + payload.size + len(self._tail)

    def chunks(self, digest: Digest | None = None) -> Iterator[bytes]:
        """Yield the body from its start, exactly `content_length` bytes in all, in pieces of at most 1 MiB.

        A small body is one piece: to send three takes longer than to join them (measured). Every call opens the
        payload anew, so a second attempt sends the same bytes. `digest` takes in the file's.

        Raises
        ------
        SourceChangedError
            Before the end, if the payload is no longer what was measured.
        """
        if self.content_length <= SMALL:
            yield b"".join((self._head, *self._payload.chunks(digest), self._tail))
            return
        yield self._head
        yield from self._payload.chunks(digest)
        yield self._tail
