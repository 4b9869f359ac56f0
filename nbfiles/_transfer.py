"""``TransferManager``: worker threads that move the bytes, and one place where somebody waits for them.

::

    waiter (main thread or event loop)            workers (daemon threads, one warm connection each)
      run() / run_async()                           take the next task
        ├─ reads events, tells the observer   <──     attempt ── fails ── may it be repeated? ── wait ──┐
        ├─ cuts the line of whoever is late   ──>      │  done                                         │
        └─ Ctrl-C or cancel: cuts every line  ──>      └── Done / Failed              next attempt <───┘

Threads with ``httpx.Client`` beat asyncio here, and leave the kernel's loop alone (measured: 2-3 ms at worst). Waking a
thread that is blocked in a socket takes ``shutdown`` on that socket: closing the client does not do it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nbfiles._client import ANSWER_TIMEOUT, Client, Trace
from nbfiles._errors import (
    APIError,
    AuthenticationError,
    BillingError,
    CertificateError,
    ConnectionFailedError,
    CredentialError,
    DeadlineError,
    Error,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    SourceChangedError,
    StorageFullError,
    UnknownOutcomeError,
)
from nbfiles._events import Done, Event, Failed, Observer, Progress, Queued, Retrying
from nbfiles._multipart import Multipart
from nbfiles._names import visible
from nbfiles._payload import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nbfiles._models import DeletedFile, FileMetadata
    from nbfiles._payload import Payload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds, and how often they are tried. One object, so that tests can shorten it.

    Parameters
    ----------
    total : float
        Time limit of a call, to which each `slowest` bytes add a second.
    slowest : int
        Bytes a second below which a transfer is given up.
    answer : float
        From the last byte sent to the answer.
    longest_wait : float
        The most that one ``retry-after`` is obeyed.
    first_wait, most_wait : float
        Between attempts: doubles from the first to the most, less up to a quarter by chance.
    attempts : int
        While the server says it is busy.
    connections : int
        Attempts while it cannot be reached: fewer, since a person waits.
    grace : float
        How long a cancelled call waits for its threads before it gives the prompt back.
    """

    total: float = 120.0
    slowest: int = 32 << 10
    answer: float = ANSWER_TIMEOUT
    longest_wait: float = 60.0
    first_wait: float = 0.5
    most_wait: float = 8.0
    attempts: int = 5
    connections: int = 3
    grace: float = 0.5

    def limit(self, size: int) -> float:
        """Seconds that a transfer of `size` bytes may take in all."""
        return self.total + size / self.slowest

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after attempt number `attempt` (from 1), when the server asked for `asked`."""
        own = min(self.first_wait * float(1 << (attempt - 1)), self.most_wait)
        own *= 1 - 0.25 * random.random()  # noqa: S311  # spreads clients out; no secret
        return max(own, min(asked or 0.0, self.longest_wait))


class Line:
    """The socket under one worker, so that another thread can cut it.

    A warm request opens no connection and so tells of no socket: the record of the latest one outlives its request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False
        self.late = False
        self.deadline = float("inf")  # time.monotonic() at which the waiter cuts this line

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of a new connection. Proxied ones have other prefixes, so the ending decides."""
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        found = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._socket = found
            if self._is_cut:
                self._shutdown()

    def cut(self, *, late: bool = False) -> None:
        """Make whatever the worker does on its socket fail now."""
        with self._lock:
            self.late = self.late or late
            self._is_cut = True
            self._shutdown()

    def mend(self, deadline: float) -> None:
        """Begin a task: a line that was cut for being late may be used again."""
        with self._lock:
            self.late = self._is_cut = False
            self.deadline = deadline

    def _shutdown(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # already closed
            # Not `self._socket.shutdown`: an SSLSocket would drop its TLS layer first, and plain text could go out.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Task(Protocol[T_co]):
    """One thing to get done at the Files API, in as many attempts as it may have."""

    name: str
    size: int  # bytes to send
    timeout: float | None  # seconds in all; None: `Patience.limit`

    def attempt(self, client: Client, turn: Turn) -> T_co:
        """Try once."""

    def may_repeat(self, error: Error) -> bool:
        """Whether trying again after `error` can do no harm."""

    def close(self) -> None:
        """Let go of what the task keeps. Called once, whatever happened."""


@dataclass(slots=True)
class Turn:
    """What one attempt is told, and tells."""

    attempt: int
    line: Line
    patience: Patience
    cancelled: Callable[[], bool]
    progress: Callable[[int], None]


class Upload:
    """The task of sending one payload.

    Parameters
    ----------
    payload : Payload
        Closed when the task ends.
    expires : int or None
        Seconds.
    timeout : float or None
        Seconds in all.
    retry : bool, default True
        False: one attempt, whatever happens before or after the first byte.

    Attributes
    ----------
    digest : str or None
        Of what was sent; made on the way.
    """

    def __init__(
        self, payload: Payload, *, expires: int | None = None, timeout: float | None = None, retry: bool = True
    ) -> None:
        self.payload = payload
        self.name, self.size = payload.name, payload.size
        self.timeout = timeout
        self.digest = payload.digest
        self._expires = expires
        self._retry = retry
        self._began = False  # whether a byte of the body of the latest attempt may have left

    def attempt(self, client: Client, turn: Turn) -> FileMetadata:
        """Send the whole file once, and check what the server says it got."""
        self._began = False
        fields = {} if self._expires is None else {"expires_in_seconds": str(self._expires)}
        multipart = Multipart(self.payload, fields)
        try:
            metadata = client.upload(multipart, self._body(multipart, turn), expires=self._expires)
            self._check(metadata)
        except (ConnectionFailedError, ResponseError) as error:
            if not self._began or isinstance(error, CertificateError):
                raise
            cause = error.cause
        else:
            return metadata
        # Outside the except block, so that the error carries no other.
        raise UnknownOutcomeError(
            f"{visible(self.name)} was sent, but {cause}; it may have arrived",
            f"Nothing was bound. Look with %files --match {_glob(self.name)} before you send it again.",
        )

    def may_repeat(self, error: Error) -> bool:
        """Only while the server cannot have stored the file: it said so (429), or no byte had left."""
        return self._retry and (isinstance(error, RateLimitError) or not self._began)

    def close(self) -> None:
        """Remove the payload's temporary file."""
        self.payload.close()

    def _body(self, multipart: Multipart, turn: Turn) -> Iterator[bytes]:
        """Yield the body; count what the socket took, hash what the file holds, and stop if cancelled."""
        digest = None if self.payload.digest else Digest()
        turn.progress(0)
        done = 0
        for chunk in multipart.chunks(digest):
            if turn.cancelled():
                raise ConnectionFailedError("the upload was cancelled")
            self._began = True
            yield chunk
            done += len(chunk)
            turn.progress(min(max(0, done - multipart.head_size), self.size))
        if digest is not None:
            self.digest = str(digest)
        turn.line.deadline = min(turn.line.deadline, time.monotonic() + turn.patience.answer)

    def _check(self, metadata: FileMetadata) -> None:
        """See that the answer is about what was sent.

        Raises
        ------
        ResponseError
            If its size or its type is another. (Another name is the caller's to warn of: it is bound all the same.)
        """
        if metadata.type != "file":
            raise ResponseError(f"the answer is about a {visible(metadata.type[:40])}, not a file")
        if metadata.size_bytes != self.size:
            raise ResponseError(f"the answer is about {metadata.size_bytes} bytes, and {self.size} were sent")


class Ask(Task[T]):
    """The task of asking for something that may safely be asked twice.

    Parameters
    ----------
    verb : callable
        Gets the client, returns the answer.
    name : str, default ""
        For events.
    timeout : float or None, default None
        Seconds in all.
    """

    def __init__(self, verb: Callable[[Client], T], *, name: str = "", timeout: float | None = None) -> None:
        self._verb = verb
        self.name, self.size, self.timeout = name, 0, timeout

    def attempt(self, client: Client, turn: Turn) -> T:  # noqa: ARG002  # the protocol's
        """Ask once."""
        return self._verb(client)

    def may_repeat(self, error: Error) -> bool:
        """After whatever another attempt may mend."""
        return isinstance(error, RateLimitError | ServerError) or _unreached(error)

    def close(self) -> None:
        """Nothing is kept."""


class Delete(Ask["DeletedFile | None"]):
    """The task of deleting one file; that it is gone already counts as done only if an attempt of ours went before.

    The result is None in that case: the answer to the attempt that deleted it was lost.
    """

    def __init__(self, file_id: str, *, timeout: float | None = None) -> None:
        super().__init__(lambda client: client.delete(file_id), name=file_id, timeout=timeout)

    def attempt(self, client: Client, turn: Turn) -> DeletedFile | None:
        """Delete once."""
        try:
            return super().attempt(client, turn)
        except NotFoundError:
            if turn.attempt == 1:
                raise
            return None


class TransferManager:
    """Runs tasks on worker threads and waits for them.

    Parameters
    ----------
    connect : callable
        ``connect(trace=...)`` returns a new `Client`; called once in each worker.
    jobs : int, default 8
        Workers at the most.
    patience : Patience
    """

    def __init__(self, connect: Callable[[Trace], Client], *, jobs: int = 8, patience: Patience | None = None) -> None:
        self._connect = connect
        self._jobs = jobs
        self._patience = patience or Patience()

    def run(self, tasks: Sequence[Task[T]], observer: Observer) -> list[T | Error]:
        """Do every task; return their results or errors in the order of `tasks`.

        Ctrl-C, or an exception of `observer`, cancels what is under way, waits for at most `Patience.grace` seconds
        and goes on to the caller. Workers that sit in DNS or in a handshake end by themselves within 5 s.
        """
        run = _Run(tasks, self._connect, self._jobs, self._patience, observer)
        try:
            run.start()
            while not run.ended:
                run.pump(0.1)
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
        run = _Run(tasks, self._connect, self._jobs, self._patience, observer)
        run.wake = lambda: loop.call_soon_threadsafe(wake.set)
        try:
            run.start()
            while not run.ended:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), 0.1)
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
        jobs: int,
        patience: Patience,
        observer: Observer,
    ) -> None:
        self._tasks = tasks
        self._connect = connect
        self._patience = patience
        self._observer = observer
        self._waiting = SimpleQueue[int]()
        self._events: SimpleQueue[Event | None] = SimpleQueue()  # None: a worker has ended
        self._results: list[Any] = [None] * len(tasks)
        self._stop = threading.Event()
        self._hopeless: Error | None = None  # what the tasks still waiting would run into as well
        self._lines = [Line() for _ in range(min(jobs, len(tasks)))]
        self._threads = [
            threading.Thread(target=self._work, args=(line,), name=f"nbfiles-{number}", daemon=True)
            for number, line in enumerate(self._lines)
        ]
        self._working = len(self._threads)
        self.wake: Callable[[], Any] | None = None

    # -- the waiter's side -------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether every worker has ended."""
        return self._working == 0

    def start(self) -> None:
        """Queue the tasks and start the workers."""
        for number, task in enumerate(self._tasks):
            self._waiting.put(number)
            self._observer(Queued(number, task.name, task.size))
        for thread in self._threads:
            thread.start()

    def pump(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for an event, tell the observer all there are, and cut the lines of the late."""
        with contextlib.suppress(Empty):
            event = self._events.get(timeout=timeout) if timeout else self._events.get_nowait()
            while True:
                if event is None:
                    self._working -= 1
                else:
                    self._observer(event)
                event = self._events.get_nowait()
        now = time.monotonic()
        for line in self._lines:
            if now > line.deadline and not line.late:
                line.cut(late=True)

    def cancel(self) -> None:
        """Stop everything: no new attempt, no new task, and nobody blocks in a socket."""
        self._stop.set()
        for line in self._lines:
            line.cut()
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

    def _tell(self, event: Event | None) -> None:
        self._events.put(event)
        wake = self.wake
        if wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                wake()

    def _work(self, line: Line) -> None:
        """Take tasks until there are none; one client, so one warm connection."""
        client: Client | None = None
        try:
            while not self._stop.is_set() and (number := self._next()) is not None:
                task = self._tasks[number]
                try:
                    client = client or self._connect(line.trace)
                    self._results[number] = self._perform(number, task, client, line)
                except BaseException as error:  # noqa: BLE001  # it belongs to the waiter, whatever it is
                    if isinstance(error, _HOPELESS):
                        self._hopeless = error
                    self._results[number] = error
                    self._tell(Failed(number, error))
                finally:
                    task.close()
        finally:
            if client is not None:
                client.close()
            self._tell(None)

    def _perform(self, number: int, task: Task[Any], client: Client, line: Line) -> Any:
        """Try until it is done, may not be repeated, or time is up."""
        if self._hopeless is not None:
            raise self._hopeless
        limit = self._patience.limit(task.size) if task.timeout is None else task.timeout
        end = time.monotonic() + limit
        attempt = 0
        while True:
            attempt += 1
            line.mend(end)
            sent = _Counter(number, task.size, self._tell)
            turn = Turn(attempt, line, self._patience, self._stop.is_set, sent)
            try:
                result = task.attempt(client, turn)
            except Error as error:
                failure = _late(error, task, limit) if line.late else error
            else:
                if isinstance(task, Upload):
                    self._tell(Done(number, result, sent.value))
                return result
            finally:
                line.deadline = float("inf")
            delay = self._delay(task, failure, attempt, end)
            if delay is None:
                raise failure
            self._tell(Retrying(number, failure.cause, delay, attempt + 1, self._most(failure)))
            if self._stop.wait(delay):
                raise failure

    def _most(self, failure: Error) -> int:
        return self._patience.connections if isinstance(failure, ConnectionFailedError) else self._patience.attempts

    def _delay(self, task: Task[Any], failure: Error, attempt: int, end: float) -> float | None:
        """Return the seconds until the next attempt; None if there is none."""
        if isinstance(failure, SourceChangedError | CertificateError | DeadlineError) or self._stop.is_set():
            return None
        if attempt >= self._most(failure) or not (_unreached(failure) or isinstance(failure, APIError)):
            return None
        if not task.may_repeat(failure):
            return None
        asked = failure.retry_after if isinstance(failure, APIError) else 0.0
        if asked is None and isinstance(failure, RateLimitError):
            return None  # a 429 that names no time is a spending limit: waiting does not help
        delay = self._patience.wait(attempt, asked)
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

    def __init__(self, transfer: int, size: int, tell: Callable[[Event], None]) -> None:
        self._transfer, self._size, self._tell = transfer, size, tell
        self.value = 0

    def __call__(self, sent: int) -> None:
        self.value = sent
        self._tell(Progress(self._transfer, sent, self._size))


def _unreached(error: Error) -> bool:
    return isinstance(error, ConnectionFailedError) and not isinstance(error, CertificateError | DeadlineError)


def _late(error: Error, task: Task[Any], limit: float) -> Error:
    """Say that the line was cut because time was up."""
    if isinstance(error, UnknownOutcomeError):
        return UnknownOutcomeError(
            f"{visible(task.name)} was sent, but no answer came within {limit:.0f} s; it may have arrived",
            error.way_out,
        )
    if not isinstance(error, ConnectionFailedError):
        return error
    return DeadlineError(f"it took longer than {limit:.0f} s", "Give it more time with --timeout 10m (timeout=600).")


def _glob(name: str) -> str:
    """Write `name` as an option's value."""
    return f'"{visible(name)}"'
