"""``Duplicates``: files that are stored more than once, as far as can be told, and which of them to keep. Pure.

The Files API knows no hash. What was uploaded from here is known by the ledger's digest, and equal digests are equal
bytes. Of other files the server tells only name, type and size: those may be equal, and are called so.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from datetime import datetime

    from nbfiles._models import FileMetadata


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Files of one content and one MIME type.

    Parameters
    ----------
    kept : tuple of FileMetadata
        Those that variables hold; where none does, the newest.
    equal : tuple of FileMetadata
        The others whose digest is the same: certainly equal.
    alike : tuple of FileMetadata
        The others of which only name, type and size are known to be the same.
    """

    kept: tuple[FileMetadata, ...]
    equal: tuple[FileMetadata, ...] = ()
    alike: tuple[FileMetadata, ...] = ()

    @property
    def files(self) -> tuple[FileMetadata, ...]:
        """All of them, those to keep first."""
        return (*self.kept, *self.equal, *self.alike)


def duplicates(
    files: Iterable[FileMetadata], digests: Mapping[str, str], held: Container[str], now: datetime
) -> list[Duplicates]:
    """Return the groups of `files` of which there is more than one.

    Parameters
    ----------
    files : iterable of FileMetadata
        All files of the workspace. Those that have expired take no room and do not count.
    digests : Mapping of str to str
        By id, as far as known.
    held : container of str
        The ids that variables hold.
    now : datetime.datetime
        With its time zone.

    Returns
    -------
    list of Duplicates
        Those that waste most first.
    """
    by_digest, by_look = defaultdict[tuple[str, str], list["FileMetadata"]](list), defaultdict[_Look, list[str]](list)
    unknown = defaultdict[_Look, list["FileMetadata"]](list)
    for file in files:
        if file.expires_at is not None and file.expires_at <= now:
            continue
        digest = digests.get(file.id, "")
        if digest:
            by_digest[digest, file.mime_type].append(file)
            by_look[_look(file)].append(digest)
        else:
            unknown[_look(file)].append(file)
    groups = []
    joined = defaultdict[tuple[str, str], list["FileMetadata"]](list)
    for look, alike in unknown.items():
        known = set(by_look.get(look, ()))
        if not known:
            groups.append(_group([], alike, held))
        elif len(known) == 1:  # of this look one content is known, so these may be it
            joined[known.pop(), look[1]] += alike
        # Two contents of one look are known: here the look says nothing.
    groups += [_group(equal, joined[key], held) for key, equal in by_digest.items()]
    found = [group for group in groups if len(group.files) > 1]
    return sorted(found, key=lambda group: -sum(file.size_bytes for file in (*group.equal, *group.alike)))


_Look = tuple[str, str, int]


def _look(file: FileMetadata) -> _Look:
    """Return what the server tells of a content; it may store names in composed form."""
    return unicodedata.normalize("NFC", file.filename), file.mime_type, file.size_bytes


def _group(equal: Sequence[FileMetadata], alike: Sequence[FileMetadata], held: Container[str]) -> Duplicates:
    """Choose what to keep."""
    every = [*equal, *alike]
    kept = [file for file in every if file.id in held] or [max(every, key=lambda file: file.created_at)]
    # Only what equals a kept file is called equal, so one of the known stays, too.
    if equal and not any(file in equal for file in kept):
        kept.append(max(equal, key=lambda file: file.created_at))
    stay = {file.id for file in kept}
    return Duplicates(
        tuple(kept),
        tuple(file for file in equal if file.id not in stay),
        tuple(file for file in alike if file.id not in stay),
    )
