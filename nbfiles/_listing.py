"""``Listing``: which files of a workspace to keep, and in what order. Pure: the API has neither filter nor sort."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from nbfiles._models import FileMetadata

_NEVER = datetime.max.replace(tzinfo=UTC)
# Each key sorts as one wants to see it first: newest, A, largest, soonest.
SORTS: dict[str, Callable[[FileMetadata], Any]] = {
    "created": lambda file: -file.created_at.timestamp(),
    "name": lambda file: (file.filename.casefold(), file.filename),
    "size": lambda file: -file.size_bytes,
    "type": lambda file: (file.mime_type, file.filename.casefold()),
    "expires": lambda file: file.expires_at or _NEVER,
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What ``%files list`` was asked for; every condition that is not None must hold.

    Parameters
    ----------
    match : str or None
        Glob for the file name, as capital and small letters stand.
    type : str or None
        MIME type; ``image/*`` and the like are globs too.
    larger : int or None
        Bytes; only larger files.
    older, newer : int or None
        Seconds since the file was made.
    expiring : int or None
        Seconds; only files that end within them (those that have ended already, too).
    duplicates : bool, default False
        Only files that are stored more than once (see `duplicates` of ``_duplicates``).
    mine : bool, default False
        Only files that were uploaded from here.
    sort : {"created", "name", "size", "type", "expires"}, default "created"
    reverse : bool, default False
    limit : int or None
        At most so many rows, after sorting.
    """

    match: str | None = None
    type: str | None = None
    larger: int | None = None
    older: int | None = None
    newer: int | None = None
    expiring: int | None = None
    duplicates: bool = False
    mine: bool = False
    sort: str = "created"
    reverse: bool = False
    limit: int | None = None

    @property
    def first(self) -> int | None:
        """How many of the newest files are enough; None if all have to be seen."""
        plain = Listing(limit=self.limit)
        return self.limit if self == plain else None

    @property
    def chooses(self) -> bool:
        """Whether there is any condition."""
        return self != Listing(sort=self.sort, reverse=self.reverse, limit=self.limit)

    def apply(
        self, files: Iterable[FileMetadata], now: datetime, ours: Container[str] = (), twice: Container[str] = ()
    ) -> list[FileMetadata]:
        """Return those of `files` that are asked for, in order.

        `now` has a time zone; `ours` holds the ids made here, `twice` those of files that are stored more than once.
        """
        found = (
            file
            for file in files
            if self.keeps(file, now)
            and (not self.mine or file.id in ours)
            and (not self.duplicates or file.id in twice)
        )
        kept = sorted(found, key=SORTS[self.sort], reverse=self.reverse)
        return kept if self.limit is None else kept[: self.limit]

    def keeps(self, file: FileMetadata, now: datetime) -> bool:
        """Whether `file` meets every condition."""
        age = now - file.created_at
        return (
            (self.match is None or fnmatchcase(file.filename, self.match))
            and (self.type is None or fnmatchcase(file.mime_type, self.type))
            and (self.larger is None or file.size_bytes > self.larger)
            and (self.older is None or age > timedelta(seconds=self.older))
            and (self.newer is None or age < timedelta(seconds=self.newer))
            and (self.expiring is None or _within(file.expires_at, now, self.expiring))
        )


def _within(expires_at: datetime | None, now: datetime, seconds: int) -> bool:
    return expires_at is not None and expires_at - now <= timedelta(seconds=seconds)
