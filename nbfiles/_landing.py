"""The landing strip: bytes that arrive in pieces become a spool file that may be read while it grows.

Two processes share one folder and never talk. The kernel makes a ticket and reads; whoever receives the browser's
bytes (the Jupyter server, or the kernel itself where they come over the comm) claims the ticket and appends::

    {token}.ticket   kernel     a landing is expected: JSON with its size and when it expires
       │ rename                 only one can succeed: single use, size cap and the proof of a shared disk in one step
    {token}.claim    receiver   gone again as soon as the next file is there
       │ O_EXCL
    {token}.part     receiver   the bytes so far, and nothing but them
       ├─▶ {token}.done         beside .part: every byte is there
       └─▶ {token}.failed       beside .part: no more will come; holds the reason, and is .reason until that is written

The marks lie beside ``.part`` and do not replace it, because Windows renames no file that somebody reads. A claim is
not renamed to ``.part`` either: the reader could take the ticket's JSON for data (seen once).

The token is 256 random bits, so it cannot be guessed, and it is matched before any path is made of it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from nbfiles._errors import SourceError
from nbfiles._names import visible
from nbfiles._payload import CHUNK
from nbfiles._spool_folder import (
    NEW_FILE,
    TOKEN,
    Kernel,
    new_token,
    path_of,
    private,
    remove_landing,
    spool_folder,
    sweep,
    unwritable,
    write_new,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LIFETIME = 300.0  # seconds a ticket may wait for its first byte
IDLE = 60.0  # seconds without a byte after which the receiver counts as gone; the engine's own limit for a stall
SPARE = 64 << 20  # bytes of the disk that are left free for everybody else
POLL = 0.005  # seconds between two looks at a file that does not grow; 1 to 50 ms made no difference (measured)

_MAX_TICKET = 4096  # bytes that are read of a ticket, which has about 50
_MAX_REASON = 200  # bytes of a reason that are written and shown


# The kernel's side ------------------------------------------------------------------------------------------------


class Landing:
    """The kernel's end of the strip: makes tickets in the spool folder, and takes them back when closed.

    Parameters
    ----------
    folder : Path or None, default None
        Where; None takes `spool_folder`. It is made with mode 0700.

    Raises
    ------
    SourceError
        If the folder cannot be made, or others than its owner may enter it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = private(spool_folder() if folder is None else folder)
        self._tickets: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self._lock = threading.Lock()  # handlers of a widget run on any thread, two at once
        sweep(self.folder)
        self._kernel = Kernel(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ticket(self, size: int, *, name: str = "the file", lifetime: float = LIFETIME) -> Ticket:
        """Make a ticket for one landing of exactly `size` bytes.

        Parameters
        ----------
        size : int
            Bytes, as the browser states them.
        name : str, default "the file"
            What it is, for messages only; no path is made of it.
        lifetime : float, default 300
            Seconds until the first byte must have come.

        Raises
        ------
        SourceError
            If the disk has no room for it beside the landings that are still expected, or cannot be written.
        """
        with self._lock:
            self._check_space(size, name)
            ticket = Ticket(self.folder, new_token(), size, name, time.time() + lifetime)
            note = json.dumps({"size": size, "expires": ticket.expires}).encode()
            try:
                self._kernel.note(ticket.token)
                write_new(path_of(self.folder, ticket.token, ".ticket"), note)
            except OSError as error:
                ticket.discard()
                raise unwritable(self.folder, error) from None
            self._tickets.add(ticket)
        return ticket

    def close(self) -> None:
        """Discard every ticket that is left. May be called twice."""
        with self._lock:
            tickets = list(self._tickets)
        for ticket in tickets:
            ticket.discard()
        self._kernel.close()

    def _check_space(self, size: int, name: str) -> None:
        expected = sum(ticket.size - ticket.landed for ticket in self._tickets if not ticket.discarded)
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:  # somebody removed it: not every machine keeps its runtime folders for ever
            raise unwritable(self.folder, error) from None
        if size + expected + SPARE > free:
            raise SourceError(
                f"{visible(name)} needs {size:,} bytes in {visible(str(self.folder))}, where {free:,} are free"
                + (f" and {expected:,} are expected" if expected else ""),
                "Free some, or set NBFILES_SPOOL to a folder on another disk and restart Jupyter.",
            )


class Ticket:
    """One expected landing. Its files go when it is discarded, forgotten, or the kernel ends.

    It serves as the source of a payload: ``Payload(..., size=ticket.size, open=ticket.open,
    discard=ticket.discard)``.

    Attributes
    ----------
    token : str
        What the browser must name: 256 random bits, safe in a URL.
    size : int
        Bytes that are expected.
    name : str
        What it is, for messages.
    expires : float
        When a landing may no longer begin, as ``time.time()``.
    """

    def __init__(self, folder: Path, token: str, size: int, name: str, expires: float) -> None:
        self.token = token
        self.size = size
        self.name = name
        self.expires = expires
        self._folder = folder
        self._part, self._done, self._failed = (path_of(folder, token, end) for end in (".part", ".done", ".failed"))
        self._given_up = threading.Event()
        self._gate = threading.Lock()  # between a reader that is about to say "that was all" and `discard`
        self._read_out = False
        self._remove = weakref.finalize(self, remove_landing, folder, token)

    @property
    def landed(self) -> int:
        """Bytes that have arrived so far."""
        try:
            return self._part.stat().st_size
        except OSError:
            return 0

    @property
    def done(self) -> bool:
        """Whether every byte has arrived."""
        return self._done.exists()

    @property
    def discarded(self) -> bool:
        """Whether the ticket was given up on this side."""
        return self._given_up.is_set()

    @property
    def overdue(self) -> bool:
        """Whether the time for a landing to begin is over."""
        return time.time() > self.expires

    @property
    def failure(self) -> str | None:
        """Why no more bytes will come, in a few words; None as long as they may."""
        if not self._failed.exists():
            return None
        return visible(self._failed.read_bytes()[:_MAX_REASON].decode(errors="replace")) or "it broke off"

    @property
    def read_out(self) -> bool:
        """Whether the latest reader was told that it has every byte.

        A payload holds its last piece back until then, so while this is False no server can have the whole file; and
        after `discard` it cannot become True any more.
        """
        return self._read_out

    def head(self, count: int) -> bytes:
        """Return the first `count` bytes, or as many of them as have arrived. Waits for nothing."""
        try:
            with self._part.open("rb") as part:
                return part.read(count)
        except OSError:
            return b""

    def open(self, *, idle: float = IDLE) -> LandingReader:
        """Return a new reader from byte 0, as soon as the first byte may be read.

        Parameters
        ----------
        idle : float, default 60
            Seconds without a byte after which the reader gives up.

        Raises
        ------
        SourceError
            If the landing does not begin in time, has failed, or was discarded.
        """
        self._read_out = False
        while True:
            self.check()
            try:
                return LandingReader(self._part, self, idle)
            except FileNotFoundError:
                if self.overdue:
                    self._expire()
            except OSError as error:
                raise unwritable(self._folder, error) from None
            self.pause()

    def check(self) -> None:
        """Raise what ended the landing early, if something did.

        Raises
        ------
        SourceError
            If the receiver marked it as failed, or it was discarded.
        """
        if self.discarded:
            raise SourceError(f"{visible(self.name)} was cancelled before all of it had arrived")
        if (failure := self.failure) is not None:
            raise self._lost(failure)

    def hand_out_the_end(self) -> None:
        """Note that a reader is about to be told that it has every byte.

        Raises
        ------
        SourceError
            If the ticket was discarded before: of the two, one comes first.
        """
        with self._gate:
            if not self.discarded:
                self._read_out = True
        self.check()

    def forget_the_end(self) -> None:
        """Note that what the latest reader got is with nobody: its attempt has failed, and was said to have."""
        with self._gate:
            self._read_out = False

    def pause(self) -> None:
        """Wait a moment for more bytes; `discard` on another thread ends the wait."""
        self._given_up.wait(POLL)

    def stalled(self, idle: float) -> SourceError:
        """Return the error for a landing that has not grown for `idle` seconds."""
        return self._lost(f"nothing came for {idle:g} s")

    def discard(self) -> None:
        """Give the landing up: readers stop within milliseconds and the files go. May be called twice.

        Whether a reader had been told of the end by then, `read_out` says.
        """
        with self._gate:
            self._given_up.set()
        self._remove()

    def _expire(self) -> None:
        """End the wait for a first byte, unless the ticket is being claimed at this very moment."""
        try:
            path_of(self._folder, self.token, ".ticket").unlink()
        except OSError:  # in this order: .claim goes only when .part is there
            if path_of(self._folder, self.token, ".claim").exists() or self._part.exists():
                return
        self.discard()
        raise SourceError(f"{visible(self.name)} never arrived from the browser", "Choose the file again.")

    def _lost(self, cause: str) -> SourceError:
        return SourceError(
            f"{visible(self.name)} did not arrive whole from the browser ({self.landed:,} of {self.size:,} bytes): "
            f"{cause}",
            "Nothing was bound. Choose the file again.",
        )


class LandingReader(io.FileIO):
    """The bytes of a landing in their order, as they arrive; the end is reached only when all have arrived.

    It opens ``.part`` once and has a descriptor, and so an offset, of its own: no positioned read is needed, which
    Windows has not. Not for use by two threads at once.
    """

    def __init__(self, part: Path, ticket: Ticket, idle: float) -> None:
        super().__init__(part, "rb")
        self._ticket = ticket
        self._idle = idle

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, at most `size` and at most 1 MiB, or ``b""`` at the end; -1 returns the whole rest.

        Raises
        ------
        SourceError
            If the landing failed, was discarded, or has not grown for the idle limit.
        """
        if size is None or size < 0:
            return self.readall()
        if size == 0:
            return b""
        started = time.monotonic()
        while True:
            piece = super().read(min(size, CHUNK))
            self._ticket.check()
            if piece:
                return piece
            if self.tell() >= self._ticket.size and self._ticket.done:
                self._ticket.hand_out_the_end()
                return b""
            if time.monotonic() - started > self._idle:
                raise self._ticket.stalled(self._idle)
            self._ticket.pause()

    def readall(self) -> bytes:
        """Return everything up to the end, waiting for it."""
        return b"".join(iter(lambda: self.read(CHUNK), b""))

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` with what `read` returns, and return how much that is."""
        view = memoryview(buffer).cast("B")
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


# The receiver's side ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Arrival:
    """A claimed landing, as the receiver holds it: append, then `finish` or `fail`.

    Parameters
    ----------
    folder : Path
        The spool folder.
    token : str
        The token, which was found valid.
    size : int
        Bytes that the ticket allows and demands.
    handle : int
        The open descriptor of ``.part``.
    received : int, default 0
        Bytes appended so far.
    """

    folder: Path
    token: str = field(repr=False)
    size: int
    handle: int = field(repr=False)
    received: int = 0

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Write the next bytes at the end.

        Raises
        ------
        ValueError
            If they are more than the ticket allows, or the landing has ended.
        OSError
            If the disk is full or broken.
        """
        if self.handle < 0:
            raise ValueError("the landing has ended")
        if self.received + len(data) > self.size:
            raise ValueError("more bytes than the ticket allows")
        view = memoryview(data)
        while view:  # a full disk takes a part first and refuses the next
            written = os.write(self.handle, view)
            self.received += written
            view = view[written:]

    def finish(self) -> bool:
        """Mark the landing as done; return False, and mark it as failed, unless exactly `size` bytes came.

        False too if the kernel has given the landing up and removed its file. After the end nothing happens.

        Raises
        ------
        OSError
            If the mark cannot be written.
        """
        if self.received != self.size:
            self.fail("its size is not what was announced")
            return False
        if not self._close():
            return False
        write_new(path_of(self.folder, self.token, ".done"), b"")
        return True

    def fail(self, reason: str) -> None:
        """Mark the landing as failed for `reason`, unless it has ended.

        Never raises: where even the mark cannot be written, the reader's idle limit tells.
        """
        if not self._close():
            return
        note, mark = (path_of(self.folder, self.token, end) for end in (".reason", ".failed"))
        with contextlib.suppress(OSError):  # a full disk: the mark alone has to do
            write_new(note, reason.encode()[:_MAX_REASON])
        with contextlib.suppress(OSError):
            note.rename(mark)  # so that nobody finds the mark without its reason

    def _close(self) -> bool:
        """End the landing; return whether there was one, and somebody still waits for it."""
        if self.handle < 0:
            return False
        handle, self.handle = self.handle, -1
        os.close(handle)
        return path_of(self.folder, self.token, ".part").exists()  # else it was given up: leave nothing behind


def claim(token: str, folder: Path | None = None) -> Arrival | None:
    """Claim the landing that `token` names, once and for all.

    Parameters
    ----------
    token : str
        As the browser sent it; nothing about it is trusted.
    folder : Path or None, default None
        The spool folder; None takes `spool_folder`.

    Returns
    -------
    Arrival or None
        None if there is no such ticket here, it was claimed before, or it has expired.

    Raises
    ------
    OSError
        If the disk is full, or ``.part`` cannot be made.
    """
    if not TOKEN.fullmatch(token):
        return None
    folder = spool_folder() if folder is None else folder
    claimed = path_of(folder, token, ".claim")
    try:
        os.rename(path_of(folder, token, ".ticket"), claimed)  # noqa: PTH104  # must fail on Windows too if .claim is there
    except OSError:  # not here, claimed before, or a folder that is not ours
        return None
    try:
        size = _size_of(claimed)
        if size is None:
            return None
        handle = os.open(path_of(folder, token, ".part"), NEW_FILE | os.O_APPEND, 0o600)
    finally:
        claimed.unlink(missing_ok=True)
    arrival = Arrival(folder, token, size, handle)
    if shutil.disk_usage(folder).free < size:
        arrival.fail("the disk is full")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return arrival


# Both sides -------------------------------------------------------------------------------------------------------


def _size_of(claimed: Path) -> int | None:
    """Return the size that a claimed ticket allows; None if it has expired or is no ticket."""
    try:
        note = json.loads(claimed.read_bytes()[:_MAX_TICKET])
        size, expires = note["size"], note["expires"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if type(size) is not int or size < 0 or type(expires) not in {int, float}:
        return None
    return size if time.time() <= expires else None
