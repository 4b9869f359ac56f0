"""``Session``: one place, one key and the engine between; what the Python face and the magics both stand on.

A session makes tasks and runs them, and says what came of each file as an `Outcome`. It shows nothing and binds
nothing: that is for the doors.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from nbfiles import _credentials
from nbfiles._bucket import ANTHROPIC_REQUESTS
from nbfiles._bucket import shared as shared_bucket
from nbfiles._client import LARGEST_PAGE, Client
from nbfiles._config import ANTHROPIC, LARGE_FILE_SIZE, NbFiles, Place, check_betas, expiry, place, settings
from nbfiles._errors import Error, FileTooLargeError, InputError, ResponseError
from nbfiles._ledger import shared
from nbfiles._local_process import LOCAL
from nbfiles._models import FileMetadata, Page
from nbfiles._names import visible
from nbfiles._tasks import Ask, Delete, Download, Patience, Settle, Task, Upload
from nbfiles._transfer import TransferManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from nbfiles._bucket import Bucket
    from nbfiles._credentials import Credential, Secret
    from nbfiles._events import Observer
    from nbfiles._ledger import Account, Pending
    from nbfiles._payload import Payload

T = TypeVar("T")

DEFAULT_JOBS = 8  # of those who do not find the number by trying
MOST_JOBS = 64
MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class How:
    """How payloads are to be sent.

    Parameters
    ----------
    expires : int or None, default None
        Seconds; None for never, whatever the settings say.
    jobs : int or None, default None
        Files at the same time; None leaves it to the settings, and if they say nothing, it is found by trying.
    timeout : float or None, default None
        Seconds a file may take in all.
    retry : bool, default True
        False: at most one attempt each.
    fresh : bool, default False
        Whether even what is there already is sent.
    betas : tuple of str, default ()
        Beside the session's own.
    """

    expires: int | None = None
    jobs: int | None = None
    timeout: float | None = None
    retry: bool = True
    fresh: bool = False
    betas: tuple[str, ...] = ()

    def check(self) -> None:
        """See that a call with these could begin.

        Raises
        ------
        InputError
            If one of them cannot be right.
        """
        expiry(self.expires)
        check_betas(self.betas)
        if self.jobs is not None and not 1 <= self.jobs <= MOST_JOBS:
            raise InputError(
                f"jobs must be from 1 to {MOST_JOBS}, not {self.jobs}", "Leave it out to let nbfiles choose."
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one payload.

    Parameters
    ----------
    name, mime_type, size, source
        As in `Payload`.
    notes : tuple of str
        What the receipt should say.
    digest : str
        Of what was sent; empty if nothing was.
    result : FileMetadata or Error
    reused : bool, default False
        Whether the file was there already, and nothing was sent.
    doubles : tuple of str, default ()
        Ids of files that may be second copies.
    """

    name: str
    mime_type: str
    size: int
    source: str
    notes: tuple[str, ...]
    digest: str
    result: FileMetadata | Error
    reused: bool = False
    doubles: tuple[str, ...] = ()

    @property
    def metadata(self) -> FileMetadata | None:
        """What the server made of it, or None."""
        return self.result if isinstance(self.result, FileMetadata) else None

    @property
    def error(self) -> Error | None:
        """Why it failed, or None."""
        return self.result if isinstance(self.result, Error) else None


class Session:
    """One place and one key. Both are looked up at every call, so a key that is set later is found.

    Parameters
    ----------
    config : NbFiles or None
        The settings beneath the arguments; None takes the notebook's, whichever they are at the time.
    api_key, auth_token : Secret or None
    local : bool
        Whether the local Files API is meant; it is started when it is first needed.
    patience : Patience or None
        Time limits.
    arguments : Mapping
        ``base_url, surface, betas, workspace_id, ca_bundle`` as far as they were given.

    Raises
    ------
    InputError
        If an argument cannot be right.
    """

    def __init__(
        self,
        config: NbFiles | None = None,
        *,
        api_key: Secret | None = None,
        auth_token: Secret | None = None,
        local: bool = False,
        patience: Patience | None = None,
        **arguments: Any,
    ) -> None:
        if local and (arguments.get("base_url") or api_key or auth_token):
            raise InputError("local=True has an address and a key of its own", "Leave out base_url and the key.")
        self._config = config
        self.local = local
        self.patience = patience or Patience()
        self._key, self._token = api_key, auth_token
        self._arguments = arguments
        if not local:
            place(self.config, **arguments)  # a wrong address is found now, not at the first file

    @property
    def config(self) -> NbFiles:
        """The settings beneath the arguments."""
        return settings() if self._config is None else self._config

    def find(self) -> tuple[Place, Credential]:
        """Return where to send and with which key.

        Raises
        ------
        CredentialError
            If there is no key.
        InputError
            If a setting cannot be right.
        """
        if self.local:
            base_url, credential = LOCAL.address()
            return place(self.config, local=True, **self._arguments | {"base_url": base_url}), credential
        where = place(self.config, **self._arguments)
        return where, _credentials.find(self._key, self._token)

    def account(self) -> Account:
        """Return the ledger's pages of this place and this key.

        Raises
        ------
        CredentialError, InputError
            As `find`.
        """
        ledger = shared(keep=self.config.ledger)
        if self.local:  # its port and its token are others each time
            return ledger.account(f"local {os.getenv('NBFILES_LOCAL_DIR', '')}", "")
        where, credential = self.find()
        return ledger.account(f"{where.base_url} {where.workspace_id}", credential.fingerprint)

    def _forget(self, ids: Sequence[str]) -> None:
        self.account().forget(ids)

    def ledger_notes(self) -> list[str]:
        """Return what is wrong with the ledger, once in a kernel's life; it is known only when it was used."""
        note = shared(keep=self.config.ledger).note
        if not note or note in _said:
            return []
        _said.add(note)
        return [note]

    def check(self, payloads: Iterable[Payload]) -> tuple[str, ...]:
        """See that every payload may be sent, before the first byte of any is; return what to warn of.

        Raises
        ------
        FileTooLargeError
            If one is over the limit.
        """
        notes = []
        limit = self.config.max_file_size
        for payload in payloads:
            if payload.size > limit:
                raise FileTooLargeError(
                    f"{visible(payload.name)} has {payload.size:,} bytes; one file may have {limit:,} at most",
                    "Nothing was sent.",
                )
            if payload.size > LARGE_FILE_SIZE:
                notes.append(f"{payload.name} is over 500 MB, and the server may refuse it")
        return tuple(notes)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def uploads(self, payloads: Sequence[Payload], how: How) -> list[Upload]:
        """Return the tasks that send `payloads`."""
        expires = expiry(how.expires)
        timeout = how.timeout if how.timeout is not None else self.config.timeout
        account, reuses = self.account(), self._reuses(how)
        seen = _Seen(account, payloads)
        return [
            Upload(
                payload,
                expires=expires,
                timeout=timeout,
                retry=how.retry,
                reuse=partial(seen, payload) if reuses else None,
                hashed=self.config.ledger,
                account=account,
            )
            for payload in payloads
        ]

    def may_reuse(self, payload: Payload, how: How) -> bool:
        """Whether `payload` may be one that was uploaded before, so that it is hashed before it is sent."""
        return self._reuses(how) and bool(self.account().alike([_like(payload)]))

    def _reuses(self, how: How) -> bool:
        return self.config.reuse and self.config.ledger and not how.fresh

    def outcomes(self, uploads: Sequence[Upload], results: Sequence[FileMetadata | Error]) -> list[Outcome]:
        """Say what came of `uploads`."""
        return [
            Outcome(
                task.payload.name,
                task.payload.mime_type,
                task.payload.size,
                task.payload.source,
                (*task.payload.notes, *_remarks(task)),
                (task.digest or "") if isinstance(result, FileMetadata) else "",
                result,
                task.reused,
                task.doubles,
            )
            for task, result in zip(uploads, results, strict=True)
        ]

    def listing(self, first: int | None = None) -> Ask[list[FileMetadata]]:
        """Return the task that lists the newest `first` files, or all."""
        return Ask(partial(_newest, first=first))

    def page(self, cursor: Mapping[str, str]) -> Ask[Page]:
        """Return the task that fetches one page."""
        return Ask(lambda client: client.page(cursor))

    def metadata(self, file_id: str) -> Ask[FileMetadata]:
        """Return the task that asks for one file."""
        return Ask(lambda client: client.metadata(file_id), name=file_id)

    def settlement(self, pending: Pending) -> Settle:
        """Return the task that finds out what became of an upload."""
        return Settle(pending, self.account())

    def deletion(self, file_id: str) -> Delete:
        """Return the task that deletes one file."""
        return Delete(file_id, self._forget)

    def download(self, file_id: str, to: str | os.PathLike[str] | None, *, overwrite: bool) -> Download:
        """Return the task that fetches one file into a folder."""
        return Download(file_id, to, overwrite=overwrite)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, tasks: Sequence[Task[T]], observer: Observer, how: How | None = None) -> list[T | Error]:
        """Do `tasks`, and return their results or errors in their order."""
        with _closing(tasks) as ready:
            manager = self._manager(how)
            ready.pop_all()
        return manager.run(tasks, observer)

    async def run_async(self, tasks: Sequence[Task[T]], observer: Observer, how: How | None = None) -> list[T | Error]:
        """Do `tasks` while the running loop goes on."""
        with _closing(tasks) as ready:
            manager = self._manager(how)
            ready.pop_all()
        return await manager.run_async(tasks, observer)

    def _manager(self, how: How | None) -> TransferManager:
        how = how or How()
        how.check()
        jobs = how.jobs if how.jobs is not None else self.config.jobs  # which its trait keeps within bounds
        where, credential = self.find()
        where = replace(where, betas=tuple(dict.fromkeys((*where.betas, *check_betas(how.betas)))))
        connect = partial(_connect, where, credential)
        return TransferManager(connect, jobs=jobs, patience=self.patience, bucket=self._bucket(where, credential))

    def requests_per_minute(self, where: Place) -> int:
        """Return how many requests a minute `where` is asked at most; 0 if they are not counted."""
        most = self.config.requests_per_minute
        if most is None:
            most = ANTHROPIC_REQUESTS if where.base_url == ANTHROPIC else 0
        return most

    def _bucket(self, where: Place, credential: Credential) -> Bucket | None:
        """Return what keeps this process within the requests a minute of this place and key; None if nothing does."""
        most = self.requests_per_minute(where)
        return shared_bucket(where.base_url, credential.fingerprint, most) if most else None


_said = set[str]()  # notes that a kernel shows once


def _remarks(task: Upload) -> list[str]:
    """Return what a person should know of how `task` went."""
    name = visible(task.name)
    said = []
    if task.found:
        said.append(f"The answer for {name} was lost; looking showed that it had arrived")
    if task.doubles:
        said.append(twice(task.name, task.doubles))
    return said


def twice(name: str, doubles: Sequence[str]) -> str:
    """Say that a file may be stored twice, and what to do about it."""
    ids = " ".join(visible(one) for one in doubles)
    return f"{visible(name)} may be stored twice: {ids} showed up late; if nobody else made it, %files delete {ids}"


class _Seen:
    """Whether a file is like one that was uploaded before: the first worker who wants to know asks for all `payloads`.

    On a worker, since the ledger may be waited for, and nobody's event loop shall be held meanwhile.
    """

    def __init__(self, account: Account, payloads: Sequence[Payload]) -> None:
        self._account, self._payloads = account, payloads
        self._lock = threading.Lock()
        self._found: set[tuple[str, str, int]] | None = None

    def __call__(self, payload: Payload) -> bool:
        with self._lock:
            if self._found is None:
                self._found = self._account.alike(map(_like, self._payloads))
        return _like(payload) in self._found


def _like(payload: Payload) -> tuple[str, str, int]:
    """Return what tells at once that a file is not one that was uploaded before."""
    return payload.name, payload.mime_type, payload.size


def _connect(where: Place, credential: Credential, trace: Callable[[str, Mapping[str, Any]], None]) -> Client:
    return Client(where, credential, trace=trace)


def _closing(tasks: Sequence[Task[Any]]) -> ExitStack:
    """Close `tasks` if the engine cannot even be made; once it runs, closing them is its own business."""
    stack = ExitStack()
    for task in tasks:
        stack.callback(task.close)
    return stack


class Pages:
    """Where one is in a listing of many pages; whoever walks it fetches the pages, waiting or awaiting as it must.

    Attributes
    ----------
    cursor : Mapping
        What to ask for next.
    more : bool
        Whether there is anything to ask for.
    """

    def __init__(self) -> None:
        self.cursor: Mapping[str, str] = {}
        self.more = True
        self._seen: set[tuple[tuple[str, str], ...]] = set()

    def take(self, page: Page) -> tuple[FileMetadata, ...]:
        """Return the files of `page`, and step to the next; see `step`."""
        self.step(page.next)
        return page.files

    def step(self, following: Mapping[str, str]) -> None:
        """Step to the page that `following` asks for.

        Raises
        ------
        ResponseError
            If a cursor comes again, or the pages do not end: a server that repeats itself would keep us for ever.
        """
        self.cursor = following
        self.more = bool(following)
        key = tuple(sorted(following.items()))
        if self.more and (key in self._seen or len(self._seen) >= MOST_PAGES):
            raise ResponseError("the server's list of files does not end", "Ask for the newest only: --limit 100.")
        self._seen.add(key)


def walk(fetch: Callable[[Mapping[str, str]], Page]) -> Iterator[FileMetadata]:
    """Yield the files of all pages that `fetch` gets by the cursors it is given."""
    pages = Pages()
    while pages.more:
        yield from pages.take(fetch(pages.cursor))


def _newest(client: Client, first: int | None) -> list[FileMetadata]:
    """List the newest `first` files, or all, on one connection; a page is read while the next is on its way."""
    limit = LARGEST_PAGE if first is None else max(1, min(first, LARGEST_PAGE))
    files: list[FileMetadata] = []
    pages = Pages()
    reading: Future[Page] | None = None
    with ThreadPoolExecutor(1, "nbfiles-page") as reader:  # its thread starts with the first page that has a next
        while pages.more and (first is None or len(files) < first):
            body = client.unread_page(pages.cursor, limit=limit)
            if reading is not None:
                files += reading.result().files
            pages.step(Page.following(body))
            reading = reader.submit(Page.parse, body) if pages.more and first is None else None
            if reading is None:
                files += Page.parse(body).files
        if reading is not None:
            files += reading.result().files
    return files if first is None else files[:first]
