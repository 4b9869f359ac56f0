"""``UploadWidget``: a file picker in a cell, whose files go to the Files API and whose ids become Python values."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Dict, List, TraitError, Unicode, validate

from nbfiles import _render
from nbfiles._arguments import Chosen, UploadOptions
from nbfiles._errors import InputError, SourceError, UploadError
from nbfiles._files import Files, default
from nbfiles._names import visible
from nbfiles._results import remember, row_of
from nbfiles._table import Row as TableRow
from nbfiles._table import file_table
from nbfiles.widget._assets import script, style
from nbfiles.widget._desk import LOOP, Desk
from nbfiles.widget._limits import Limits
from nbfiles.widget._shown import Shown, checked_name, names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from nbfiles._models import FileId
    from nbfiles._session import Session
    from nbfiles._table import FileTable
    from nbfiles.widget._row import Row


class UploadWidget(Shown):
    """A target for files: drop, paste or choose them, and their ids are bound to a name.

    Files of any size pass through this kernel to the Files API while they arrive; nothing is held in memory, and the
    API key never leaves the kernel. It works in JupyterLab, Notebook 7, VS Code and Colab.

    Parameters
    ----------
    multiple : bool, default True
        Whether there may be more than one file. With False a new choice replaces the one before.
    accept : str or sequence of str, default ""
        What is taken, as in ``<input accept>``: ``".pdf"``, ``"image/*, .csv"``. Empty: anything.
    bind : str or None, default None
        The name that will hold the ids: a list in the order chosen, or the one id if `multiple` is False. It is bound
        when every file on the list is done; until then it keeps its old value. A failed file holds it back until it is
        retried or removed.
    max_files : int or None, default None
        At most so many files.
    max_bytes : int or None, default None
        The most that one file may have; never more than ``NbFiles.max_file_size``.
    name : str or None, default None
        The file name to send; only with ``multiple=False``.
    type : str or None, default None
        The MIME type to store; None takes it from name and content.
    for_ : {"auto", "document", "container", "image"}, default "auto"
        What the files are for; decides the MIME type where there is a choice.
    expires : int (seconds), str ("7d", "never") or timedelta, default None
        When the files end. None takes ``NbFiles.expires``.
    fresh : bool, default False
        Whether a file is sent even if the same was uploaded from here before.
    retry : bool, default True
        False sends each file at most once.
    jobs : int or None, default None
        Files sent at the same time, 1 to 64.
    timeout : float or None, default None
        Seconds one file may take in all.
    files : Files or None, default None
        The client to send with; None takes the notebook's (``%files use``).

    Raises
    ------
    InputError
        If an argument cannot be right, or `bind` is given where there is no notebook.

    Examples
    --------
    >>> import nbfiles
    >>> picker = nbfiles.UploadWidget(accept=".pdf", max_files=10)
    >>> picker.value
    []
    >>> picker
    UploadWidget: no file yet. Where widgets are not shown: %upload report.pdf as report_id
    """

    _esm = script("upload.js")
    _css = style("upload.css")

    view = "nbf-up"

    # What the browser's half reads beside `Shown`'s.
    rows = List(Dict(), help="What is known of each file, at rest.").tag(sync=True)
    limits = Dict(help="What is accepted.").tag(sync=True)
    local = Bool(help="Whether the local Files API takes the files.").tag(sync=True)
    note = Unicode(help="What a person should know beside the rows.").tag(sync=True)

    bind = Unicode(None, allow_none=True, help="The name that will hold the ids.")

    def __init__(
        self,
        *,
        multiple: bool = True,
        accept: str | Sequence[str] = "",
        bind: str | None = None,
        max_files: int | None = None,
        max_bytes: int | None = None,
        name: str | None = None,
        type: str | None = None,  # noqa: A002  # the magic's word
        for_: str = "auto",
        expires: int | str | timedelta | None = None,
        fresh: bool = False,
        retry: bool = True,
        jobs: int | None = None,
        timeout: float | None = None,
        files: Files | None = None,
    ) -> None:
        self._files = files
        options = UploadOptions(
            name=name,
            type=type,
            for_=for_,
            expires=expires,
            fresh=fresh,
            retry=retry,
            jobs=jobs,
            timeout=timeout,
            progress=False,
        )
        chosen = Chosen(self._session(), options)
        chosen.how.check()
        limit = self._session().config.max_file_size
        self._limits = Limits(
            accept=Limits.accepted(accept),
            multiple=bool(multiple),
            max_files=max_files,
            max_bytes=limit if max_bytes is None else max_bytes,
            name=name,
            type=type,
            for_=for_,
        ).within(limit)
        self._bound = frozenset[str]()  # the keys of the rows whose ids the name holds
        self._callbacks = list[_Callback]()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[list[FileId]]]] = []
        self._desk = Desk(self._limits, chosen.how, self._session, self)
        super().__init__(
            limits=self._limits.shown(),
            local=self._session().local,
            bind=checked_name(bind),
        )
        self.observe(self._bind_anew, "bind")

    # -- what a person asks ------------------------------------------------------------------------------------------

    @property
    def value(self) -> list[FileId]:
        """The ids of the files on the list that are done, in the order chosen."""
        return [row.id for row in self._desk.rows if row.id is not None]

    @property
    def table(self) -> FileTable:
        """The files on the list that are done or have failed, one row each, as a DataFrame."""
        rows = [_table_row(row) for row in self._desk.rows if row.shown]
        return file_table(rows, local=self._session().local)

    def on_done(self, callback: Callable[[UploadWidget], object]) -> None:
        """Call ``callback(widget)`` each time that every file on the list has come to its end, well or not.

        It is called on the notebook's own thread as soon as no cell runs, and what it prints appears below the cell
        that called `on_done`.
        """
        self._callbacks.append(_Callback(callback))

    async def wait(self) -> list[FileId]:
        """Wait until at least one file was chosen and all are done; return `value`.

        Raises
        ------
        UploadError
            If a file failed; its ``table`` has a row for every file.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[FileId]] = loop.create_future()
        waiter = (loop, future)
        self._waiting.append(waiter)
        LOOP.get().call_soon_threadsafe(self._answer)
        try:
            return await future
        finally:
            self._waiting.remove(waiter)

    def close(self) -> None:
        """Cancel what is under way, and take the widget out of the notebook."""
        desk = getattr(self, "_desk", None)  # none if the arguments were refused
        if desk is not None:
            desk.close()
        super().close()

    # -- the desk's listener; on its loop ----------------------------------------------------------------------------

    def settled(self, *, ended: bool) -> None:
        """Bind, keep what is at rest, and tell whoever waits."""
        self._bind_all()
        rows = self._desk.rows
        records = [row.record() for row in rows]
        self.publish(lambda: self._keep(records))
        if ended:
            if any(row.shown for row in rows):
                remember(self.table)
            for callback in list(self._callbacks):
                callback(self)
        self._answer()

    def _keep(self, records: list[dict[str, Any]]) -> None:
        """Put what is at rest where a saved notebook finds it."""
        self.rows = records
        self.local = self._session().local
        self.note = self._held_back()

    def _bind_all(self) -> None:
        """Bind the name, if a file is done that it does not hold, and none has failed."""
        done = [row for row in self._desk.rows if row.id is not None]
        keys = frozenset(row.key for row in done)
        if keys <= self._bound or any(row.state == "failed" for row in self._desk.rows):
            return
        self._bound = keys
        ids = [row.id for row in done]
        if self.bind is not None:
            names()[self.bind] = ids if self._limits.multiple else ids[-1]
        for number, row in enumerate(done):
            row.variable = self._variable(number)
        self._desk.tell(done)

    def _variable(self, number: int) -> str:
        """Return what holds the id of the file `number`, as one would type it; ``""`` if nothing is known to."""
        if self.bind is not None:
            return f"{self.bind}[{number}]" if self._limits.multiple else self.bind
        mine = (name for name, value in list(names().items()) if value is self and not name.startswith("_"))
        holder = next(mine, None)
        return f"{holder}.value[{number}]" if holder else ""

    def _held_back(self) -> str:
        """Say why the name is not bound, if a failed file keeps it from being."""
        failed = [row.name for row in self._desk.rows if row.state == "failed"]
        if self.bind is None or not failed or not self.value:
            return ""
        who = f"{visible(failed[0])} is" if len(failed) == 1 else f"the {len(failed)} failed files are"
        return f"{self.bind} is bound when {who} retried or removed."

    def _answer(self) -> None:
        """Tell those who wait, if there is something to tell."""
        rows = self._desk.rows
        if any(row.under_way for row in rows) or not any(row.shown for row in rows):
            return
        failed = [row for row in rows if row.state == "failed"]
        for loop, future in list(self._waiting):
            result = _failure(failed, self.table) if failed else self.value
            loop.call_soon_threadsafe(_resolve, future, result)

    # -- how it is shown ---------------------------------------------------------------------------------------------

    def stand_in(self) -> _render.Piece:
        """Return the table of the files that are done or have failed."""
        rows = [_table_row(row) for row in self._desk.rows if row.shown]
        if rows:
            table = file_table(rows, local=self._session().local)
            return _render.Piece(repr(table), table._repr_html_())
        line = "UploadWidget: no file yet. Where widgets are not shown: " + _render.code(
            "%upload report.pdf as report_id"
        )
        return _render.output(_render.element("p", line, cls="nbf-foot"))

    def receive(self, message: dict[str, Any], buffers: Any) -> None:
        """Hand a message of the browser to the desk, on whatever thread it comes."""
        self._desk.receive(message, buffers)

    def _session(self) -> Session:
        return (self._files or default()).session

    @validate("bind")
    def _check_bind(self, proposal: dict[str, Any]) -> Any:
        try:
            return checked_name(proposal["value"])
        except InputError as error:
            raise TraitError(str(error)) from None

    def _bind_anew(self, _change: object) -> None:
        """Bind the new name to what is done already; the old name keeps what it has."""
        self._bound = frozenset()
        self._desk.settle()


class _Callback:
    """A function of the user's, and where it is to run: the thread and the cell in which it was handed over."""

    def __init__(self, function: Callable[[UploadWidget], object]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # no notebook: the desk's own thread has to do
            self._loop = None

    def __call__(self, widget: UploadWidget) -> None:
        if self._loop is None or self._loop.is_closed():
            self._call(widget)
        else:
            self._loop.call_soon_threadsafe(self._call, widget, context=self._context.copy())

    def _call(self, widget: UploadWidget) -> None:
        try:
            self._function(widget)
        except Exception:  # noqa: BLE001  # the user's own: shown below the cell, and nobody else's trouble
            traceback.print_exc()


def _resolve(future: asyncio.Future[list[FileId]], result: list[FileId] | UploadError) -> None:
    if future.done():
        return
    if isinstance(result, UploadError):
        future.set_exception(result)
    else:
        future.set_result(result)


def _failure(failed: Sequence[Row], table: FileTable) -> UploadError:
    errors = [row.outcome.error if row.outcome and row.outcome.error else SourceError(row.reason) for row in failed]
    return UploadError(
        f"{_render.counted(len(failed), 'file')} of {len(table)} failed: {errors[0].cause}",
        "Press Retry or remove the row, then wait again.",
        table=table,
        failures=errors,
    )


def _table_row(row: Row) -> TableRow:
    if row.outcome is not None and (row.id is not None or row.outcome.error is not None):
        return row_of(row.outcome, row.variable)
    return TableRow(
        metadata=None,
        filename=row.name,
        mime_type=row.mime,
        size_bytes=row.size,
        status="failed",
        source=row.path or row.name,
        error=row.reason,
    )
