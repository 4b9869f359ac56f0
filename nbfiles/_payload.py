"""``Payload``: one file to be sent, whatever it was in the notebook; reopenable, and it knows if it changed.

Every source (a path, a frame, bytes, an open file) becomes payloads at the door; the engine behind asks nobody what
they were. A payload that keeps a temporary file removes it in `Payload.close`.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

from nbfiles._errors import SourceChangedError, SourceError
from nbfiles._names import HEAD, check_filename, mime_type_for, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

CHUNK = 1 << 20  # bytes per read and per write; smaller costs CPU, larger costs memory (measured)


class Hash(Protocol):
    """What the digest of a stream needs: ``hashlib``'s and ``blake3``'s objects both have it."""

    def update(self, data: bytes | memoryview, /) -> Any:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""


class Digest:
    """The tagged digest of a stream of bytes: ``blake3:...``, or ``sha256:...`` where that package is missing.

    BLAKE3-256 costs a quarter of SHA-256 and is collision-resistant too, so an equal digest means an equal file.
    """

    def __init__(self) -> None:
        self._hash, self.algorithm = _new_hash()

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self._hash.update(data)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self._hash.hexdigest()}"


def _new_hash() -> tuple[Hash, str]:
    try:
        from blake3 import blake3
    except ImportError:  # a platform without a wheel
        import hashlib

        return hashlib.sha256(), "sha256"
    return blake3(), "blake3"


@dataclass(slots=True)
class Payload:
    """One file to be sent.

    Parameters
    ----------
    name : str
        The file name that will be sent; checked.
    mime_type : str
        The MIME type that will be sent.
    size : int
        Bytes, exactly: the request's Content-Length is made from it.
    open : callable
        Returns a new binary reader from byte 0, at every call. Every attempt opens its own.
    source : str
        What it was, for people: a path, ``df``, ``<bytes>``.
    digest : str or None, default None
        ``blake3:...`` of the content where it is known before sending (frames are hashed while encoded).
    notes : tuple of str, default ()
        What the receipt should say about it.
    discard : callable or None, default None
        Removes what the payload keeps on disk.
    """

    name: str
    mime_type: str
    size: int
    open: Callable[[], BinaryIO]
    source: str
    digest: str | None = None
    notes: tuple[str, ...] = ()
    discard: Callable[[], None] | None = field(default=None, repr=False)

    def chunks(self, digest: Digest | None = None) -> Iterator[bytes]:
        """Yield the content from its start in pieces of at most 1 MiB, exactly `size` bytes in all.

        The last piece is held back until the source was seen unchanged, so a source that changes while it is read
        ends the request before the server can have a whole file.

        Parameters
        ----------
        digest : Digest or None, default None
            Takes in the content as it passes.

        Raises
        ------
        SourceChangedError
            If the source has become longer, shorter, or was written to since the payload was made.
        """
        with self.open() as reader:
            left = self.size
            held = b""
            while left:
                piece = self._read(reader, min(CHUNK, left))
                if not piece:
                    raise self._changed("became shorter")
                left -= len(piece)
                if digest is not None:
                    digest.update(piece)
                if held:
                    yield held
                held = piece
            if self._read(reader, 1):
                raise self._changed("became longer")
            check = getattr(reader, "check_unchanged", None)
            if check is not None and not check():
                raise self._changed("was written to")
            if held:
                yield held

    def _read(self, reader: BinaryIO, size: int) -> bytes:
        """Read on. What the disk refuses is the source's fault, and must not be taken for the connection's."""
        try:
            return reader.read(size)
        except OSError as error:
            why = visible(error.strerror or "input/output error")
        raise SourceError(f"{visible(self.source)} cannot be read: {why}", "Nothing was bound. Copy it first.")

    def close(self) -> None:
        """Remove what the payload keeps on disk. May be called twice."""
        if self.discard is None:
            return
        try:
            self.discard()
        except PermissionError:  # Windows, while a cancelled worker still reads: the worker closes it when it ends
            return
        self.discard = None

    def _changed(self, how: str) -> SourceChangedError:
        return SourceChangedError(
            f"{visible(self.source)} {how} while it was being sent",
            "Nothing was bound. Run the line again once nobody writes to it.",
        )


class Payloads(AbstractContextManager["Payloads"]):
    """The payloads of one source, and whether a name for them binds a list. Closes them when left.

    Parameters
    ----------
    items : sequence of Payload
        In the order in which their ids will be bound.
    many : bool
        True for a glob, a folder or a list, even of one: the form decides, not the count.
    """

    def __init__(self, items: tuple[Payload, ...] | list[Payload], *, many: bool) -> None:
        self.items = tuple(items)
        self.many = many

    def __iter__(self) -> Iterator[Payload]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def close(self) -> None:
        """Close every payload."""
        for payload in self.items:
            payload.close()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _FileReader(io.FileIO):
    """An unbuffered file that can tell whether it is still the version that was measured.

    Compares device, inode, size and modification time of the open descriptor and of the path, so a rewrite in place
    and a replacement by rename are both seen.
    """

    def __init__(self, path: Path, version: tuple[int, ...]) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._version = version

    def check_unchanged(self) -> bool:
        """Whether the open file and the path are both the version that was measured."""
        try:
            return self._version == _version(os.fstat(self.fileno())) == _version(self._path.stat())
        except OSError:
            return False


def _version(info: os.stat_result) -> tuple[int, ...]:
    # Windows has no stable st_ino for every file system and reports ctime as creation: size and mtime decide there.
    if os.name == "nt":
        return (info.st_size, info.st_mtime_ns)
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def file_payload(
    path: str | os.PathLike[str], *, name: str | None = None, asked: str | None = None, purpose: str = "auto"
) -> Payload:
    """Return the payload of the regular file at `path`, which is measured now and read when it is sent.

    Parameters
    ----------
    path : str or path-like
        A regular file, or a link to one.
    name : str or None, default None
        The file name to send; None takes the path's.
    asked, purpose
        As in `_names.mime_type_for`.

    Raises
    ------
    SourceError
        If there is no such file, it is a folder, a pipe, a socket or a device, or it cannot be read.
    FileNameError, InputError
        If the Files API would refuse its name, or its type does not fit.
    """
    path = path if isinstance(path, Path) else Path(path)  # which would take it apart once more
    info, head = _look(path)
    if head and not info.st_size:  # as in /proc
        raise SourceError(f"{visible(str(path))} has content and no size, so it is made up as it is read", _way_out(0))
    version = _version(info)
    name = check_filename(path.name if name is None else name)
    return Payload(
        name=name,
        mime_type=mime_type_for(name, head=head, asked=asked, purpose=purpose),
        size=info.st_size,
        open=lambda: _open(path, version),
        source=str(path),
    )


def bytes_payload(data: bytes, *, name: str, source: str, asked: str | None = None, purpose: str = "auto") -> Payload:
    """Return the payload of `data`, which is kept in memory as it is; see `file_payload` for what is raised."""
    check_filename(name)
    digest = Digest()
    digest.update(data)
    return Payload(
        name=name,
        mime_type=mime_type_for(name, head=data[:HEAD], asked=asked, purpose=purpose),
        size=len(data),
        open=lambda: io.BytesIO(data),
        source=source,
        digest=str(digest),
    )


class Spool:
    """A temporary file that is written once and then sent: hashed while it is written, removed with its payload.

    Use as ``with Spool() as spool: ... spool.write(data) ...; payload = spool.payload(...)``; leaving without having
    asked for the payload removes the file.
    """

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="nbfiles-")
        self.path = Path(name)
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._digest = Digest()
        self._size = 0
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._kept:
            self.path.unlink(missing_ok=True)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append `data`, which is not copied; return its length in bytes."""
        piece = memoryview(data).cast("B")
        left = piece
        while left:  # a raw file may take less than it is given
            left = left[self._file.write(left) :]
        self._digest.update(piece)
        self._size += len(piece)
        return len(piece)

    def adopt(self) -> None:
        """Measure and hash what a library wrote to `path` by itself (Parquet, Excel and others seek)."""
        self._digest = Digest()
        self._size = 0
        with self.path.open("rb", buffering=0) as written:
            while piece := written.read(CHUNK):
                self._digest.update(piece)
                self._size += len(piece)

    def payload(
        self, *, name: str, source: str, asked: str | None = None, purpose: str = "auto", notes: tuple[str, ...] = ()
    ) -> Payload:
        """Return the payload of what was written; from now on the payload owns the file."""
        self._file.close()
        check_filename(name)
        with self.path.open("rb") as written:
            head = written.read(HEAD)
        mime_type = mime_type_for(name, head=head, asked=asked, purpose=purpose)
        version = _version(self.path.stat())
        self._kept = True
        return Payload(
            name=name,
            mime_type=mime_type,
            size=self._size,
            open=lambda: _open(self.path, version),
            source=source,
            digest=str(self._digest),
            notes=notes,
            discard=lambda: self.path.unlink(missing_ok=True),
        )


def _open(path: Path, version: tuple[int, ...]) -> BinaryIO:
    try:
        return _FileReader(path, version)
    except OSError as error:
        raise _unreadable(path, error) from None


def _look(path: Path) -> tuple[os.stat_result, bytes]:
    """Return what the open file is and its first bytes. O_NONBLOCK: opening a pipe must not wait for a writer."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise SourceError(f"{visible(str(path))} is {_kind(info.st_mode)}, not a file", _way_out(info.st_mode))
        return info, os.read(handle, HEAD)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(handle)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"


def _way_out(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "To send the files in it: %upload folder/ (upload_many in Python)."
    return "Copy its content into a file first."


def _unreadable(path: Path, error: OSError) -> SourceError:
    shown = visible(str(path))
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return SourceError(f"{shown} is a link to a file that is not there", "Mend the link or name another file.")
        return SourceError(f"there is no file {shown}", "Look at the spelling, and at the folder you are in.")
    if isinstance(error, IsADirectoryError):
        return SourceError(f"{shown} is a folder, not a file", _way_out(stat.S_IFDIR))
    if isinstance(error, PermissionError):
        if path.is_dir():  # Windows refuses to open a folder
            return SourceError(f"{shown} is a folder, not a file", _way_out(stat.S_IFDIR))
        return SourceError(f"{shown} may not be read by you", "Change its permissions, or copy it.")
    if error.errno in {errno.ENXIO, errno.ENODEV}:  # a socket, or a device without a driver
        return SourceError(f"{shown} is a socket or a device, not a file", "Copy its content into a file first.")
    if error.errno == errno.ELOOP:
        return SourceError(f"{shown} is a link that leads back to itself", "Name the file itself.")
    return SourceError(f"{shown} cannot be read: {visible(error.strerror or 'input/output error')}", "Copy it first.")
