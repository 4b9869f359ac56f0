"""``Spread``: one source that is sent by a Dask cluster's workers, each part from where it lies.

The parts are a Dask DataFrame's partitions, or the files of a glob in a store. Each is a task of the cluster: the
worker encodes (or streams) and sends its part, and only metadata comes back, so the notebook's memory does not grow.
The notebook keeps the ledger.

A task whose worker is lost runs again elsewhere. Nothing is stored twice all the same: every part is marked in the
scheduler before it is sent, and a part that is found marked is looked for at the server (name, size, since the job
began) before it is sent again. Names carry the job's id, unless a person chose one, so that what is found is ours.

Which key: the workers' own ``ANTHROPIC_API_KEY`` if it is the notebook's. Else a plugin carries the notebook's to the
workers, if nobody can listen on the way: loopback, in-process or ``tls://``. It is never part of the graph.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nbfiles._config import check_betas, expiry, is_loopback
from nbfiles._errors import (
    ConnectionFailedError,
    CredentialError,
    Error,
    InputError,
    NotFoundError,
    ResponseError,
    SourceError,
)
from nbfiles._events import Done, Failed, Queued
from nbfiles._ledger import Known
from nbfiles._names import filename_for, visible
from nbfiles._session import DEFAULT_JOBS, Outcome
from nbfiles._tasks import Ask
from nbfiles.sources import in_store, is_partitioned
from nbfiles.sources._formats import FRAMES

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from nbfiles._client import Client
    from nbfiles._events import Observer
    from nbfiles._session import How, Session
    from nbfiles._worker import Job, Sent
    from nbfiles.sources import Request

_UNDER_WAY, _BROKEN = {"pending", "lost"}, {"error", "cancelled"}  # states of a future; the fifth is finished
_TICK = 0.05  # seconds between two looks at what has finished
_CONNECT = 10  # seconds to a scheduler
_GRACE = 0.5  # seconds for uploads that were stopped to end


def spread(
    obj: Any, request: Request, session: Session, *, on: Any = None, split: int | None = None, one: bool = False
) -> Spread | None:
    """Return `obj` as something that a cluster's workers send; None if it is sent from here.

    Parameters
    ----------
    obj : object
        A source.
    request : Request
    session : Session
    on : str or distributed.Client or None, default None
        The cluster; None is the one that is in use, or one within this process.
    split : int or None, default None
        Bytes (in memory) that each partition should have.
    one : bool, default False
        Whether the partitions become one file.

    Raises
    ------
    InputError
        If one of these does not fit what `obj` is.
    SourceError
        If the extra ``cluster`` is missing, or nothing is there to send.
    """
    if is_partitioned(obj):
        if split is not None and one:
            raise InputError("--split makes many files, and --one makes one", "Leave one of them out.")
        if request.max_rows is not None or request.sample is not None:
            raise InputError("--max-rows and --sample are for one table", "Take part of it yourself: x.head(1000).")
        return Spread(session, request, on, frame=obj, split=split, one=one)
    if split is not None or one:
        word = "--one" if one else "--split"
        raise InputError(
            f"{word} is for a Dask frame, and this is none",
            "Leave it out, or part it: dask.dataframe.from_pandas(df, npartitions=4).",
        )
    if on is None:
        return None
    if not isinstance(obj, str) or "://" not in obj:
        raise InputError("--on is for a Dask frame or a URL", "A cluster's workers do not see what is only here.")
    return Spread(session, request, on, url=obj)


class Spread:
    """One source on its way to the workers. Close it.

    Parameters
    ----------
    session, request, on, split, one
        As in `spread`.
    frame, url
        What is sent; one of the two.

    Attributes
    ----------
    many : bool
        Whether a name for it binds a list.
    names : tuple of str
        The files' names.
    """

    def __init__(
        self,
        session: Session,
        request: Request,
        on: Any,
        *,
        frame: Any = None,
        url: str = "",
        split: int | None = None,
        one: bool = False,
    ) -> None:
        self._session = session
        self._id = _new_id()
        self._storage_options = request.storage_options
        self._client, self._is_ours = _client(on)
        try:
            if url:
                self._take_files(url, request)
            else:
                self._take_partitions(frame, request, split=split, one=one)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.names)

    def close(self) -> None:
        """Let go of the cluster, if it was met for this upload only."""
        if self._is_ours:
            self._client.close()

    # -- what the parts are ------------------------------------------------------------------------------------------

    def _take_partitions(self, frame: Any, request: Request, *, split: int | None, one: bool) -> None:
        if split is not None:
            # Not `partition_size`: before Python 3.12 it waits for ever on a scheduler of the same process, for a lock
            # of functools.cached_property that it holds itself (dask 2026.8).
            size = int(frame.memory_usage_per_partition(deep=True).sum().compute())
            frame = frame.repartition(npartitions=max(1, -(-size // split)))
        if one:
            frame = frame.repartition(npartitions=1)
        format_ = FRAMES.choose(request)
        chosen = request.name or filename_for(request.label, format_.endings[0])
        stem, dot, ending = chosen.rpartition(".")
        stem, ending = (stem, f".{ending}") if dot else (chosen, "")
        job = "" if request.name else f"-{self._id}"
        count = frame.npartitions
        parts = [""] if one else [f"-{number:05d}-of-{count:05d}" for number in range(count)]
        self.many = not one
        self.names = tuple(f"{stem}{job}{part}{ending}" for part in parts)
        label = request.label or "<Dask DataFrame>"
        self._labels = [label if one else f"{label}.partitions[{number}]" for number in range(count)]
        index = _has_index(frame) if request.index is None else request.index
        self._requests = [
            replace(request, name=name, label=label, index=index, storage_options={})
            for name, label in zip(self.names, self._labels, strict=True)
        ]
        self._sources: list[Any] = frame.to_delayed()

    def _take_files(self, url: str, request: Request) -> None:
        """Ask the store for its list here; each worker measures its own file again, and so sees a change."""
        pairs, self.many = in_store(url, request)
        self._session.check([payload for _, payload in pairs])
        self._sources = [exact for exact, _ in pairs]
        self._labels = [payload.source for _, payload in pairs]
        names = [payload.name for _, payload in pairs]
        twice = len(set(names)) < len(names)
        self.names = tuple(
            name if request.name else _with_id(name, f"{self._id}-{number:05d}" if twice else self._id)
            for number, name in enumerate(names)
        )
        self._requests = [
            replace(request, name=name, label=label, include=(), exclude=(), storage_options={})
            for name, label in zip(self.names, self._labels, strict=True)
        ]

    # -- sending -----------------------------------------------------------------------------------------------------

    def run(
        self, how: How, observer: Observer, *, first: int = 0, stop: threading.Event | None = None
    ) -> list[Outcome]:
        """Send the parts, and return what came of each, in their order.

        Ctrl-C, or `stop`, cancels the cluster's tasks and what they are sending.

        Parameters
        ----------
        how : How
        observer : Observer
            Told of each part as it is queued and as it is done.
        first : int, default 0
            The number of the first part for `observer`.
        stop : threading.Event or None, default None
            Whether somebody else wants it to end.

        Raises
        ------
        Error
            If the cluster cannot do it at all. Parts that fail are outcomes.
        """
        how.check()
        job, carrier = self._job(how), self._carrier()
        watch = _Parts(self, observer, first)
        self._client.register_plugin(carrier, name=job.name)
        futures: list[Any] = []
        try:
            futures = self._submit(job)
            numbers = {future.key: number for number, future in enumerate(futures)}
            for done in self._finished(futures, observer, stop):
                for number, result in self._results(done, numbers):
                    watch.take(number, result, how)
        except BaseException:
            self._client.cancel(futures, force=True)
            raise
        finally:
            self._clear(job)
        self._settle(job, watch.sent)
        return watch.outcomes()

    def _job(self, how: How) -> Job:
        from nbfiles._worker import Job as Made

        where, _ = self._session.find()
        most = self._session.requests_per_minute(where)
        workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
        betas = tuple(dict.fromkeys((*where.betas, *check_betas(how.betas))))
        return Made(
            id=self._id,
            place=replace(where, betas=betas),
            began=self._ask(_time_of_server),
            jobs=how.jobs or self._session.config.jobs or DEFAULT_JOBS,
            requests=max(1, most // max(1, workers)) if most else 0,
            limit=self._session.config.max_file_size,
            expires=expiry(how.expires),
            timeout=how.timeout if how.timeout is not None else self._session.config.timeout,
            retry=how.retry,
        )

    def _ask(self, verb: Any) -> Any:
        """Ask the Files API something from here."""
        (answer,) = self._session.run([Ask(verb)], _nobody)
        if isinstance(answer, Error):
            raise answer
        return answer

    def _carrier(self) -> Any:
        """Return the plugin for the workers, with the notebook's key if they need it.

        Raises
        ------
        CredentialError
            If they need it, and it would travel where others can listen.
        """
        from nbfiles._worker import Carrier

        _, credential = self._session.find()
        if self._session.local and not all(map(_is_here, self._addresses())):
            raise InputError("the local Files API is on this machine, and the workers are not", "%files use anthropic")
        keys = set(self._keys().values())
        own = not self._session.local and keys == {credential.fingerprint}
        safe = all(map(_is_safe, self._addresses()))
        if self._storage_options and not safe:
            raise CredentialError(
                f"storage_options would travel to {visible(self._client.scheduler.address)} in the clear",
                "Set the store's credentials in their environment, or give the scheduler TLS (tls://).",
            )
        if not own and not safe and (not keys or "" in keys):
            raise CredentialError(
                f"the workers of {visible(self._client.scheduler.address)} have no ANTHROPIC_API_KEY, and this "
                "notebook's would travel to them in the clear",
                "Set ANTHROPIC_API_KEY in their environment, or give the scheduler TLS (tls://).",
            )
        return Carrier(f"nbfiles-{self._id}", credential if safe and not own else None, self._storage_options)

    def _keys(self) -> Mapping[str, str]:
        """Return the fingerprint of each worker's own key; workers without this package are an error."""
        from nbfiles._worker import key_of_worker

        try:
            keys: Mapping[str, str] = self._client.run(key_of_worker)
        except Exception as error:  # noqa: BLE001  # whatever a worker without this package raises
            kind = type(error).__name__
        else:
            return keys
        raise InputError(
            f"the cluster's workers cannot run nbfiles ({visible(kind)})", "Install there what is installed here."
        )

    def _addresses(self) -> list[str]:
        """Return every address that a key would travel to or through."""
        known = self._client.scheduler_info(n_workers=-1)
        return [self._client.scheduler.address, known["address"], *known["workers"]]

    def _submit(self, job: Job) -> list[Any]:
        """Give the cluster a task for each part."""
        import dask
        from distributed import Semaphore

        from nbfiles._worker import send

        Semaphore(job.jobs, name=job.name)
        tasks = [
            dask.delayed(partial(send, number=number, request=request, job=job), pure=False, traverse=False)(
                source, dask_key_name=job.mark(number)
            )
            for number, (source, request) in enumerate(zip(self._sources, self._requests, strict=True))
        ]
        futures: list[Any] = self._client.compute(tasks)
        return futures

    def _finished(self, futures: list[Any], observer: Observer, stop: threading.Event | None) -> Iterator[list[Any]]:
        """Yield the futures as they finish, those that do at the same time together; ten times a second look up."""
        from distributed import as_completed

        tick = getattr(observer, "tick", None)
        waiting = as_completed(futures, loop=self._client.loop)
        while not waiting.is_empty():
            if stop is not None and stop.is_set():
                raise ConnectionFailedError("the upload was cancelled")
            if tick is not None:
                tick()
            done = waiting.next_batch(block=False)
            # One whose worker died with the answer before it was fetched is done again: it finishes a second time.
            again = [future for future in done if future.status in _UNDER_WAY]
            waiting.update(again)
            if done := [future for future in done if future not in again]:
                yield done
            else:
                time.sleep(_TICK)

    def _results(self, done: list[Any], numbers: Mapping[str, int]) -> Iterator[tuple[int, Sent | Error]]:
        broken = [future for future in done if future.status in _BROKEN]
        fine = [future for future in done if future not in broken]
        for future, result in zip(fine, self._client.gather(fine), strict=True):
            yield numbers[future.key], result
        for future in broken:
            yield numbers[future.key], _broken(self._labels[numbers[future.key]], future)
        for future in done:
            future.release()  # the worker need not keep the answer

    def _clear(self, job: Job) -> None:
        """Stop what is being sent, and take all of the job out of the cluster."""
        from distributed import Semaphore

        with contextlib.suppress(OSError, TimeoutError):  # the scheduler is gone, and all of it with it
            self._client.unregister_worker_plugin(job.name)  # the carrier's teardown tells the uploads
            self._client.sync(_forget, self._client, [job.mark(number) for number in range(len(self))])
            slots = Semaphore(job.jobs, name=job.name)
            until = time.monotonic() + _GRACE
            while slots.get_value() and time.monotonic() < until:  # who was stopped gives its place back at once
                time.sleep(_TICK)
            if not slots.get_value():  # else the scheduler takes them back from lost workers, half a minute later
                slots.close()

    def _settle(self, job: Job, sent: Mapping[int, Sent]) -> None:
        """See that what was sent with other keys is seen with ours, and that no lost worker left a second copy."""
        _, credential = self._session.find()
        strange = next((one for one in sent.values() if one.key != credential.fingerprint), None)
        if strange is not None:
            try:
                self._ask(lambda client: client.metadata(strange.metadata.id))
            except NotFoundError:
                raise InputError(
                    "the workers' ANTHROPIC_API_KEY is of another workspace than this notebook's",
                    "Set the same one for both, then run the line again.",
                ) from None
        for one in sent.values():
            if one.again and job.id in one.name:  # with the job's id in its name it is nobody else's
                self._ask(partial(_delete_copies, one=one, start=job.began))

    def record(self, one: Sent, how: How) -> None:
        """Write down in this notebook's ledger that a part is stored."""
        metadata, expires = one.metadata, expiry(how.expires)
        ends = metadata.expires_at
        if ends is None and expires is not None:  # the beta surface does not say
            ends = metadata.created_at + timedelta(seconds=expires)
        self._session.account().record(
            Known(
                id=metadata.id, name=one.name, mime_type=one.mime_type, size=one.size, digest=one.digest,
                created_at=metadata.created_at, expires_at=ends,
            )
        )  # fmt: skip

    def label(self, number: int) -> str:
        """Return what part `number` is, for people."""
        return self._labels[number]


class _Parts:
    """What is known of the parts so far; tells the observer, keeps the ledger."""

    def __init__(self, spread: Spread, observer: Observer, first: int) -> None:
        self._spread, self._observer, self._first = spread, observer, first
        self.sent: dict[int, Sent] = {}
        self._failed: dict[int, Error] = {}
        for number, name in enumerate(spread.names):
            observer(Queued(first + number, name, 0))  # how large it is, its worker will find out

    def take(self, number: int, result: Sent | Error, how: How) -> None:
        """Take note of what came of part `number`."""
        if isinstance(result, Error):
            self._failed[number] = result
            self._observer(Failed(self._first + number, result))
            return
        self.sent[number] = result
        self._spread.record(result, how)
        self._observer(Done(self._first + number, result.metadata, result.size))

    def outcomes(self) -> list[Outcome]:
        """Return what came of each part, in their order."""
        return [self._outcome(number) for number in range(len(self._spread))]

    def _outcome(self, number: int) -> Outcome:
        name, label = self._spread.names[number], self._spread.label(number)
        one = self.sent.get(number)
        if one is None:
            return Outcome(name, "", 0, label, (), "", self._failed[number])
        return Outcome(one.name, one.mime_type, one.size, label, one.notes, one.digest, one.metadata)


def _client(on: Any) -> tuple[Any, bool]:
    """Return the cluster's client, and whether it is ours to close."""
    try:
        import dask.dataframe  # noqa: F401  # only to see that it is there
        from distributed import Client as Cluster
        from distributed import default_client
    except ImportError:
        raise SourceError(
            "a cluster is met with dask and distributed, which are not installed", "pip install 'nbfiles[cluster]'"
        ) from None
    if on is not None and not isinstance(on, str):
        return on, False
    if on is None:
        try:
            return default_client(), False
        except ValueError:  # none is in use
            return Cluster(processes=False, dashboard_address="127.0.0.1:0", set_as_default=False), True
    try:
        return Cluster(on, timeout=_CONNECT, set_as_default=False), True
    except (OSError, ValueError, TimeoutError):
        pass
    raise InputError(f"there is no scheduler at {visible(on)}", "Write it like --on tcp://scheduler:8786.")


def _has_index(frame: Any) -> bool:
    """Whether the partitions' index is written: not one of plain numbers without a name, which Dask gives by itself."""
    index = frame._meta.index  # noqa: SLF001  # what dask itself documents for its extensions
    return index.name is not None or index.nlevels > 1 or index.dtype.kind not in "iu"


def _new_id() -> str:
    return secrets.token_hex(4)


def _with_id(name: str, job: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{job}.{ending}" if dot and stem else f"{name}-{job}"


def _is_here(address: str) -> bool:
    """Whether a cluster's address is of this machine alone."""
    parts = urlsplit(address)
    return parts.scheme == "inproc" or is_loopback(parts.hostname)


def _is_safe(address: str) -> bool:
    """Whether nobody can listen on the way to a cluster's address."""
    return _is_here(address) or urlsplit(address).scheme == "tls"


def _broken(label: str, future: Any) -> Error:
    """Return the error for a task that did not come to its end: its frame could not be computed, or killed workers."""
    if future.status != "error":
        return ConnectionFailedError("the cluster lost it, or somebody cancelled it", "Run the line again.")
    error = future.exception()
    kind = type(error).__name__
    if kind == "KilledWorker":
        return SourceError(
            f"{visible(label)} ended its workers", "Make smaller parts: --split 64MB (split= in Python)."
        )
    if isinstance(error, Error):
        return error
    text = visible(str(error).partition("\n")[0][:200])
    return SourceError(f"{visible(label)} could not be computed: {kind}: {text}", "Nothing was sent of it.")


def _time_of_server(client: Client) -> datetime:
    client.page({}, limit=1)
    if client.date is None:
        raise ResponseError("the server does not say what time it is")
    return client.date


def _delete_copies(client: Client, *, one: Sent, start: datetime) -> None:
    """Delete what a lost worker's upload became after its part had been sent again."""
    from nbfiles._worker import SinceStart

    for file in SinceStart(one.name, one.size, start).matches(client):
        if file.id != one.metadata.id:
            with contextlib.suppress(NotFoundError):
                client.delete(file.id)


async def _forget(client: Any, marks: Sequence[str]) -> None:
    await asyncio.gather(*(client.scheduler.event_clear(name=mark) for mark in marks))


def _nobody(event: object) -> None:
    """Watch nothing."""
