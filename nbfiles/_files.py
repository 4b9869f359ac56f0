"""``Files``: the Python face of nbfiles; every verb for a cell, and its ``_async`` twin for a running loop.

The module's own functions (``nbfiles.upload`` and so on) are the same verbs on one shared ``Files``, which `use`
switches between Anthropic and the local Files API.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, cast

from nbfiles import _accessor, _deletion, _results, _rounds
from nbfiles._arguments import (
    LIST_DEFAULTS,
    PRUNE_DEFAULTS,
    UPLOAD_DEFAULTS,
    Chosen,
    ListOptions,
    PruneOptions,
    UploadOptions,
    listing,
    pruned,
    spelled_out,
    warn,
)
from nbfiles._credentials import Secret
from nbfiles._errors import Error, InputError
from nbfiles._holders import holders, notebook_names
from nbfiles._ids import ids_of
from nbfiles._models import DeletedFile, FileId, FileMetadata
from nbfiles._names import visible
from nbfiles._options import PLACES
from nbfiles._payload import Payloads
from nbfiles._results import failure_of, listed, remember, row_of
from nbfiles._rounds import awaiting, waiting
from nbfiles._session import Outcome, Pages, Session, twice, walk
from nbfiles._table import file_table
from nbfiles._usage import usage_of

if TYPE_CHECKING:
    from pathlib import Path

    from nbfiles._cluster import Spread
    from nbfiles._config import NbFiles
    from nbfiles._deletion import Plan
    from nbfiles._events import Observer
    from nbfiles._rounds import Rounds
    from nbfiles._table import FileTable
    from nbfiles._tasks import Task
    from nbfiles._usage import Usage

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Files:
    """A client of one Files API, with the verbs of this package.

    Parameters
    ----------
    api_key, auth_token : str or None, default None
        None looks where people keep keys (see `nbfiles.login`), anew at every call.
    base_url : str or None, default None
        None takes ``NbFiles.base_url``, ``ANTHROPIC_BASE_URL`` or https://api.anthropic.com.
    surface : {"beta", "ga"} or None, default None
        None takes ``NbFiles.surface``.
    betas : sequence of str or None, default None
        Further values of the ``anthropic-beta`` header; any string that fits a header.
    workspace_id : str or None, default None
        Sent as ``anthropic-workspace-id``.
    ca_bundle : str or None, default None
        A PEM file of certificates to trust beside the system's.
    local : bool, default False
        Use the local Files API: nothing leaves this machine, and no account is needed.
    config : NbFiles or None, default None
        The settings beneath the arguments; None takes the notebook's.

    Raises
    ------
    InputError
        If an argument cannot be right, such as an ``http://`` address of another machine.

    Examples
    --------
    >>> import nbfiles
    >>> files = nbfiles.Files(local=True)
    >>> notes_id = files.upload(nbfiles.text("Remember the milk.", name="notes.txt"))
    >>> files.get_file(notes_id).size_bytes
    18
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        surface: str | None = None,
        betas: Sequence[str] | None = None,
        workspace_id: str | None = None,
        ca_bundle: str | None = None,
        local: bool = False,
        config: NbFiles | None = None,
    ) -> None:
        key, token = (None if given is None else Secret(given) for given in (api_key, auth_token))
        api_key = auth_token = None  # no traceback that shows locals may show them
        self.session = Session(
            config,
            api_key=key,
            auth_token=token,
            local=local,
            base_url=base_url,
            surface=surface,
            betas=betas,
            workspace_id=workspace_id,
            ca_bundle=ca_bundle,
        )

    # -- upload ------------------------------------------------------------------------------------------------------

    @spelled_out(UPLOAD_DEFAULTS)
    def upload(self, source: Any, **options: Unpack[UploadOptions]) -> FileId:
        """Upload one source that is one file.

        Parameters
        ----------
        source : object
            A path (``str`` or path-like), a URL, bytes, an open binary file, a DataFrame or Series, an Arrow table of
            any library, a Dask DataFrame, an array, a figure or picture, a dict, a list of records,
            ``nbfiles.text(...)``, what shows itself in a notebook, or a coroutine that gives one of these.
        name : str or None, default None
            The file name to send; None takes it from the path, or ``data.csv`` and the like.
        type : str or None, default None
            The MIME type to store; None takes it from name and content.
        format : str or None, default None
            How a frame is written: ``csv`` (default), ``tsv``, ``json``, ``jsonl``, ``parquet``, ``feather``,
            ``xlsx``, ``html``, ``md``, ``txt``; None takes it from `name`.
        for_ : {"auto", "document", "container", "image"}, default "auto"
            What the file is for; decides the MIME type where there is a choice.
        expires : int (seconds), str ("7d", "36h", "never") or timedelta, default None
            When the file ends, from 1 hour to 90 days. None takes ``NbFiles.expires``.
        fresh : bool, default False
            Upload even what was uploaded from here before and is the same. Else its file is taken again, if the
            server still has it (see ``NbFiles.reuse``).
        retry : bool, default True
            False sends at most once, whatever happens.
        jobs : int or None, default None
            Files sent at the same time, 1 to 64. None takes ``NbFiles.jobs``; if that is None too, it begins with 8 and
            takes more, up to 32, as long as that is faster.
        timeout : float or None, default None
            Seconds one file may take in all; None: 120 and one more for each 32 KiB.
        index : bool or None, default None
            Whether a frame's index is written; None leaves a plain RangeIndex out.
        max_rows, sample : int or None, default None
            Write only the first rows of a frame, or so many at random.
        opt : dict, default {}
            Passed to the frame's writer, such as ``{"sep": ";"}``.
        include, exclude : str or sequence of str, default ()
            Globs for the files of a folder.
        lossy : bool, default False
            Write a frame even where values would change or merge.
        zip : bool, default False
            Send a folder as one archive.
        split : int (bytes) or str ("64MB"), default None
            Part a Dask frame anew, into partitions of about this size in memory.
        one : bool, default False
            Send a Dask frame as one file.
        on : str or distributed.Client or None, default None
            The Dask cluster that sends a Dask frame or the files of a store; None is the one in use.
        storage_options : mapping, default {}
            For a URL: options of the fsspec store it is in, or headers where it is a web address.
        progress : bool or Observer, default True
            Whether progress is shown, or who is told of it.

        Returns
        -------
        FileId
            A ``str`` that knows its `FileMetadata`.

        Raises
        ------
        InputError
            If the source is not one file, cannot be read or may not be sent. Nothing was sent.
        Error
            Whatever else went wrong (see the tree in ``nbfiles._errors``); no file is bound.
        """
        chosen = Chosen(self.session, options)
        if (parts := chosen.spread(source, many=False)) is not None:
            return _single(self.session, _spread(parts, chosen))
        with chosen.payloads([source], many=False) as made:
            uploads = self.session.uploads(made.items, chosen.how)
            results = _watched(chosen.display, lambda watch: self.session.run(uploads, watch, chosen.how))
        return _single(self.session, self.session.outcomes(uploads, results))

    @spelled_out(UPLOAD_DEFAULTS)
    async def upload_async(self, source: Any, **options: Unpack[UploadOptions]) -> FileId:
        """Call `upload` while the running loop goes on; cancelling the task cancels the transfer."""
        chosen = Chosen(self.session, options)
        source = await source if isinstance(source, Awaitable) else source
        if chosen.spreads(source):
            return _single(self.session, await _spread_async(self.session, source, chosen, many=False))
        with await _in_thread(lambda: chosen.payloads([source], many=False), Payloads.close) as made:
            uploads = self.session.uploads(made.items, chosen.how)
            results = await _watched_async(
                chosen.display, lambda watch: self.session.run_async(uploads, watch, chosen.how)
            )
        return _single(self.session, self.session.outcomes(uploads, results))

    @spelled_out(UPLOAD_DEFAULTS)
    def upload_many(self, sources: Any, **options: Unpack[UploadOptions]) -> FileTable:
        """Upload a list of sources, a glob or a folder; several files at the same time.

        Parameters
        ----------
        sources : list or tuple of sources, or a single source
            As in `upload`; a folder or a glob stands for its files.
        **options
            As in `upload`.

        Returns
        -------
        FileTable
            One row a file, in the order of the sources.

        Raises
        ------
        UploadError
            If some files failed; its ``table`` has a row for every file, and `nbfiles.last` keeps it.
        InputError
            If one source cannot be sent. Nothing was sent.
        """
        chosen = Chosen(self.session, options)
        if (parts := chosen.spread(sources, many=True)) is not None:
            return _table(self.session, _spread(parts, chosen))
        with chosen.payloads(_as_list(sources), many=True) as made:
            uploads = self.session.uploads(made.items, chosen.how)
            results = _watched(chosen.display, lambda watch: self.session.run(uploads, watch, chosen.how))
        return _table(self.session, self.session.outcomes(uploads, results))

    @spelled_out(UPLOAD_DEFAULTS)
    async def upload_many_async(self, sources: Any, **options: Unpack[UploadOptions]) -> FileTable:
        """Call `upload_many` while the running loop goes on; cancelling the task cancels the transfers."""
        chosen = Chosen(self.session, options)
        if chosen.spreads(sources):
            return _table(self.session, await _spread_async(self.session, sources, chosen, many=True))
        given = [await one if isinstance(one, Awaitable) else one for one in _as_list(sources)]
        with await _in_thread(lambda: chosen.payloads(given, many=True), Payloads.close) as made:
            uploads = self.session.uploads(made.items, chosen.how)
            results = await _watched_async(
                chosen.display, lambda watch: self.session.run_async(uploads, watch, chosen.how)
            )
        return _table(self.session, self.session.outcomes(uploads, results))

    # -- list, inspect -----------------------------------------------------------------------------------------------

    @spelled_out(LIST_DEFAULTS)
    def list_files(self, **filters: Unpack[ListOptions]) -> FileTable:
        """List the files of the workspace, newest first, as a DataFrame.

        Parameters
        ----------
        match : str or None, default None
            Glob for the name, such as ``"*.csv"``.
        type : str or None, default None
            MIME type, or a glob such as ``"image/*"``.
        larger : int (bytes) or str ("5MB"), default None
        older, newer, expiring : int (seconds), str ("7d") or timedelta, default None
            Made longer ago, made since, ending within.
        duplicates : bool, default False
            Only files that are stored more than once (see `list_duplicates`).
        mine : bool, default False
            Only files that were uploaded from here, as the ledger knows.
        sort : {"created", "name", "size", "type", "expires"}, default "created"
        reverse : bool, default False
        limit : int or None, default None
            At most so many rows.

        Returns
        -------
        FileTable
            One row a file; the same columns and dtypes if there is none.

        Raises
        ------
        InputError
            If a filter cannot be read.
        Error
            If the list cannot be fetched.
        """
        wanted = listing(filters)
        found = waiting(self.session, _rounds.listing(self.session, wanted.first))
        return listed(self.session, wanted, found.files, holders(notebook_names()))

    @spelled_out(LIST_DEFAULTS)
    async def list_files_async(self, **filters: Unpack[ListOptions]) -> FileTable:
        """Call `list_files` while the running loop goes on."""
        wanted = listing(filters)
        found = await awaiting(self.session, _rounds.listing(self.session, wanted.first))
        return listed(self.session, wanted, found.files, holders(notebook_names()))

    def iter_files(self) -> Iterator[FileMetadata]:
        """Yield the files of the workspace, newest first, fetching a page of 1000 when it is needed.

        Yields
        ------
        FileMetadata

        Raises
        ------
        Error
            If a page cannot be fetched.
        """
        return walk(lambda cursor: self._one(self.session.page(cursor)))

    async def iter_files_async(self) -> AsyncIterator[FileMetadata]:
        """Call `iter_files` while the running loop goes on: ``async for file in files.iter_files_async()``."""
        pages = Pages()
        while pages.more:
            for file in pages.take(await self._one_async(self.session.page(pages.cursor))):
                yield file

    def get_file(self, file_id: str) -> FileMetadata:
        """Return what the server knows of one file.

        Parameters
        ----------
        file_id : str

        Raises
        ------
        NotFoundError
            If there is no such file, or none this key may see.
        """
        return self._one(self.session.metadata(file_id))

    async def get_file_async(self, file_id: str) -> FileMetadata:
        """Call `get_file` while the running loop goes on."""
        return await self._one_async(self.session.metadata(file_id))

    # -- download, delete --------------------------------------------------------------------------------------------

    def download_file(self, file_id: str, to: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> Path:
        """Fetch a file that Claude made; what was uploaded cannot be fetched back.

        Parameters
        ----------
        file_id : str
        to : str or path-like or None, default None
            A folder, or a file's path; None is the current folder.
        overwrite : bool, default False
            Whether a file that is there may be replaced.

        Returns
        -------
        pathlib.Path
            Where it is now: whole, or this call raised.

        Raises
        ------
        NotDownloadableError
            If the file was uploaded.
        InputError
            If a file is there already, or the folder is not.
        """
        return self._one(self.session.download(file_id, to, overwrite=overwrite))

    async def download_file_async(
        self, file_id: str, to: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> Path:
        """Call `download_file` while the running loop goes on."""
        return await self._one_async(self.session.download(file_id, to, overwrite=overwrite))

    def download_files(
        self, ids: Any, to: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> list[Path]:
        """Fetch several files that Claude made, some at the same time.

        Parameters
        ----------
        ids : str, list of str, DataFrame, or a response of the Messages API
            Of a response, the files that were made for it (see `nbfiles.generated`).
        to : str or path-like or None, default None
            A folder, which is made if it is not there; None is the current one.
        overwrite : bool, default False
            Whether files that are there may be replaced.

        Returns
        -------
        list of pathlib.Path
            In the order of `ids`.

        Raises
        ------
        PartialError
            If some could not be fetched; the others are there.
        Error
            The reason, if there was one file.
        """
        return waiting(self.session, _rounds.downloads(self.session, ids_of(ids), to, overwrite=overwrite))

    async def download_files_async(
        self, ids: Any, to: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> list[Path]:
        """Call `download_files` while the running loop goes on."""
        return await awaiting(self.session, _rounds.downloads(self.session, ids_of(ids), to, overwrite=overwrite))

    def read(self, file_id: str) -> Any:
        """Fetch a file that Claude made, and return what it holds.

        Parameters
        ----------
        file_id : str

        Returns
        -------
        pandas.DataFrame, PIL.Image.Image or str
            A frame for csv, tsv, jsonl, parquet, feather and xlsx; an image for PNG, JPEG, GIF and WebP; text for text
            and JSON. The ending of its name counts before the stored MIME type. All of it is in memory then.

        Raises
        ------
        NotDownloadableError
            If the file was uploaded: what was uploaded cannot be fetched back.
        InputError
            If it is something else, such as a PDF (use `download_file`), or is not what its name says.
        """
        return waiting(self.session, _rounds.reading(self.session, file_id))

    async def read_async(self, file_id: str) -> Any:
        """Call `read` while the running loop goes on."""
        return await awaiting(self.session, _rounds.reading(self.session, file_id))

    def delete_file(self, file_id: str) -> DeletedFile:
        """Delete one file, for good: there is no undo.

        Parameters
        ----------
        file_id : str

        Raises
        ------
        NotFoundError
            If it is not there (any more).
        """
        return self._one(self.session.deletion(file_id)) or DeletedFile(str(file_id))

    async def delete_file_async(self, file_id: str) -> DeletedFile:
        """Call `delete_file` while the running loop goes on."""
        return await self._one_async(self.session.deletion(file_id)) or DeletedFile(str(file_id))

    def delete_files(
        self,
        ids: Any,
        *,
        all: bool = False,  # noqa: A002  # the magic's word
        dry_run: bool = False,
    ) -> FileTable:
        """Delete several files, for good and without asking: exactly those with these ids.

        Parameters
        ----------
        ids : str, list of str, DataFrame
            An id, which then goes whoever uploaded it; or many ids, of which only those go that were uploaded from
            here, as the ledger knows. Every key of a workspace can delete everybody's files.
        all : bool, default False
            Of many ids, take also those that were not uploaded from here.
        dry_run : bool, default False
            Delete nothing, and return the files that would go.

        Returns
        -------
        FileTable
            One row a file. ``status`` is ``deleted``, ``gone`` (it was not there any more) or ``kept`` (it was not
            uploaded from here). `nbfiles.last` keeps it, also when the call is interrupted; then ``""`` is a file
            whose turn had not come, and ``unclear`` one of which no answer came.

        Raises
        ------
        DeletionError
            If some files could not be deleted; its ``table`` says which, the others are gone.
        InputError
            If `ids` are none, or the one id is not there.

        Warns
        -----
        UserWarning
            If files are kept.
        """
        return waiting(self.session, self._deleting(ids, everyone=all, dry_run=dry_run))

    async def delete_files_async(
        self,
        ids: Any,
        *,
        all: bool = False,  # noqa: A002  # the magic's word
        dry_run: bool = False,
    ) -> FileTable:
        """Call `delete_files` while the running loop goes on; cancelling the task stops between two files."""
        return await awaiting(self.session, self._deleting(ids, everyone=all, dry_run=dry_run))

    def _deleting(self, ids: Any, *, everyone: bool, dry_run: bool) -> Rounds[FileTable]:
        asked = [_deletion.Asked(one, one.metadata, named=isinstance(ids, str)) for one in ids_of(ids)]
        plan = yield from _deletion.plan(self.session, asked, holders(notebook_names()), everyone=everyone)
        if plan.staying:
            kept = len(plan.staying)
            warn(f"{kept:,} of the files {'was' if kept == 1 else 'were'} not uploaded from here and kept; "
                 "all=True deletes them too")  # fmt: skip
        return (yield from self._carrying_out(plan, dry_run=dry_run))

    @spelled_out(PRUNE_DEFAULTS)
    def prune_files(self, **options: Unpack[PruneOptions]) -> FileTable:
        """Delete the files that filters choose, for good and without asking: of those uploaded from here.

        Parameters
        ----------
        match, type, larger, older, newer, expiring
            As in `list_files`; at least one, or `duplicates`, must be given. ``match="*"`` is every file.
        duplicates : bool, default False
            Only files of which an equal one stays (see `list_duplicates`): equal by digest, not by look.
        all : bool, default False
            Also files that were not uploaded from here.
        dry_run : bool, default False
            Delete nothing, and return the files that would go.

        Returns
        -------
        FileTable
            One row a file that was to go, with its ``status``, as in `delete_files`.

        Raises
        ------
        DeletionError
            If some files could not be deleted.
        InputError
            If there is no filter, or one cannot be read.
        Error
            If the list cannot be fetched.
        """
        return waiting(self.session, self._pruning(options))

    @spelled_out(PRUNE_DEFAULTS)
    async def prune_files_async(self, **options: Unpack[PruneOptions]) -> FileTable:
        """Call `prune_files` while the running loop goes on; cancelling the task stops between two files."""
        return await awaiting(self.session, self._pruning(options))

    def _pruning(self, options: PruneOptions) -> Rounds[FileTable]:
        chosen, everyone, dry_run = pruned(options)
        plan = yield from _deletion.prune(self.session, chosen, holders(notebook_names()), everyone=everyone)
        return (yield from self._carrying_out(plan, dry_run=dry_run))

    def _carrying_out(self, plan: Plan, *, dry_run: bool) -> Rounds[FileTable]:
        if dry_run:
            return plan.table()
        deletion = _deletion.Deletion(self.session, plan)
        table = yield from deletion.rounds()
        failure = deletion.failure(table)
        if failure is not None:
            raise failure
        return table

    # -- look over everything ----------------------------------------------------------------------------------------

    def list_duplicates(self, *, mine: bool = False) -> FileTable:
        """List the files that are stored more than once, those that waste most first.

        Parameters
        ----------
        mine : bool, default False
            Look only among files that were uploaded from here.

        Returns
        -------
        FileTable
            One row a file, equal ones below each other. ``status`` is ``keep`` (a variable holds it, or it is the
            newest), ``duplicate`` (its bytes are equal: the ledger has the same digest of both), or ``same name and
            size`` (the server tells no more, so it may be equal). ``prune_files(duplicates=True)`` deletes the
            duplicates among those uploaded from here.

        Raises
        ------
        Error
            If the list cannot be fetched.
        """
        found = waiting(self.session, _rounds.listing(self.session))
        return _results.stored_twice(self.session, found.files, holders(notebook_names()), mine=mine)

    async def list_duplicates_async(self, *, mine: bool = False) -> FileTable:
        """Call `list_duplicates` while the running loop goes on."""
        found = await awaiting(self.session, _rounds.listing(self.session))
        return _results.stored_twice(self.session, found.files, holders(notebook_names()), mine=mine)

    def get_usage(self, *, mine: bool = False) -> Usage:
        """Add up what is stored, by type, age and owner.

        Parameters
        ----------
        mine : bool, default False
            Count only files that were uploaded from here.

        Returns
        -------
        Usage
            Shows itself as words and a figure; ``.table`` is a DataFrame, ``.figure()`` matplotlib's. The limit is
            ``NbFiles.storage_limit``, for the API does not tell it.

        Raises
        ------
        Error
            If the list cannot be fetched. It takes a request for each 1,000 files.
        """
        return usage_of(self.session, waiting(self.session, _rounds.listing(self.session)), mine=mine)

    async def get_usage_async(self, *, mine: bool = False) -> Usage:
        """Call `get_usage` while the running loop goes on."""
        return usage_of(self.session, await awaiting(self.session, _rounds.listing(self.session)), mine=mine)

    # -- running one task --------------------------------------------------------------------------------------------

    def _one(self, task: Task[T]) -> T:
        return _result(self.session.run([task], _nobody))

    async def _one_async(self, task: Task[T]) -> T:
        return _result(await self.session.run_async([task], _nobody))


def _nobody(event: object) -> None:
    """Watch nothing."""


def _result(results: list[T | Error]) -> T:
    """Return the one result, or raise the one error."""
    (result,) = results
    if isinstance(result, Error):
        raise result
    return result


def _as_list(sources: Any) -> Sequence[Any]:
    return sources if isinstance(sources, list | tuple) else [sources]


def _single(session: Session, outcomes: Sequence[Outcome]) -> FileId:
    (outcome,) = outcomes
    if outcome.metadata is None:
        raise outcome.error or Error("the upload ended without a result")
    _warn(session, outcomes)
    return FileId.of(outcome.metadata)


def _table(session: Session, outcomes: Sequence[Outcome]) -> FileTable:
    """Return the table of an upload; keep it as `nbfiles.last`; raise if a file failed."""
    table = file_table([row_of(outcome) for outcome in outcomes], local=session.local)
    remember(table)
    _warn(session, outcomes)
    failure = failure_of(outcomes, table)
    if failure is not None:
        raise failure
    return table


def _warn(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Warn of what a person should know: second copies, other names, a ledger that is not what it should be."""
    for note in session.ledger_notes():
        warn(note)
    for outcome in outcomes:
        if outcome.doubles:
            warn(twice(outcome.name, outcome.doubles))
        if outcome.metadata is not None and outcome.metadata.filename != outcome.name:
            warn(f"{visible(outcome.name)} is stored as {visible(outcome.metadata.filename)}")


def _watched(display: Any, run: Callable[[Observer], T]) -> T:
    """Run with a display, and take it away however it ends."""
    try:
        return run(display)
    finally:
        _clear(display)


async def _watched_async(display: Any, run: Callable[[Observer], Awaitable[T]]) -> T:
    """Do the same while the running loop goes on."""
    try:
        return await run(display)
    finally:
        _clear(display)


def _spread(parts: Spread, chosen: Chosen, stop: threading.Event | None = None) -> list[Outcome]:
    """Have a cluster's workers send `parts`."""
    try:
        return _watched(chosen.display, lambda watch: parts.run(chosen.how, watch, stop=stop))
    finally:
        parts.close()


async def _spread_async(session: Session, source: Any, chosen: Chosen, *, many: bool) -> list[Outcome]:
    """Do the same while the running loop goes on; cancelling the task cancels the cluster's."""
    stop, over = threading.Event(), threading.Event()

    def work() -> list[Outcome]:
        try:
            parts = chosen.spread(source, many=many)
            return [] if parts is None else _spread(parts, chosen, stop)
        finally:
            over.set()

    try:
        return await _in_thread(work, lambda _: None)
    except asyncio.CancelledError:
        stop.set()
        until = time.monotonic() + session.patience.grace
        while not over.is_set() and time.monotonic() < until:
            await asyncio.sleep(0.005)
        raise


def _clear(display: Any) -> None:
    clear = getattr(display, "clear", None)  # an observer of the user's own has none
    if clear is not None:
        clear()


async def _in_thread(make: Callable[[], T], drop: Callable[[T], object]) -> T:
    """Make something on a thread; if the awaiting task is cancelled meanwhile, what is made is given to `drop`."""
    made: Future[T] = Future()

    def work() -> None:
        try:
            result = make()
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever awaits
            made.set_exception(error)
        else:
            made.set_result(result)

    threading.Thread(target=work, name="nbfiles-make", daemon=True).start()
    try:
        return await asyncio.shield(asyncio.wrap_future(made))
    except asyncio.CancelledError:
        made.add_done_callback(lambda made: made.exception() or drop(made.result()))
        raise


# ---- the module's own face -----------------------------------------------------------------------------------------


class _State:
    """What the module's functions share: the client in use."""

    files: Files | None = None


def default() -> Files:
    """Return the `Files` that the module's functions and the magics use."""
    if _State.files is None:
        use(os.getenv("NBFILES_API", "").strip() or "anthropic")
    return cast("Files", _State.files)


_accessor.act_with(default)


def use(place: str) -> None:
    """Choose where files go from now on.

    Parameters
    ----------
    place : {"anthropic", "local"}
        ``"local"`` starts the local Files API: nothing leaves this machine, no account is needed, and the ids
        (``file_local_...``) work only here. ``NBFILES_API`` chooses before the first call.

    Raises
    ------
    InputError
        If `place` is neither.
    Error
        If the local Files API does not start.
    """
    if place not in PLACES:
        raise InputError(f"there is no place {place!r}", "There are 'anthropic' and 'local'.")
    files = Files(local=place == "local")
    if files.session.local:
        files.session.find()
    _State.files = files


def _verb(method: Callable[Concatenate[Files, P], R]) -> Callable[P, R]:
    """Make the module's function of a verb of `Files`."""

    @functools.wraps(method)
    def verb(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default(), *args, **kwargs)

    signature = inspect.signature(method)
    verb.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]  # inspect reads it
    return verb


upload = _verb(Files.upload)
upload_async = _verb(Files.upload_async)
upload_many = _verb(Files.upload_many)
upload_many_async = _verb(Files.upload_many_async)
list_files = _verb(Files.list_files)
list_files_async = _verb(Files.list_files_async)
iter_files = _verb(Files.iter_files)
iter_files_async = _verb(Files.iter_files_async)
get_file = _verb(Files.get_file)
get_file_async = _verb(Files.get_file_async)
download_file = _verb(Files.download_file)
download_file_async = _verb(Files.download_file_async)
download_files = _verb(Files.download_files)
download_files_async = _verb(Files.download_files_async)
read = _verb(Files.read)
read_async = _verb(Files.read_async)
delete_file = _verb(Files.delete_file)
delete_file_async = _verb(Files.delete_file_async)
delete_files = _verb(Files.delete_files)
delete_files_async = _verb(Files.delete_files_async)
prune_files = _verb(Files.prune_files)
prune_files_async = _verb(Files.prune_files_async)
list_duplicates = _verb(Files.list_duplicates)
list_duplicates_async = _verb(Files.list_duplicates_async)
get_usage = _verb(Files.get_usage)
get_usage_async = _verb(Files.get_usage_async)
