"""Tasks: what is to be done at the Files API, and when it may be tried again.

``Upload`` sends a file and is repeated only while the server cannot have stored it; ``Ask`` and ``Delete`` may be
repeated freely. A task knows no thread: it gets a client and a ``Turn``, and the manager runs it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from nbfiles._arrival import Arrival
from nbfiles._config import ANSWER_TIMEOUT
from nbfiles._errors import (
    APIError,
    CertificateError,
    ConflictError,
    ConnectionFailedError,
    DeadlineError,
    Error,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    UnknownOutcomeError,
)
from nbfiles._multipart import Multipart
from nbfiles._names import visible
from nbfiles._payload import Digest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbfiles._client import Client
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

    attempt: int  # from 1
    patience: Patience
    cancelled: Callable[[], bool]
    progress: Callable[[int], None]  # bytes of the file that the socket took
    limit: Callable[[float], None]  # no more than so many seconds from now
    allow: Callable[[float], None]  # so many seconds from now, however many there were


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
        turn.limit(turn.patience.answer)

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


class _Repeatable(Task[T]):
    """What is common to the tasks that may safely be done twice.

    Parameters
    ----------
    name : str
        For events.
    timeout : float or None
        Seconds in all.
    """

    def __init__(self, name: str, timeout: float | None) -> None:
        self.name, self.size, self.timeout = name, 0, timeout

    def may_repeat(self, error: Error) -> bool:
        """After whatever another attempt may mend; the statuses are those of the official SDK."""
        if isinstance(error, RateLimitError | ServerError | ConflictError) or unreached(error):
            return True
        return isinstance(error, APIError) and (error.status == 408 or error.should_retry is True)

    def close(self) -> None:
        """Nothing is kept."""


class Ask(_Repeatable[T]):
    """The task of asking for something.

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
        super().__init__(name, timeout)
        self._verb = verb

    def attempt(self, client: Client, turn: Turn) -> T:  # noqa: ARG002  # the protocol's
        """Ask once."""
        return self._verb(client)


class Delete(_Repeatable["DeletedFile | None"]):
    """The task of deleting one file; that it is gone already counts as done only if an attempt of ours went before.

    The result is None in that case: the answer to the attempt that deleted it was lost.
    """

    def __init__(self, file_id: str, *, timeout: float | None = None) -> None:
        super().__init__(file_id, timeout)

    def attempt(self, client: Client, turn: Turn) -> DeletedFile | None:
        """Delete once."""
        try:
            return client.delete(self.name)
        except NotFoundError:
            if turn.attempt == 1:
                raise
            return None


class Download(_Repeatable["Path"]):
    """The task of fetching one file into a folder, whole or not at all. Its size decides how long that may take.

    Parameters
    ----------
    file_id : str
    to, overwrite
        As in `Arrival`.
    timeout : float or None, default None
        Seconds in all.
    """

    def __init__(
        self, file_id: str, to: str | os.PathLike[str] | None, *, overwrite: bool, timeout: float | None = None
    ) -> None:
        super().__init__(file_id, timeout)
        self._to, self._overwrite = to, overwrite

    def attempt(self, client: Client, turn: Turn) -> Path:
        """Fetch the whole file once."""
        metadata = client.metadata(self.name)
        if self.timeout is None:
            turn.allow(turn.patience.limit(metadata.size_bytes))
        with (
            client.download(self.name) as pieces,
            Arrival(self._to, metadata.filename, metadata.size_bytes, overwrite=self._overwrite) as arrival,
        ):
            for piece in pieces:
                arrival.write(piece)
            return arrival.publish()


def unreached(error: Error) -> bool:
    """Whether the server could not be reached, for a reason that may pass."""
    return isinstance(error, ConnectionFailedError) and not isinstance(error, CertificateError | DeadlineError)


def _glob(name: str) -> str:
    """Write `name` as an option's value."""
    return f'"{visible(name)}"'
