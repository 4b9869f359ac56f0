"""``Plan`` and ``Deletion``: which files are to go, which stay and why; then what came of each.

Nothing goes but by its exact id, and each id was in the plan. A file that was not uploaded from here goes only if it
was named (by its id, its name, or a variable that holds this one id), or if `everyone`'s files were asked for: every
key of a workspace can delete every file in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from nbfiles import _receipt, _rounds
from nbfiles._errors import (
    ConnectionFailedError,
    DeletionError,
    Error,
    InputError,
    NotFoundError,
    ResponseError,
    ServerError,
)
from nbfiles._names import visible
from nbfiles._progress import Count, observer
from nbfiles._results import found_twice, origin, remember, variable
from nbfiles._rounds import Round, Rounds
from nbfiles._table import LISTED, Row, file_table
from nbfiles._watched import HaltedError, Stage, Watched

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nbfiles._holders import Holders
    from nbfiles._listing import Listing
    from nbfiles._models import FileMetadata
    from nbfiles._receipt import Note, Receipt
    from nbfiles._session import Session
    from nbfiles._table import FileTable

_OUTCOMES = ("variable", "filename", "size_bytes", "status", "origin", "id")


@dataclass(frozen=True, slots=True)
class Asked:
    """A file that is to be deleted, as it was asked for.

    Parameters
    ----------
    id : str
    metadata : FileMetadata or None, default None
        None asks the server.
    named : bool, default False
        Whether the file itself was named, so that it goes whoever uploaded it.
    """

    id: str
    metadata: FileMetadata | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deletion will take, and what it leaves.

    Parameters
    ----------
    going : tuple of FileMetadata
        These and no others are deleted.
    staying : tuple of FileMetadata, default ()
        Asked for too, but neither uploaded from here nor named.
    missing : tuple of Asked, default ()
        Files that are not there any more.
    passed_over : int, default 0
        Files that the filters choose too, not uploaded from here.
    alike : int, default 0
        Possible duplicates that stay, since the server does not tell whether they are equal.
    ours : collection of str, default ()
        Ids of files that were uploaded from here.
    holders : Mapping, default {}
        What holds which id.
    local : bool, default False
        Whether the files are in the local Files API.
    """

    going: tuple[FileMetadata, ...]
    staying: tuple[FileMetadata, ...] = ()
    missing: tuple[Asked, ...] = ()
    passed_over: int = 0
    alike: int = 0
    ours: Collection[str] = ()
    holders: Holders = field(default_factory=dict)
    local: bool = False

    @property
    def size(self) -> int:
        """Bytes of the files that go."""
        return sum(file.size_bytes for file in self.going)

    @property
    def notes(self) -> list[Note]:
        """What a person should know before."""
        return _receipt.plan_notes(
            going=len(self.going),
            dead=self.names([file.id for file in self.going]),
            others=sum(file.id not in self.ours for file in self.going),
            staying=len(self.staying) + self.passed_over,
            missing=[(*self.holders.get(one.id, ()), one.id)[0] for one in self.missing],
            alike=self.alike,
        )

    def names(self, ids: Sequence[str]) -> list[str]:
        """Return the variables that hold one of `ids`."""
        return [name for one in ids for name in self.holders.get(one, ())]

    def row(self, file: FileMetadata, **ours: str) -> Row:
        """Return the table's row of `file`."""
        return Row.of(file, variable=variable(file.id, self.holders), origin=origin(file, self.ours), **ours)

    def table(self) -> FileTable:
        """Return the files that will go, as ``nbfiles.last``."""
        table = file_table(
            [self.row(file) for file in self.going],
            headline=_receipt.plan_line(len(self.going), self.size),
            shown=LISTED,
            local=self.local,
            notes=_receipt.drawn(self.notes),
        )
        return remember(table)

    def receipt(self) -> Receipt:
        """Say the plan in a line and its notes."""
        return _receipt.plan(count=len(self.going), size=self.size, notes=self.notes)


def plan(session: Session, asked: Sequence[Asked], holders: Holders, *, everyone: bool) -> Rounds[Plan]:
    """Plan the deletion of the files that were asked for, each once.

    Raises
    ------
    InputError
        If a file that was named is not there. Nothing was deleted.
    """
    wanted = dict[str, Asked]()
    for one in asked:
        known = wanted.get(one.id, one)
        wanted[one.id] = Asked(one.id, known.metadata or one.metadata, known.named or one.named)
    unknown = [one for one in wanted.values() if one.metadata is None]
    results = yield Round([session.metadata(one.id) for one in unknown])
    found, missing = dict[str, Any](), list[Asked]()
    for one, result in zip(unknown, results, strict=True):
        if isinstance(result, NotFoundError) and not one.named:
            missing.append(one)
        elif isinstance(result, NotFoundError):
            raise InputError(f"{visible(one.id)}: {result.cause}", result.way_out)
        elif isinstance(result, Error):
            raise result
        else:
            found[one.id] = result
    account = session.account()
    ours, gone = account.taken(wanted), account.gone()
    going, staying = list[Any](), list[Any]()
    for one in wanted.values():
        file = one.metadata or found.get(one.id)
        if one.metadata is not None and one.id in gone:  # deleted from here since its variable was bound
            missing.append(one)
        elif file is not None:
            (going if everyone or one.named or one.id in ours else staying).append(file)
    return Plan(tuple(going), tuple(staying), tuple(missing), ours=ours, holders=holders, local=session.local)


def prune(session: Session, listing: Listing, holders: Holders, *, everyone: bool, quiet: bool = False) -> Rounds[Plan]:
    """Plan the deletion of all files that `listing` chooses. Of duplicates, those that certainly equal one that stays.

    Raises
    ------
    InputError
        If it has no condition: that would be every file.
    """
    if not listing.chooses:
        raise InputError(
            "prune needs to be told what: --older, --larger, --match, --type, --newer, --expiring or --duplicates",
            "Such as %files prune --older 7d (older='7d'); --match '*' stands for every file.",
        )
    found = yield from _rounds.listing(session, quiet=quiet)
    now = datetime.now(UTC)
    groups = found_twice(session, found.files, holders, now) if listing.duplicates else []
    equal = {file.id for group in groups for file in group.equal}
    alike = {file.id for group in groups for file in group.alike}
    chosen = listing.apply(found.files, now, (), equal)
    ours = session.account().taken(file.id for file in chosen)
    return Plan(
        going=tuple(file for file in chosen if everyone or file.id in ours),
        passed_over=0 if everyone else sum(file.id not in ours for file in chosen),
        alike=len(listing.apply(found.files, now, (), alike)) if alike else 0,
        ours=ours,
        holders=holders,
        local=session.local,
    )


class Deletion:
    """A plan that is carried out, and what has come of each of its files so far.

    Parameters
    ----------
    session : Session
    plan : Plan
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self.plan = plan
        self._session = session
        # What is known of each file whose turn has come. Workers write it, so that it is there when they are stopped.
        self._came: dict[str, Any] = {}
        self._stopped = self._halted = False

    def halt(self) -> None:
        """Begin with no further file; those that are under way are waited for."""
        self._halted = True

    def rounds(self, *, quiet: bool = False) -> Rounds[FileTable]:
        """Delete, and look for those whose answer was lost; return the table, which is ``nbfiles.last`` then.

        A Ctrl-C passes when `nbfiles.last` says what was done by then.
        """
        files = self.plan.going
        tasks = [
            Watched(self._session.deletion(file.id), partial(self._note, file.id), lambda: self._halted)
            for file in files
        ]
        display = observer(quiet=quiet, count=Count("deleted", lambda: self._count("deleted"), len(files)))
        try:
            results = yield Round(tasks, display)
            came = zip(files, results, strict=True)
            self._came.update((file.id, result) for file, result in came if not isinstance(result, HaltedError))
            lost = [one for one, result in self._came.items() if isinstance(result, _MAY_HAVE_WORKED)]
            looked = yield Round([self._session.metadata(one) for one in lost])
            gone = [one for one, result in zip(lost, looked, strict=True) if isinstance(result, NotFoundError)]
            if gone:
                self._session.account().forget(gone)
            self._came.update((one, None) for one in gone)
        except BaseException:
            self._stopped = True
            raise
        finally:
            display.clear()
            table = remember(self.table())
        return table

    def _note(self, file_id: str, came: object) -> None:
        self._came[file_id] = came

    def status(self, file_id: str) -> str:
        """Return what became of a file: ``deleted``, ``gone``, ``failed``, ``unclear``, or ``""`` if nothing did."""
        if file_id not in self._came:
            return ""
        match self._came[file_id]:
            case Stage.BEGUN:
                return "unclear"
            case NotFoundError():
                return "gone"
            case ConnectionFailedError() | ResponseError() | ServerError() if self._stopped:  # the line was cut
                return "unclear"
            case Error():
                return "failed"
        return "deleted"

    def _count(self, status: str) -> int:
        return sum(self.status(one) == status for one in list(self._came))

    @property
    def failures(self) -> list[Error]:
        """What went wrong, in the order of the files."""
        return [self._came[file.id] for file in self.plan.going if self.status(file.id) == "failed"]

    def table(self) -> FileTable:
        """Return one row a file that was asked for, with its ``status``; those that stay are ``kept``."""
        rows = [self._row(file) for file in self.plan.going]
        rows += [self.plan.row(file, status="kept") for file in self.plan.staying]
        rows += [self._missing(one) for one in self.plan.missing]
        return file_table(rows, shown=_OUTCOMES, local=self.plan.local)

    def _missing(self, one: Asked) -> Row:
        if one.metadata is not None:
            return self.plan.row(one.metadata, status="gone")
        held = variable(one.id, self.plan.holders)
        return Row(metadata=None, filename="", mime_type="", size_bytes=None, status="gone", id=one.id, variable=held)

    def _row(self, file: FileMetadata) -> Row:
        status = self.status(file.id)
        return self.plan.row(file, status=status, error=str(self._came[file.id]) if status == "failed" else "")

    def receipt(self) -> Receipt:
        """Say what has come of all, each outcome with its count."""
        status = {file.id: self.status(file.id) for file in self.plan.going}
        now = datetime.now(UTC)
        took_room = [file for file in self.plan.going if file.expires_at is None or file.expires_at > now]
        counts = list(status.values())
        return _receipt.deleted(
            count=counts.count("deleted"),
            freed=sum(file.size_bytes for file in took_room if status[file.id] == "deleted"),
            gone=counts.count("gone") + len(self.plan.missing),
            kept=counts.count("failed"),
            unclear=counts.count("unclear"),
            untouched=counts.count(""),
            dead=self.plan.names([one for one, said in status.items() if said in {"deleted", "gone"}]),
        )

    def failure(self, table: FileTable) -> Error | None:
        """Return the one error for all that failed; None if nothing did."""
        failures = self.failures
        if not failures:
            return None
        if len(self.plan.going) == 1:
            return failures[0]
        return DeletionError(
            f"{len(failures):,} of {len(self.plan.going):,} files could not be deleted: {failures[0].cause}",
            "nbfiles.last (error.table) says which; run it again for those.",
            table=table,
            failures=failures,
        )


# After these the file may be gone all the same: the request had left, and no answer of the API came back.
_MAY_HAVE_WORKED = (ConnectionFailedError, ResponseError, ServerError)
