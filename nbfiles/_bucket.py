"""``Bucket``: the token bucket that keeps a process within a number of requests a minute. Pure.

The Files API takes about 500 requests a minute from an organisation, uploads, lists and deletions together
(https://platform.claude.com/docs/en/build-with-claude/files). Whoever sends more is refused with 429 and has lost the
bytes of that attempt, so it is cheaper to wait before.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ANTHROPIC_REQUESTS = 500  # a minute
MINUTE = 60.0  # seconds


class Bucket:
    """Tokens, one for each request: a fifth of a minute's may be spent at once, then they come at an even pace.

    Parameters
    ----------
    per_minute : int
        Requests a minute, 1 or more. May be changed at any time.
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(self._burst)
        self._latest = clock()

    @property
    def _burst(self) -> int:
        return max(1, self.per_minute // 5)

    def take(self) -> float:
        """Take a token, perhaps one that is still to come; return the seconds until it may be spent."""
        with self._lock:
            now = self._clock()
            came = (now - self._latest) * self.per_minute / MINUTE
            self._tokens = min(self._burst, self._tokens + came) - 1
            self._latest = now
            return max(0.0, -self._tokens * MINUTE / self.per_minute)

    def give_back(self) -> None:
        """Give back a token that was not spent."""
        with self._lock:
            self._tokens += 1


_buckets: dict[tuple[int, str, str], Bucket] = {}


def shared(place: str, credential: str, per_minute: int) -> Bucket:
    """Return the one bucket that this process has for `place` and the key with the fingerprint `credential`."""
    # A child that was forked begins with its own: its parent's may be locked for ever.
    bucket = _buckets.setdefault((os.getpid(), place, credential), Bucket(per_minute))
    bucket.per_minute = per_minute
    return bucket
