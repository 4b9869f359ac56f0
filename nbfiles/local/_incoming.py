"""``Incoming``: bytes on their way to the disk, and what it takes for them to be there."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Incoming:
    """Bytes on their way to a file: written, counted and hashed in one go.

    Parameters
    ----------
    path : pathlib.Path
        A new file, which this object owns until it is moved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._open = self._mine = True
        # A request that is cut off leaves its writing thread behind; it must not meet a descriptor that was closed
        # and given to another file.
        self._lock = threading.Lock()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes | bytearray) -> None:
        """Append `data`; blocking, so for a thread of its own."""
        with self._lock:
            if not self._open:
                return
            self._digest.update(data)
            self.size += len(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Bring what was written to the disk and close it, as Windows renames only what is closed."""
        with self._lock:
            _sync(self._descriptor)
        self._close()

    def move(self, place: Path) -> None:
        """Give what was synced another place; it is no longer this object's."""
        self.path.replace(place)
        self._mine = False

    def _close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        if self._mine:  # a file that was published does not fail because nothing is left to remove
            self.path.unlink(missing_ok=True)


def _sync(descriptor: int) -> None:
    """Bring a file's bytes to the disk. macOS's fsync stops at the drive's cache, its F_FULLFSYNC does not."""
    try:
        from fcntl import F_FULLFSYNC, fcntl  # type: ignore[attr-defined,unused-ignore]  # macOS alone has it
    except ImportError:
        os.fsync(descriptor)
    else:
        fcntl(descriptor, F_FULLFSYNC)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk; Windows has no such call and journals them itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
