"""``Shelf``: the kernel's half of a file browser: one listing at a time, and what is done to chosen rows of it.

Browser and kernel talk in messages, plain objects with a ``kind``. Rows are numbers into the columns of one listing,
and a listing has a version: numbers of another are not acted on::

    browser -> kernel                              kernel -> browser
    hello, refresh                                 rows  version, local, error, the columns as one gzipped buffer
    select  version, buffer of numbers             held  version, pairs of a row and the name that holds its id
    plan    version, buffer of numbers             plan  token, count, size, elsewhere, variables, more
    delete  plan (its token), elsewhere            gone  version, buffer of numbers
    bind    version, name, buffer of numbers       busy  text, stoppable
    download version, buffer of numbers            said  text, bad
    stop                                           choose version, buffer of numbers

Messages arrive on any thread, two at once. All of them are handled on one loop of our own, which owns the listing, so
there is no lock here, and files are listed and deleted while a cell runs. Deleted is only what a plan has named.
"""

from __future__ import annotations

import array
import asyncio
import gzip
import json
import logging
import secrets
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nbfiles import _render
from nbfiles._command import check_name
from nbfiles._deletion import Deletion
from nbfiles._deletion import Plan as Going
from nbfiles._errors import Error, InputError
from nbfiles._holders import holders
from nbfiles._models import FileId
from nbfiles._names import visible
from nbfiles._results import origin, variable
from nbfiles._rounds import awaiting, nobody
from nbfiles._table import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from concurrent.futures import Future

    from nbfiles._holders import Holders
    from nbfiles._models import FileMetadata
    from nbfiles._session import Session

BETWEEN_NEWS = 0.2  # seconds between two words about how far a deletion is
SHOWN_NAMES = 5  # of the variables that a deletion leaves with dead ids
_ORIGINS = {"here": 0, "elsewhere": 1, "code execution": 2}

_BETWEEN = f"{_render.NO_BREAK}· "

_log = logging.getLogger("nbfiles")


class Listener(Protocol):
    """Who is told: the widget. Called on the shelf's loop only."""

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to every page that shows the widget."""

    def listed(self) -> None:
        """Take note that the listing has changed."""


@dataclass(slots=True)
class Listing:
    """The files as they were at one time; rows are never renumbered.

    Parameters
    ----------
    version : int
        From 1; 0 is the listing of before the first.
    files : sequence of FileMetadata
        The newest first.
    ours : collection of str
        The ids of those that were uploaded from here.
    gone : set of int
        Rows that have been deleted since.
    """

    version: int = 0
    files: Sequence[FileMetadata] = ()
    ours: Collection[str] = ()
    gone: set[int] = field(default_factory=set)

    def packed(self, held: Holders) -> bytes:
        """Return the columns as gzipped JSON, with the names that hold each id."""
        files = self.files
        columns = {
            "id": [file.id for file in files],
            "name": [file.filename for file in files],
            "mime": [file.mime_type for file in files],
            "size": [file.size_bytes for file in files],
            "created": [int(file.created_at.timestamp() * 1000) for file in files],
            "expires": [int(file.expires_at.timestamp() * 1000) if file.expires_at else None for file in files],
            "variable": [variable(file.id, held) for file in files],
            "block": [file.blocks[0] if file.blocks else "" for file in files],
            "origin": [_ORIGINS[origin(file, self.ours)] for file in files],
            "downloadable": [int(bool(file.downloadable)) for file in files],
        }
        return gzip.compress(json.dumps(columns, separators=(",", ":")).encode(), compresslevel=3)

    def rows(self, held: Holders) -> list[Row]:
        """Return the table's rows."""
        return [
            Row.of(file, variable=variable(file.id, held), origin=origin(file, self.ours))
            for number, file in enumerate(self.files)
            if number not in self.gone
        ]

    def here(self, number: int) -> bool:
        """Whether the row `number` was uploaded from here."""
        return origin(self.files[number], self.ours) == "here"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be deleted, as a person has been shown it.

    Parameters
    ----------
    token : str
        Names the plan; another listing or another plan makes it void.
    here, elsewhere : tuple of int
        Rows that were uploaded from here, and others.
    """

    token: str
    here: tuple[int, ...]
    elsewhere: tuple[int, ...]


class Shelf:
    """The files of one workspace, listed, and what happens to them.

    Parameters
    ----------
    session : callable
        Returns the session to ask; anew each time, since ``%files use`` may have switched.
    names : callable
        Returns the notebook's namespace.
    listener : Listener
    loop : asyncio.AbstractEventLoop
        On which everything happens.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        names: Callable[[], dict[str, Any]],
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.listing = Listing()
        self.selected: tuple[int, ...] = ()  # replaced as a whole, so any thread may read it
        self.error: Error | None = None  # why there is no newer listing
        self._session = session
        self._names = names
        self._listener = listener
        self._loop = loop
        self._plan: Plan | None = None
        self._turn = asyncio.Lock()  # one thing after the other
        self._tasks = set[asyncio.Task[None]]()
        self._stopping = False
        self._first: Future[None] | None = None

    def start(self) -> None:
        """Begin with the first listing."""
        self._first = asyncio.run_coroutine_threadsafe(self._in_turn(self._list()), self._loop)

    def receive(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take a message from the browser, on whatever thread it comes."""
        self._loop.call_soon_threadsafe(self._handle, message, buffers)

    def wait(self) -> None:
        """Wait for the first listing.

        Raises
        ------
        Error
            If the files could not be listed.
        """
        if self._first is not None:
            self._first.result()
        if self.error is not None and not self.listing.version:
            raise self.error

    def refresh(self) -> None:
        """List the files anew, and wait for it.

        Raises
        ------
        Error
            If the files could not be listed.
        """
        asyncio.run_coroutine_threadsafe(self._in_turn(self._list()), self._loop).result()
        if self.error is not None:
            raise self.error

    def choose(self, ids: Collection[str]) -> None:
        """Select the rows of `ids`, and nothing else; ids that are not listed are passed over."""
        listing = self.listing
        numbers = tuple(n for n, file in enumerate(listing.files) if file.id in ids and n not in listing.gone)
        self.selected = numbers
        message = {"kind": "choose", "version": listing.version}
        self._loop.call_soon_threadsafe(self._listener.send, message, [_packed(numbers)])

    def close(self) -> None:
        """Stop what is under way; files between two requests are left as they are."""
        self._loop.call_soon_threadsafe(self._stop, {}, ())

    # -- messages ----------------------------------------------------------------------------------------------------

    def _handle(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        handler = self._HANDLERS.get(str(message.get("kind")))
        if handler is None:
            return
        try:
            handler(self, message, buffers)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # not a message of ours: no answer
            _log.debug("the file browser ignored a message: %r", error)

    def _hello(self, _message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        if self.listing.version or self.error is not None:
            self._show()

    def _refresh(self, _message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        self._do(self._list())

    def _select(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if message["version"] == self.listing.version:
            self.selected = self._numbers(buffers)

    def _make_plan(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Say what a deletion would do, before anything is deleted."""
        numbers = self._chosen(message, buffers)
        if not numbers:
            return
        listing = self.listing
        here = tuple(n for n in numbers if listing.here(n))
        elsewhere = tuple(n for n in numbers if not listing.here(n))
        self._plan = Plan(secrets.token_hex(8), here, elsewhere)
        self._tell_held()
        known = holders(self._names())
        held = [name for n in here for name in known.get(listing.files[n].id, ())]
        self._listener.send(
            {
                "kind": "plan",
                "token": self._plan.token,
                "count": len(here),
                "size": self._size(here),
                "elsewhere": len(elsewhere),
                "elsewhere_size": self._size(elsewhere),
                "variables": held[:SHOWN_NAMES],
                "more": max(0, len(held) - SHOWN_NAMES),
            }
        )

    def _delete(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Delete exactly what the plan has named."""
        plan, self._plan = self._plan, None
        if plan is None or plan.token != message["plan"]:
            self._say("The plan is out of date. Press Delete again.", bad=True)
            return
        numbers = plan.here + (plan.elsewhere if message.get("elsewhere") is True else ())
        self._do(self._delete_all(numbers))

    def _bind(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        numbers = self._chosen(message, buffers)
        if not numbers:
            return
        try:
            name = check_name(str(message["name"]))
        except InputError as error:
            self._say(str(error), bad=True)
            return
        ids = [FileId.of(self.listing.files[n]) for n in numbers]
        self._names()[name] = ids if len(ids) > 1 else ids[0]
        self._tell_held()
        what = f"{len(ids):,} ids" if len(ids) > 1 else str(ids[0])
        self._say(f"{name} holds {what}.")

    def _download(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        numbers = self._chosen(message, buffers)
        able = [n for n in numbers if self.listing.files[n].downloadable]
        if able:
            self._do(self._download_all(able, len(numbers) - len(able)))

    def _stop(self, _message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        self._stopping = True

    _HANDLERS = {  # noqa: RUF012  # read only
        "hello": _hello,
        "refresh": _refresh,
        "select": _select,
        "plan": _make_plan,
        "delete": _delete,
        "bind": _bind,
        "download": _download,
        "stop": _stop,
    }

    def _numbers(self, buffers: Sequence[Any]) -> tuple[int, ...]:
        """Return the rows that a message names, each once; ones that there are not make it no message of ours."""
        numbers = array.array("I", bytes(buffers[0]))
        if sys.byteorder == "big":
            numbers.byteswap()
        listing = self.listing
        found = dict.fromkeys(n for n in numbers if n not in listing.gone)
        if any(n >= len(listing.files) for n in found):
            raise ValueError("a row that is not listed")
        return tuple(found)

    def _chosen(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> tuple[int, ...]:
        """Return the rows to act on; none, with a word about it, if the list has changed since or something is done."""
        if message["version"] != self.listing.version:
            self._say("The list has changed since. Choose again.", bad=True)
            return ()
        return () if self._turn.locked() else self._numbers(buffers)

    # -- what takes a while ------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what a person asks for; what is asked while something else is done is not done."""
        if self._turn.locked():
            work.close()
            return
        self._stopping = False
        self._start(self._in_turn(work))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._turn:
            try:
                await work
            except Exception as error:  # noqa: BLE001  # said where it was asked for, whatever it is
                _log.debug("the file browser failed", exc_info=error)
                said = str(error) if isinstance(error, Error) else f"It failed: {visible(type(error).__name__)}."
                self._say(said, bad=True)

    async def _list(self) -> None:
        """List the files, and show them; a failure is shown in their place, and the listing before it stays."""
        self._busy("Listing the files…")
        try:
            session = self._session()
            (found,) = await session.run_async([session.listing()], nobody)
            if isinstance(found, Error):
                raise found  # like what the session raises itself
            ours = await asyncio.to_thread(session.account().taken, [file.id for file in found])
        except Error as error:
            self.error = error
        else:
            self.error = None
            self._plan = None
            self.listing = Listing(self.listing.version + 1, found, ours)
            self.selected = ()
        await self._show_soon()
        self._listener.listed()

    def _show(self) -> None:
        """Send the listing to whoever shows it, in a while."""
        self._start(self._show_soon())

    async def _show_soon(self) -> None:
        listing, held = self.listing, holders(self._names())
        message = {"kind": "rows", "version": listing.version, "local": self._session().local}
        if self.error is not None:
            message["error"] = str(self.error)
        packed = await asyncio.to_thread(listing.packed, held)
        self._listener.send(message, [packed])
        if listing.gone:
            self._listener.send({"kind": "gone", "version": listing.version}, [_packed(listing.gone)])

    async def _delete_all(self, numbers: Sequence[int]) -> None:
        """Delete the rows, tell as it goes which are gone, and say what came of it, also when it is stopped."""
        listing, session = self.listing, self._session()
        files = tuple(listing.files[n] for n in numbers)
        going = Going(files, ours=listing.ours, holders=holders(self._names()), local=session.local)
        deletion = Deletion(session, going)
        work = self._loop.create_task(awaiting(session, deletion.rounds(quiet=True)))
        while not work.done():
            await asyncio.wait({work}, timeout=BETWEEN_NEWS)
            if self._stopping:
                deletion.halt()
            done = self._take_off(listing, numbers, deletion)
            self._busy(f"Deleting, {done:,} of {len(files):,} done…", stoppable=True)
        work.result()
        self.selected = tuple(n for n in self.selected if n not in listing.gone)
        self._listener.listed()
        said = deletion.receipt()
        reason = f"{_BETWEEN}{deletion.failures[0]}" if deletion.failures else ""
        self._say(said.line.text + reason, bad=said.icon == "failed")

    def _take_off(self, listing: Listing, numbers: Sequence[int], deletion: Deletion) -> int:
        """Take what is gone by now off the list; return how many are."""
        ended = [n for n in numbers if deletion.status(listing.files[n].id) in {"deleted", "gone"}]
        fresh = [n for n in ended if n not in listing.gone]
        if fresh:
            listing.gone.update(fresh)
            self._listener.send({"kind": "gone", "version": listing.version}, [_packed(fresh)])
        return len(ended)

    async def _download_all(self, numbers: Sequence[int], others: int) -> None:
        session = self._session()
        self._busy(f"Downloading {_render.counted(len(numbers), 'file')}…")
        tasks = [session.download(self.listing.files[n].id, None, overwrite=False) for n in numbers]
        results = await session.run_async(tasks, nobody)
        paths = [result for result in results if not isinstance(result, Error)]
        failures = [result for result in results if isinstance(result, Error)]
        said = [f"{_render.counted(len(paths), 'file')} downloaded to {paths[0].parent}"] if paths else []
        said += [f"{len(failures):,} failed: {failures[0]}"] if failures else []
        said += [f"{others:,} cannot be downloaded: Claude made none of them"] if others else []
        self._say(_BETWEEN.join(said), bad=bool(failures))

    # -- what is said ------------------------------------------------------------------------------------------------

    def _busy(self, text: str, *, stoppable: bool = False) -> None:
        self._listener.send({"kind": "busy", "text": text, "stoppable": stoppable})

    def _say(self, text: str, *, bad: bool = False) -> None:
        self._listener.send({"kind": "said", "text": text, "bad": bad})

    def _tell_held(self) -> None:
        """Tell which names hold which rows now."""
        listing, known = self.listing, holders(self._names())
        held = [(n, variable(file.id, known)) for n, file in enumerate(listing.files) if file.id in known]
        self._listener.send({"kind": "held", "version": listing.version, "held": held})

    def _size(self, numbers: Sequence[int]) -> int:
        return sum(self.listing.files[n].size_bytes for n in numbers)


def _packed(numbers: Collection[int]) -> bytes:
    packed = array.array("I", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
