"""What a call came to, as rows, a table and at most one error; and the latest table, which ``nbfiles.last`` shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nbfiles._errors import Error, UploadError
from nbfiles._table import LISTED, Row, file_table

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        return Row.of(outcome.metadata, status="uploaded", origin="here", **ours)
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


def listed(session: Session, listing: Listing, files: Sequence[FileMetadata]) -> FileTable:
    """Return the table of those of `files` that are asked for."""
    now = datetime.now(UTC)
    rows = [Row.of(file, origin="code execution" if file.downloadable else "") for file in listing.apply(files, now)]
    return remember(file_table(rows, shown=LISTED, local=session.local))
