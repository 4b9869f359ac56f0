"""What a call came to, as rows, a table and at most one error; and the latest table, which ``nbfiles.last`` shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nbfiles import _render
from nbfiles._errors import Error, UploadError
from nbfiles._table import LISTED, Row, file_table

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from nbfiles._listing import Listing
    from nbfiles._models import FileMetadata
    from nbfiles._session import Outcome, Session
    from nbfiles._table import FileTable

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


def listed(
    session: Session, listing: Listing, files: Sequence[FileMetadata], variables: Mapping[str, str] | None = None
) -> FileTable:
    """Return the table of those of `files` that are asked for; `variables` says what holds which id."""
    holders = {} if variables is None else variables
    now = datetime.now(UTC)
    ours = session.account().taken(file.id for file in files)
    found = listing.apply(files, now, ours)
    rows = [Row.of(file, variable=holders.get(file.id, ""), origin=origin(file, ours)) for file in found]
    return remember(file_table(rows, headline=_headline(found, now), shown=LISTED, local=session.local))


def origin(file: FileMetadata, ours: Container[str]) -> str:
    """Return where `file` came from, as far as is known; the API knows no owner, the ledger does (`ours`)."""
    if file.downloadable:
        return "code execution"
    return "here" if file.id in ours else "elsewhere"


def _headline(found: Sequence[FileMetadata], now: datetime) -> str:
    """Say how many, how much, and what ends within a day: ``1,902 files · 412 GB · 1 expires today``."""
    soon = sum(file.expires_at is not None and now < file.expires_at < now + timedelta(days=1) for file in found)
    parts = [_render.counted(len(found), "file"), _render.size(sum(file.size_bytes for file in found))]
    if soon:
        parts.append(f"{soon:,} expire{'s' if soon == 1 else ''} within a day")
    return " · ".join(parts)
