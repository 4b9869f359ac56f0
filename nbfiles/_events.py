"""What happens to a transfer, as frozen records, and the one method that whoever watches must have.

A transfer's life: ``Queued``, then any number of ``Progress``, ``Checking`` and ``Retrying``, then ``Done`` or
``Failed``. Records say what is so; displays (``_progress.py``) are readers of them, and the engine knows no display.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nbfiles._models import FileMetadata


@dataclass(frozen=True, slots=True)
class Queued:
    """A transfer waits for its turn.

    Parameters
    ----------
    transfer : int
        Number of the transfer within its call, from 0 in the order the sources were given.
    name : str
        The file name that will be sent.
    size : int
        Bytes of the file.
    """

    transfer: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Progress:
    """So many bytes of the file were accepted by the socket. A retry starts again, so `sent` may go back to 0."""

    transfer: int
    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class Checking:
    """The bytes had left when an attempt failed for `reason`: the server is asked whether it has the file."""

    transfer: int
    reason: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed and has stored nothing, or has to wait for its turn; the next starts after `delay` seconds.

    Parameters
    ----------
    transfer : int
        Number of the transfer.
    reason : str
        Why, in a few words a person can read.
    delay : float
        Seconds until the next attempt.
    attempt, attempts : int
        The attempt that comes next, and how many there may be.
    """

    transfer: int
    reason: str
    delay: float
    attempt: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Done:
    """The server's answer was checked against what was sent. `sent` counts the bytes that left for it."""

    transfer: int
    metadata: FileMetadata
    sent: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The transfer ended without a file. ``Cancelled`` by a person counts as one too."""

    transfer: int
    error: BaseException


Event = Queued | Progress | Checking | Retrying | Done | Failed


class Observer(Protocol):
    """Whoever wants to know. Called on the thread that waits for the transfer, never on a worker's.

    An observer that has a method ``tick()`` is also told, without arguments, that a twentieth of a second went by.
    """

    def __call__(self, event: Event) -> None:
        """Take note of `event`; an exception raised here ends the call that is waited for."""
