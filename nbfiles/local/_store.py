"""``Store``: a folder that keeps files and what is known of them, so that neither is ever without the other.

::

    files.sqlite         one row a file: metadata, size, sha256 (WAL, synchronous=FULL)
    blobs/KEY            the bytes; KEY is the file's id without its prefix
    incoming/OWNER-n     bytes that are still arriving
    incoming/OWNER.lock  held by the process they arrive at, for as long as it lives
    start.lock           held while a process opens the folder
    reserve              room on the disk, given up for a delete when there is no other

A file is acknowledged only when it is durable, in this order: write, fsync, then inside one write transaction rename
into ``blobs``, fsync of the folder, row, commit. A delete goes the other way: row, then bytes. So a crash can leave
bytes without a row, never a row without its bytes, and what it leaves is swept up at the next start. Since the rename
happens under SQLite's write lock, and the sweep does too, no sweep can take a file that another process publishes.

Several processes may share a folder. Keys begin with the time, so their order is the order of creation.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from nbfiles import _private_folder
from nbfiles._errors import Error
from nbfiles._lock import FileLock
from nbfiles.local._incoming import Incoming, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PREFIX = "file_local_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the order of its code points
_TIME_LENGTH, _KEY_LENGTH = 9, 24
_KEY = re.compile(rf"[0-9A-Za-z]{{{_KEY_LENGTH}}}", re.ASCII)

RESERVE = 256 << 10  # bytes: more than the log of one delete takes
LOG_PAGES = 32  # of 4 KiB, at which SQLite's log is written back into the index
BUSY_WAIT = 30.0  # seconds that a writer waits for another process's transaction, which lasts milliseconds
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    key TEXT PRIMARY KEY,
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_at INTEGER NOT NULL,  -- microseconds since 1970, UTC
    downloadable INTEGER NOT NULL,
    expires_at INTEGER            -- likewise; NULL: never
) WITHOUT ROWID
"""
_COLUMNS = "key, filename, mime_type, size_bytes, sha256, created_at, downloadable, expires_at"
_SECOND = 1_000_000
_END = 253_402_300_800 * _SECOND  # of the year 9999, behind which datetime knows no time
# Metadata of an expired file stays listed for up to 30 days:
# https://platform.claude.com/docs/en/build-with-claude/files, "File expiration".
_KEPT_AFTER_EXPIRY = 30 * 86_400 * _SECOND


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of one file. Times are microseconds since 1970, UTC."""

    key: str
    filename: str
    mime_type: str
    size_bytes: int
    sha256: str
    created_at: int
    downloadable: bool
    expires_at: int | None

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> StoredFile:
        """Read a row of `_COLUMNS`; SQLite knows no bool."""
        key, filename, mime_type, size_bytes, sha256, created_at, downloadable, expires_at = row
        return cls(key, filename, mime_type, size_bytes, sha256, created_at, bool(downloadable), expires_at)

    @property
    def id(self) -> str:
        """The file id."""
        return PREFIX + self.key

    @property
    def expired(self) -> bool:
        """Whether its end has come."""
        return self.expires_at is not None and self.expires_at <= now()


class DamagedError(Exception):
    """The bytes of a file are not those that were stored."""


class Store:
    """The files in one folder.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there, and from then on readable by its owner only.
    sweep : bool, default True
        Whether to remove, now, what crashed processes left behind.

    Raises
    ------
    nbfiles.Error
        If the folder belongs to something else, cannot be used, or its index is damaged or of a newer version.
    """

    def __init__(self, folder: Path, *, sweep: bool = True) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        self._incoming = folder / "incoming"
        self._reserve = folder / "reserve"
        self._numbers = count()
        self._owner = secrets.token_hex(8)
        # Writers queue in the process before they queue at SQLite; readers pass them, as WAL lets them.
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        try:
            with ExitStack() as opened:
                self._open(opened, sweep=sweep)
                self._opened = opened.pop_all()
        except OSError as error:
            raise Error(
                f"the folder {folder} cannot be used: {error.strerror}",
                "Choose another with --dir or NBFILES_LOCAL_DIR.",
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a damaged index may put its bytes into an error
            said = "it is damaged" if isinstance(error, UnicodeDecodeError) else error
            raise Error(
                f"the index of the local Files API in {folder} cannot be read: {said}",
                "Move the folder away and start again; the bytes of the files are in its blobs folder.",
            ) from error

    def _open(self, opened: ExitStack, *, sweep: bool) -> None:
        """Open everything, and put on `opened` what closes it again."""
        index = self._folder / "files.sqlite"
        _claim(self._folder, index)
        starting = FileLock(self._folder / "start.lock")
        if not starting.acquire(BUSY_WAIT):
            raise Error(f"another process has been opening {self._folder} for {BUSY_WAIT:.0f} s", "Try again.")
        try:
            for folder in (self._blobs, self._incoming):
                folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._folder)
            self._writer = opened.enter_context(closing(_connect(index)))
            self._reader = opened.enter_context(closing(_connect(index)))
            self._check_index()
            if sweep:
                self._sweep_incoming()
                self._sweep_blobs()
            opened.enter_context(self._alive())
            self._keep_reserve()
        finally:
            starting.release()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Show other processes, for as long as this one has the folder open, that what arrives here is not waste."""
        path = self._incoming / f"{self._owner}.lock"
        lock = FileLock(path)
        lock.try_acquire()
        yield
        lock.release()
        with suppress(PermissionError):  # Windows: another process looks at it, and removes it at the next start
            path.unlink(missing_ok=True)

    def _check_index(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise Error(
                f"the folder {self._folder} was written by a newer nbfiles",
                "Update nbfiles, or choose another folder with --dir or NBFILES_LOCAL_DIR.",
            )
        found = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))  # SQLite takes two lines
        self._writer.execute("PRAGMA journal_mode = WAL")
        if version < _VERSION:
            self._writer.execute(_SCHEMA)
            self._writer.execute(f"PRAGMA user_version = {_VERSION}")
        last = ""
        for row in self._writer.execute(f"SELECT {_COLUMNS} FROM files"):  # noqa: S608  # our own words
            # They come as they lie in the tree; one that is out of order would be listed and not found.
            if not _is_sound(row) or row[0] <= last:
                raise sqlite3.DatabaseError("a row holds what no file has")
            last = row[0]

    def close(self) -> None:
        """Give the folder back; what was acknowledged stays."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Writing

    def receive(self) -> Incoming:
        """Return a place for bytes that arrive; a context manager that forgets them unless they are published."""
        return Incoming(self._incoming / f"{self._owner}-{next(self._numbers)}")

    def publish(
        self,
        incoming: Incoming,
        filename: str,
        mime_type: str,
        *,
        downloadable: bool = False,
        lifetime: int | None = None,
    ) -> StoredFile:
        """Make a file of what arrived. When this returns, the file survives a crash of the machine.

        Parameters
        ----------
        incoming : Incoming
            All of its bytes.
        filename, mime_type : str
            Checked by the caller.
        downloadable : bool, default False
            Whether its content may be read back.
        lifetime : int or None, default None
            Seconds until it expires.
        """
        incoming.sync()
        with self._transaction() as write:
            created = now()
            stored = StoredFile(
                key=_new_key(created),
                filename=filename,
                mime_type=mime_type,
                size_bytes=incoming.size,
                sha256=incoming.sha256,
                created_at=created,
                downloadable=downloadable,
                expires_at=None if lifetime is None else created + lifetime * _SECOND,
            )
            blob = self._blobs / stored.key
            incoming.move(blob)
            try:
                sync_folder(self._blobs)
                write.execute(
                    f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # our own words
                    (stored.key, stored.filename, stored.mime_type, stored.size_bytes, stored.sha256,
                     stored.created_at, stored.downloadable, stored.expires_at),
                )  # fmt: skip
                write.execute("COMMIT")
            except BaseException:
                _end(write)
                blob.unlink(missing_ok=True)
                raise
        return stored

    def delete(self, file_id: str) -> bool:
        """Remove a file; return whether there was one."""
        key = _key_of(file_id)
        if key is None:
            return False
        try:
            found = self._delete_row(key)
        except sqlite3.OperationalError as error:
            if not _is_full(error) or not self._reserve.exists():
                raise
            _remove(self._reserve)  # a full disk has no room for the note that something went
            found = self._delete_row(key)
        if found:
            _remove(self._blobs / key)  # the file went with its row
        self._keep_reserve()
        return found

    def _delete_row(self, key: str) -> bool:
        with self._transaction() as write:
            found = write.execute("DELETE FROM files WHERE key = ?", (key,)).rowcount == 1
            write.execute("COMMIT")
        return found

    def _keep_reserve(self) -> None:
        """Make the file whose room a delete may need; where there is none now, a later delete makes it."""
        if self._reserve.exists():
            return
        try:
            handle = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as reserve:
                reserve.write(os.urandom(RESERVE))  # nothing that a file system could leave out
        except OSError:
            _remove(self._reserve)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock of the folder; the body commits, anything it leaves open is rolled back."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            finally:
                _end(self._writer)

    # Reading

    def get(self, file_id: str) -> StoredFile | None:
        """Return the file with this id, or None. An id of another form never reaches the disk."""
        key = _key_of(file_id)
        return next(iter(self._select("WHERE key = ?", (key,))), None) if key else None

    def some(self, file_ids: Iterable[str]) -> list[StoredFile]:
        """Return those of the files that there are, newest first."""
        keys = [key for key in map(_key_of, file_ids) if key]
        return self._select(f"WHERE key IN ({', '.join('?' * len(keys))}) ORDER BY key DESC", keys)

    def page(self, limit: int, *, after: str | None = None, before: str | None = None) -> tuple[list[StoredFile], bool]:
        """Return up to `limit` files, newest first, and whether there are more in that direction.

        Parameters
        ----------
        limit : int
            At least 1.
        after, before : str or None, default None
            Keys: only what follows (is older), or what precedes (is newer, the nearest of them). A key stands for
            its place even after its file was deleted.
        """
        if before is not None:
            files = self._select("WHERE key > ? ORDER BY key ASC LIMIT ?", (before, limit + 1))
            return files[:limit][::-1], len(files) > limit
        where, values = ("WHERE key < ? ", (after,)) if after is not None else ("", ())
        files = self._select(f"{where}ORDER BY key DESC LIMIT ?", (*values, limit + 1))
        return files[:limit], len(files) > limit

    def open_content(self, stored: StoredFile) -> BinaryIO:
        """Open the bytes of `stored`, after having checked them against what was stored.

        Raises
        ------
        DamagedError
            If they are missing or have changed on the disk.
        """
        try:
            content = (self._blobs / stored.key).open("rb")
        except FileNotFoundError:
            raise DamagedError(f"the bytes of {stored.id} are missing on the disk") from None
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        if (content.tell(), digest) != (stored.size_bytes, stored.sha256):
            content.close()
            raise DamagedError(f"the bytes of {stored.id} have changed on the disk")
        content.seek(0)
        return content

    def _select(self, rest: str, values: Sequence[Any]) -> list[StoredFile]:
        with self._read_lock:
            rows = self._reader.execute(f"SELECT {_COLUMNS} FROM files {rest}", values).fetchall()  # noqa: S608  # values are bound
        return [StoredFile.of_row(row) for row in rows]

    # Sweeping

    def _sweep_incoming(self) -> None:
        """Remove what arrived at processes that are no more. Called while no other process can be opening."""
        arriving: dict[str, list[Path]] = {}
        for path in self._incoming.iterdir():
            arriving.setdefault(path.name.partition("-")[0].removesuffix(".lock"), []).append(path)
        for owner, paths in arriving.items():
            lock = FileLock(self._incoming / f"{owner}.lock")
            if lock.try_acquire():
                lock.release()
                for path in (*paths, self._incoming / f"{owner}.lock"):
                    _remove(path)

    def _sweep_blobs(self) -> None:
        """Remove bytes without a row, and the bytes of expired files; forget rows whose bytes are gone.

        The last can only be if a disk failed in the middle of a commit, or somebody removed the bytes by hand.
        """
        with self._transaction() as write:
            write.execute("DELETE FROM files WHERE expires_at < ?", (now() - _KEPT_AFTER_EXPIRY,))
            alive = {key for (key,) in write.execute(
                "SELECT key FROM files WHERE expires_at IS NULL OR expires_at > ?", (now(),))}  # fmt: skip
            present = {path.name for path in self._blobs.iterdir()}
            write.executemany("DELETE FROM files WHERE key = ?", [(key,) for key in alive - present])
            write.execute("COMMIT")
            for name in present - alive:
                _remove(self._blobs / name)


def default_folder() -> Path:
    """Return where the local Files API keeps its files: ``NBFILES_LOCAL_DIR``, else in the user's data folder."""
    chosen = os.getenv("NBFILES_LOCAL_DIR")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("nbfiles", appauthor=False)) / "local"


def now() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def is_key(text: str) -> bool:
    """Whether `text` has the form of an id without its prefix."""
    return _KEY.fullmatch(text) is not None


def is_full(error: BaseException) -> bool:
    """Whether `error` says that there is no room: disk, quota or a limit on file sizes."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"


def _key_of(file_id: str) -> str | None:
    """Return the key in `file_id`, or None if it is no id of ours."""
    key = file_id.removeprefix(PREFIX)
    return key if key != file_id and is_key(key) else None


def _new_key(created: int) -> str:
    """Return a key that sorts by time: 9 digits of microseconds (enough until the year 2398), then 89 random bits."""
    digits: list[str] = []
    for _ in range(_TIME_LENGTH):
        created, digit = divmod(created, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    rest = (secrets.choice(_ALPHABET) for _ in range(_KEY_LENGTH - _TIME_LENGTH))
    return "".join([*reversed(digits), *rest])


def _claim(folder: Path, index: Path) -> None:
    """Make `folder` ours, and only ours, before anything is put into it; refuse one that holds something else."""
    _private_folder.make(folder)
    if not index.exists() and any(folder.iterdir()) and not index.exists():
        raise Error(
            f"the folder {folder} holds other things than a local Files API",
            "Choose an empty one with --dir or NBFILES_LOCAL_DIR.",
        )
    folder.chmod(0o700)
    # SQLite gives its -wal and -shm files the mode of the file that it finds.
    os.close(os.open(index, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))


def _remove(path: Path) -> None:
    """Remove bytes. What cannot go now (Windows: somebody reads it) the next sweep takes; a folder is not ours."""
    with suppress(OSError):
        path.unlink()


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def _is_sound(row: tuple[Any, ...]) -> bool:
    """Whether a row of `_COLUMNS` is one that can be told of; quick_check looks no further than the index's pages."""
    key, filename, mime_type, size_bytes, sha256, created_at, downloadable, expires_at = row
    times = (created_at,) if expires_at is None else (created_at, expires_at)
    return (
        all(isinstance(text, str) for text in (key, filename, mime_type, sha256))
        and is_key(key)
        and mime_type.isascii()
        and mime_type.isprintable()  # it stands in a header
        and isinstance(size_bytes, int)
        and size_bytes >= 0
        and downloadable in {0, 1}
        and all(isinstance(moment, int) and 0 <= moment < _END for moment in times)
    )


def _connect(index: Path) -> sqlite3.Connection:
    """Open the index; every statement is its own transaction unless one is begun."""
    connection = sqlite3.connect(index, timeout=BUSY_WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    # The log may not eat what a small disk has left: by itself it grows to 4 MB before it is written back, and stays.
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {RESERVE}")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's own cache; elsewhere without effect
    return connection


def _end(connection: sqlite3.Connection) -> None:
    """Roll back what is still open, without hiding the error that left it so."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
