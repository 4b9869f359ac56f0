"""``ids_of``: the file ids that a value holds, whatever it is: an id, a list, a table, a response of Claude's."""

from __future__ import annotations

from typing import Any

from nbfiles._errors import InputError
from nbfiles._generated import generated, is_response
from nbfiles._models import FileId, FileMetadata


def ids_of(value: Any) -> list[FileId]:
    """Return the ids in `value`, in their order; those that knew their file still do.

    Parameters
    ----------
    value : str, FileMetadata, list or tuple of these, DataFrame, or a response of the Messages API
        Of a frame the column ``id`` counts; of a response the files that Claude made.

    Raises
    ------
    InputError
        If it is none of these, or an id is empty.
    """
    if hasattr(type(value), "nbfiles"):  # a frame: our accessor knows its ids
        return list(value.nbfiles.ids())
    items = list(value) if isinstance(value, list | tuple) else [value]
    if all(isinstance(item, FileMetadata) or (isinstance(item, str) and item) for item in items):
        return [_id(item) for item in items]
    if is_response(value):
        return generated(value)
    raise InputError(
        f"{type(value).__name__} holds no file id",
        "Give an id, a list of ids, a table of files, or a response in which Claude made files.",
    )


def _id(item: str | FileMetadata) -> FileId:
    if isinstance(item, FileMetadata):
        return FileId.of(item)
    return item if isinstance(item, FileId) else FileId(item)
