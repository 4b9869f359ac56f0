"""``Ledger``: what was uploaded from here, and what may have been although no answer came; kept in SQLite.

::

    ledger.sqlite   files      one row a file that the server stored
                    attempts   one row an upload that is under way, or whose outcome is not known
    {token}.lock    held by each process that has the ledger open, for as long as it lives

An attempt's row is there before its first byte leaves, and goes with the transaction that writes down what became of
it. So what a killed kernel leaves is a row whose owner's lock nobody holds. Locks are made, tried and removed only
under SQLite's write lock, so no process takes another for dead that is just starting, or for alive that is just
looked at.

A file is remembered until 31 days after its end: since it expired, or since the server was seen to have it no more.
What has no end is remembered for good, and so is an upload whose outcome is not known. The rows that have had their
time go when the file is opened, up to a thousand at once.

It never stops an upload. Where SQLite has no write-ahead log it keeps a rollback journal, and where the file cannot be
used it goes on in memory; `Ledger.note` says so. It holds names, sizes, types, digests, ids and times: never a key and
never content.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sqlite3
import threading
import time
import unicodedata
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nbfiles import _private_folder
from nbfiles._lock import FileLock
from nbfiles._names import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

BUSY_WAIT = 2.0  # seconds for another process's transaction, which lasts less than a millisecond
MOUNTS = Path("/proc/self/mounts")
# How long after its end a file is remembered. The API lists one that has expired for up to 30 days more, and as long it
# is ours: https://platform.claude.com/docs/en/build-with-claude/files, "File expiration".
KEPT_AFTER_END = timedelta(days=31)

_SWEPT = 1000  # rows at most in one opening: it holds the write lock for as long
_VERSION = 1
# Texts are blobs of UTF-8 with half surrogates let through, which SQLite's own texts cannot hold and file names can.
# Times are microseconds since 1970, UTC. AUTOINCREMENT: a number is never given twice.
_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS files (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        place BLOB NOT NULL,
        credential BLOB NOT NULL,
        id BLOB NOT NULL,
        name BLOB NOT NULL,
        mime_type BLOB NOT NULL,
        size INTEGER NOT NULL,
        digest BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,            -- NULL: never; where it is gone, no later than that was noticed
        gone INTEGER NOT NULL,         -- 1: the server has it no more
        UNIQUE (place, id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS files_by_name ON files (place, name, size)",
    "CREATE INDEX IF NOT EXISTS files_by_end ON files (expires_at) WHERE expires_at IS NOT NULL",
    """
    CREATE TABLE IF NOT EXISTS attempts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        place BLOB NOT NULL,
        credential BLOB NOT NULL,
        name BLOB NOT NULL,
        mime_type BLOB NOT NULL,
        size INTEGER NOT NULL,
        began INTEGER NOT NULL,
        owner TEXT NOT NULL            -- the token of the process in which it is under way; empty: outcome not known
    )
    """,
)
_COLUMNS = "id, name, mime_type, size, digest, created_at, expires_at"
_LIKE = "place = ? AND credential = ? AND name = ? AND mime_type = ? AND size = ? AND gone = 0"
_ALIKE = (
    "SELECT DISTINCT name, mime_type, size FROM files WHERE place = ? AND credential = ? AND gone = 0 AND digest != x''"
)
_MOST_VALUES = 500  # in one question; a SQLite of 2019 takes 999
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DAMAGE = (AttributeError, OverflowError, TypeError, ValueError)  # what reading a row of a damaged file may come to
# What a job may raise through no fault of ours. A message that quotes a damaged file need not be UTF-8.
_TROUBLE = (sqlite3.Error, OSError, UnicodeDecodeError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Where several machines may have the file open, the write-ahead log must not be used: https://sqlite.org/wal.html
_SHARED_BY_MACHINES = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "prl_fs", "smb3", "vboxsf")
)

# One for all ledgers: it is held while the process forks, so that no child begins in the middle of a transaction.
_GATE = threading.RLock()


@dataclass(frozen=True, slots=True)
class Known:
    """A file that was uploaded from here.

    Parameters
    ----------
    id, name, mime_type : str
    size : int
        Bytes.
    digest : str
        Of its bytes; empty if it is not known.
    created_at : datetime.datetime
        The server's.
    expires_at : datetime.datetime or None
        None: never.
    """

    id: str
    name: str
    mime_type: str
    size: int
    digest: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pending:
    """An upload whose outcome is not known.

    Parameters
    ----------
    number : int
        By which the ledger knows it.
    name, mime_type : str
    size : int
        Bytes.
    began : datetime.datetime
        This machine's clock, UTC.
    """

    number: int
    name: str
    mime_type: str
    size: int
    began: datetime


class _NewerError(Exception):
    """The ledger was written by a version that knows more."""


class _Job:
    """What one thread wants done in a transaction, and what came of it."""

    def __init__(self, job: Callable[[sqlite3.Connection], Any], *, alone: bool = False) -> None:
        self._job = job
        self.alone = alone
        self.result: Any = None
        self.done = False  # and committed

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it."""
        self.result = self._job(connection)


class _Hold:
    """What this process has open of one ledger: a connection, and the lock by which others know that it lives."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        self.in_memory = False
        self.jobs = deque[_Job]()  # that wait for the next transaction
        self.token = ""
        self._lock: FileLock | None = None
        self._lock_path = Path()

    def live(self, folder: Path) -> None:
        """Show other processes that this one lives. Called under the ledger's write lock.

        Raises
        ------
        OSError
            If the file system has no locks.
        """
        if self._lock is not None:
            return
        self.token = secrets.token_hex(16)
        self._lock_path = folder / f"{self.token}.lock"
        lock = FileLock(self._lock_path)
        if not lock.try_acquire():
            self._lock_path.unlink(missing_ok=True)
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        self._lock = lock

    def disconnect(self) -> None:
        """Close the connection; what was acknowledged stays."""
        if self.connection is not None:
            with suppress(*_TROUBLE):
                self.connection.close()
            self.connection = None

    def let_go(self) -> None:
        """Close everything that a forked child has of its parent, which keeps its own."""
        self.disconnect()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        """Close everything, and remove the lock's file."""
        with _GATE:
            _HOLDS.discard(self)
            held = self._lock is not None
            self.let_go()
            if held:
                with suppress(OSError):  # Windows: another process looks at it, and removes it
                    self._lock_path.unlink(missing_ok=True)


_HOLDS: set[_Hold] = set()


class Ledger:
    """What was uploaded from here. May be used from any thread; a forked child opens its own.

    Parameters
    ----------
    path : pathlib.Path or None
        The file, which is made when it is first needed. None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else path.absolute()
        self._note = ""
        self._hold = _Hold()
        weakref.finalize(self, self._hold.close)

    @property
    def note(self) -> str:
        """Why it is not what it should be, as one line; empty if it is, or was not needed yet."""
        return self._note

    def account(self, place: str, credential: str) -> Account:
        """Return the pages of one place and one key.

        Parameters
        ----------
        place : str
            Base URL and workspace, in whatever form.
        credential : str
            A fingerprint, never a key.
        """
        return Account(self, place, credential)

    def close(self) -> None:
        """Close the file and show that this process is done with it. If it is needed again, it is opened again."""
        self._hold.close()

    def run(self, job: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Run `job` in a transaction: in the file, or in memory if that fails; return once it is committed.

        Jobs that came while another transaction ran share the next one: threads that upload small files would else
        wait for each other's. `alone` is for a single question, which needs no transaction. A job may run again.
        """
        mine = _Job(job, alone=alone)
        jobs = self._hold.jobs
        jobs.append(mine)
        with _GATE:
            if not mine.done:  # else somebody before us has run it
                batch = [jobs.popleft() for _ in range(len(jobs))]
                try:
                    self._run_all(batch)
                except Exception:
                    if len(batch) == 1:
                        raise
                    self._run_all([mine])  # whose fault it was, its own thread finds out
                finally:
                    jobs.extendleft(one for one in batch if not one.done and one is not mine)
        return cast("T", mine.result)

    def _run_all(self, batch: Sequence[_Job]) -> None:
        connection = self._hold.connection or self._open()
        try:
            _transaction(connection, batch)
        except _TROUBLE as error:
            _transaction(self._retreat(error), batch)

    @property
    def owner(self) -> str:
        """The token of this process. Read inside a job."""
        return self._hold.token

    def bury_the_dead(self, write: sqlite3.Connection) -> None:
        """See which processes live no more: what they had under way is unknown from now on. Part of a job."""
        if self._path is None or self._hold.in_memory:
            return
        owners = {owner for (owner,) in write.execute("SELECT DISTINCT owner FROM attempts WHERE owner != ''")}
        owners |= {path.stem for path in self._path.parent.glob("*.lock") if _TOKEN.fullmatch(path.stem)}
        for owner in owners - {self.owner}:
            if not _TOKEN.fullmatch(str(owner)) or _is_dead(self._path.with_name(f"{owner}.lock")):
                write.execute("UPDATE attempts SET owner = '' WHERE owner = ?", (owner,))

    # Opening

    def _open(self) -> sqlite3.Connection:
        """Open what can be opened."""
        self._note = ""
        _HOLDS.add(self._hold)
        if self._path is None:
            return self._open_memory()
        try:
            return self._open_file(self._path)
        except (*_TROUBLE, _NewerError) as error:
            return self._retreat(error)
        except BaseException:  # Ctrl-C: what is half open is opened anew
            self._hold.disconnect()
            raise

    def _open_file(self, path: Path) -> sqlite3.Connection:
        _private_folder.make(path.parent)
        # SQLite gives its other files the mode of this one. A file that exists is not opened here: closing it would
        # drop the locks that SQLite has on it in this process (https://sqlite.org/howtocorrupt.html, 2.2).
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = self._hold.connection = _connect(path)
        self._hold.in_memory = False
        if connection.execute("PRAGMA user_version").fetchone()[0] > _VERSION:
            self._hold.disconnect()
            raise _NewerError
        if _journal(connection, "DELETE" if is_remote(path.parent) else "WAL") != "wal":
            where = visible(str(path))
            self._note = (
                f"Uploads take a little longer: the file system of the ledger {where} allows no write-ahead log."
            )
        connection.execute("PRAGMA synchronous = NORMAL")

        def enter(write: sqlite3.Connection) -> None:
            _make_tables(write)
            self._hold.live(path.parent)
            self.bury_the_dead(write)
            write.execute(
                "DELETE FROM files WHERE number IN (SELECT number FROM files WHERE expires_at < ? LIMIT ?)",
                (_micros(datetime.now(UTC) - KEPT_AFTER_END), _SWEPT),
            )

        _transaction(connection, (_Job(enter),))
        return connection

    def _open_memory(self) -> sqlite3.Connection:
        connection = self._hold.connection = _connect(":memory:")
        self._hold.in_memory = True
        self._hold.token = self._hold.token or secrets.token_hex(16)
        _make_tables(connection)
        return connection

    def _retreat(self, error: Exception) -> sqlite3.Connection:
        """Go on in memory with what the file still tells. The lock is kept: what is under way stays ours."""
        file, self._hold.connection = self._hold.connection, None
        memory = self._open_memory()
        if file is not None:
            with suppress(*_TROUBLE):
                file.execute("PRAGMA busy_timeout = 0")  # there was a wait before
            for table in ("files", "attempts"):
                _copy(file, memory, table)
            # Nobody can tell from here how others fare.
            memory.execute("DELETE FROM attempts WHERE owner NOT IN ('', ?)", (self.owner,))
            with suppress(*_TROUBLE):
                file.close()
        self._note = (
            f"Uploads are remembered only until this kernel ends: the ledger {visible(str(self._path))} {_why(error)}."
        )
        return memory


class Account:
    """The pages of one place and one key. Every method may be called from any thread.

    What is reused belongs to the key. What an upload may be taken for belongs to the place, since other keys of a
    workspace see the same files.

    Parameters
    ----------
    ledger : Ledger
    place, credential : str
        As in `Ledger.account`.
    """

    def __init__(self, ledger: Ledger, place: str, credential: str) -> None:
        self._ledger = ledger
        self._place, self._credential = _blob(place), _blob(credential)

    # Files

    def alike(self, files: Iterable[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
        """Return those of `files` (name, MIME type, size) like which one was uploaded, so that a digest may pay."""
        wanted = {(_blob(name), _blob(mime_type), size): (name, mime_type, size) for name, mime_type, size in files}
        names = list({name for name, _, _ in wanted})

        def look(read: sqlite3.Connection) -> set[tuple[str, str, int]]:
            found = set[tuple[str, str, int]]()
            for at in range(0, len(names), _MOST_VALUES):
                some = names[at : at + _MOST_VALUES]
                marks = ", ".join("?" * len(some))
                rows = read.execute(f"{_ALIKE} AND name IN ({marks})", (self._place, self._credential, *some))
                found.update(wanted[row] for row in rows if row in wanted)
            return found

        return self._ledger.run(look, alone=len(names) <= _MOST_VALUES) if names else set()

    def find(self, *, name: str, mime_type: str, size: int, digest: str) -> list[Known]:
        """Return the uploads of this very file that the server may still have, newest first."""
        if not digest:
            return []
        like = (self._place, self._credential, _blob(name), _blob(mime_type), size, _blob(digest))
        rows = self._select(
            f"SELECT {_COLUMNS} FROM files WHERE {_LIKE} AND digest = ? ORDER BY created_at DESC, number DESC",  # noqa: S608  # values are bound
            like,
        )
        return [known for row in rows if (known := _known(row)) is not None]

    def taken(self, ids: Iterable[str]) -> set[str]:
        """Return those of `ids` that are known to be uploads from here."""
        blobs = {_blob(id_): id_ for id_ in ids}

        def look(read: sqlite3.Connection) -> set[str]:
            found, all_of_them = set[str](), list(blobs)
            for at in range(0, len(all_of_them), _MOST_VALUES):
                some = all_of_them[at : at + _MOST_VALUES]
                marks = ", ".join("?" * len(some))
                rows = read.execute(f"SELECT id FROM files WHERE place = ? AND id IN ({marks})", (self._place, *some))  # noqa: S608  # values are bound
                found.update(blobs[blob] for (blob,) in rows)
            return found

        return self._ledger.run(look) if blobs else set()

    def gone(self) -> set[str]:
        """Return the ids of the files that were found to be gone at this place."""
        rows = self._select("SELECT id FROM files WHERE place = ? AND gone = 1", (self._place,))
        found = set()
        for (id_,) in rows:
            with suppress(*_DAMAGE):
                found.add(_text(id_))
        return found

    def digests(self) -> dict[str, str]:
        """Return the digest of every upload from here to this place that has one, by id."""
        rows = self._select("SELECT id, digest FROM files WHERE place = ? AND digest != x''", (self._place,))
        found = {}
        for id_, digest in rows:
            with suppress(*_DAMAGE):
                found[_text(id_)] = _text(digest)
        return found

    def forget(self, ids: Iterable[str]) -> None:
        """Write down that files are gone at the server: they are never reused again, and stay ours for a while."""
        now = _micros(datetime.now(UTC))
        rows = [(now, now, self._place, _blob(id_)) for id_ in ids]
        question = "UPDATE files SET gone = 1, expires_at = MIN(?, IFNULL(expires_at, ?)) WHERE place = ? AND id = ?"
        self._ledger.run(lambda write: write.executemany(question, rows))

    # Uploads

    def begin(self, *, name: str, mime_type: str, size: int) -> int:
        """Write down that the first byte of an upload is about to leave; return the upload's number."""
        like = (self._place, self._credential, _blob(name), _blob(mime_type), size, _micros(datetime.now(UTC)))

        def add(write: sqlite3.Connection) -> int:
            cursor = write.execute(
                "INSERT INTO attempts (place, credential, name, mime_type, size, began, owner)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*like, self._ledger.owner),
            )
            return int(cursor.lastrowid or 0)

        return self._ledger.run(add)

    def record(self, known: Known, number: int | None = None) -> None:
        """Write down that a file is stored, and that upload `number` is over."""
        self._ledger.run(lambda write: self._store(write, "REPLACE", known, number))

    def adopt(self, known: Known, number: int) -> bool:
        """Do as `record` for a file that was found by looking, unless its id is another upload's: then return False."""
        return self._ledger.run(lambda write: self._store(write, "IGNORE", known, number))

    def drop(self, number: int) -> None:
        """Write down that upload `number` stored nothing, for certain."""
        self._ledger.run(lambda write: write.execute("DELETE FROM attempts WHERE number = ?", (number,)))

    def unknown(self, number: int) -> None:
        """Write down that upload `number` is over and may have stored a file."""
        self._ledger.run(lambda write: write.execute("UPDATE attempts SET owner = '' WHERE number = ?", (number,)))

    def rivals(self, number: int) -> int:
        """Count the other uploads of that name and size whose file one that is found may be.

        They are under way, here or in other processes, or nobody knows yet what became of them.
        """

        def count(read: sqlite3.Connection) -> int:
            rows = read.execute(
                "SELECT other.name, mine.name FROM attempts AS mine JOIN attempts AS other"
                " ON other.place = mine.place AND other.size = mine.size AND other.number != mine.number"
                " WHERE mine.number = ?",
                (number,),
            )
            # The server may store names in composed form, so that two names here are one there.
            return sum(_composed(other) == _composed(mine) for other, mine in rows)

        return self._ledger.run(count)

    def pending(self) -> list[Pending]:
        """Return the uploads whose outcome is not known, those of killed processes among them; oldest first."""

        def look(write: sqlite3.Connection) -> list[Any]:
            self._ledger.bury_the_dead(write)
            return write.execute(
                "SELECT number, name, mime_type, size, began FROM attempts"
                " WHERE place = ? AND credential = ? AND owner = '' ORDER BY began, number",
                (self._place, self._credential),
            ).fetchall()

        return [pending for row in self._ledger.run(look) if (pending := _pending(row)) is not None]

    def _select(self, question: str, values: tuple[Any, ...]) -> list[Any]:
        return self._ledger.run(lambda read: read.execute(question, values).fetchall(), alone=True)

    def _store(self, write: sqlite3.Connection, otherwise: str, known: Known, number: int | None) -> bool:
        """Add a row, and close the attempt with it; return whether there is one row more."""
        added = write.execute(
            f"INSERT OR {otherwise} INTO files (place, credential, {_COLUMNS}, gone)"  # noqa: S608  # our own words
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (self._place, self._credential, _blob(known.id), _blob(known.name), _blob(known.mime_type), known.size,
             _blob(known.digest), _micros(known.created_at),
             None if known.expires_at is None else _micros(known.expires_at)),
        ).rowcount == 1  # fmt: skip
        if added and number is not None:
            write.execute("DELETE FROM attempts WHERE number = ?", (number,))
        return added


_shared: dict[Path | None, Ledger] = {}


def shared(*, keep: bool) -> Ledger:
    """Return the process's one ledger: in the user's data folder, or in memory if nothing is to be kept.

    ``NBFILES_LEDGER`` names another file.
    """
    with _GATE:
        path = _default_path() if keep else None
        if path not in _shared:
            _shared[path] = Ledger(path)
        return _shared[path]


def is_remote(folder: Path) -> bool:
    """Whether `folder` lies on a file system that several machines may share, as far as this one says."""
    try:
        mounts = [line.split(" ") for line in MOUNTS.read_text("utf-8", "surrogateescape").splitlines()]
    except OSError:  # not Linux
        return str(folder).startswith("\\\\")
    kinds = {re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point): kind for _, point, kind, *_ in mounts}
    inside = folder.resolve()
    kind = next((kinds[str(above)] for above in (inside, *inside.parents) if str(above) in kinds), "")
    return kind in _SHARED_BY_MACHINES or kind.startswith("fuse.")


def _default_path() -> Path:
    chosen = os.getenv("NBFILES_LEDGER")
    if chosen:
        return Path(chosen).absolute()
    from platformdirs import user_data_path

    return user_data_path("nbfiles", appauthor=False) / "ledger.sqlite"


def _connect(path: Path | str) -> sqlite3.Connection:
    """Open a database; every statement is its own transaction unless one is begun."""
    return sqlite3.connect(path, timeout=BUSY_WAIT, isolation_level=None, check_same_thread=False)


def _make_tables(write: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        write.execute(statement)
    write.execute(f"PRAGMA user_version = {_VERSION}")


def _transaction(connection: sqlite3.Connection, batch: Sequence[_Job]) -> None:
    """Run `batch` under the write lock; commit, or leave no trace."""
    if len(batch) == 1 and batch[0].alone:
        batch[0].run(connection)
        batch[0].done = True
        return
    try:
        connection.execute("BEGIN IMMEDIATE")  # in here: Ctrl-C may come as soon as it is done
        for job in batch:
            job.run(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(*_TROUBLE):
                connection.execute("ROLLBACK")
    for job in batch:
        job.done = True


def _journal(connection: sqlite3.Connection, mode: str) -> str:
    """Ask for a journal mode and return the one there is. SQLite's own wait does not cover this."""
    deadline = time.monotonic() + BUSY_WAIT
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)


def _copy(file: sqlite3.Connection, memory: sqlite3.Connection, table: str) -> None:
    """Copy the rows of `table`, up to the first that cannot be read."""
    with suppress(*_TROUBLE):
        for row in file.execute(f"SELECT * FROM {table}"):  # noqa: S608  # our own word
            memory.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # values are bound


def _is_dead(path: Path) -> bool:
    """Whether nobody holds the lock at `path`, which goes in that case."""
    lock = FileLock(path)
    with suppress(OSError):
        if lock.try_acquire():
            lock.release()  # first: Windows removes no file that is open
            path.unlink(missing_ok=True)
            return True
    return False


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _why(error: Exception) -> str:
    """Say what is wrong with the file, as the end of a sentence."""
    if isinstance(error, _NewerError):
        return "was written by a newer nbfiles; update this one"
    if _is_busy(error):
        return f"stayed locked for {BUSY_WAIT:g} s"
    reason = visible(str(getattr(error, "strerror", None) or error))
    if type(error) is sqlite3.DatabaseError:  # whatever passes by itself, or with more room, is one of its children
        return f"is damaged ({reason}); move it away to begin a new one"
    return f"cannot be used ({reason})"


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")


def _composed(name: bytes) -> str | None:
    """Return `name` as the server may store it; None if the row is damaged."""
    try:
        return unicodedata.normalize("NFC", _text(name))
    except _DAMAGE:
        return None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND


def _known(row: tuple[Any, ...]) -> Known | None:
    """Read a row of `_COLUMNS`; None if it is damaged."""
    id_, name, mime_type, size, digest, created_at, expires_at = row
    try:
        return Known(
            _text(id_), _text(name), _text(mime_type), size, _text(digest), _moment(created_at),
            None if expires_at is None else _moment(expires_at),
        )  # fmt: skip
    except _DAMAGE:
        return None


def _pending(row: tuple[Any, ...]) -> Pending | None:
    """Read a row of an attempt; None if it is damaged."""
    number, name, mime_type, size, began = row
    try:
        return Pending(number, _text(name), _text(mime_type), size, _moment(began))
    except _DAMAGE:
        return None


def _before_fork() -> None:
    """Close the files: no connection may cross a fork (https://sqlite.org/howtocorrupt.html, 2.6)."""
    _GATE.acquire()
    for hold in _HOLDS:
        if not hold.in_memory:
            hold.disconnect()


def _in_the_child() -> None:
    for hold in _HOLDS:
        hold.let_go()
        hold.jobs.clear()  # they are the parent's
        hold.token = ""
    _HOLDS.clear()
    _GATE.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_GATE.release, after_in_child=_in_the_child)
