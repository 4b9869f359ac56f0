"""The accessor ``df.nbfiles``: what the rows of a frame stand for, whatever rows are left.

Importing this module registers it. It is called ``nbfiles``, for ``files`` would hide people's own columns.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from nbfiles._command import check_name
from nbfiles._errors import Error, InputError
from nbfiles._holders import notebook_names
from nbfiles._models import FileId, FileMetadata, cautions, make_block

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

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
    >>> table[table.filename.str.startswith("draft")].nbfiles.delete()
    """

    # Who acts on the files: set by the module that has the verbs, which stands above this one.
    client: Callable[[], Any] | None = None

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
        ids = self._column("id")
        described = self._described(len(ids))
        return [
            FileId(value, None if row is None else _metadata(value, row))
            for value, row in zip(ids, described, strict=True)
            if isinstance(value, str) and value
        ]

    def total(self) -> int:
        """Return how many bytes the files of the rows have, each file counted once.

        Raises
        ------
        InputError
            If the frame has no column ``id`` or ``size_bytes``.
        """
        sizes = dict(zip(self._column("id"), self._column("size_bytes"), strict=True))
        return sum(int(size) for one, size in sizes.items() if isinstance(one, str) and one and not pd.isna(size))

    def blocks(self) -> list[dict[str, Any]]:
        """Return a Messages content block for each file, each once (see `FileId.block`).

        Raises
        ------
        InputError
            If a row no longer says what file it is.
        """
        ids = list(dict.fromkeys(self.ids()))
        made = [make_block(one) for one in ids]
        for words in cautions(ids):
            warnings.warn(words, stacklevel=2)
        return made

    def bind(self, name: str) -> list[FileId]:
        """Let `name` hold the list of ids in the notebook, as ``as`` does after ``%upload``; return it.

        Parameters
        ----------
        name : str
            A Python name; what it held is replaced.

        Raises
        ------
        InputError
            If it is no name that may be bound, or there is no notebook.
        """
        normal = check_name(name)
        names = notebook_names()
        if not names:
            raise InputError("there is no notebook here to bind a name in", f"Write {normal} = table.nbfiles.ids().")
        if isinstance(names.get(normal), ModuleType):
            raise InputError(f"{normal} is an imported module", f"Choose another name, such as {normal}_ids.")
        if names.get(normal) is self._frame:
            raise InputError(f"{normal} holds this table and would be lost", f"Choose another, such as {normal}_ids.")
        names[normal] = self.ids()
        return list(names[normal])

    def delete(self, *, all: bool = False, dry_run: bool = False) -> pd.DataFrame:  # noqa: A002  # the magic's word
        """Delete the files of the rows, for good and without asking (see `nbfiles.delete_files`).

        Parameters
        ----------
        all : bool, default False
            Also those that were not uploaded from here; else they stay.
        dry_run : bool, default False
            Only return what would go.

        Returns
        -------
        FileTable
            One row a file, with its ``status``.
        """
        table: pd.DataFrame = self._client().delete_files(self.ids(), all=all, dry_run=dry_run)
        return table

    def download(self, to: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> list[Path]:
        """Fetch the files of the rows, which Claude must have made (see `nbfiles.download_files`).

        Parameters
        ----------
        to : str or path-like or None, default None
            A folder, which is made if it is not there; None is the current one.
        overwrite : bool, default False
            Whether files that are there may be replaced.
        """
        paths: list[Path] = self._client().download_files(self.ids(), to, overwrite=overwrite)
        return paths

    def _client(self) -> Any:
        if FilesAccessor.client is None:
            raise Error("nobody is here to act on files", "Write import nbfiles first.")
        return FilesAccessor.client()

    def _column(self, name: str) -> list[Any]:
        """Return the values of the one column called `name`."""
        found = list(self._frame.columns).count(name)
        if found != 1:
            raise InputError(
                f"the frame has {found or 'no'} column{'s called' if found else ''} {name}",
                "Keep that column of a table of %files or %upload.",
            )
        values: list[Any] = self._frame[name].tolist()
        return values

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


def act_with(client: Callable[[], Any]) -> None:
    """Let ``delete`` and ``download`` be done by what `client` returns: the `Files` in use."""
    FilesAccessor.client = staticmethod(client)


# pandas warns of an accessor that replaces another, and on a reload of this module it is our own.
if hasattr(pd.DataFrame, "nbfiles"):
    del pd.DataFrame.nbfiles  # type: ignore[attr-defined]  # set by pandas when it is registered
pd.api.extensions.register_dataframe_accessor("nbfiles")(FilesAccessor)
