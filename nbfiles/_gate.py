"""``Gate``: what one worker passes before each attempt and before each request: the run's pace, and the rate.

Every request of every task goes through it, those that only look or delete as well, because the server counts them
all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nbfiles._errors import APIError, ConnectionFailedError, RateLimitError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from nbfiles._bucket import Bucket
    from nbfiles._pace import Pace

WORTH_TELLING = 0.5  # seconds; a shorter wait is nobody's business


class Gate:
    """The gate of one worker; one thread uses it.

    Parameters
    ----------
    pace : Pace
        The run's.
    bucket : Bucket or None
        The process's for this place and key; None where requests are not counted.
    longest_wait : float
        The most seconds that a ``retry-after`` is obeyed.
    stop : threading.Event
        Set when the run is cancelled.
    left : callable
        Returns the seconds that the attempt under way still has.
    """

    def __init__(
        self,
        pace: Pace,
        bucket: Bucket | None,
        longest_wait: float,
        *,
        stop: threading.Event,
        left: Callable[[], float],
    ) -> None:
        self._pace, self._bucket, self._longest_wait = pace, bucket, longest_wait
        self._stop, self._left = stop, left
        self._token = False  # whether the next request has one already
        self._began = 0.0  # when the latest request left
        self._tell: Callable[[float, str], None] = _nobody

    def enter(self, end: float, tell: Callable[[float, str], None]) -> bool:
        """Wait until an attempt may begin; return False if that is not before `end` (of `time.monotonic`).

        `tell` is told, now and until `leave`, of waits (seconds) and their reasons.
        """
        self._tell = tell
        wait, told = self._take(), False
        while wait := wait or self._pace.enter():
            told = told or self._say(wait)
            if time.monotonic() + wait >= end or self._stop.wait(wait):
                return False
            wait = 0.0
        return True  # if the run was cancelled meanwhile, its line is cut

    def leave(self) -> None:
        """End an attempt that had begun."""
        self._pace.leave()
        self._tell = _nobody

    def before(self) -> None:
        """Wait until a request may leave.

        Raises
        ------
        ConnectionFailedError
            If that is not before the attempt's time is up, or the run is cancelled. No byte has left.
        """
        wait = self._take()
        while wait := wait or self._pace.held():
            self._say(wait)
            left = self._left()
            if self._stop.wait(min(wait, left)) or wait >= left:
                raise ConnectionFailedError("there was no time left to wait for a turn")
            wait = 0.0
        self._token = False  # spent
        self._began = time.monotonic()

    def refused(self, error: Exception) -> None:
        """Take note of what the server answered: if it asks to wait, all workers do, and are fewer after a 429."""
        if not isinstance(error, APIError) or error.retry_after is None:
            return  # a 429 without a time is a spending limit, which is no question of pace
        if error.retry_after > 0:
            self._pace.hold(min(error.retry_after, self._longest_wait), error.cause)
        if isinstance(error, RateLimitError):
            self._pace.ease(self._began)

    def close(self) -> None:
        """Give back what was not used."""
        if self._token and self._bucket is not None:
            self._bucket.give_back()
        self._token = False

    def _take(self) -> float:
        """Take a token for the next request, unless there is one already; return the seconds until it counts."""
        if self._token:
            return 0.0
        self._token = True
        return 0.0 if self._bucket is None else self._bucket.take()

    def _say(self, wait: float) -> bool:
        """Tell of a wait that a person may notice; return whether it was told."""
        if wait < WORTH_TELLING:
            return False
        most = 0 if self._bucket is None else self._bucket.per_minute
        self._tell(wait, self._pace.reason if self._pace.held() else f"no more than {most} requests a minute are sent")
        return True


def _nobody(wait: float, reason: str) -> None:
    """Tell nobody."""
