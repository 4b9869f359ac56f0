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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbfiles.sources._request import Request

# Names that are never swept up with a folder: secrets, and what tools keep for themselves. Anything with a dot in
# front is hidden anyway.
KEY_FILES = (
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.kdbx", "*.ppk", "credentials*.json", "client_secret*.json", "service[-_]account*.json", "kubeconfig",
    "__pycache__",
)  # fmt: skip
# Passed over without a word: nobody means these when they name a folder.
TOOLS = frozenset({".git", ".ipynb_checkpoints", "__pycache__", ".DS_Store", ".venv", ".mypy_cache", ".pytest_cache"})

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters or more, so not C:
_MAGIC = re.compile(r"[*?\[]")


def matches(obj: Any) -> bool:
    """Whether `obj` names a place: a string or a path."""
    return isinstance(obj, str | os.PathLike)


def payloads(obj: str | os.PathLike[Any], request: Request) -> Payloads:
    """Return the payloads of a path, or of a string that is a path, a glob or a URL, looked for in that order.

    ``~`` is filled in at the start of a string, not of a path object, which says exactly what it means.
    """
    if not isinstance(obj, str):
        path = Path(os.fsdecode(obj))
        return folder(path, request) if os.path.isdir(path) else file(path, request)  # noqa: PTH112 - never raises
    if _URL.match(obj):
        raise SourceError(f"{visible(obj)} is a URL, which cannot be read here", "Download it, then upload the file.")
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
    return Payloads([_payload(Path(path), request)], many=False)


def folder(path: str | os.PathLike[str], request: Request) -> Payloads:
    """Return the payloads of all files in the folder `path` and its subfolders, sorted by their path.

    A linked subfolder is followed once. Equal file names in two subfolders are fine: folders are not sent.

    Raises
    ------
    SourceError
        If it is no folder, cannot be read, or holds nothing to send.
    """
    top = Path(path)
    return _many(_Walk(top, request), f"no file to send in {visible(str(top))}", request)


def glob_(pattern: str, request: Request) -> Payloads:
    """Return the payloads of all files that match `pattern` (``* ? [...] **``), sorted by their path.

    Raises
    ------
    SourceError
        If no file matches, or a folder on the way cannot be read.
    """
    parts = Path(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    top = Path(*parts[:fixed])
    return _many(_Walk(top, request, parts[fixed:]), f"no file matches {visible(pattern)}", request)


def _many(walk: _Walk, nothing: str, request: Request) -> Payloads:
    request.refuse_name("a folder or glob")
    found = sorted(walk, key=lambda path: path.as_posix())
    left_out = sorted(walk.left_out)
    if not found:
        way_out = "Look at the spelling, and at the folder you are in."
        if left_out:
            way_out = f"{_left_out(left_out)} Name them, or use --include."
        raise SourceError(nothing, way_out)
    members = [_payload(path, request) for path in found]
    if left_out:
        members[0].notes += (f"{_left_out(left_out)} --include sends them.",)
    return Payloads(members, many=True)


def _left_out(names: list[str]) -> str:
    shown = ", ".join(visible(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Left out as hidden or a key: {shown}{more}."


def _payload(path: Path, request: Request) -> Payload:
    try:
        payload = file_payload(path, name=request.name, **request.mime)
    except Error:
        raise
    except ValueError:  # a NUL, or half of a surrogate pair
        raise SourceError(f"{visible(str(path))} cannot be a path", "Look at the spelling.") from None
    if path.is_symlink():
        payload.notes += (f"{visible(path.name)} is a link to {visible(os.path.realpath(path))}",)
    return payload


@dataclass
class _Walk:
    """All files below `top` that fit the pattern and the request; every folder is entered once.

    Iterating fills `left_out`: what was passed over as hidden or a key, as relative paths.
    """

    top: Path
    request: Request
    pattern: tuple[str, ...] = ("**", "*")
    left_out: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Path]:
        seen: set[tuple[int, int]] = set()
        pending: deque[tuple[str, ...]] = deque([()])
        while pending:
            inside = pending.popleft()
            for entry in self._entries(inside, seen):
                parts = (*inside, entry.name)
                if _is_folder(entry):
                    if self._may_hold(parts) and not self._hides(parts):
                        # Links wait at the end, so a folder is known by its real path if it is reached by both.
                        (pending.append if entry.is_symlink() else pending.appendleft)(parts)
                elif self._wanted(parts) and not self._hides(parts):
                    yield self.top.joinpath(*parts)

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

    def _wanted(self, parts: tuple[str, ...]) -> bool:
        included = not self.request.include or any(_fits(parts, glob) for glob in self.request.include)
        excluded = any(_fits(parts, glob) for glob in self.request.exclude)
        return included and not excluded and _matches(parts, self.pattern)

    def _hides(self, parts: tuple[str, ...]) -> bool:
        """Whether the last part is private and nothing names it; notes it if so."""
        if not is_private(parts[-1]):
            return False
        named_in_pattern = any(is_private(pattern) and fnmatch(parts[-1], pattern) for pattern in self.pattern)
        named_by_option = any(
            is_private(pattern) and fnmatch(parts[-1], pattern)
            for glob in self.request.include
            for pattern in glob.split("/")
        )
        if named_in_pattern or named_by_option:
            return False
        if parts[-1] not in TOOLS:
            self.left_out.add("/".join(parts))
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself; reading it as a file will say so
        return False


def is_private(name: str) -> bool:
    """Whether `name`, or what the pattern `name` is made for, is hidden or a key file."""
    return name.startswith(".") or any(fnmatch(name.lower(), key) for key in KEY_FILES)


def _fits(parts: tuple[str, ...], glob: str) -> bool:
    """Whether an --include or --exclude glob matches the relative path or the file name; ``**/`` may be nothing."""
    path = "/".join(parts)
    return fnmatch(path, glob) or fnmatch(parts[-1], glob) or fnmatch(f"/{path}", glob)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the path matches the pattern part by part; ``**`` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
