"""The spool folder: where files from a browser lie until they were sent, whose each is, and who clears up.

It belongs to one user, and is shared by that user's kernels and Jupyter servers. Every name in it is a token, 256
random bits that cannot be guessed, and an ending. Besides the files of landings (``_landing``) there is a
``{token}.kernel`` for each kernel: it is locked as long as that lives and names its landings, so that whoever comes
next can clear up behind a kernel that was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import weakref
from pathlib import Path

from nbfiles._errors import SourceError
from nbfiles._lock import FileLock
from nbfiles._names import visible

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes as urlsafe base64 without padding
STALE = 86_400.0  # seconds since its last change after which a file is nobody's, whatever locks say

_LANDING = (".ticket", ".claim", ".part", ".done", ".reason", ".failed")
_KERNEL = ".kernel"
# O_BINARY and O_NOFOLLOW each exist on one side only; O_EXCL already refuses a link on the other.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def new_token() -> str:
    """Return 256 random bits, safe in a URL and in a file name."""
    return secrets.token_urlsafe(32)


def spool_folder() -> Path:
    """Return the folder that kernel and server share, which need not exist yet.

    ``NBFILES_SPOOL``, else ``nbfiles`` in Jupyter's runtime folder, which a kernel inherits from its server. Where
    there is no Jupyter (marimo), a folder in the user's cache, for the kernel alone.
    """
    chosen = os.getenv("NBFILES_SPOOL")
    if chosen:
        return Path(chosen).expanduser()
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        from platformdirs import user_cache_path

        return user_cache_path("nbfiles", appauthor=False) / "spool"
    return Path(jupyter_runtime_dir()) / "nbfiles"


def path_of(folder: Path, token: str, suffix: str) -> Path:
    """Return the path of one file. `token` is ours, or was matched."""
    return folder / f"{token}{suffix}"


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet and that only its owner may read."""
    handle = os.open(path, NEW_FILE, 0o600)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def private(folder: Path) -> Path:
    """Make `folder` and return it, absolute, if nobody but its owner may enter it.

    A folder that exists is never changed: NBFILES_SPOOL may name ``/tmp`` by mistake.

    Raises
    ------
    SourceError
        If it cannot be made, or others than its owner may enter it.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.stat()
    except OSError as error:
        raise unwritable(folder, error) from None
    # Windows has no such modes: there the user's own profile keeps others out.
    if hasattr(os, "geteuid") and (info.st_uid != os.geteuid() or info.st_mode & 0o077):
        raise SourceError(
            f"{visible(str(folder))} is open to other users of this machine",
            "Close it with chmod 700, or set NBFILES_SPOOL to a folder of your own and restart Jupyter.",
        )
    return folder


def unwritable(folder: Path, error: OSError) -> SourceError:
    """Return the error for a folder that cannot be made, read or written."""
    return SourceError(
        f"{visible(str(folder))} cannot be used for files from the browser: "
        f"{visible(error.strerror or 'input/output error')}",
        "Set NBFILES_SPOOL to a folder of your own and restart Jupyter.",
    )


def remove_landing(folder: Path, token: str) -> int:
    """Remove all files of one landing, and return how many there were; one that Windows has open is left to `sweep`."""
    removed = 0
    for suffix in _LANDING:
        with contextlib.suppress(OSError):  # most of them are not there
            path_of(folder, token, suffix).unlink()
            removed += 1
    return removed


class Kernel:
    """The file that is locked while its kernel lives, with the tokens of that kernel's landings, one a line.

    Where files cannot be locked (some network disks) it says nothing, and only the age of a file tells.

    Parameters
    ----------
    folder : Path
        The spool folder.
    """

    def __init__(self, folder: Path) -> None:
        path = path_of(folder, new_token(), _KERNEL)
        lock = FileLock(path)
        self._path = path if _locked(lock) else None
        self._end = weakref.finalize(self, _end_of_kernel, lock, path)

    def note(self, token: str) -> None:
        """Write down a token, before the first file of its landing is made."""
        if self._path is not None:
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{token}\n")

    def close(self) -> None:
        """Let go of the lock and remove the file."""
        self._path = None
        self._end()


def _locked(lock: FileLock) -> bool:
    try:
        return lock.try_acquire()
    except OSError:
        return False


def _end_of_kernel(lock: FileLock, path: Path) -> None:
    lock.release()  # first: Windows removes no file that is open
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _clear_up_behind(folder: Path, path: Path) -> int:
    """Remove the landings that a kernel noted in `path`, if it lives no more; return how many files went."""
    lock = FileLock(path)
    if not _locked(lock):
        return 0
    try:
        tokens = path.read_text("ascii").split()
    except (OSError, ValueError):
        tokens = []
    removed = sum(remove_landing(folder, token) for token in tokens if TOKEN.fullmatch(token))
    _end_of_kernel(lock, path)
    return removed


def sweep(folder: Path, *, older: float = STALE) -> int:
    """Remove what kernels left in `folder` that were killed; return how many files of landings went.

    Parameters
    ----------
    folder : Path
        The spool folder. Only files that are named as ours are looked at.
    older : float, default 86400
        Seconds since the last change.
    """
    limit = time.time() - older
    removed = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122  # a scan's names are plain strings
            if not TOKEN.fullmatch(stem):
                continue
            if suffix == _KERNEL:
                removed += _clear_up_behind(folder, Path(entry.path))
            if suffix not in _LANDING:
                continue
            with contextlib.suppress(OSError):  # another kernel sweeps too, or Windows has it open
                if entry.stat(follow_symlinks=False).st_mtime < limit:
                    Path(entry.path).unlink()
                    removed += 1
    return removed
