"""Commands at work: what ``%upload``, ``%%upload`` and ``%files`` do once their line is read. Knows no IPython.

Each function gets a command and a `Notebook` (its namespaces, and a way to show things and to ask), does what is asked,
and returns what the magic returns. Names are bound here, last, and only for sources all of whose files arrived.
"""

from __future__ import annotations

import ast
import inspect
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbfiles import _receipt, _render
from nbfiles._cluster import Spread, spread
from nbfiles._command import settle
from nbfiles._errors import Error, InputError, NotFoundError, UploadError
from nbfiles._files import default, use
from nbfiles._here import Here
from nbfiles._listing import Listing
from nbfiles._models import FileId, FileMetadata
from nbfiles._names import became_text, visible
from nbfiles._payload import Payloads
from nbfiles._progress import observer
from nbfiles._resolve import resolve, resolve_ids
from nbfiles._results import listed, origin, remember, row_of
from nbfiles._session import How, Outcome, Session
from nbfiles._table import LISTED, Row, file_table
from nbfiles.sources import Request, await_, file, folder, glob_, payloads, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from nbfiles._command import Command, Id
    from nbfiles._ledger import Pending
    from nbfiles._resolve import Meaning
    from nbfiles._table import FileTable


@dataclass(frozen=True, slots=True)
class Notebook:
    """What a command needs of the notebook it runs in.

    Parameters
    ----------
    names : dict
        The notebook's namespace: names are bound in it.
    local : Mapping
        The names of the calling function; empty at the top level.
    show : callable
        Displays an object.
    ask : callable
        Asks the person a question; returns the answer, or None if there is nobody.
    """

    names: dict[str, Any]
    local: Mapping[str, Any]
    show: Callable[[Any], object]
    ask: Callable[[str], str | None]

    def here(self) -> Here:
        """Return the names and files around the line."""
        return Here(self.local, self.names)

    def evaluate(self, code: str) -> Any:
        """Return the value of one expression, which may ``await``. What it raises is the user's own and passes."""
        compiled = compile(code.strip(), "<magic line>", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        # A function's names must be seen by lambdas and comprehensions of the line too, so they join the globals.
        scope = self.names if not self.local else {**self.names, **self.local}
        value = eval(compiled, scope)  # noqa: S307  # the user's own code, in the user's own notebook
        return await_(value) if compiled.co_flags & inspect.CO_COROUTINE else value


# ---- %upload, %%upload -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One clause on its way: its payloads, and the name that waits for their ids."""

    target: str | None
    payloads: Payloads = field(default_factory=lambda: Payloads([], many=False))
    spread: Spread | None = None  # what a cluster's workers send, instead

    def __len__(self) -> int:
        return len(self.payloads if self.spread is None else self.spread)

    @property
    def many(self) -> bool:
        """Whether its name binds a list."""
        return self.payloads.many if self.spread is None else self.spread.many

    def close(self) -> None:
        """Let go of what it keeps."""
        self.payloads.close()
        if self.spread is not None:
            self.spread.close()

    def variables(self) -> list[str]:
        """Return what will hold the id of each payload, as one would type it."""
        if self.target is None:
            return [""] * len(self)
        if not self.many:
            return [self.target]
        return [f"{self.target}[{number}]" for number in range(len(self))]


def upload(command: Command, notebook: Notebook, cell: str | None = None) -> FileTable | None:
    """Send what the line names, bind the names, show the receipt.

    Parameters
    ----------
    command : Command
        Of ``%upload``, or of ``%%upload`` with its `cell`.
    notebook : Notebook
    cell : str or None
        The file's content, for ``%%upload``.

    Returns
    -------
    FileTable or None
        One row a file; None for a dry run.

    Raises
    ------
    InputError
        If anything on the line cannot be as it is. Nothing was sent.
    UploadError
        If some of several files failed. Names whose files all arrived are bound.
    """
    command = settle(command, notebook.evaluate)
    session = default().session
    dry_run = bool(command.options.get("dry_run"))
    meanings = resolve(command, notebook.here())
    if not dry_run:
        session.find()  # no key: say so before anything is read or written
    parts = list[_Part]()
    try:
        if cell is not None:
            parts.append(_cell_part(command, notebook, cell))
        else:
            for meaning in meanings:
                parts.append(_part(meaning, command, notebook, session))
        everything = [payload for part in parts for payload in part.payloads]
        notes = [meaning.note for meaning in meanings if meaning.note] + list(session.check(everything))
        if dry_run:
            notebook.show(_plan(parts, notes))
            return None
        return _send(command, session, parts, notes, notebook)
    finally:
        for part in parts:
            part.close()


def _cell_part(command: Command, notebook: Notebook, cell: str) -> _Part:
    (clause,) = command.clauses
    source = clause.source
    name = notebook.evaluate(source.code) if source.kind == "python" else source.text
    if not isinstance(name, str):
        raise command.error("the file name must be text", source.start, source.end)
    if any(char in name for char in "/\\"):
        raise command.error("%%upload takes a file name without folders", source.start, source.end)
    return _Part(clause.target, payloads(text(cell, name=name), _request(command, "the cell")))


def _part(meaning: Meaning, command: Command, notebook: Notebook, session: Session) -> _Part:
    """Return one source, ready to be sent from here or from a cluster's workers."""
    request = _request(command, meaning.value)
    match meaning.kind:
        case "file" | "folder" | "glob":
            value: Any = None
        case "url":
            value = meaning.value
        case _:
            value = notebook.evaluate(meaning.value)
    cluster = {word: command.options[word] for word in ("on", "split", "one") if word in command.options}
    spread_ = spread(value, request, session, **cluster)
    if spread_ is not None:
        return _Part(meaning.target, spread=spread_)
    match meaning.kind:
        case "file":
            return _Part(meaning.target, file(meaning.value, request))
        case "folder":
            return _Part(meaning.target, folder(meaning.value, request))
        case "glob":
            return _Part(meaning.target, glob_(meaning.value, request))
        case _:
            return _Part(meaning.target, payloads(value, request))


def _request(command: Command, label: str) -> Request:
    options = command.options
    wanted = (
        "name",
        "type",
        "for_",
        "format",
        "opt",
        "index",
        "max_rows",
        "sample",
        "include",
        "exclude",
        "lossy",
        "zip",
    )
    return Request(label=label, **{name: options[name] for name in wanted if name in options})


def _how(command: Command, session: Session) -> How:
    options = command.options
    return How(
        expires=options.get("expires", session.config.expires),  # None, from --expires never, undoes a default
        jobs=options.get("jobs"),
        timeout=options.get("timeout"),
        retry=not options.get("no_retry"),
        fresh=bool(options.get("fresh")),
        betas=options.get("beta", ()),
    )


def _send(
    command: Command, session: Session, parts: Sequence[_Part], notes: Sequence[str], notebook: Notebook
) -> FileTable:
    """Send the payloads of all parts at once; bind; show."""
    how = _how(command, session)
    sent = [payload for part in parts for payload in part.payloads]
    tasks = session.uploads(sent, how)
    display = observer(quiet=bool(command.options.get("quiet")))
    started = time.monotonic()
    try:
        from_here = iter(session.outcomes(tasks, session.run(tasks, display, how) if tasks else []))
        outcomes, first = list[Outcome](), len(tasks)
        for part in parts:
            if part.spread is None:
                outcomes.extend(next(from_here) for _ in range(len(part)))
            else:
                outcomes.extend(part.spread.run(how, display, first=first))
                first += len(part)
    except BaseException:
        display.clear()
        raise
    seconds = time.monotonic() - started
    table, bound = _ids_of(parts, outcomes, local=session.local)
    failure = _failure(parts, outcomes, table, notebook)
    if failure is not None:
        display.clear()
        notebook.names.update(bound)
        if len(outcomes) > 1:
            notebook.show(table)
        raise failure
    chose_type = "type" not in command.options
    notes = [*notes, *session.ledger_notes()]
    display.finish(_done(outcomes, list(bound), seconds, notes, local=session.local, chose_type=chose_type))
    notebook.names.update(bound)  # last, and all in one step: an interrupt comes before it or does not divide it
    return table


def _ids_of(
    parts: Sequence[_Part], outcomes: Sequence[Outcome], *, local: bool
) -> tuple[FileTable, dict[str, FileId | list[FileId]]]:
    """Return the table, and what the names get whose files all arrived."""
    rows, bound = list[Row](), dict[str, Any]()
    left = iter(outcomes)
    for part in parts:
        mine = [next(left) for _ in range(len(part))]
        arrived = all(outcome.metadata is not None for outcome in mine)
        names = part.variables() if arrived else [""] * len(mine)
        rows.extend(row_of(outcome, name) for outcome, name in zip(mine, names, strict=True))
        if part.target is None or not arrived:
            continue
        ids = [FileId.of(outcome.metadata) for outcome in mine if outcome.metadata is not None]
        bound[part.target] = ids if part.many else ids[0]
    return remember(file_table(rows, local=local)), bound


def _failure(parts: Sequence[_Part], outcomes: Sequence[Outcome], table: FileTable, notebook: Notebook) -> Error | None:
    """Return the one error for all that failed, saying which names keep what they had."""
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not failures:
        return None
    if len(outcomes) == 1:
        return failures[0]
    missed, left = list[str](), iter(outcomes)
    for part in parts:
        mine = [next(left) for _ in range(len(part))]
        if part.target and any(outcome.error is not None for outcome in mine):
            missed.append(part.target)
    cause = _receipt.failed(
        count=len(failures),
        total=len(outcomes),
        kept=[name for name in missed if name in notebook.names],
        unbound=[name for name in missed if name not in notebook.names],
    )
    return UploadError(cause, f"The first: {failures[0]}", table=table, failures=failures)


def _done(
    outcomes: Sequence[Outcome],
    bound: Sequence[str],
    seconds: float,
    notes: Sequence[str],
    *,
    local: bool,
    chose_type: bool,
) -> _receipt.Receipt:
    said: list[_receipt.Note | str] = [_receipt.Note(note) for note in notes]
    made = [one for one in outcomes if not one.reused]
    as_text = [one.name for one in made if became_text(one.name, one.mime_type)] if chose_type else []
    if as_text:
        said.append(_receipt.sent_as_text(as_text))
    said.extend(note for outcome in outcomes for note in outcome.notes)
    ends = None
    for outcome in outcomes:
        metadata = outcome.metadata
        if metadata is None:
            continue
        ends = metadata.expires_at or ends
        if metadata.filename != outcome.name:
            said.append(_receipt.renamed(outcome.name, metadata.filename))
    sent = [outcome for outcome in outcomes if not outcome.reused]
    return _receipt.uploaded(
        sent=len(sent),
        reused=len(outcomes) - len(sent),
        size=sum(outcome.size for outcome in sent),
        seconds=seconds,
        bound=bound,
        expires_at=ends,
        local=local,
        notes=said,
    )


def _plan(parts: Sequence[_Part], notes: Sequence[str]) -> _receipt.Receipt:
    spread_ = [part for part in parts if part.spread is not None]
    notes = [*notes, *(_spread_note(part.spread) for part in spread_ if part.spread is not None)]
    files = [
        _receipt.Planned(payload.name, payload.size, payload.mime_type, variable)
        for part in parts
        if part.spread is None
        for payload, variable in zip(part.payloads, part.variables(), strict=True)
    ]
    return _receipt.planned(files, notes=notes)


def _spread_note(spread_: Spread) -> str:
    return f"{_render.counted(len(spread_), 'file')} from the cluster's workers, such as {spread_.names[0]}"


# ---- %files ----------------------------------------------------------------------------------------------------------


def files(command: Command, notebook: Notebook) -> Any:
    """Do what a verb of ``%files`` says; return a table, or the paths of a download, or None."""
    command = settle(command, notebook.evaluate)
    return _VERBS[command.verb](command, notebook)


def _list(command: Command, notebook: Notebook) -> FileTable:
    options = command.options
    wanted = ("match", "type", "larger", "older", "newer", "expiring", "mine", "sort", "reverse", "limit")
    listing = Listing(**{name: options[name] for name in wanted if name in options})
    session = default().session
    found = _one(session, session.listing(listing.first), command)
    return listed(session, listing, found, variables(notebook.names))


def _info(command: Command, notebook: Notebook) -> FileTable:
    session = default().session
    ids = _ids(command, notebook, session)
    results = _each(session, [session.metadata(one) for one in ids], command)
    found = [result for result in results if isinstance(result, FileMetadata)]
    _raise_first(ids, results)
    holders = variables(notebook.names)
    ours = session.account().taken(ids)
    rows = [Row.of(one, variable=holders.get(one.id, ""), origin=origin(one, ours)) for one in found]
    return remember(file_table(rows, shown=(*LISTED, "mime_type", "downloadable"), local=session.local))


def _download(command: Command, notebook: Notebook) -> list[Path]:
    session = default().session
    ids = _ids(command, notebook, session)
    to, overwrite = command.options.get("to"), bool(command.options.get("overwrite"))
    if to is not None and len(ids) > 1 and not to.endswith("/"):
        to = f"{to}/"
    results = _each(session, [session.download(one, to, overwrite=overwrite) for one in ids], command)
    _raise_first(ids, results)
    return [result for result in results if not isinstance(result, Error)]


def _delete(command: Command, notebook: Notebook) -> None:
    """Show the plan, ask, delete exactly what was shown."""
    session = default().session
    ids = _ids(command, notebook, session)
    known = _each(session, [session.metadata(one) for one in ids], command)
    _raise_first(ids, known)
    found = [one for one in known if isinstance(one, FileMetadata)]
    holders = variables(notebook.names)
    size = sum(one.size_bytes for one in found)
    plan = f"Plan: delete {_render.counted(len(found), 'file')}, {_render.size(size)}"
    ours = session.account().taken(ids)
    rows = [Row.of(one, variable=holders.get(one.id, ""), origin=origin(one, ours)) for one in found]
    quiet = bool(command.options.get("quiet"))
    if not quiet:
        notebook.show(file_table(rows, headline=plan, shown=LISTED, local=session.local))
    if command.options.get("dry_run"):
        return
    if not command.options.get("yes") and not _agreed(len(found), notebook):
        return
    results = _each(session, [session.deletion(one.id) for one in found], command)
    gone = sum(isinstance(result, NotFoundError) for result in results)
    failures = [result for result in results if isinstance(result, Error) and not isinstance(result, NotFoundError)]
    freed = sum(one.size_bytes for one, result in zip(found, results, strict=True) if not isinstance(result, Error))
    if not quiet:
        receipt = _receipt.deleted(
            count=len(found) - gone - len(failures),
            freed=freed,
            gone=gone,
            kept=len(failures),
            dead=[holders[one.id] for one in found if one.id in holders],
        )
        notebook.show(receipt)
    if failures:
        raise failures[0]


def _pending(command: Command, notebook: Notebook) -> FileTable:
    """Find out what became of the uploads whose outcome is unknown."""
    session = default().session
    waiting = session.account().pending()
    results = _each(session, [session.settlement(one) for one in waiting], command)
    for result in results:
        if isinstance(result, Error):
            raise result
    holders = variables(notebook.names)
    rows = [_settled(one, found, holders) for one, found in zip(waiting, results, strict=True)]
    arrived, gone = (sum(row.status == status for row in rows) for status in ("arrived", "not there"))
    parts = [f"{_render.counted(len(rows), 'upload')} without an answer"] if rows else ["No upload without an answer"]
    parts += [f"{arrived} had arrived"] if arrived else []
    parts += [f"{gone} had not"] if gone else []
    shown = ("filename", "size_bytes", "status", "created_at", "id")
    return remember(file_table(rows, headline=" · ".join(parts), shown=shown, local=session.local))


def _settled(one: Pending, found: Sequence[FileMetadata], holders: Mapping[str, str]) -> Row:
    """Return the row of an upload, by the files that may be it."""
    if len(found) == 1:
        return Row.of(found[0], status="arrived", origin="here", variable=holders.get(found[0].id, ""))
    said = f"One of these may be it: {', '.join(file_.id for file_ in found)}" if found else ""
    status = "unclear" if found else "not there"
    return Row(
        metadata=None, filename=one.name, mime_type=one.mime_type, size_bytes=one.size, status=status, error=said
    )


def _agreed(count: int, notebook: Notebook) -> bool:
    """Ask whether to delete; above 20 files the count has to be typed."""
    files_ = _render.counted(count, "file")
    wanted = str(count) if count > _ASK_COUNT else "y"
    answer = notebook.ask(f"Delete {files_}? Type {wanted} to delete, anything else keeps all: ")
    if answer is None:
        raise InputError("there is nobody here to ask", "Add -y to delete without asking.")
    return answer.strip().lower() == wanted


_ASK_COUNT = 20


def _use(command: Command, notebook: Notebook) -> None:
    (place,) = command.ids
    use(place.text)
    if not command.options.get("quiet"):
        notebook.show(_receipt.switched(local=default().session.local))


_VERBS: dict[str, Callable[[Command, Notebook], Any]] = {
    "list": _list,
    "info": _info,
    "download": _download,
    "delete": _delete,
    "pending": _pending,
    "use": _use,
}


def _ids(command: Command, notebook: Notebook, session: Session) -> list[str]:
    """Return the ids that the line names, each once, in its order."""
    found: list[str] = []
    for one in resolve_ids(command, notebook.here()):
        if one.kind == "id":
            found.append(one.text)
        elif one.kind == "filename":
            found.append(_by_filename(one, command, session))
        else:
            found.extend(_held(one, command, notebook))
    return list(dict.fromkeys(found))


def _held(one: Id, command: Command, notebook: Notebook) -> list[str]:
    """Return the ids that a Python expression holds: an id, a list of them, a table."""
    value = notebook.evaluate(one.text)
    if hasattr(type(value), "nbfiles"):  # a frame: our accessor knows its ids
        return list(value.nbfiles.ids())
    ids = [value] if isinstance(value, str) else value
    if not isinstance(ids, list | tuple) or not all(isinstance(item, str) and item for item in ids):
        raise command.error(f"{one.text} holds no file id", one.start, one.end)
    return [str(item) for item in ids]


def _by_filename(one: Id, command: Command, session: Session) -> str:
    """Return the id of the only file of that name."""
    named = [file_ for file_ in _one(session, session.listing(), command) if file_.filename == one.text]
    if not named:
        raise command.error(f"{session.find()[0].who} has no file of that name", one.start, one.end)
    if len(named) > 1:
        ids = ", ".join(file_.id for file_ in named[:5])
        raise command.error(f"{len(named)} files have that name; name one by its id: {ids}", one.start, one.end)
    only: FileMetadata = named[0]
    return only.id


def variables(names: Mapping[str, Any]) -> dict[str, str]:
    """Return which variable holds which file id, as one would type it: ``report_id``, ``csv_ids[0]``.

    Parameters
    ----------
    names : Mapping
        The notebook's namespace; names that begin with ``_`` are IPython's own and do not count.

    Returns
    -------
    dict of str to str
        By id; the first name in order of binding wins.
    """
    found: dict[str, str] = {}
    for name, value in list(names.items()):
        if name.startswith("_"):
            continue
        if isinstance(value, FileId):
            found.setdefault(str(value), name)
        elif type(value) is list and value and isinstance(value[0], FileId):
            for number, item in enumerate(value):
                if isinstance(item, FileId):
                    found.setdefault(str(item), f"{name}[{number}]")
    return found


def _one(session: Session, task: Any, command: Command) -> Any:
    (result,) = _each(session, [task], command)
    if isinstance(result, Error):
        raise result
    return result


def _each(session: Session, tasks: Sequence[Any], command: Command) -> list[Any]:
    return session.run(tasks, _nobody, How(betas=command.options.get("beta", ())))


def _nobody(event: object) -> None:
    """Watch nothing: these are over in a moment."""


def _raise_first(ids: Sequence[str], results: Iterable[Any]) -> None:
    """Raise the first error, naming its file."""
    for one, result in zip(ids, results, strict=True):
        if isinstance(result, NotFoundError):
            raise InputError(f"{visible(one)}: {result.cause}", result.way_out)
        if isinstance(result, Error):
            raise result
