"""A folder as one archive: the same files give the same bytes, so that an archive that was sent is known again.

Names in their order, one time and one mode for all, one way to compress; written to a temporary file, since its size
must be known before it is sent.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from nbfiles._errors import Error, SourceError
from nbfiles._names import ending_of, visible
from nbfiles._payload import Payload, Spool
from nbfiles.sources._limit import refuse_larger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbfiles.sources._request import Request

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that the format knows
_MODE = 0o100644 << 16  # a file that its owner may write and all may read
_UNIX = 3  # else the byte would tell on which system it was made
# Packed already: packing again costs time and gains nothing.
_PACKED = frozenset({
    ".7z", ".br", ".bz2", ".docx", ".feather", ".gif", ".gz", ".heic", ".jpeg", ".jpg", ".mov", ".mp3", ".mp4", ".npz",
    ".parquet", ".png", ".pptx", ".webp", ".xlsx", ".xz", ".zip", ".zst",
})  # fmt: skip


def archive(
    members: Sequence[tuple[str, Payload]], *, name: str, source: str, request: Request, notes: tuple[str, ...] = ()
) -> Payload:
    """Return the payload of a zip file of `members`.

    Parameters
    ----------
    members : sequence of (str, Payload)
        Path in the archive, with ``/`` between folders, and what stands there; in their order. They are closed.
    name : str
        The folder's own, from which the archive has its name unless the request has another.
    source : str
        What the folder is, for people.
    request : Request
    notes : tuple of str, default ()
        What the receipt should say.

    Raises
    ------
    SourceError
        If a member cannot be read, or there is no room for the archive.
    SourceChangedError
        If a member changes while it is read.
    FileTooLargeError
        As soon as the archive is larger than one file may be.
    """
    name = request.name or f"{name or 'folder'}.zip"
    with Spool() as spool:
        try:
            with zipfile.ZipFile(spool.path, "w") as packed:
                for path, payload in members:
                    _add(packed, path, payload, spool, name)
        except Error:
            raise
        except OSError as error:
            why = visible(error.strerror or "input/output error")
        else:
            spool.adopt()
            refuse_larger(name, spool.path.stat().st_size)
            return spool.payload(name=name, source=source, notes=notes, **request.mime)
    raise SourceError(f"{visible(name)} cannot be packed: {why}", "Make room, or send the files one by one.")


def _add(packed: zipfile.ZipFile, path: str, payload: Payload, spool: Spool, name: str) -> None:
    """Pack one member, 1 MiB at a time."""
    info = zipfile.ZipInfo(path, _TIME)
    info.create_system, info.external_attr = _UNIX, _MODE
    info.compress_type = zipfile.ZIP_STORED if ending_of(path) in _PACKED else zipfile.ZIP_DEFLATED
    info.file_size = payload.size  # so that zip64 is used where it must be, and only there
    try:
        with packed.open(info, "w") as member:
            for piece in payload.chunks():
                member.write(piece)
                refuse_larger(name, spool.path.stat().st_size)
    except UnicodeEncodeError:
        raise SourceError(f"{visible(path)} is no text that an archive can hold as a name", "Rename it.") from None
    finally:
        payload.close()
