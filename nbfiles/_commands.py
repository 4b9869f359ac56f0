"""Commands at work: what ``%upload``, ``%%upload`` and ``%files`` do once their line is read. Knows no IPython.

Each function gets a command and a `Notebook` (its namespaces, and a way to show things and to ask), does what is asked,
and returns what the magic returns. Names are bound here, last, and only for sources all of whose files arrived.
"""

from __future__ import annotations

import ast
import inspect
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nbfiles import _deletion, _receipt, _render, _rounds
from nbfiles._cluster import Spread, spread
from nbfiles._command import settle
from nbfiles._deletion import Asked
from nbfiles._errors import Error, InputError, NotFoundError, UploadError
from nbfiles._files import default, use
from nbfiles._fit import RULE, fits
from nbfiles._here import Here
from nbfiles._holders import holders, variables
from nbfiles._ids import ids_of
from nbfiles._listing import Listing
from nbfiles._models import FileId, FileMetadata
from nbfiles._names import became_text, visible
from nbfiles._payload import Payloads
from nbfiles._progress import observer
from nbfiles._resolve import resolve, resolve_ids
from nbfiles._results import ending, listed, origin, remember, row_of, stored_twice, variable
from nbfiles._rounds import waiting
from nbfiles._session import How, Outcome, Session
from nbfiles._table import LISTED, Row, file_table
from nbfiles._usage import usage_of
from nbfiles.sources import Request, await_, cells, file, folder, glob_, notebook_file, payloads, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from nbfiles._command import Command, Id
    from nbfiles._deletion import Plan
    from nbfiles._fit import Fit
    from nbfiles._ledger import Pending
    from nbfiles._resolve import Meaning
    from nbfiles._rounds import Rounds
    from nbfiles._table import FileTable
    from nbfiles._usage import Usage
    from nbfiles.widget import FileBrowser

T = TypeVar("T")


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
    path : callable
        Where the notebook's file is; None where the front end does not say.
    inputs : callable
        What was typed into the cells, by their number.
    """

    names: dict[str, Any]
    local: Mapping[str, Any]
    show: Callable[[Any], object]
    ask: Callable[[str], str | None]
    path: Callable[[], str | None]
    inputs: Callable[[], Sequence[str]]

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
        found = fits(everything, command.options.get("for_", "auto"))
        warnings = [_receipt.Note(words, warning=True) for each in found for words in each.warnings]
        if dry_run:
            notebook.show(_plan(parts, found, [*warnings, *notes]))
            return None
        if warnings and not command.options.get("quiet"):
            notebook.show(_receipt.warned(warnings))  # before anything is sent: there is still time to stop
        table, bound = _send(command, session, parts, notes, notebook)
    finally:
        for part in parts:
            part.close()
    notebook.names.update(bound)  # last, and all in one step: an interrupt comes before it or does not divide it
    return table


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
    request, kind = _request(command, meaning.value), meaning.kind
    value = notebook.evaluate(meaning.value) if kind in {"name", "python"} else meaning.value
    cluster = {word: command.options[word] for word in ("on", "split", "one") if word in command.options}
    spread_ = spread(value, request, session, **cluster)
    if spread_ is not None:
        return _Part(meaning.target, spread=spread_)
    match kind:
        case "file":
            made = file(value, request)
        case "folder":
            made = folder(value, request)
        case "glob":
            made = glob_(value, request)
        case "notebook":
            made = notebook_file(notebook.path(), request)
        case "cells":
            made = cells(value, notebook.inputs(), request)
        case _:
            made = payloads(value, request)
    return _Part(meaning.target, made)


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
) -> tuple[FileTable, dict[str, Any]]:
    """Send the payloads of all parts at once and show the receipt; return the table, and what the names get."""
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
    said: list[str | _receipt.Note] = [*notes, *session.ledger_notes()]
    said += [*_expired_before(session, outcomes), *_ends_soon(outcomes, bound)]
    display.finish(_done(outcomes, list(bound), seconds, said, local=session.local, chose_type=chose_type))
    return table, bound


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
    notes: Sequence[str | _receipt.Note],
    *,
    local: bool,
    chose_type: bool,
) -> _receipt.Receipt:
    said: list[_receipt.Note | str] = list(notes)
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


def _expired_before(session: Session, outcomes: Sequence[Outcome]) -> list[_receipt.Note]:
    """Say of what was sent that it had been uploaded before, and that the file of then has expired."""
    said, now = list[_receipt.Note](), datetime.now(UTC)
    for one in outcomes:
        if one.metadata is None or one.reused or not one.digest:
            continue
        known = session.account().find(name=one.name, mime_type=one.mime_type, size=one.size, digest=one.digest)
        before = next((file_ for file_ in known if file_.id != one.metadata.id), None)
        if before is not None and before.expires_at is not None and before.expires_at <= now:
            said.append(_receipt.sent_anew(one.name, before.expires_at, now))
    return said


def _ends_soon(outcomes: Sequence[Outcome], bound: Mapping[str, Any]) -> list[_receipt.Note]:
    """Warn of the names whose files end within a day."""
    arrived = [one.metadata for one in outcomes if one.metadata is not None]
    return ending(arrived, holders(bound), datetime.now(UTC))


def _plan(parts: Sequence[_Part], found: Sequence[Fit], notes: Sequence[_receipt.Note | str]) -> _receipt.Receipt:
    notes = [*notes, *(_spread_note(part.spread) for part in parts if part.spread is not None)]
    here = (part for part in parts if part.spread is None)
    named = ((payload, name) for part in here for payload, name in zip(part.payloads, part.variables(), strict=True))
    files = [
        _receipt.Planned(payload.name, payload.size, payload.mime_type, name, each.tokens)
        for (payload, name), each in zip(named, found, strict=True)
    ]
    estimated = [RULE] if any(file.tokens is not None for file in files) else []
    return _receipt.planned(files, notes=[*notes, *estimated])


def _spread_note(spread_: Spread) -> str:
    return f"{_render.counted(len(spread_), 'file')} from the cluster's workers, such as {spread_.names[0]}"


# ---- %files ----------------------------------------------------------------------------------------------------------


def files(command: Command, notebook: Notebook) -> Any:
    """Do what a verb of ``%files`` says; return a table, the paths of a download, what is used, or None."""
    command = settle(command, notebook.evaluate)
    return _VERBS[command.verb](command, notebook)


def _list(command: Command, notebook: Notebook) -> FileTable:
    options = command.options
    listing = Listing(**{name: options[name] for name in (*_FILTERS, "mine", *_ORDER) if name in options})
    session = default().session
    found = _do(command, _rounds.listing(session, listing.first, quiet=_quiet(command)))
    return listed(session, listing, found.files, holders(notebook.names))


_FILTERS = ("match", "type", "larger", "older", "newer", "expiring", "duplicates")
_ORDER = ("sort", "reverse", "limit")


def _info(command: Command, notebook: Notebook) -> FileTable:
    session = default().session
    ids = list(dict.fromkeys(str(one.id) for one in _asked(command, notebook)))
    results = _each(session, [session.metadata(one) for one in ids], command)
    found = [result for result in results if isinstance(result, FileMetadata)]
    _raise_first(ids, results)
    held = holders(notebook.names)
    ours = session.account().taken(ids)
    rows = [Row.of(one, variable=variable(one.id, held), origin=origin(one, ours)) for one in found]
    notes = _receipt.drawn(ending(found, held, datetime.now(UTC)))
    return remember(file_table(rows, shown=(*LISTED, "mime_type", "downloadable"), local=session.local, notes=notes))


def _download(command: Command, notebook: Notebook) -> list[Path]:
    ids = [FileId(one.id, one.metadata) for one in _asked(command, notebook)]
    to, overwrite = command.options.get("to"), bool(command.options.get("overwrite"))
    return _do(command, _rounds.downloads(default().session, ids, to, overwrite=overwrite))


def _delete(command: Command, notebook: Notebook) -> FileTable | None:
    everyone = bool(command.options.get("all"))
    asked, held = _asked(command, notebook), holders(notebook.names)
    return _carry_out(
        _do(command, _deletion.plan(default().session, asked, held, everyone=everyone)), command, notebook
    )


def _prune(command: Command, notebook: Notebook) -> FileTable | None:
    options = command.options
    chosen = Listing(**{name: options[name] for name in _FILTERS if name in options})
    everyone, held = bool(options.get("all")), holders(notebook.names)
    rounds = _deletion.prune(default().session, chosen, held, everyone=everyone, quiet=_quiet(command))
    return _carry_out(_do(command, rounds), command, notebook)


def _carry_out(plan: Plan, command: Command, notebook: Notebook) -> FileTable | None:
    """Show the plan, ask, delete exactly what was shown; return what came of each, None if the answer was no."""
    options, quiet = command.options, _quiet(command)
    table = plan.table()
    if options.get("dry_run"):
        return table
    if not quiet:  # whoever is asked sees the files first; without a question they stand in the table of outcomes
        notebook.show(plan.receipt() if options.get("yes") or not plan.going else table)
    if plan.going and not options.get("yes") and not _agreed(len(plan.going), notebook):
        if not quiet:
            notebook.show(_receipt.kept_all())
        return None
    deletion = _deletion.Deletion(default().session, plan)
    try:
        outcomes = _do(command, deletion.rounds(quiet=quiet))
    except BaseException:
        notebook.show(deletion.receipt())  # stopped: what went is said, however quiet the line is
        raise
    failure = deletion.failure(outcomes)
    if not quiet and plan.going:
        notebook.show(deletion.receipt())
    if failure is not None:
        if not quiet and len(plan.going) > 1:
            notebook.show(outcomes)
        raise failure
    return outcomes


def _duplicates(command: Command, notebook: Notebook) -> FileTable:
    session = default().session
    found = _do(command, _rounds.listing(session, quiet=_quiet(command)))
    return stored_twice(session, found.files, holders(notebook.names), mine=bool(command.options.get("mine")))


def _usage(command: Command, notebook: Notebook) -> Usage:  # noqa: ARG001  # a verb's
    session = default().session
    found = _do(command, _rounds.listing(session, quiet=_quiet(command)))
    return usage_of(session, found, mine=bool(command.options.get("mine")))


def _pending(command: Command, notebook: Notebook) -> FileTable:
    """Find out what became of the uploads whose outcome is unknown."""
    session = default().session
    waiting = session.account().pending()
    results = _each(session, [session.settlement(one) for one in waiting], command)
    for result in results:
        if isinstance(result, Error):
            raise result
    held = variables(notebook.names)
    rows = [_settled(one, found, held) for one, found in zip(waiting, results, strict=True)]
    arrived, gone = (sum(row.status == status for row in rows) for status in ("arrived", "not there"))
    parts = [f"{_render.counted(len(rows), 'upload')} without an answer"] if rows else ["No upload without an answer"]
    parts += [f"{arrived} had arrived"] if arrived else []
    parts += [f"{gone} had not"] if gone else []
    shown = ("filename", "size_bytes", "status", "created_at", "id")
    return remember(file_table(rows, headline=" · ".join(parts), shown=shown, local=session.local))


def _settled(one: Pending, found: Sequence[FileMetadata], held: Mapping[str, str]) -> Row:
    """Return the row of an upload, by the files that may be it."""
    if len(found) == 1:
        return Row.of(found[0], status="arrived", origin="here", variable=held.get(found[0].id, ""))
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


def _browse(command: Command, notebook: Notebook) -> FileBrowser:  # noqa: ARG001  # like the other verbs
    """Return the files as a widget, which the notebook shows."""
    from nbfiles.widget import FileBrowser  # with all of ipywidgets, which nobody else needs

    return FileBrowser()


_VERBS: dict[str, Callable[[Command, Notebook], Any]] = {
    "list": _list,
    "info": _info,
    "download": _download,
    "delete": _delete,
    "prune": _prune,
    "duplicates": _duplicates,
    "usage": _usage,
    "pending": _pending,
    "browse": _browse,
    "use": _use,
}


def _asked(command: Command, notebook: Notebook) -> list[Asked]:
    """Return the files that the line names, in its order; a word, a file name and one id name the file itself."""
    found = list[Asked]()
    everything = None
    for one in resolve_ids(command, notebook.here()):
        if one.kind == "id":
            found.append(Asked(one.text, named=True))
        elif one.kind == "filename":
            if everything is None:
                everything = _do(command, _rounds.listing(default().session, quiet=_quiet(command))).files
            found.append(_by_filename(one, command, everything))
        else:
            value = notebook.evaluate(one.text)
            found += [Asked(each, each.metadata, named=isinstance(value, str)) for each in _held(value, one, command)]
    return found


def _held(value: Any, one: Id, command: Command) -> list[FileId]:
    """Return the ids that a Python expression holds: an id, a list of them, a table, a response of Claude's."""
    try:
        return ids_of(value)
    except InputError:
        raise command.error(f"{one.text} holds no file id", one.start, one.end) from None


def _by_filename(one: Id, command: Command, files: Sequence[FileMetadata]) -> Asked:
    """Return the only one of `files` with that name."""
    named = [file_ for file_ in files if file_.filename == one.text]
    if not named:
        who = default().session.find()[0].who
        raise command.error(f"{who} has no file of that name", one.start, one.end)
    if len(named) > 1:
        ids = ", ".join(file_.id for file_ in named[:5])
        raise command.error(f"{len(named)} files have that name; name one by its id: {ids}", one.start, one.end)
    return Asked(named[0].id, named[0], named=True)


def _do(command: Command, rounds: Rounds[T]) -> T:
    return waiting(default().session, rounds, _how_of(command))


def _how_of(command: Command) -> How:
    return How(betas=command.options.get("beta", ()))


def _quiet(command: Command) -> bool:
    return bool(command.options.get("quiet"))


def _each(session: Session, tasks: Sequence[Any], command: Command) -> list[Any]:
    return session.run(tasks, _rounds.nobody, _how_of(command))


def _raise_first(ids: Sequence[str], results: Iterable[Any]) -> None:
    """Raise the first error, naming its file."""
    for one, result in zip(ids, results, strict=True):
        if isinstance(result, NotFoundError):
            raise InputError(f"{visible(one)}: {result.cause}", result.way_out)
        if isinstance(result, Error):
            raise result
