"""The accessor ``df.nbfiles``: what the rows of a frame stand for, whatever rows are left.

Importing this module registers it. It is called ``nbfiles``, for ``files`` would hide people's own columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from nbfiles._errors import InputError
from nbfiles._models import FileId, FileMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# Besides the id: with all of them a row says what the server said.
_DESCRIBES = ("type", "filename", "mime_type", "size_bytes", "created_at", "downloadable", "expires_at")


class FilesAccessor:
    """``df.nbfiles``, on a table of files and on every ordinary frame made from one.

    Parameters
    ----------
    frame : pandas.DataFrame
        With a column ``id``.

    Examples
    --------
    >>> table = nbfiles.list_files()
    >>> table[table.size_bytes > 1e6].nbfiles.ids()
    ['file_011CNha8iCJcU1wXNR6q4V8w']
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def ids(self) -> list[FileId]:
        """Return the ids of the rows, in their order.

        Returns
        -------
        list of FileId
            Rows without an id, such as those of files that failed, are left out. Each id knows its file if the frame
            still has all columns that describe one and they hold what they should; else its `metadata` is None.

        Raises
        ------
        InputError
            If the frame has no column ``id``, or more than one.
        """
        found = list(self._frame.columns).count("id")
        if found != 1:
            raise InputError(
                "the frame has no column id" if not found else f"the frame has {found} columns called id",
                "Keep that column of a table of %files or %upload.",
            )
        ids = self._frame["id"].tolist()
        described = self._described(len(ids))
        return [
            FileId(value, None if row is None else _metadata(value, row))
            for value, row in zip(ids, described, strict=True)
            if isinstance(value, str) and value
        ]

    def _described(self, count: int) -> Sequence[tuple[Any, ...] | None]:
        """Return what describes each of `count` rows; None for each where a column is gone."""
        names = list(self._frame.columns)
        if any(names.count(name) != 1 for name in _DESCRIBES):
            return [None] * count
        return list(zip(*(self._frame[name].tolist() for name in _DESCRIBES), strict=True))


def _metadata(file_id: str, row: tuple[Any, ...]) -> FileMetadata | None:
    """Rebuild the metadata; None if a value is missing or is not what it was (a frame is anybody's to change)."""
    kind, filename, mime_type, size, created_at, downloadable, expires_at = row
    if not all(isinstance(text, str) and text for text in (kind, filename, mime_type)):
        return None
    try:
        created, ends = _time(created_at), _time(expires_at)
        count = int(size)
    except (TypeError, ValueError, OverflowError):
        return None
    if created is None or count != size:
        return None
    flag = None if pd.isna(downloadable) else bool(downloadable)
    return FileMetadata(file_id, kind, filename, mime_type, count, created, flag, ends)


def _time(value: Any) -> datetime | None:
    """Return a UTC time of the standard library; a frame that was saved as CSV holds it as text."""
    if pd.isna(value):
        return None
    stamp = pd.Timestamp(value)
    aware = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return aware.to_pydatetime(warn=False)


# pandas warns of an accessor that replaces another, and on a reload of this module it is our own.
if hasattr(pd.DataFrame, "nbfiles"):
    del pd.DataFrame.nbfiles  # type: ignore[attr-defined]  # set by pandas when it is registered
pd.api.extensions.register_dataframe_accessor("nbfiles")(FilesAccessor)
