"""``Desk``: the kernel's half of an upload widget: it accepts files, receives their bytes and sends them on.

Browser and kernel talk in messages, plain objects with a ``kind``; ``key`` names a row. Bytes travel as buffers, or
past the kernel's sockets over the Jupyter server, and never in a trait::

    browser -> kernel                              kernel -> browser
    hello  page, lane (if known)                   welcome page, probe, rows
    here   page                                    who
    offer  rows: key, name, path, size             rows    rows, removed, order
    begin  key, lane ("http" or "comm")            go      key, landing, offset
    piece  key, landing, offset, one buffer        ack     key, landing, received; rows, removed if there is news
    where  key, landing                            ack     (the same)
    broke  key, landing, status                    stop    key
    cancel keys    retry key    remove keys    leave page

A file may be sent by the browser only when ``go`` says so, and that comes when all checks are done. ``begin`` may come
right behind ``offer``: a round trip through a notebook's connection takes a twentieth of a second.

Messages arrive on any thread, two at once. All of them are handled on one loop of our own, which owns every row, so
there is no lock here, and uploads go on while a cell runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nbfiles._errors import CredentialError, Error, InputError, SourceError, UnknownOutcomeError
from nbfiles._events import Checking, Progress, Retrying
from nbfiles._landing import Landing
from nbfiles._loop import LoopThread
from nbfiles._names import HEAD, visible
from nbfiles._payload import Payload
from nbfiles._render import NO_BREAK, size
from nbfiles._session import DEFAULT_JOBS
from nbfiles.widget._row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from nbfiles._events import Event
    from nbfiles._landing import Ticket
    from nbfiles._session import How, Outcome, Session
    from nbfiles.widget._limits import Limits
    from nbfiles.widget._row import State

LOOP = LoopThread("nbfiles-widget")
BETWEEN_NEWS = 0.1  # seconds: ten updates a second look like motion
# Seconds, where pieces come over the comm: acknowledgements carry the news, and messages between them would cost a
# fifth of the speed (measured).
BESIDE_PIECES = 0.5
POLL = 0.01  # seconds between two looks for a landing's first bytes
PROBING = 30.0  # seconds that the browser has to try the HTTP lane with one byte
ABSENT = 20.0  # seconds in which a page that is there says so, even behind two pieces on a slow line
NOTICED = 0.5  # seconds: a wait that is longer is explained
CLOSED = "the page was closed"
MOST_BYTES = 2**53  # up to which JavaScript counts exactly

_log = logging.getLogger("nbfiles")


class Listener(Protocol):
    """Who is told: the widget. Called on the desk's loop only."""

    def send(self, message: dict[str, Any]) -> None:
        """Send `message` to every page that shows the widget."""

    def settled(self, *, ended: bool) -> None:
        """Take note that nothing is under way; `ended` says whether something has ended since the last time."""


class Desk:
    """The files of one widget, and what happens to them.

    Parameters
    ----------
    limits : Limits
        What is accepted.
    how : How
        How files are sent.
    session : callable
        Returns the session to send with; asked anew for each file, since ``%files use`` may have switched.
    listener : Listener
    """

    def __init__(self, limits: Limits, how: How, session: Callable[[], Session], listener: Listener) -> None:
        self.rows: tuple[Row, ...] = ()  # in the order chosen; replaced as a whole, so any thread may read it
        self._limits = limits
        self._how = how
        self._session = session
        self._listener = listener
        self._loop = LOOP.get()
        self._landing: Landing | None = None
        self._heard = dict[str, float]()  # by page, when it last said something
        self._probes: dict[str, Ticket] = {}  # by page, until it has begun with a file
        self._slots = asyncio.Semaphore(how.jobs or session().config.jobs or DEFAULT_JOBS)
        self._background = set[asyncio.Task[None]]()
        self._admitting: dict[Row | None, Mapping[str, Any] | None] = {}  # with the ``begin`` that came meanwhile
        self._changed = dict[Row, None]()
        self._removed = list[str]()
        self._moving = frozenset[Row]()  # what was landing when news went out the last time
        self._news: asyncio.TimerHandle | None = None
        self._latest_news = 0.0
        self._ended = False
        self._closed = False

    def receive(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take a message from the browser, on whatever thread it comes."""
        self._loop.call_soon_threadsafe(self._handle, message, buffers)

    def tell(self, rows: Iterable[Row]) -> None:
        """Tell the browser of `rows`, which the listener has changed. On the desk's loop only."""
        for row in rows:
            self._touch(row)

    def settle(self) -> None:
        """Have the listener told again whether nothing is under way; returns when it was. From any thread."""
        self._finish(self._settle_again())

    async def _settle_again(self) -> None:
        self._settle()

    def close(self) -> None:
        """Cancel what is under way and let go of every byte. Waits until it is done, but for 1 s at most."""
        if self._closed:
            return
        self._finish(self._close())

    def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done on the desk's loop; wait for it, but for 1 s at most."""
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        with contextlib.suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                return  # a callback of the user's, or the garbage collector: the loop cannot wait for itself
        with contextlib.suppress(TimeoutError):
            doing.result(1.0)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _handle(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        handler = self._HANDLERS.get(str(message.get("kind")))
        if handler is None or self._closed:
            return
        self._heard[str(message.get("page") or message.get("key")).partition("-")[0]] = self._loop.time()
        try:
            handler(self, message, buffers)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # not a message of ours: no answer
            _log.debug("the upload widget ignored a message: %r", error)

    def _hello(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Welcome a page, and again when it knows its lane.

        JupyterLab makes its subshell while the first widget starts, so the first ``hello`` may come without; ipykernel
        sends what follows where the answer to the second went, past a running cell.
        """
        page = _text(message["page"])
        token = None
        if not message.get("lane"):
            token = self._probe(page)
            self._look_for_pages(page)
        rows = [row.record() for row in self.rows]
        self._listener.send({"kind": "welcome", "page": page, "probe": token, "rows": rows})

    def _probe(self, page: str) -> str | None:
        """Return a landing for one byte, by which `page` finds its lane; None if there is no room for any."""
        try:
            probe = self._strip().ticket(1, name="the probe")
        except SourceError:  # `begin` will say why
            return None
        self._probes[page] = probe
        self._loop.call_later(PROBING, probe.discard)
        return probe.token

    def _here(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Take note that a page is there: `_handle` has."""

    def _look_for_pages(self, fresh: str) -> None:
        """Ask the pages that have yet to send something, other than `fresh`, whether they are still there.

        A page that is loaded anew or closed takes back with its socket what it had not sent yet, its ``leave`` too.
        """
        pages = {row.page for row in self.rows if row.under_way and not row.ready} - {fresh}
        if pages:
            self._listener.send({"kind": "who"})
            self._loop.call_later(ABSENT, self._miss, pages, self._loop.time())

    def _miss(self, pages: set[str], since: float) -> None:
        """Let those of `pages` have left that have not said a word since then."""
        for page in pages:
            if self._heard.get(page, 0.0) <= since:
                self._left(page)

    def _offer(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Put files on the list, each accepted or refused."""
        known = {row.key for row in self.rows}
        accepted = list[Row]()
        # All are read before the first is put on the list: half a message must not leave rows that nobody admits.
        offered = [
            (_text(given["key"]), _text(given["name"]), _text(given["path"]), _count(given["size"]))
            for given in message["rows"]
        ]
        for key, name, path, count in offered:
            if key in known:
                continue
            if self._limits.passes_over(path):
                self._removed.append(key)
                continue
            row = Row(key, self._limits.name or name, path, count)
            row.reason = self._limits.refusal(row.name, path, count, self._number_kept()) or ""
            row.state = "refused" if row.reason else "queued"
            if not row.reason:
                row.mime = self._limits.likely_type(row.name)
                if not self._limits.multiple:
                    self._drop(self.rows)
                accepted.append(row)
            known.add(key)
            self.rows = (*self.rows, row)
            if row.reason:
                self._touch(row)
        if accepted:
            self._admit(accepted)  # which tells the browser, of what else has changed too
        else:
            self._spread()

    def _begin(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Get ready for a file's bytes, and start to send them on as soon as the first has come."""
        row = self._row(message["key"])
        probe = self._probes.pop(str(message["key"]).rpartition("-")[0], None)
        if probe is not None:
            probe.discard()  # its page knows the lane now
        if row in self._admitting and message["lane"]:
            self._admitting[row] = message  # to be handled as soon as it is admitted
            return
        if row is None or row.state != "queued" or (row.ticket is not None and row.ticket.landed):
            # Nothing to send here; the row's record says why.
            self._listener.send({"kind": "stop", "key": message["key"]})
            return
        try:
            ticket = row.expect(self._strip(), comm=message["lane"] == "comm")
        except (SourceError, OSError) as error:
            row.broken = _sentence(row, error)
            if row.task is None:
                self._fail(row, row.broken)
                self._settle()
            return
        if row.task is None:  # else it waits already: the browser tries the other lane
            self._start(row)
        self._listener.send({"kind": "go", "key": row.key, "landing": ticket.token, "offset": 0})

    def _piece(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        row = self._landing_row(message)
        if row is not None:
            received = row.take(_count(message["offset"]), memoryview(buffers[0]).cast("B"))
            self._acknowledge(row, received)

    def _where(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        row = self._landing_row(message)
        if row is not None:
            self._acknowledge(row, row.received)

    def _broke(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Take the browser's word that the Jupyter server did not take a file, unless it has all of it."""
        row = self._landing_row(message)
        if row is None or row.ready:
            return
        row.broken = _broken(message["status"])
        row.give_up()
        if row.task is None:
            self._fail(row, row.broken)

    def _cancel(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        for row in self._rows(message["keys"]):
            self._cancel_row(row)
        self._settle()

    def _retry(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        row = self._row(message["key"])
        if row is None or row.state not in {"failed", "cancelled"} or row.task is not None:
            return
        row.state, row.reason, row.broken, row.sent = "queued", "", "", 0
        row.outcome = None
        if row.ready or (row.landing and row.landed):
            self._start(row)
        else:
            row.give_up()
            row.ticket, row.landed = None, 0
            self._admit([row])  # which tells the browser
            return
        self._touch(row)

    def _remove(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        """Take rows off the list; the files that were sent stay where they are."""
        self._drop([row for row in self._rows(message["keys"]) if not row.under_way])
        self._settle()

    def _leave(self, message: Mapping[str, Any], _buffers: Sequence[Any]) -> None:
        self._left(_text(message["page"]))

    def _left(self, page: str) -> None:
        """End what needed a page that was closed or loaded anew."""
        for row in self.rows:
            if row.page != page or not row.under_way or row.ready:
                continue
            if row.task is None:
                self._fail(row, "The page was closed before it was sent. Choose the file again.")
            elif not row.ticket or not row.ticket.landed:
                row.broken = "The page was closed before it was sent. Choose the file again."
                row.give_up()
            else:
                row.break_off(CLOSED)  # over HTTP the Jupyter server notices by itself
        self._settle()

    _HANDLERS = {  # noqa: RUF012  # the protocol, as a table
        "hello": _hello,
        "here": _here,
        "offer": _offer,
        "begin": _begin,
        "piece": _piece,
        "where": _where,
        "broke": _broke,
        "cancel": _cancel,
        "retry": _retry,
        "remove": _remove,
        "leave": _leave,
    }

    # -- rows --------------------------------------------------------------------------------------------------------

    def _row(self, key: object) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)

    def _rows(self, keys: Iterable[object]) -> list[Row]:
        wanted = set(keys)
        return [row for row in self.rows if row.key in wanted]

    def _landing_row(self, message: Mapping[str, Any]) -> Row | None:
        """Return the row that a message about its landing means; None if that landing is over or another's."""
        row = self._row(message["key"])
        if row is not None and row.ticket is not None and row.ticket.token == message["landing"]:
            if not row.ticket.discarded:
                return row
        elif row is not None and row.under_way:
            return None  # of a landing that a retry has replaced: a stop would end the new one
        self._listener.send({"kind": "stop", "key": message["key"]})
        return None

    def _number_kept(self) -> int:
        return sum(row.state not in {"refused", "cancelled"} for row in self.rows)

    def _admit(self, rows: Sequence[Row]) -> None:
        """Let the browser begin with `rows`, once it is seen that there is a key to send them with."""
        self._admitting.update(dict.fromkeys(rows))
        self._spawn(self._admit_async(rows))

    async def _admit_async(self, rows: Sequence[Row]) -> None:
        finding = asyncio.ensure_future(asyncio.to_thread(self._session().find))  # may start the local Files API
        if not (await asyncio.wait({finding}, timeout=NOTICED))[0]:
            self._change(rows, "queued", "checking", "Looking for the Files API and its key.")
        try:
            await finding
        except Error as error:
            for row in rows:
                if row.state in {"queued", "checking"}:  # not cancelled or replaced meanwhile
                    self._fail(row, _sentence(row, error))
        self._change(rows, "checking", "queued", "")
        for row in rows:
            begin = self._admitting.pop(row, None)
            if begin is not None:
                self._begin(begin, ())
            self._touch(row)
        self._settle()

    def _change(self, rows: Iterable[Row], before: State, after: State, reason: str) -> None:
        """Put those of `rows` that are in the state `before` into another."""
        for row in rows:
            if row.state == before:
                row.state, row.reason = after, reason
                self._touch(row)

    def _start(self, row: Row) -> None:
        row.task = self._loop.create_task(self._carry(row))
        row.task.add_done_callback(partial(self._over, row))

    def _over(self, row: Row, task: asyncio.Task[None]) -> None:
        """End a row with its task. Not in the task itself: one that is cancelled before its first step never runs."""
        row.task = None
        if task.cancelled():
            self._end(row, "cancelled", "Cancelled. Nothing was kept.")
            row.give_up()
        elif (error := task.exception()) is not None:  # what was not foreseen must not leave a row that turns for ever
            _log.error("the upload widget failed", exc_info=error)
            self._fail(row, f"nbfiles itself failed ({type(error).__name__}).")
        self._settle()

    async def _carry(self, row: Row) -> None:
        """Send one file on while it arrives."""
        try:
            ticket = await self._begun(row)
            row.mime = self._limits.mime_type(row.name, ticket.head(HEAD))
            row.state = "uploading"
            self._touch(row)
            session = self._session()  # one for a file's whole way: %files use may switch meanwhile
            async with self._slots:
                outcome = await self._send(row, ticket, session)
            await self._conclude(row, ticket, session, outcome)
        except Error as error:
            self._lost(row, _ticket_of(row), error)

    async def _begun(self, row: Row) -> Ticket:
        """Return a row's landing once its first bytes are there, which tell its type; until then it may change."""
        while (ticket := _ticket_of(row)).landed < min(HEAD, ticket.size):
            ticket.check()
            if ticket.overdue:
                raise SourceError("it never arrived from the browser")
            await asyncio.sleep(POLL)
        return ticket

    async def _send(self, row: Row, ticket: Ticket, session: Session) -> Outcome:
        # Without `discard`: what has landed stays for a retry.
        payload = Payload(row.name, row.mime, row.size, ticket.open, source=row.path or row.name)
        session.check([payload])
        if session.may_reuse(payload, self._how):  # it is hashed before a byte of it is sent on
            while not ticket.done:
                ticket.check()
                await asyncio.sleep(POLL)
        tasks = session.uploads([payload], self._how)
        results = await session.run_async(tasks, lambda event: self._note(row, event), self._how)
        (outcome,) = session.outcomes(tasks, results)
        return outcome

    def _note(self, row: Row, event: Event) -> None:
        """Take note of how the second hop goes."""
        match event:
            case Progress(sent=sent):
                row.sent = sent
                if row.state not in {"retrying", "checking"}:
                    self._changed[row] = None
                    self._spread(progress=True)
                    return
                row.state, row.reason = "uploading", ""
            case Checking() if row.state != "cancelling":
                row.state, row.reason = "checking", "No answer came back; checking whether the file arrived."
            case Retrying(reason=reason, delay=delay, attempt=attempt, attempts=attempts):
                row.sent = 0
                row.tries = attempt - 1
                if row.ticket is not None:
                    row.ticket.forget_the_end()  # the server has answered that it keeps nothing
                if row.state == "cancelling" and row.task is not None:
                    row.task.cancel()  # that attempt has failed, so nothing has arrived
                else:
                    row.state = "retrying"
                    row.reason = f"{_capital(reason)}, next try in {delay:.0f}{NO_BREAK}s ({attempt} of {attempts})"
        self._touch(row)

    async def _conclude(self, row: Row, ticket: Ticket, session: Session, outcome: Outcome) -> None:
        """Say what came of a file that was sent, or take it back if it was cancelled meanwhile."""
        row.outcome = outcome
        row.mime = outcome.mime_type
        error = outcome.error
        if row.state == "cancelling":
            await self._take_back(row, session, outcome)
        elif error is not None:
            self._lost(row, ticket, error)
        else:
            row.sent = row.landed = row.size
            self._end(row, "reused" if outcome.reused else "done", "")
            row.give_up()

    async def _take_back(self, row: Row, session: Session, outcome: Outcome) -> None:
        """Delete a file that had arrived when it was cancelled."""
        row.outcome = None
        if outcome.reused:
            self._end(row, "cancelled", "Cancelled. Nothing was sent; the file was there before, and stays.")
            return
        if outcome.metadata is None:
            unknown = isinstance(outcome.error, UnknownOutcomeError)
            said = "no answer came, so it may have arrived: %files pending tells." if unknown else "Nothing was kept."
            self._end(row, "cancelled", f"Cancelled{'; ' if unknown else '. '}{said}")
            return
        result: object
        try:
            (result,) = await session.run_async([session.deletion(outcome.metadata.id)], lambda _event: None)
        except Error as error:  # the key is gone
            result = error
        if isinstance(result, Error):
            there = f"It had arrived as {outcome.metadata.id} and could not be deleted: {result.cause}."
            self._end(row, "cancelled", f"Cancelled. {there}")
        else:
            where = "here" if session.local else "at Claude"
            self._end(row, "cancelled", f"Cancelled after it arrived; deleted {where}.")

    def _lost(self, row: Row, ticket: Ticket, error: Error) -> None:
        """Say why a file did not get through: the first hop's reason, where it is that."""
        if row.state == "cancelling":
            self._end(row, "cancelled", "Cancelled. Nothing was kept.")
        elif row.broken:
            self._fail(row, row.broken)
        elif (failure := ticket.failure) is not None:
            got = f"{size(ticket.landed)} of {size(row.size)}"
            self._fail(row, f"It did not arrive whole ({got}): {failure}.")
            row.give_up()
        elif isinstance(error, InputError) and not isinstance(error, SourceError):
            self._end(row, "refused", f"Not sent: {error.cause}.")
            row.give_up()
        else:
            tries = f" after {row.tries + 1} tries" if row.tries else ""
            self._fail(row, _sentence(row, error, tries))
            if isinstance(error, SourceError):
                row.give_up()
        if ticket.discarded or ticket.failure is not None:
            self._listener.send({"kind": "stop", "key": row.key})

    def _cancel_row(self, row: Row) -> None:
        """Close both hops. What may already have arrived whole is waited for, to delete it."""
        if not row.under_way or row.state == "cancelling":
            return
        self._listener.send({"kind": "stop", "key": row.key})
        row.give_up()
        if row.task is None:
            self._end(row, "cancelled", "Cancelled. Nothing was kept.")
        elif row.ticket is not None and row.ticket.read_out:
            row.state, row.reason = "cancelling", "Cancelling: it has been sent, and is deleted when the answer comes."
            self._touch(row)
        else:
            row.task.cancel()

    def _drop(self, rows: Iterable[Row]) -> None:
        """Take `rows` off the list, and let go of what they hold."""
        gone = set(rows)
        for row in gone:
            self._cancel_row(row)
            row.give_up()
            self._changed.pop(row, None)
            self._removed.append(row.key)
        self.rows = tuple(row for row in self.rows if row not in gone)
        self._spread()

    def _fail(self, row: Row, reason: str) -> None:
        self._end(row, "failed", reason)

    def _end(self, row: Row, state: Any, reason: str) -> None:
        row.state, row.reason = state, reason
        row.tries = 0
        self._ended = True
        self._touch(row)

    # -- news --------------------------------------------------------------------------------------------------------

    def _acknowledge(self, row: Row, received: int) -> None:
        token = row.ticket.token if row.ticket else ""
        news = self._gather() if self._loop.time() >= self._latest_news + BETWEEN_NEWS else {}
        self._listener.send({"kind": "ack", "key": row.key, "landing": token, "received": received, **news})

    def _touch(self, row: Row) -> None:
        """Tell the browser of `row`, soon."""
        if row in self.rows:
            self._changed[row] = None
        self._spread()

    def _spread(self, *, progress: bool = False) -> None:
        """See that news go out: at once if it has been quiet, else a moment after the last."""
        if self._closed:
            return
        pause = BESIDE_PIECES if progress and any(row.by_comm for row in self.rows) else BETWEEN_NEWS
        when = max(self._latest_news + pause, self._loop.time())
        if self._news is not None:
            if self._news.when() <= when:
                return
            self._news.cancel()
        self._news = self._loop.call_at(when, self._publish)

    def _publish(self) -> None:
        self._news = None
        if news := self._gather():
            self._listener.send({"kind": "rows", **news})
        if self._moving:
            self._spread(progress=True)

    def _gather(self) -> dict[str, Any]:
        """Return the news there are; they count as told."""
        moving = [row for row in self.rows if row.landing]
        for row in self._moving.union(moving).intersection(self.rows):  # those, too, that have just come to an end
            if row.measure() or row not in moving:
                self._changed[row] = None
        self._moving = frozenset(moving)
        if not (self._changed or self._removed):
            return {}
        changed, self._changed = list(self._changed), {}
        removed, self._removed = self._removed, []
        self._latest_news = self._loop.time()
        return {"rows": [row.record() for row in changed if row in self.rows], "removed": removed}

    def _settle(self) -> None:
        """Tell the widget if nothing is under way any more."""
        if not any(row.under_way for row in self.rows):
            ended, self._ended = self._ended, False
            self._listener.settled(ended=ended)
            self._spread()

    # -- odds and ends -----------------------------------------------------------------------------------------------

    def _strip(self) -> Landing:
        """Return the landing strip, made when it is first needed.

        Raises
        ------
        SourceError
            If its folder cannot be made or used.
        """
        if self._landing is None:
            self._landing = Landing()
        return self._landing

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)  # the loop itself keeps only a weak hold
        task.add_done_callback(self._background.discard)

    async def _close(self) -> None:
        self._closed = True
        tasks = [row.task for row in self.rows if row.task is not None]
        for row in self.rows:
            row.give_up()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._landing is not None:
            self._landing.close()


def _ticket_of(row: Row) -> Ticket:
    """Return the landing of a row that was begun."""
    assert row.ticket is not None  # noqa: S101  # whoever begins with a row makes one
    return row.ticket


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value.encode(errors="replace").decode()  # half a surrogate pair would break every answer that holds it


def _count(value: object) -> int:
    """Return a number of bytes; JavaScript has no integers, so ``8.0`` is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_BYTES:
        raise TypeError("not a number of bytes")
    if value != int(value):
        raise TypeError("not a whole number of bytes")
    return int(value)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sentence(row: Row, error: Error | OSError, more: str = "") -> str:
    """Say `error` on a row, where *Retry* stands beside it: the way out only if it is another."""
    if isinstance(error, OSError) and not isinstance(error, Error):
        return f"The kernel cannot keep it: {error.strerror or 'input/output error'}."
    cause = error.cause if error.cause.startswith(visible(row.name)) else _capital(error.cause)
    said = f"{cause}{more}".rstrip(".") + "."
    again = error.way_out.startswith("Run ") and not isinstance(error, CredentialError)
    return said if again or not error.way_out else f"{said} {error.way_out}"


def _broken(status: object) -> str:
    """Say what the browser met on its way to the Jupyter server."""
    known = {
        -1: "The browser cannot read it any more: it was moved or changed. Choose it again.",
        0: "The connection to the Jupyter server broke off.",
        403: "The Jupyter server did not let it in (403). Load the page again to sign in.",
        507: "The Jupyter server's disk is full or cannot be written.",
    }
    return (
        known.get(status) or f"The Jupyter server did not take it ({status})." if isinstance(status, int) else known[0]
    )
