"""One part of a spread upload, on the Dask worker that holds it: encode, look whether it was begun before, send.

What runs here comes from the graph and names no key: a worker uses its own, or the one that `Carrier` brought. Only
metadata goes back. Imported where a cluster is used, never before: it needs the extra ``cluster``.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from distributed import Event, Semaphore, WorkerPlugin, get_worker

from nbfiles import _credentials
from nbfiles._bucket import shared
from nbfiles._client import Client
from nbfiles._credentials import Credential, Secret
from nbfiles._errors import ConnectionFailedError, CredentialError, Error, FileTooLargeError
from nbfiles._lookup import SLACK, Lookup
from nbfiles._names import visible
from nbfiles._tasks import Upload
from nbfiles._transfer import TransferManager
from nbfiles.sources import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from nbfiles._config import Place
    from nbfiles._models import FileMetadata
    from nbfiles._payload import Payload
    from nbfiles.sources import Request

LOOKS = (0.0, 1.0, 2.0)  # waits before each look for a file that a lost worker may have sent
_SLOT_WAIT = 0.5  # seconds between two looks whether the job is over


@dataclass(frozen=True, slots=True)
class Job:
    """What all parts of one spread upload have in common. Goes into the graph, so it holds no key.

    Parameters
    ----------
    id : str
        Eight characters; in the parts' names unless a person chose these.
    place : Place
        Where the Files API is.
    began : datetime.datetime
        When the job began, on the server's clock.
    jobs : int
        Files sent at the same time, by all workers together.
    requests : int
        A minute, for each worker: its share of what the API grants them all. 0: not counted.
    limit : int
        Bytes that one file may have.
    expires, timeout, retry
        As in `Upload`.
    """

    id: str
    place: Place
    began: datetime
    jobs: int
    requests: int
    limit: int
    expires: int | None
    timeout: float | None
    retry: bool

    @property
    def name(self) -> str:
        """How everything of this job is called in the cluster."""
        return f"nbfiles-{self.id}"

    def mark(self, number: int) -> str:
        """Return the name of the event that says that part `number` was begun."""
        return f"{self.name}-{number}"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one part.

    Parameters
    ----------
    metadata : FileMetadata
    name, mime_type, size, digest, notes
        As in `Payload`.
    again : bool
        Whether another worker had begun it before.
    key : str
        The fingerprint of the key it was sent with.
    """

    metadata: FileMetadata
    name: str
    mime_type: str
    size: int
    digest: str
    notes: tuple[str, ...]
    again: bool
    key: str


def key_of_worker() -> str:
    """Return the fingerprint of this worker's own key; ``""`` if it has none."""
    try:
        return _credentials.find().fingerprint
    except CredentialError:
        return ""


class Carrier(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Tells workers that a job is on, brings what may not stand in the graph, and stops the job's uploads when it goes.

    Parameters
    ----------
    name : str
        The job's.
    credential : Credential or None
        None: every worker uses its own.
    storage_options : Mapping
        Of the stores that the parts are read from; they may hold a key too.
    """

    def __init__(self, name: str, credential: Credential | None, storage_options: Mapping[str, Any]) -> None:
        self.name = name
        self.storage_options = storage_options
        self.stopped = Flag()
        self._credential = credential

    def __reduce__(self) -> tuple[Callable[..., Carrier], tuple[Any, ...]]:
        """Say the key, which a `Secret` never does by itself: who sends a carrier has seen that nobody listens."""
        key = self._credential
        carried = None if key is None else (key.secret.reveal(), key.source, key.bearer)
        return _carrier, (self.name, carried, dict(self.storage_options))

    def teardown(self, worker: Any) -> None:  # noqa: ARG002  # distributed's
        """Stop what is being sent."""
        self.stopped.set()

    @property
    def credential(self) -> Credential:
        """The key to send with."""
        return self._credential or _credentials.find()

    def check(self) -> None:
        """Raise ConnectionFailedError if the job is over."""
        if self.stopped.is_set():
            raise ConnectionFailedError("the upload was cancelled")


def _carrier(name: str, carried: tuple[str, str, bool] | None, storage_options: Mapping[str, Any]) -> Carrier:
    credential = None if carried is None else Credential(Secret(carried[0]), *carried[1:])
    return Carrier(name, credential, storage_options)


class _Watch:
    """The engine's observer: it sees nothing, and ten times a second whether the job is over."""

    def __init__(self, carrier: Carrier) -> None:
        self.tick = carrier.check

    def __call__(self, event: object) -> None:
        """Take note of nothing: only metadata goes back."""


def send(source: Any, *, number: int, request: Request, job: Job) -> Sent | Error:
    """Encode and send one part; what went wrong is returned, so that no log has it.

    Parameters
    ----------
    source : object
        The partition, or a store's `Exact` file.
    number : int
        The part's.
    request : Request
    job : Job
    """
    carrier = get_worker().plugins.get(job.name)
    if not isinstance(carrier, Carrier):
        return ConnectionFailedError("the upload was cancelled")
    try:
        carrier.check()
        with payloads(source, replace(request, storage_options=carrier.storage_options)) as made:
            (payload,) = made.items
            return _send(payload, number, job, carrier)
    except Error as error:
        return error


def _send(payload: Payload, number: int, job: Job, carrier: Carrier) -> Sent:
    if payload.size > job.limit:
        raise FileTooLargeError(
            f"{visible(payload.name)} has {payload.size:,} bytes; one file may have {job.limit:,} at most",
            "Make smaller parts: --split 64MB (split= in Python).",
        )
    credential = carrier.credential
    mark = Event(job.mark(number))
    again = mark.is_set()
    mark.set()
    with _slot(job, carrier):
        found = _look(payload, job, credential, carrier) if again else None
        digest = payload.digest
        if found is None:
            found, digest = _upload(payload, job, credential, carrier)
    return Sent(
        found, payload.name, payload.mime_type, payload.size, digest or "", payload.notes, again, credential.fingerprint
    )


@contextmanager
def _slot(job: Job, carrier: Carrier) -> Iterator[None]:
    """Wait for one of the places that all workers share, so that together they ask no more than one machine would."""
    slots = Semaphore(job.jobs, name=job.name)
    while not slots.acquire(timeout=_SLOT_WAIT):
        carrier.check()
    try:
        yield
    finally:
        slots.release()


def _upload(payload: Payload, job: Job, credential: Credential, carrier: Carrier) -> tuple[FileMetadata, str | None]:
    """Send the file with the engine of this package, and nothing written down: the notebook keeps the ledger."""
    upload = Upload(payload, expires=job.expires, timeout=job.timeout, retry=job.retry)
    bucket = shared(job.place.base_url, credential.fingerprint, job.requests) if job.requests else None
    manager = TransferManager(lambda trace: Client(job.place, credential, trace=trace), jobs=1, bucket=bucket)
    (result,) = manager.run([upload], _Watch(carrier))
    if isinstance(result, Error):
        raise result
    return result, upload.digest


def _look(payload: Payload, job: Job, credential: Credential, carrier: Carrier) -> FileMetadata | None:
    """Return what a lost worker has made of this part, if it got so far."""
    client = Client(job.place, credential)
    try:
        for wait in LOOKS:
            time.sleep(wait)
            carrier.check()
            found = SinceStart(payload.name, payload.size, job.began).matches(client)
            if found:
                return found[-1]  # the oldest: what came later is the second copy
    finally:
        client.close()
    return None


class SinceStart(Lookup):
    """Looks for a part by its name and size among what the server has stored since the job began."""

    def __init__(self, name: str, size: int, start: datetime) -> None:
        super().__init__(name, size, 0.0, lambda _ids: set())
        self._start = start

    def _since(self, date: datetime | None) -> datetime:  # noqa: ARG002  # the server's clock was read at the start
        return self._start - SLACK
