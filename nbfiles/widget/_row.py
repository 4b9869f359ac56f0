"""``Row``: one file of an upload widget, on its way from the browser to the Files API.

::

    queued ─▶ uploading ─▶ done, reused
      │        │  ▲ │
      │        ▼  │ ├─▶ failed ─────▶ queued (retry; bytes that are in the kernel are not sent again)
      │     retrying│
      │             └─▶ cancelling ─▶ cancelled
      └─▶ refused (never sent), failed, cancelled
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nbfiles._landing import claim
from nbfiles._models import FileId

if TYPE_CHECKING:
    import asyncio

    from nbfiles._landing import Arrival, Landing, Ticket
    from nbfiles._models import FileMetadata
    from nbfiles._session import Outcome

State = Literal[
    "queued", "checking", "uploading", "retrying", "cancelling", "done", "reused", "failed", "refused", "cancelled"
]
DONE = frozenset({"done", "reused"})
UNDER_WAY = frozenset({"queued", "checking", "uploading", "retrying", "cancelling"})
# The browser keeps two pieces in the air; after a fall to smaller ones a late large one may come on top.
MOST_PIECES = 4


@dataclass(slots=True, eq=False)
class Row:
    """One file.

    Parameters
    ----------
    key : str
        Names it between browser and kernel: the page that holds the file, and a number.
    name, path : str
        The file name that is sent; where it lay in a chosen folder, or ``""``.
    size : int
        Bytes, as the browser stated them.
    mime : str, default ""
        What it is sent as.
    """

    key: str
    name: str
    path: str
    size: int
    mime: str = ""
    state: State = "queued"
    reason: str = ""  # the second line, where the state does not say it
    broken: str = ""  # how the first hop ended, as the browser saw it
    sent: int = 0  # bytes that the Files API's socket took
    landed: int = 0  # bytes in the kernel, when it was last looked
    tries: int = 0  # that have failed
    variable: str = ""
    outcome: Outcome | None = None
    ticket: Ticket | None = None
    task: asyncio.Task[None] | None = None
    _arrival: Arrival | None = None  # where the kernel itself receives
    _pieces: dict[int, memoryview] = field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """Whether something may still happen by itself."""
        return self.state in UNDER_WAY

    @property
    def page(self) -> str:
        """The page that holds the file."""
        return self.key.rpartition("-")[0]

    @property
    def ready(self) -> bool:
        """Whether the kernel has every byte, so that the browser is not needed any more."""
        return self.ticket is not None and self.ticket.done and not self.ticket.discarded

    @property
    def landing(self) -> bool:
        """Whether bytes may still come from the browser."""
        ticket = self.ticket
        return ticket is not None and not (ticket.discarded or ticket.done or ticket.failure is not None)

    @property
    def id(self) -> FileId | None:
        """The file's id, once it is done."""
        metadata = self._metadata
        return None if metadata is None else FileId.of(metadata)

    @property
    def shown(self) -> bool:
        """Whether it has a line in the table."""
        return self.state in DONE or self.state == "failed"

    @property
    def _metadata(self) -> FileMetadata | None:
        return self.outcome.metadata if self.state in DONE and self.outcome is not None else None

    @property
    def by_comm(self) -> bool:
        """Whether its bytes come over the comm just now."""
        return self._arrival is not None and self.landing

    def measure(self) -> bool:
        """Look how many bytes have landed; return whether that has changed."""
        before = self.landed
        if self.ticket is not None and not self.ticket.discarded:
            self.landed = self.ticket.landed
        return self.landed != before

    def record(self) -> dict[str, Any]:
        """Return what the browser shows of it."""
        metadata = self._metadata
        reason = self.reason
        if self.state == "failed" and self.ready:
            reason += " The file is in the kernel."
        return {
            "key": self.key,
            "name": self.name,
            "path": self.path,
            "size": self.size,
            "mime": self.mime,
            "state": self.state,
            "landed": self.landed,
            "sent": self.sent,
            "ready": self.ready,
            "reason": reason,
            "side": "unchanged, reused" if self.state == "reused" else "",
            "id": metadata.id if metadata else "",
            "block": metadata.blocks[0] if metadata else "",
            "variable": self.variable,
        }

    # -- the first hop -----------------------------------------------------------------------------------------------

    def expect(self, landing: Landing, *, comm: bool) -> Ticket:
        """Get ready for its bytes, which come over the comm or by the Jupyter server.

        Raises
        ------
        SourceError, OSError
            If there is no room for them, or the spool folder cannot be written.
        """
        self.give_up()
        self.broken, self.landed, self.sent = "", 0, 0
        self.ticket = landing.ticket(self.size, name=self.name)
        if comm:
            self._arrival = claim(self.ticket.token, landing.folder)
        return self.ticket

    def take(self, offset: int, piece: memoryview) -> int:
        """Append a piece that came over the comm; return how many bytes there are without a gap.

        Pieces may come twice, overlap and overtake each other: handlers run on any thread, two at once.
        """
        arrival = self._arrival
        if arrival is None:
            return 0
        held = self._pieces.get(offset)
        # The next one is always taken, so pieces that lie too far ahead cannot block the way.
        if offset <= arrival.received or (len(self._pieces) < MOST_PIECES if held is None else len(held) < len(piece)):
            self._pieces[offset] = piece
        try:
            while (start := min(self._pieces, default=self.size + 1)) <= arrival.received:
                rest = self._pieces.pop(start)[arrival.received - start :]
                arrival.append(rest)
            if arrival.received == self.size:
                arrival.finish()
        except OSError:
            arrival.fail("the disk is full or cannot be written")
        except ValueError:
            arrival.fail("more bytes came than were announced")
        return arrival.received

    @property
    def received(self) -> int:
        """Bytes that came over the comm without a gap."""
        return self._arrival.received if self._arrival is not None else 0

    def break_off(self, reason: str) -> None:
        """Note that no more bytes will come over the comm."""
        if self._arrival is not None:
            self._arrival.fail(reason)

    def give_up(self) -> None:
        """Let go of its bytes: no file of it stays on the disk. May be called twice."""
        self._pieces.clear()
        if self._arrival is not None:
            self._arrival.fail("given up")
            self._arrival = None
        if self.ticket is not None:
            with contextlib.suppress(OSError):  # Windows, while a worker still reads: `sweep` gets it
                self.ticket.discard()
