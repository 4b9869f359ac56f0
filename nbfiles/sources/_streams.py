"""An open binary file as one payload: whatever has a ``read()`` that gives bytes.

A regular file that lies on disk under its name is sent from there, from its first byte, without touching the position.
Everything else is copied into a temporary file first: from its first byte if it can seek (its position is put back),
from where it stands if it cannot.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbfiles._errors import SourceError
from nbfiles._names import HEAD, filename_for, visible
from nbfiles._payload import CHUNK, Payload, Payloads, Spool, file_payload
from nbfiles.sources._bytes import ending_for, own_name
from nbfiles.sources._registry import named, type_name

if TYPE_CHECKING:
    from nbfiles.sources._request import Request

# These read what is inside the file that their name calls: the ending that says "packed" would be wrong.
_UNPACKING = {"gzip": ".gz", "bz2": ".bz2", "lzma": ".xz"}


def matches(obj: Any) -> bool:
    """Whether `obj` can be read from."""
    return callable(getattr(obj, "read", None)) and not isinstance(obj, type)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the open file."""
    if isinstance(obj, io.TextIOBase):
        raise _text(request)
    if getattr(obj, "closed", False) is True:
        raise SourceError(f"{named(request, 'the file')} is closed", "Name its path, or open it again.")
    path = _on_disk(obj)
    payload = _spooled(obj, request) if path is None else file_payload(path, name=request.name, **request.mime)
    return Payloads([payload], many=False)


def _text(request: Request) -> SourceError:
    return SourceError(
        f"{named(request, 'the file')} is open as text, and only bytes can be sent",
        "Open it with mode 'rb', name its path, or encode what it holds.",
    )


def _on_disk(obj: Any) -> Path | None:
    """Return the path under which the open file lies on disk as a regular file, if that is certain."""
    if not isinstance(obj, io.FileIO | io.BufferedReader | io.BufferedRandom):
        return None  # a GzipFile has a descriptor and a name too, and means what is inside
    if not isinstance(getattr(obj, "raw", obj), io.FileIO) or not obj.readable():
        return None
    if obj.writable():
        obj.flush()
    name = getattr(obj, "name", None)
    if not isinstance(name, str | bytes | os.PathLike):
        return None
    try:
        opened = os.fstat(obj.fileno())
        found = Path(os.fsdecode(name)).stat()
    except (OSError, ValueError):
        return None
    same = stat.S_ISREG(opened.st_mode) and (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
    return Path(os.fsdecode(name)) if same else None


def _spooled(obj: Any, request: Request) -> Payload:
    with Spool() as spool:
        head = _copy(obj, spool, request)
        return spool.payload(
            name=request.name or _name(obj) or filename_for(request.label, ending_for(head)),
            source=named(request, own_name(obj) or "<stream>"),
            **request.mime,
        )


def _name(obj: Any) -> str | None:
    packed = _UNPACKING.get(type(obj).__module__)
    name = own_name(obj)
    return name.removesuffix(packed) if name and packed else name


def _copy(obj: Any, spool: Spool, request: Request) -> bytes:
    """Copy what `obj` holds into `spool`, put its position back, and return the first bytes."""
    try:
        place = obj.tell() if _can_seek(obj) else None
        if place is not None:
            obj.seek(0)
        try:
            return _drain(obj, spool, request)
        finally:
            if place is not None:
                obj.seek(place)
    except (OSError, io.UnsupportedOperation) as error:
        raise SourceError(
            f"{named(request, 'the file')} cannot be read: {visible(str(error) or type(error).__name__)}",
            "Name its path, or read it yourself and upload the bytes.",
        ) from None


def _can_seek(obj: Any) -> bool:
    seekable = getattr(obj, "seekable", None)
    return bool(seekable()) if callable(seekable) else False


def _drain(obj: Any, spool: Spool, request: Request) -> bytes:
    head = b""
    while piece := obj.read(CHUNK):
        if isinstance(piece, str):
            raise _text(request)
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise SourceError(
                f"read() of {named(request, 'this')} gave {type_name(piece)}", "It must give bytes; upload those."
            )
        spool.write(piece)
        if len(head) < HEAD:
            head += bytes(piece[: HEAD - len(head)])
    return head
