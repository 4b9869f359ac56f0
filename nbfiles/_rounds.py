"""Rounds: a verb that takes several rounds of tasks, written once for those who wait and for those who await.

A verb is a generator: it yields a `Round`, gets the results, and returns what the verb returns. `waiting` and
`awaiting` drive it, and throw into it what a round raises (Ctrl-C, a cancel), so that it can say what was done by then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nbfiles._errors import Error, PartialError
from nbfiles._progress import Count, observer
from nbfiles._reading import check_readable, read_path
from nbfiles._results import remember
from nbfiles._table import Row, file_table
from nbfiles._watched import Paged

if TYPE_CHECKING:
    from pathlib import Path

    from nbfiles._events import Observer
    from nbfiles._models import FileId, FileMetadata
    from nbfiles._session import How, Session
    from nbfiles._tasks import Task

T = TypeVar("T")


def nobody(event: object) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """Tasks that may be done at the same time.

    Parameters
    ----------
    tasks : sequence of Task
    display : Observer, default `nobody`
        Who watches.
    """

    tasks: Sequence[Task[Any]]
    display: Observer = nobody


Rounds = Generator[Round, list[Any], T]


def waiting(session: Session, rounds: Rounds[T], how: How | None = None) -> T:
    """Do all `rounds`; return what they return."""
    step = _first(rounds)
    while isinstance(step, Round):
        try:
            results = session.run(step.tasks, step.display, how) if step.tasks else []
        except BaseException as error:  # noqa: BLE001  # the generator raises it again when it has said what was done
            step = _next(rounds, error)
        else:
            step = _next(rounds, results)
    return cast("T", step.value)


async def awaiting(session: Session, rounds: Rounds[T], how: How | None = None) -> T:
    """Do the same while the running loop goes on."""
    step = _first(rounds)
    while isinstance(step, Round):
        try:
            results = await session.run_async(step.tasks, step.display, how) if step.tasks else []
        except BaseException as error:  # noqa: BLE001  # as above
            step = _next(rounds, error)
        else:
            step = _next(rounds, results)
    return cast("T", step.value)


@dataclass(frozen=True, slots=True)
class _End:
    """What the rounds returned."""

    value: Any


def _first(rounds: Rounds[Any]) -> Round | _End:
    try:
        return next(rounds)
    except StopIteration as end:
        return _End(end.value)


def _next(rounds: Rounds[Any], came: list[Any] | BaseException) -> Round | _End:
    """Go on with results, or with what was raised in place of them."""
    try:
        return rounds.throw(came) if isinstance(came, BaseException) else rounds.send(came)
    except StopIteration as end:
        return _End(end.value)


# ---- what several doors do -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a listing, and how many requests it took."""

    files: Sequence[FileMetadata]
    requests: int


def listing(session: Session, first: int | None = None, *, quiet: bool = False) -> Rounds[Found]:
    """List the newest `first` files, or all of them, showing how many have come."""
    task: Paged[list[FileMetadata]] = Paged(session.listing(first))
    display = observer(quiet=quiet, count=Count("listed", lambda: task.files))
    try:
        (result,) = yield Round([task], display)
    finally:
        display.clear()
    if isinstance(result, Error):
        raise result
    return Found(result, task.requests)


def downloads(
    session: Session, ids: Sequence[FileId], to: str | os.PathLike[str] | None, *, overwrite: bool
) -> Rounds[list[Path]]:
    """Fetch files into a folder, each once; return where they are.

    Raises
    ------
    PartialError
        If some could not be fetched. The others are there.
    """
    wanted = list(dict.fromkeys(ids))
    place = to
    if to is not None and len(wanted) > 1:  # the slash makes it a folder
        place = f"{os.fspath(to).rstrip('/')}/"
    results = yield Round([session.download(one, place, overwrite=overwrite) for one in wanted])
    failures = [result for result in results if isinstance(result, Error)]
    if not failures:
        return list(results)
    if len(wanted) == 1:
        raise failures[0]
    table = file_table([_fetched(one, result) for one, result in zip(wanted, results, strict=True)])
    remember(table)
    raise PartialError(
        f"{len(failures):,} of {len(wanted):,} files could not be fetched: {failures[0].cause}",
        f"{failures[0].way_out} nbfiles.last (error.table) says which.".strip(),
        table=table,
        failures=failures,
    )


def _fetched(file_id: FileId, result: Path | Error) -> Row:
    said = {"status": "failed", "error": str(result)} if isinstance(result, Error) else {"status": "downloaded"}
    if file_id.metadata is not None:
        return Row.of(file_id.metadata, **said)
    name = "" if isinstance(result, Error) else result.name
    return Row(metadata=None, filename=name, mime_type="", size_bytes=None, id=str(file_id), **said)


def reading(session: Session, file_id: str) -> Rounds[Any]:
    """Fetch one file that Claude made into a folder that goes again; return what it holds."""
    (known,) = yield Round([session.metadata(file_id)])
    if isinstance(known, Error):
        raise known
    if known.downloadable is not False:  # if not, the server says so, in its own words, when it is asked
        check_readable(known.filename, known.mime_type)
    with tempfile.TemporaryDirectory(prefix="nbfiles-") as folder:
        (path,) = yield Round([session.download(file_id, folder, overwrite=False)])
        if isinstance(path, Error):
            raise path
        return read_path(path, known.filename, known.mime_type)
