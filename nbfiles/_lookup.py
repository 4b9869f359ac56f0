"""``Lookup``: whether a file arrived whose answer was lost, found out by asking the server before it is sent again.

The Files API has no idempotency key, no hash and no download of what was uploaded
(https://platform.claude.com/docs/en/build-with-claude/files), so an upload is known again by its name, its size and the
time since it began, on the server's own clock: never on this machine's, which may be days off. What another upload
from here has become is left out. The honest limit: another program that stores a file of the same name and size in the
same seconds cannot be told from ours.
"""

from __future__ import annotations

import time
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING

from nbfiles._errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from nbfiles._client import Client
    from nbfiles._models import FileMetadata

SLACK = timedelta(seconds=5)  # a ``Date`` has whole seconds, and servers of one service differ a little
MOST_PAGES = 1000


class Lookup:
    """One upload, as it would stand in the server's list.

    Parameters
    ----------
    name : str
        The file name that was sent.
    size : int
        Bytes of the file.
    began : float
        When its first attempt began, of `time.monotonic`.
    taken : callable
        Returns those of some ids that are known to be other uploads' files.
    """

    def __init__(self, name: str, size: int, began: float, taken: Callable[[Iterable[str]], set[str]]) -> None:
        self._name = unicodedata.normalize("NFC", name)
        self._size = size
        self._began = began
        self._taken = taken

    def matches(self, client: Client) -> list[FileMetadata]:
        """Return the files at the server that may be this one: none, one, or several.

        Raises
        ------
        Error
            If the list cannot be fetched, or the server does not say what time it is.
        """
        page = client.page({})
        since = self._since(client.date)
        files = list(page.files)
        pages = 1
        # The API lists the newest first; where that holds, what follows an older file is older still. One file alone
        # does not show in which order they come.
        while page.next and not (len(files) > 1 and files[-1].created_at < since and _newest_first(files)):
            if pages >= MOST_PAGES:
                raise ResponseError("the server's list of files does not end")
            page = client.page(page.next)
            files += page.files
            pages += 1
        found = [file for file in files if self._fits(file, since)]
        taken = self._taken(file.id for file in found)
        return list({file.id: file for file in found if file.id not in taken}.values())

    def _since(self, date: datetime | None) -> datetime:
        if date is None:
            raise ResponseError("the server does not say what time it is")
        return date - timedelta(seconds=time.monotonic() - self._began) - SLACK

    def _fits(self, file: FileMetadata, since: datetime) -> bool:
        return (
            file.size_bytes == self._size
            and file.created_at >= since
            and unicodedata.normalize("NFC", file.filename) == self._name
        )


def _newest_first(files: Iterable[FileMetadata]) -> bool:
    times = [file.created_at for file in files]
    return times == sorted(times, reverse=True)
