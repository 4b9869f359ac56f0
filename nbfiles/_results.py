"""What a call came to, as rows, a table and at most one error; and the latest table, which ``nbfiles.last`` shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nbfiles import _receipt, _render
from nbfiles._duplicates import duplicates
from nbfiles._errors import Error, UploadError
from nbfiles._table import LISTED, Row, file_table

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Sequence

    from nbfiles._duplicates import Duplicates
    from nbfiles._holders import Holders
    from nbfiles._listing import Listing
    from nbfiles._models import FileMetadata
    from nbfiles._session import Outcome, Session
    from nbfiles._table import FileTable

# An id that ends sooner than this is worth a warning: who goes home comes back to a dead one.
SOON = timedelta(days=1)

_latest: FileTable | None = None


def remember(table: FileTable) -> FileTable:
    """Keep `table` as ``nbfiles.last``."""
    global _latest  # noqa: PLW0603  # one notebook, one latest table
    _latest = table
    return table


def latest() -> FileTable | None:
    """Return the table of the latest call, or None if there was none."""
    return _latest


def row_of(outcome: Outcome, variable: str = "") -> Row:
    """Return the table's row for `outcome`; `variable` is what holds its id."""
    ours = {"variable": variable, "source": outcome.source, "digest": outcome.digest}
    if outcome.metadata is not None:
        return Row.of(outcome.metadata, status="reused" if outcome.reused else "uploaded", origin="here", **ours)
    return Row(
        metadata=None,
        filename=outcome.name,
        mime_type=outcome.mime_type,
        size_bytes=outcome.size,
        status="failed",
        error=str(outcome.error),
        **ours,
    )


def failure_of(outcomes: Sequence[Outcome], table: FileTable) -> Error | None:
    """Return the one error for a call in which files failed: theirs, if there was one file; None if none failed."""
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not failures:
        return None
    if len(outcomes) == 1:
        return failures[0]
    return UploadError(
        f"{len(failures)} of {len(outcomes)} files failed: {failures[0].cause}",
        "See error.table or nbfiles.last, then send those again.",
        table=table,
        failures=failures,
    )


def listed(session: Session, listing: Listing, files: Sequence[FileMetadata], holders: Holders) -> FileTable:
    """Return the table of those of `files` that are asked for; `holders` says what holds which id."""
    now = datetime.now(UTC)
    ours = session.account().taken(file.id for file in files)
    twice = set[str]()
    if listing.duplicates:
        twice = {file.id for group in found_twice(session, files, holders, now) for file in group.files}
    found = listing.apply(files, now, ours, twice)
    rows = [Row.of(file, variable=variable(file.id, holders), origin=origin(file, ours)) for file in found]
    notes = ending(found, holders, now)
    if listing.first is None:  # every file was seen
        notes += _dead(files, holders)
    table = file_table(
        rows, headline=headline(found, ours, now), shown=LISTED, local=session.local, notes=_receipt.drawn(notes)
    )
    return remember(table)


def found_twice(
    session: Session, files: Sequence[FileMetadata], holders: Holders, now: datetime | None = None
) -> list[Duplicates]:
    """Return the groups of `files` that are stored more than once; `files` are all there are."""
    return duplicates(files, session.account().digests(), holders, now or datetime.now(UTC))


def stored_twice(session: Session, files: Sequence[FileMetadata], holders: Holders, *, mine: bool = False) -> FileTable:
    """Return the table of those of `files` that are stored more than once; `files` are all there are."""
    ours = session.account().taken(file.id for file in files)
    groups = found_twice(session, [file for file in files if file.id in ours] if mine else files, holders)
    digests = session.account().digests() if groups else {}
    rows = list[Row]()
    for group in groups:
        for said, some in (("keep", group.kept), ("duplicate", group.equal), (_ALIKE, group.alike)):
            for file in some:
                known = {"origin": origin(file, ours), "digest": digests.get(file.id, "")}
                rows.append(Row.of(file, variable=variable(file.id, holders), status=said, **known))
    equal = [file for group in groups for file in group.equal]
    alike = sum(len(group.alike) for group in groups)
    parts = [_render.counted(len(equal), "duplicate"), _render.size(sum(file.size_bytes for file in equal))]
    if alike:
        parts.append(f"{alike:,} of the {_ALIKE}")
    notes = []
    if equal:
        notes.append(_receipt.Note("Delete the duplicates uploaded here: " + _render.code("%files prune --duplicates")))
    if alike:
        notes.append(_receipt.Note(f"Of files not uploaded here the server tells only name, type and size, so the "
                                   f"{alike:,} of the {_ALIKE} may differ"))  # fmt: skip
    table = file_table(rows, headline=" · ".join(parts), shown=_TWICE, local=session.local, notes=_receipt.drawn(notes))
    return remember(table)


_ALIKE = "same name and size"
_TWICE = ("variable", "filename", "size_bytes", "status", "created_at", "origin", "id")


def variable(file_id: str, holders: Holders) -> str:
    """Return what holds the id, for the table."""
    return ", ".join(holders.get(file_id, ()))


def origin(file: FileMetadata, ours: Container[str]) -> str:
    """Return where `file` came from, as far as is known; the API knows no owner, the ledger does (`ours`)."""
    if file.downloadable:
        return "code execution"
    return "here" if file.id in ours else "elsewhere"


def headline(found: Sequence[FileMetadata], ours: Collection[str], now: datetime) -> str:
    """Say how many, how much, whose, and what ends: ``1,902 files · 412 GB · 12 uploaded here · 1 expires ...``."""
    here = sum(file.id in ours for file in found)
    soon = sum(file.expires_at is not None and now < file.expires_at < now + SOON for file in found)
    parts = [_render.counted(len(found), "file"), _render.size(sum(file.size_bytes for file in found))]
    if here:
        parts.append(f"{here:,} uploaded here")
    if soon:
        parts.append(f"{soon:,} expire{'s' if soon == 1 else ''} within a day")
    return " · ".join(parts)


def ending(files: Sequence[FileMetadata], holders: Holders, now: datetime) -> list[_receipt.Note]:
    """Warn of the variables whose files end within a day, or have ended."""
    over, soon = list[str](), list[str]()
    first = now + SOON
    for file in files:
        if file.expires_at is None or file.expires_at >= now + SOON or file.id not in holders:
            continue
        (over if file.expires_at <= now else soon).extend(holders[file.id])
        first = min(first, file.expires_at) if file.expires_at > now else first
    notes = [_receipt.expired(over)] if over else []
    return [*notes, _receipt.ends(soon, first, now)] if soon else notes


def _dead(files: Sequence[FileMetadata], holders: Holders) -> list[_receipt.Note]:
    """Warn of the variables whose files are not among `files`, which are all there are."""
    there = {file.id for file in files}
    names = [name for one, held in holders.items() if one not in there for name in held]
    return [_receipt.dead(names)] if names else []
