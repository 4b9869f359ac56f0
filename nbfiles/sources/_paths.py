"""Paths as payloads: a file is one, a folder or a glob is many.

A folder leaves out hidden files and key files, and a glob does too, unless the pattern (or ``--include``) names them
by a part that is itself hidden or a key file's: ``.env*`` and ``*.pem`` do, ``*`` does not. What is named directly is
sent.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbfiles._errors import Error, SourceError
from nbfiles._names import visible
from nbfiles._payload import Payload, Payloads, file_payload
from nbfiles.sources._archive import archive
from nbfiles.sources._sieve import Sieve, some_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbfiles.sources._request import Request

_PATH = type(Path())  # which need not be taken apart once more
_MAGIC = re.compile(r"[*?\[]")


def matches(obj: Any) -> bool:
    """Whether `obj` names a place: a string or a path."""
    return isinstance(obj, str | os.PathLike)


def payloads(obj: str | os.PathLike[Any], request: Request) -> Payloads:
    """Return the payloads of a path, or of a string that is a path or a glob, looked for in that order.

    ``~`` is filled in at the start of a string, not of a path object, which says exactly what it means.
    """
    if not isinstance(obj, str):
        path = obj if type(obj) is _PATH else Path(os.fsdecode(obj))
        return folder(path, request) if os.path.isdir(path) else file(path, request)  # noqa: PTH112 - never raises
    if not obj:
        raise SourceError("the path is empty", "Name a file, a folder or a glob.")
    place = os.path.expanduser(obj)  # noqa: PTH111 - Path.expanduser raises for a user it does not know
    if os.path.isdir(place):  # noqa: PTH112 - never raises
        return folder(place, request)
    if _MAGIC.search(obj) and not os.path.lexists(place):
        return glob_(place, request)
    return file(place, request)


def file(path: str | os.PathLike[str], request: Request) -> Payloads:
    """Return the one payload of the file at `path`; see `_payload.file_payload` for what is refused."""
    request.refuse_zip("a file")
    return Payloads([_payload(path if isinstance(path, Path) else Path(path), request)], many=False)


def folder(path: str | os.PathLike[str], request: Request) -> Payloads:
    """Return the payloads of all files in the folder `path` and its subfolders, sorted by their path.

    A linked subfolder is followed once. Equal file names in two subfolders are fine: folders are not sent. With
    ``request.zip`` they are one payload, an archive, and links that lead out of the folder are left out.

    Raises
    ------
    SourceError
        If it is no folder, cannot be read, or holds nothing to send.
    """
    top = Path(path)
    nothing = f"no file to send in {visible(str(top))}"
    walk = _Walk(top, request, inside=request.zip)
    if not request.zip:
        return _many(walk, nothing, request)
    members = [
        (found.relative_to(top).as_posix(), file_payload(found, name="member")) for found in _found(walk, nothing)
    ]
    notes = walk.sieve.notes
    if walk.outside:
        notes += (f"Left out, as links that lead out of the folder: {some_of(walk.outside)}.",)
    name = top.name or top.resolve().name
    return Payloads([archive(members, name=name, source=str(top), request=request, notes=notes)], many=False)


def glob_(pattern: str, request: Request) -> Payloads:
    """Return the payloads of all files that match `pattern` (``* ? [...] **``), sorted by their path.

    Raises
    ------
    SourceError
        If no file matches, or a folder on the way cannot be read.
    """
    request.refuse_zip("a glob")
    parts = Path(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    top = Path(*parts[:fixed])
    return _many(_Walk(top, request, parts[fixed:]), f"no file matches {visible(pattern)}", request)


def _many(walk: _Walk, nothing: str, request: Request) -> Payloads:
    request.refuse_name("a folder or glob")
    members = [_payload(path, request) for path in _found(walk, nothing)]
    members[0].notes += walk.sieve.notes
    return Payloads(members, many=True)


def _found(walk: _Walk, nothing: str) -> list[Path]:
    """Return all paths, sorted.

    Raises
    ------
    SourceError
        If there is none: `nothing`.
    """
    found = sorted(walk, key=lambda path: path.as_posix())
    if not found:
        raise walk.sieve.error(nothing)
    return found


def _payload(path: Path, request: Request) -> Payload:
    try:
        payload = file_payload(path, name=request.name, **request.mime)
    except Error:
        raise
    except ValueError:  # a NUL, or half of a surrogate pair
        raise SourceError(f"{visible(str(path))} cannot be a path", "Look at the spelling.") from None
    if os.path.islink(path):  # noqa: PTH114 - half the cost
        payload.notes += (f"{visible(path.name)} is a link to {visible(os.path.realpath(path))}",)
    return payload


@dataclass
class _Walk:
    """All files below `top` that fit the pattern and the request; every folder is entered once.

    Iterating fills what the sieve left out and, if only what is `inside` is wanted, the links that lead out.
    """

    top: Path
    request: Request
    pattern: tuple[str, ...] = ("**", "*")
    inside: bool = False
    outside: set[str] = field(default_factory=set)
    sieve: Sieve = field(init=False)

    def __post_init__(self) -> None:
        self.sieve = Sieve(self.request, self.pattern)

    def __iter__(self) -> Iterator[Path]:
        seen: set[tuple[int, int]] = set()
        pending: deque[tuple[str, ...]] = deque([()])
        while pending:
            inside = pending.popleft()
            for entry in self._entries(inside, seen):
                parts = (*inside, entry.name)
                if _is_folder(entry):
                    if self._may_hold(parts) and not self.sieve.hides(parts) and not self._leads_out(entry, parts):
                        # Links wait at the end, so a folder is known by its real path if it is reached by both.
                        (pending.append if entry.is_symlink() else pending.appendleft)(parts)
                elif self._means(parts) and not self._leads_out(entry, parts):
                    yield self.top.joinpath(*parts)

    def _means(self, parts: tuple[str, ...]) -> bool:
        return _matches(parts, self.pattern) and self.sieve.wants(parts) and not self.sieve.hides(parts)

    def _leads_out(self, entry: os.DirEntry[str], parts: tuple[str, ...]) -> bool:
        """Whether this is a link that leads out of the folder and may not; notes it if so."""
        if not self.inside or not entry.is_symlink():
            return False
        top = os.path.realpath(self.top)
        if os.path.commonpath([top, os.path.realpath(entry.path)]) == top:
            return False
        self.outside.add("/".join(parts))
        return True

    def _entries(self, inside: tuple[str, ...], seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
        here = self.top.joinpath(*inside)
        try:
            info = here.stat()
            identity = (info.st_dev, info.st_ino)
            if identity in seen:
                return []
            seen.add(identity)
            with os.scandir(here) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            if not inside and self.pattern != ("**", "*"):
                return []  # a glob in a folder that is not there matches nothing
            raise SourceError(f"there is no folder {visible(str(here))}", "Look at the spelling.") from None
        except (OSError, ValueError):
            raise SourceError(
                f"the folder {visible(str(here))} cannot be read",
                "Change its permissions, or upload the files you can.",
            ) from None

    def _may_hold(self, parts: tuple[str, ...]) -> bool:
        """Whether a folder can hold a match: no pattern without ``**`` reaches below its own depth."""
        fixed = self.pattern[: self.pattern.index("**")] if "**" in self.pattern else self.pattern[:-1]
        deep = "**" in self.pattern or len(parts) < len(self.pattern)
        return deep and all(fnmatch(part, pattern) for part, pattern in zip(parts, fixed, strict=False))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself; reading it as a file will say so
        return False


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the path matches the pattern part by part; ``**`` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
