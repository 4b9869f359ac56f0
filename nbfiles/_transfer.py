"""``TransferManager``: worker threads that move the bytes, and one place where somebody waits for them.

::

    waiter (main thread or event loop)            workers (daemon threads, one warm connection each)
      run() / run_async()                           take the next task
        ├─ reads events, tells the observer   <──     attempt ── fails ── may it be repeated? ── wait ──┐
        ├─ cuts the line of whoever is late   ──>      │  done                                         │
        └─ Ctrl-C or cancel: cuts every line  ──>      └── Done / Failed              next attempt <───┘

How many workers there are, and when they may send, `_pace.py` and `_gate.py` say. A worker that takes a task hires
others while there are tasks and room, and one that is too many goes. The waiter is woken when a worker ends or tries
again, and reads the events in between twenty times a second: to be woken for each would cost as much as sending a
small file.

Threads with ``httpx.Client`` beat asyncio here, and leave the kernel's loop alone (measured: 2-3 ms at worst). Waking a
thread that is blocked in a socket takes ``shutdown`` on that socket: closing the client does not do it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from nbfiles._errors import (
    AmbiguousUploadError,
    APIError,
    AuthenticationError,
    BillingError,
    CertificateError,
    ConnectionFailedError,
    CredentialError,
    DeadlineError,
    Error,
    RateLimitError,
    ResponseError,
    SourceChangedError,
    StorageFullError,
    UnknownOutcomeError,
)
from nbfiles._events import Checking, Done, Event, Failed, Observer, Progress, Queued, Retrying
from nbfiles._gate import Gate
from nbfiles._names import visible
from nbfiles._pace import Pace
from nbfiles._tasks import Patience, Task, Turn, Upload, unreached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbfiles._bucket import Bucket
    from nbfiles._client import Client
    from nbfiles._connection import Trace

T = TypeVar("T")

_NEVER = float("inf")
_TICK = 0.05  # seconds between two looks at the events


class Line:
    """The socket under one worker, so that another thread can cut it.

    A warm request opens no connection and so tells of no socket: the record of the latest one outlives its request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cancelled = False  # for good
        self._deadline = _NEVER
        self.late = False  # until the next attempt

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of a new connection. Proxied ones have other prefixes, so the ending decides."""
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        found = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._socket = found
            if self._cancelled or self.late:
                self._shutdown()

    def cancel(self) -> None:
        """Make whatever the worker does on its socket fail, now and from now on."""
        with self._lock:
            self._cancelled = True
            self._shutdown()

    def cut_if_late(self, now: float) -> None:
        """Make it fail if its time is up at `now` (of `time.monotonic`)."""
        with self._lock:
            if now > self._deadline and not self.late:
                self.late = True
                self._shutdown()

    def begin(self, deadline: float) -> None:
        """Begin an attempt that may last until `deadline`; a line that was cut for being late may be used again."""
        with self._lock:
            self.late = False
            self._deadline = deadline

    def renew(self, deadline: float) -> bool:
        """Let a line that was cut for being late be used again until `deadline`; return False if that is over too."""
        with self._lock:
            if self._cancelled or time.monotonic() >= deadline:
                return False
            self.late = False
            self._deadline = deadline
            return True

    def end(self) -> None:
        """End the attempt: between two of them nobody is late."""
        with self._lock:
            self._deadline = _NEVER

    def left(self) -> float:
        """Return the seconds that the attempt still has."""
        with self._lock:
            return max(0.0, self._deadline - time.monotonic())

    def limit(self, seconds: float) -> None:
        """Let the attempt have no more than `seconds` from now, and no more than it had."""
        with self._lock:
            self._deadline = min(self._deadline, time.monotonic() + seconds)

    def allow(self, seconds: float) -> None:
        """Let the attempt have `seconds` from now, however many it had."""
        with self._lock:
            self._deadline = time.monotonic() + seconds

    def _shutdown(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # already closed
            # Not `self._socket.shutdown`: an SSLSocket would drop its TLS layer first, and plain text could go out.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class TransferManager:
    """Runs tasks on worker threads and waits for them.

    Parameters
    ----------
    connect : callable
        ``connect(trace)`` returns a new `Client`; called once in each worker.
    jobs : int or None, default None
        Workers at the most; None finds the number by trying (see `Pace`).
    patience : Patience
    bucket : Bucket or None, default None
        Keeps all runs together within a number of requests a minute; None sends as fast as it goes.
    """

    def __init__(
        self,
        connect: Callable[[Trace], Client],
        *,
        jobs: int | None = None,
        patience: Patience | None = None,
        bucket: Bucket | None = None,
    ) -> None:
        self._connect = connect
        self._jobs = jobs
        self._patience = patience or Patience()
        self._bucket = bucket

    def _start(self, tasks: Sequence[Task[Any]], observer: Observer) -> _Run:
        pace = Pace(self._jobs)
        return _Run(tasks, self._connect, observer, pace=pace, bucket=self._bucket, patience=self._patience)

    def run(self, tasks: Sequence[Task[T]], observer: Observer) -> list[T | Error]:
        """Do every task; return their results or errors in the order of `tasks`.

        Ctrl-C, or an exception of `observer`, cancels what is under way, waits for at most `Patience.grace` seconds
        and goes on to the caller. Workers that sit in DNS or in a handshake end by themselves within 5 s.
        """
        run = self._start(tasks, observer)
        try:
            run.start()
            while not run.ended:
                run.pump(_TICK)
        except BaseException:
            run.cancel()
            until = time.monotonic() + self._patience.grace
            while run.alive() and time.monotonic() < until:
                time.sleep(0.005)
            raise
        return run.results()

    async def run_async(self, tasks: Sequence[Task[T]], observer: Observer) -> list[T | Error]:
        """Do the same while the running loop goes on; cancelling the awaiting task cancels the transfers."""
        loop, wake = asyncio.get_running_loop(), asyncio.Event()
        run = self._start(tasks, observer)
        run.wake = lambda: loop.call_soon_threadsafe(wake.set)
        try:
            run.start()
            while not run.ended:
                # Not `asyncio.wait_for`: in Python 3.11 it forgets a cancel that comes together with an event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK):
                        await wake.wait()
                wake.clear()
                run.pump(0)
        except BaseException:
            run.wake = None
            run.cancel()
            until = time.monotonic() + self._patience.grace
            while run.alive() and time.monotonic() < until:
                await asyncio.sleep(0.005)
            raise
        run.wake = None
        return run.results()


class _Run:
    """One call of the manager: its tasks, its workers, and what is known of them so far."""

    def __init__(
        self,
        tasks: Sequence[Task[Any]],
        connect: Callable[[Trace], Client],
        observer: Observer,
        *,
        pace: Pace,
        bucket: Bucket | None,
        patience: Patience,
    ) -> None:
        self._tasks = tasks
        self._connect = connect
        self._pace = pace
        self._bucket = bucket
        self._patience = patience
        self._observer = observer
        self._tick: Callable[[], None] | None = getattr(observer, "tick", None)
        self._waiting = SimpleQueue[int]()
        self._events: deque[Event | None] = deque()  # None: a worker has ended
        self._news = threading.Event()  # a worker has ended
        self._results: list[Any] = [None] * len(tasks)
        self._stop = threading.Event()
        self._hopeless: Error | None = None  # what the tasks still waiting would run into as well
        self._crew = threading.Lock()  # over the next four
        self._lines: list[Line] = []
        self._threads: list[threading.Thread] = []
        self._hired = 0  # workers that may take another task
        self._started = 0
        self._ended = 0  # as far as the waiter has heard
        self.wake: Callable[[], Any] | None = None

    # -- the waiter's side -------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether every worker has ended."""
        return self._ended == self._started  # who hires has not ended

    def start(self) -> None:
        """Queue the tasks and hire the first worker."""
        for number, task in enumerate(self._tasks):
            self._waiting.put(number)
            self._observer(Queued(number, task.name, task.size))
        with self._crew:
            self._hire()

    def pump(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a worker to end, tell the observer all events, cut the lines of the late."""
        if timeout:
            self._news.wait(timeout)
        self._news.clear()
        while self._events:
            event = self._events.popleft()
            if event is None:
                self._ended += 1
            else:
                self._observer(event)
        if self._tick is not None:
            self._tick()
        now = time.monotonic()
        for line in self._lines:
            line.cut_if_late(now)

    def cancel(self) -> None:
        """Stop everything: no new attempt, no new task, and nobody blocks in a socket."""
        self._stop.set()
        with self._crew:  # nobody is hired any more
            lines = tuple(self._lines)
        for line in lines:
            line.cancel()
        self._drain()

    def alive(self) -> bool:
        """Whether a worker still runs."""
        return any(thread.is_alive() for thread in self._threads)

    def results(self) -> list[Any]:
        """Return results and errors in the order of the tasks; an exception that is no `Error` is raised."""
        for result in self._results:
            if isinstance(result, BaseException) and not isinstance(result, Error):
                raise result
        return self._results

    def _drain(self) -> None:
        """Close the tasks that nobody has taken."""
        while (number := self._next()) is not None:
            self._tasks[number].close()

    # -- the workers' side -------------------------------------------------------------------------------------------

    def _next(self) -> int | None:
        try:
            return self._waiting.get_nowait()
        except Empty:
            return None

    def _another(self) -> int | None:
        """Return another task, and hire whom there is work for; None sends the worker home."""
        with self._crew:
            if not self._stop.is_set() and self._hired <= self._pace.jobs and (number := self._next()) is not None:
                self._hire_more()
                return number
            self._hired -= 1
            return None

    def _hire_more(self) -> None:
        """Hire two, so that many are soon there. Where the system has no thread to spare, fewer will do."""
        if self._hired >= self._pace.jobs:
            return
        with contextlib.suppress(RuntimeError):
            self._hire()
            self._hire()

    def _hire(self) -> None:
        """Start one worker with the next task, if there is one and room for it."""
        if self._stop.is_set() or self._hired >= self._pace.jobs or (number := self._next()) is None:
            return
        line = Line()
        name = f"nbfiles-{self._started}"
        thread = threading.Thread(target=self._work, args=(line, number), name=name, daemon=True)
        self._lines.append(line)  # first: a Ctrl-C may come while the thread starts, and cancelling must find its line
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:  # it never ran
                self._waiting.put(number)
            raise
        self._threads.append(thread)
        self._started += 1
        self._hired += 1

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, Retrying | Checking):  # rare, and somebody may want to stop it now
            self._wake_up()

    def _tell_end(self) -> None:
        self._events.append(None)
        self._wake_up()

    def _wake_up(self) -> None:
        self._news.set()
        wake = self.wake
        if wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                wake()

    def _work(self, line: Line, first: int) -> None:
        """Do the task `first`, then others until there are none, or too many who do; one client, so one connection."""
        gate = Gate(self._pace, self._bucket, self._patience.longest_wait, stop=self._stop, left=line.left)
        client: Client | None = None
        try:
            with self._crew:
                self._hire_more()
            number: int | None = first
            while number is not None:
                task = self._tasks[number]
                try:
                    if client is None:
                        client = self._connect(line.trace)
                        client.gate = gate
                    self._results[number] = self._perform(number, task, client, line, gate)
                except BaseException as error:  # noqa: BLE001  # it belongs to the waiter, whatever it is
                    if isinstance(error, _HOPELESS) and not isinstance(error, DeadlineError):
                        self._hopeless = error
                    self._results[number] = error
                    self._tell(Failed(number, error))
                finally:
                    task.close()
                number = self._another()
        finally:
            gate.close()
            if client is not None:
                client.close()
            self._tell_end()

    def _perform(self, number: int, task: Task[Any], client: Client, line: Line, gate: Gate) -> Any:
        """Try until it is done, may not be repeated, or time is up."""
        if self._hopeless is not None:
            raise self._hopeless
        attempt = 0

        def waits(delay: float, reason: str) -> None:
            self._tell(Retrying(number, reason, delay, max(attempt, 1), self._patience.attempts))

        if not gate.enter(_NEVER, waits):  # before the task's time begins: others' waits are not its own
            raise ConnectionFailedError("it was cancelled")
        limit = self._patience.limit(task.size) if task.timeout is None else task.timeout
        end = time.monotonic() + limit
        while True:
            attempt += 1
            line.begin(end)
            sent = _Counter(number, task.size, self._tell, self._pace)
            turn = Turn(
                attempt,
                self._patience,
                cancelled=self._stop.is_set,
                progress=sent,
                wait=self._stop.wait,
                left=lambda: end - time.monotonic(),
                late=lambda: line.late,
                checking=lambda reason: self._tell(Checking(number, reason)),
                renew=partial(line.renew, end + self._patience.late_look),
                limit=line.limit,
                allow=line.allow,
            )
            try:
                result = task.attempt(client, turn)
            except Error as error:
                failure = _late(error, task, limit) if line.late or time.monotonic() >= end else error
            else:
                if isinstance(task, Upload):
                    self._tell(Done(number, result, sent.value))
                self._pace.finished()
                return result
            finally:
                line.end()
                gate.leave()
            delay = self._delay(task, failure, attempt, end)
            if delay is None:
                raise failure
            self._tell(Retrying(number, failure.cause, delay, attempt + 1, self._most(failure)))
            if self._stop.wait(delay) or not gate.enter(end, waits):
                raise failure

    def _most(self, failure: Error) -> int:
        few = isinstance(failure, ConnectionFailedError | ResponseError)
        return self._patience.connections if few else self._patience.attempts

    def _delay(self, task: Task[Any], failure: Error, attempt: int, end: float) -> float | None:
        """Return the seconds until the next attempt; None if there is none."""
        if isinstance(failure, SourceChangedError | CertificateError | DeadlineError) or self._stop.is_set():
            return None
        if attempt >= self._most(failure) or not (unreached(failure) or isinstance(failure, APIError | ResponseError)):
            return None
        if not task.may_repeat(failure):
            return None
        asked = None
        if isinstance(failure, APIError):
            asked = failure.retry_after
            # A 429 that names no time is a spending limit: waiting does not help.
            useless = isinstance(failure, RateLimitError) and asked is None and not failure.should_retry
            if useless or failure.should_retry is False:
                return None
        delay = max(self._patience.wait(attempt, asked), self._pace.held())
        return delay if time.monotonic() + delay < end else None


# After one of these the next file has no better chance, so it is not tried.
_HOPELESS = (
    AuthenticationError,
    BillingError,
    CertificateError,
    ConnectionFailedError,
    CredentialError,
    StorageFullError,
)


class _Counter:
    """Tells of progress, and remembers the latest count."""

    def __init__(self, transfer: int, size: int, tell: Callable[[Event], None], pace: Pace) -> None:
        self._transfer, self._size, self._tell, self._pace = transfer, size, tell, pace
        self.value = 0

    def __call__(self, sent: int) -> None:
        self._pace.moved(sent - self.value)
        self.value = sent
        self._tell(Progress(self._transfer, sent, self._size))


def _late(error: Error, task: Task[Any], limit: float) -> Error:
    """Say that the line was cut because time was up."""
    if isinstance(error, AmbiguousUploadError):
        return error
    if isinstance(error, UnknownOutcomeError):
        return UnknownOutcomeError(
            f"{visible(task.name)} was sent, but no answer came in time; it may have arrived",
            error.way_out,
        )
    if not isinstance(error, ConnectionFailedError):
        return error
    return DeadlineError(f"it took longer than {limit:.0f} s", "Give it more time with --timeout 10m (timeout=600).")
