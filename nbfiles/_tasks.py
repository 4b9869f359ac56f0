"""Tasks: what is to be done at the Files API, and when it may be tried again.

``Upload`` sends a file and is repeated only when it is certain that the server has stored nothing; ``Ask`` and
``Delete`` may be repeated freely. A task knows no thread: it gets a client and a ``Turn``, and the manager runs it.
"""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from nbfiles._arrival import Arrival
from nbfiles._config import ANSWER_TIMEOUT
from nbfiles._errors import (
    AmbiguousUploadError,
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
from nbfiles._ledger import Known, Ledger
from nbfiles._lookup import Lookup
from nbfiles._models import FileMetadata
from nbfiles._multipart import Multipart
from nbfiles._names import visible
from nbfiles._payload import Digest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from nbfiles._client import Client
    from nbfiles._ledger import Account, Pending
    from nbfiles._models import DeletedFile
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
    looks : tuple of float
        Waits before each look for a file whose answer was lost: lists may lag behind.
    late_look : float
        When the time limit is over, one look may still take so long.
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
    looks: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0)
    late_look: float = 2.0

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
    wait: Callable[[float], bool]  # returns whether the task was cancelled meanwhile
    left: Callable[[], float]  # seconds until the time limit
    late: Callable[[], bool]  # whether the line was cut because time was up
    checking: Callable[[str], None]  # the server is asked what became of the file
    renew: Callable[[], bool]  # a line that was cut for being late may be used again; False if time is up for good
    limit: Callable[[float], None]  # no more than so many seconds from now
    allow: Callable[[float], None]  # so many seconds from now, however many there were


class Upload:
    """The task of sending one payload: never twice, unless it is certain that the server has none of the file.

    An attempt that fails after its last piece left, without a valid answer, is ambiguous: the file may be there. Then
    the server is asked (`Lookup`) before anything else happens: what is found is taken for the answer, and only where
    nothing is found may the file be sent again.

    Parameters
    ----------
    payload : Payload
        Closed when the task ends.
    expires : int or None
        Seconds.
    timeout : float or None
        Seconds in all.
    retry : bool, default True
        False: the file is sent at most once, whatever happens before or after the first byte.
    reuse : callable or None, default None
        Asked once, on the worker: whether a file that the account knows to be the same is taken instead, if the server
        still has it; the payload is hashed before it is sent then. None: no.
    hashed : bool, default True
        Whether the file is hashed while it is sent, if its digest is not known: nobody needs it without a ledger.
    account : Account or None, default None
        Where uploads are written down; None forgets them with the task.

    Attributes
    ----------
    digest : str or None
        Of what was sent; made on the way. None if it was not known before and `hashed` is False.
    reused : bool
        Whether the result is a file that was there before.
    found : bool
        Whether the answer was lost, and the file found by looking.
    doubles : tuple of str
        Ids of files that may be second copies: an attempt that seemed lost showed up after another was sent.
    """

    def __init__(
        self,
        payload: Payload,
        *,
        expires: int | None = None,
        timeout: float | None = None,
        retry: bool = True,
        reuse: Callable[[], bool] | None = None,
        hashed: bool = True,
        account: Account | None = None,
    ) -> None:
        self.payload = payload
        self.name, self.size = payload.name, payload.size
        self.timeout = timeout
        self.digest = payload.digest
        self.reused = self.found = False
        self.doubles: tuple[str, ...] = ()
        self._expires = expires
        self._retry = retry
        self._reuse = reuse
        self._hashed_on_the_way = hashed
        self._account = account or Ledger(None).account("", "")
        self._began: float | None = None  # when the first attempt of which a byte left began
        self._sent = self._whole = False  # what may have left of the latest attempt: a byte, and all of them
        self._unsure = False  # an earlier attempt had left, and was not found
        self._pending: int | None = None

    def attempt(self, client: Client, turn: Turn) -> FileMetadata:
        """Send the whole file once, and see what became of it."""
        again = self._reuse is not None and turn.attempt == 1 and self._reuse()
        if again and (known := self._known(client, turn)) is not None:
            self.reused = True
            return known
        self._sent = self._whole = False
        try:
            metadata = self._send(client, turn)
        except Error as error:
            failure = ConnectionFailedError("no answer came in time") if turn.late() and self._sent else error
        else:
            self._keep(metadata)
            if self._unsure:
                self._look_for_doubles(client, metadata)
            return metadata
        # Outside the except block, so that what is raised here carries no other. Where the last piece never left no
        # server has a whole file: what looks like it is somebody else's.
        if not self._whole or isinstance(failure, CertificateError) or not _ambiguous(failure):
            self._forget_attempt()
            raise failure
        return self._settle(client, turn, failure)

    def may_repeat(self, error: Error) -> bool:
        """Only when it is certain that the server has stored nothing: it said so, no byte had left, or it was asked."""
        if not self._retry or isinstance(error, UnknownOutcomeError):
            return False
        return not self._sent or isinstance(error, RateLimitError) or _ambiguous(error)

    def close(self) -> None:
        """Remove the payload's temporary file."""
        self.payload.close()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, client: Client, turn: Turn) -> FileMetadata:
        fields = {} if self._expires is None else {"expires_in_seconds": str(self._expires)}
        multipart = Multipart(self.payload, fields)
        with contextlib.closing(self._body(multipart, turn)) as body:  # and so the source's file, wherever it ended
            metadata = client.upload(multipart, body, expires=self._expires)
        self._check(metadata)
        return metadata

    def _body(self, multipart: Multipart, turn: Turn) -> Generator[bytes]:
        """Yield the body; count what the socket took, hash what the file holds, and stop if cancelled."""
        digest = Digest() if self._hashed_on_the_way and not self.payload.digest else None
        turn.progress(0)
        done = 0
        for chunk in multipart.chunks(digest):
            if turn.cancelled():
                raise ConnectionFailedError("the upload was cancelled")
            if not self._sent:
                self._begin()
            done += len(chunk)
            self._whole = done == multipart.content_length
            if self._whole and digest is not None:
                self.digest = str(digest)
            yield chunk
            turn.progress(min(max(0, done - multipart.head_size), self.size))
        turn.limit(turn.patience.answer)

    def _begin(self) -> None:
        """Note that the first byte is about to leave."""
        self._sent = True
        self._began = self._began or time.monotonic()
        if self._pending is None:
            payload = self.payload
            self._pending = self._account.begin(name=payload.name, mime_type=payload.mime_type, size=payload.size)

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

    # -- what became of it -------------------------------------------------------------------------------------------

    def _settle(self, client: Client, turn: Turn, failure: Error) -> FileMetadata:
        """Return the file if the server has it after all; raise `failure` if it certainly has not.

        Raises
        ------
        AmbiguousUploadError
            If several files may be the one.
        UnknownOutcomeError
            If the server could not be asked.
        """
        turn.checking(failure.cause)
        lookup = Lookup(self.name, self.size, self._began or time.monotonic(), self._account.taken)
        certain, seen = False, list[FileMetadata]()
        for wait in turn.patience.looks:
            left = max(turn.left(), 0.0)
            if turn.wait(min(wait, left)) or not turn.renew():
                certain = False
                break
            try:
                seen = lookup.matches(client)
            except Error:  # perhaps the next look gets through
                certain = False
                continue
            certain = wait < left
            if len(seen) == 1 and not self._rivals():
                if self._adopt(seen[0]):
                    return seen[0]
                seen = []  # another upload's, as it has turned out
        if certain and not seen:
            self._unsure = True
            self._forget_attempt()
            raise failure
        raise self._unknown(failure, seen)

    def _rivals(self) -> int:
        return self._account.rivals(self._pending) if self._pending is not None else 0

    def _adopt(self, metadata: FileMetadata) -> bool:
        if self._pending is None or not self._account.adopt(self._as_known(metadata), self._pending):
            return False
        self._pending = None
        self.found = True
        return True

    def _keep(self, metadata: FileMetadata) -> None:
        """Write down that the file is stored."""
        self._account.record(self._as_known(metadata), self._pending)
        self._pending = None

    def _forget_attempt(self) -> None:
        """Write down that nothing is stored."""
        if self._pending is not None:
            self._account.drop(self._pending)
            self._pending = None

    def _unknown(self, failure: Error, seen: Sequence[FileMetadata]) -> UnknownOutcomeError:
        """Return the error for an upload of which nobody knows whether it arrived."""
        if self._pending is not None:
            self._account.unknown(self._pending)
        name = visible(self.name)
        if seen:
            ids = [file.id for file in seen]
            one = len(ids) == 1
            return AmbiguousUploadError(
                f"{name} was sent, but {failure.cause}; "
                f"{'a file' if one else f'{len(ids)} files'} of that name and size may be it: {', '.join(ids[:5])}",
                "Nothing was bound. Look with %files pending before you send it again.",
                ids=ids,
            )
        return UnknownOutcomeError(
            f"{name} was sent, but {failure.cause}; it may have arrived",
            "Nothing was bound. Look with %files pending before you send it again.",
        )

    def _look_for_doubles(self, client: Client, metadata: FileMetadata) -> None:
        """See whether an attempt that seemed lost has shown up meanwhile. Nothing is deleted: it may be another's."""
        lookup = Lookup(self.name, self.size, self._began or time.monotonic(), self._account.taken)
        with contextlib.suppress(Error):
            self.doubles = tuple(file.id for file in lookup.matches(client) if file.id != metadata.id)

    # -- what is there already ---------------------------------------------------------------------------------------

    def _known(self, client: Client, turn: Turn) -> FileMetadata | None:
        """Return the file that was uploaded from here before and is the same, if the server still has it."""
        payload, account = self.payload, self._account
        name, mime_type, size = payload.name, payload.mime_type, payload.size
        if self.digest is None:
            self.digest = payload.digest = self._hashed(turn)
        for known in account.find(name=name, mime_type=mime_type, size=size, digest=self.digest):
            if not self._lasts(known.expires_at):
                continue
            try:
                metadata = client.known(known.id)
            except Error:  # what is wrong, sending will show
                return None
            if metadata is None:
                account.forget([known.id])
            elif metadata.size_bytes == self.size and self._lasts(known.expires_at or metadata.expires_at):
                return replace(metadata, expires_at=metadata.expires_at or known.expires_at)
        return None

    def _hashed(self, turn: Turn) -> str:
        digest = Digest()
        for _ in self.payload.chunks(digest):
            if turn.cancelled():
                raise ConnectionFailedError("the upload was cancelled")
        return str(digest)

    def _lasts(self, expires_at: datetime | None) -> bool:
        """Whether a file that ends then is as good as one that would be sent now."""
        if self._expires is None or expires_at is None:
            return expires_at is None and self._expires is None
        left = (expires_at - datetime.now(UTC)).total_seconds()
        return self._expires / 2 <= left <= self._expires

    def _as_known(self, metadata: FileMetadata) -> Known:
        ends = metadata.expires_at
        if ends is None and self._expires is not None:  # the beta surface does not say
            ends = metadata.created_at + timedelta(seconds=self._expires)
        return _known(metadata, self.payload, digest=self.digest or "", expires_at=ends)


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

    Parameters
    ----------
    file_id : str
    forget : callable
        Gets the id as soon as it is certain that the file is gone.
    """

    def __init__(self, file_id: str, forget: Callable[[Sequence[str]], None]) -> None:
        super().__init__(file_id, None)
        self._forget = forget

    def attempt(self, client: Client, turn: Turn) -> DeletedFile | None:
        """Delete once."""
        try:
            deleted = client.delete(self.name)
        except NotFoundError:
            self._forget([self.name])
            if turn.attempt == 1:
                raise
            return None
        self._forget([self.name])
        return deleted


class Settle(_Repeatable[tuple["FileMetadata", ...]]):
    """The task of finding out what became of an upload whose outcome is unknown, and of writing it down.

    The result are the files that may be it: one (it had arrived, and counts as an upload from here now), none (it had
    not, and is pending no more), or several, of which a person must choose.

    Parameters
    ----------
    pending : Pending
    account : Account
        Whose it is.
    """

    def __init__(self, pending: Pending, account: Account) -> None:
        super().__init__(pending.name, None)
        self._pending, self._account = pending, account

    def attempt(self, client: Client, turn: Turn) -> tuple[FileMetadata, ...]:  # noqa: ARG002  # the protocol's
        """Ask once."""
        pending = self._pending
        began = time.monotonic() - (datetime.now(UTC) - pending.began).total_seconds()
        found = Lookup(pending.name, pending.size, began, self._account.taken).matches(client)
        if len(found) == 1:
            known = _known(found[0], pending, digest="", expires_at=found[0].expires_at)
            if not self._account.adopt(known, pending.number):
                found = []  # another upload's, as it has turned out
        if not found:
            self._account.drop(pending.number)
        return tuple(found)


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


def _known(metadata: FileMetadata, sent: Payload | Pending, *, digest: str, expires_at: datetime | None) -> Known:
    """Return what the ledger keeps of a file, under the name and the type it was sent with."""
    return Known(
        id=metadata.id,
        name=sent.name,
        mime_type=sent.mime_type,
        size=sent.size,
        digest=digest,
        created_at=metadata.created_at,
        expires_at=expires_at,
    )


def _ambiguous(error: Error) -> bool:
    """Whether an upload that failed so after its first byte may have been stored all the same.

    Not after a 429 or any other refusal: they say that it was not.
    """
    if isinstance(error, APIError):
        return isinstance(error, ServerError | ConflictError) or error.status == 408
    return isinstance(error, ConnectionFailedError | ResponseError)
