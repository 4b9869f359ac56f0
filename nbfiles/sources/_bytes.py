"""Bytes in memory as one payload: ``bytes``, ``bytearray``, ``memoryview`` and ``BytesIO``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from nbfiles._names import HEAD, OCTETS, TYPES, filename_for, mime_type_for
from nbfiles._payload import Payloads, bytes_payload
from nbfiles.sources._registry import named

if TYPE_CHECKING:
    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is bytes that lie in memory."""
    return isinstance(obj, bytes | bytearray | memoryview | io.BytesIO)


def payloads(obj: bytes | bytearray | memoryview | io.BytesIO, request: Request) -> Payloads:
    """Return the one payload of the bytes as they are now; of a BytesIO all of them, wherever it stands."""
    data = obj.getvalue() if isinstance(obj, io.BytesIO) else bytes(obj)
    name = request.name or own_name(obj) or filename_for(request.label, ending_for(data[:HEAD]))
    return Payloads([bytes_payload(data, name=name, source=named(request, "<bytes>"), **request.mime)], many=False)


def own_name(obj: Any) -> str | None:
    """Return the file name that a file object carries as ``.name``, without its folders; None if it has none."""
    name = getattr(obj, "name", None)
    if not isinstance(name, str) or name.startswith("<"):  # <stdin>, <fdopen>
        return None
    return name.replace("\\", "/").rpartition("/")[2] or None


def ending_for(head: bytes) -> str:
    """Return the ending for content that begins with `head`; ``.bin`` if nothing is known."""
    mime_type = mime_type_for("", head=head, purpose="container")
    if mime_type == OCTETS:
        return ".bin"
    return next((ending for ending, known in TYPES.items() if known == mime_type), ".bin")
