"""``Pace``: how many workers of one run may work at the same time, and from when on they may send again. Pure.

How many is found by trying: the number doubles as long as the throughput follows, and is halved when the server says
that it is too much (429). Files and bytes are one measure of throughput: a file counts as `FILE` bytes beside its own,
about what a line carries in the time that a request costs, so many small files and few large ones are judged alike.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_JOBS = 8
MOST_JOBS = 32  # that are found by trying; who wants more says so
FILE = 1 << 18  # bytes
# A measurement leaves out what happens before every worker may have had its turn, and lasts a few turns of each:
# answers come in waves, and a new connection fills its buffers before the line has carried anything.
WARM_UP, WARM_UP_SECONDS = 1, 1.0
TURNS, TURNS_SECONDS = 3, 3.0
WORTH_IT = 1.25  # by how much the throughput must grow when the workers double
REST = 20.0  # seconds without a further try after one that was not worth it, and after a 429
NEXT_LOOK = 0.02  # seconds, where all who may work do


class Pace:
    """What the workers of one run ask before they send. May be used from any thread.

    Parameters
    ----------
    jobs : int or None
        So many may work, whatever happens; None finds the number by trying, from 8 to 32.
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.

    Attributes
    ----------
    jobs : int
        How many may work now.
    reason : str
        Why nobody may send, in a few words, while `held` says so.
    """

    def __init__(self, jobs: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs = FIRST_JOBS if jobs is None else jobs
        self._fixed = jobs is not None
        self._clock = clock
        self._lock = threading.Lock()
        self._working = 0
        self._held_until = self._halved = self._rest_until = 0.0
        self._before: float | None = None  # the throughput with half the workers; None: nothing to compare with
        self.reason = ""
        self._measure(None)

    def enter(self) -> float:
        """Begin to work: return 0, or the seconds after which to ask again."""
        with self._lock:
            left = self._held_until - self._clock()
            if left > 0:
                return left
            if self._working >= self.jobs:
                return NEXT_LOOK
            self._working += 1
            return 0.0

    def leave(self) -> None:
        """Work no more."""
        with self._lock:
            self._working -= 1

    def held(self) -> float:
        """Return the seconds until anybody may send again; 0 is now."""
        return max(0.0, self._held_until - self._clock())

    def hold(self, seconds: float, reason: str) -> None:
        """Let nobody send for so many seconds: the server asked one of us to wait."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
            self.reason = reason
            self._measure(None)  # what a pause does to the throughput says nothing

    def ease(self, began: float) -> None:
        """Halve the number of workers: a request that left at `began` was refused as one too many.

        Those that left before the number was halved tell nothing new.
        """
        with self._lock:
            if self._fixed or began < self._halved:
                return
            now = self._clock()
            self.jobs = max(1, self.jobs // 2)
            self._halved = now
            self._rest(now)

    def moved(self, size: int) -> None:
        """Take note that `size` bytes left."""
        if self._fixed:
            return
        with self._lock:
            self._note(size, 0)

    def finished(self) -> None:
        """Take note that a file is done."""
        if self._fixed:
            return
        with self._lock:
            self._note(FILE, 1)

    # -- trying ------------------------------------------------------------------------------------------------------

    def _measure(self, since: float | None) -> None:
        """Begin a measurement; without `since` its clock starts with the first thing that happens."""
        self._warm = False
        self._since = since
        self._amount = self._turns = 0

    def _rest(self, now: float) -> None:
        self._rest_until = now + REST
        self._before = None
        self._measure(now)

    def _note(self, amount: int, turns: int) -> None:
        now = self._clock()
        if now < self._held_until:
            return
        self._since = now if self._since is None else self._since
        self._amount += amount
        self._turns += turns
        elapsed = now - self._since
        if not self._warm:
            if self._turns >= WARM_UP * self.jobs or elapsed >= WARM_UP_SECONDS:
                self._measure(now)
                self._warm = True
        elif (self._turns >= TURNS * self.jobs or elapsed >= TURNS_SECONDS) and elapsed > 0:
            self._judge(self._amount / elapsed, now)

    def _judge(self, throughput: float, now: float) -> None:
        """Decide, at the end of a measurement, with how many workers to go on."""
        if self._before is not None and throughput < WORTH_IT * self._before:
            self.jobs //= 2
            self._rest(now)
        elif now >= self._rest_until and self.jobs < MOST_JOBS:
            self._before = throughput
            self.jobs = min(2 * self.jobs, MOST_JOBS)
            self._measure(now)
        else:
            self._before = None
            self._measure(now)
