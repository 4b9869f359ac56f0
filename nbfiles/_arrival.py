"""``Arrival``: a downloaded file on its way into a folder: under a safe name, whole, or not at all.

A name from the server is data of somebody else's. It is cut to its last component, made harmless for every operating
system, and the finished file is published by a hard link, which fails where a file (or a planted link) already is.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nbfiles._errors import Error, InputError, ResponseError
from nbfiles._names import FORBIDDEN, ending_of, is_hidden, visible

if TYPE_CHECKING:
    from types import TracebackType

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)
_LONGEST = 255  # bytes of a name on every common file system


def safe_name(filename: str) -> str:
    r"""Return a name for `filename` that stays in its folder and means nothing special to any system.

    Parameters
    ----------
    filename : str
        Anything a server may send.

    Returns
    -------
    str
        Its last component (after ``/`` and ``\``), forbidden and hidden characters as ``_``, no leading dot or dash,
        no trailing dot or space, no Windows device name, at most 255 bytes with the ending kept.
    """
    name = re.split(r"[/\\]", filename)[-1]
    name = "".join("_" if char in FORBIDDEN or is_hidden(char) else char for char in name)
    name = name.rstrip(". ").lstrip(" ")
    if name[:1] in {".", "-", "~"}:
        name = f"_{name[1:]}"
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name.encode()) > _LONGEST:
        ending = ending_of(name)
        kept = ending if len(ending.encode()) <= 32 else ""
        stem = name.encode()[: _LONGEST - len(kept.encode())].decode("utf-8", "ignore")
        name = stem + kept if kept else stem.rstrip(". ")
    return name or "download"


class Arrival:
    """A file that is being written beside its place and put there by `publish`.

    Parameters
    ----------
    to : str or path-like or None
        A folder (existing, or written with a slash at its end: it is made), a file's path, or None for the current
        folder.
    filename : str
        The server's name, used where `to` names no file.
    size : int
        Bytes that must arrive.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        If a file is there already, or the folder is not.
    Error
        If the disk has no room for it.
    """

    def __init__(self, to: str | os.PathLike[str] | None, filename: str, size: int, *, overwrite: bool) -> None:
        self.path = _target(to, filename)
        self._size = size
        self._overwrite = overwrite
        if not overwrite and (self.path.exists() or self.path.is_symlink()):
            raise _taken(self.path)
        try:
            free = shutil.disk_usage(self.path.parent).free
            if size > free:  # now, and not when the disk is full for everybody
                where = visible(str(self.path.parent))
                raise Error(
                    f"{visible(self.path.name)} has {size:,} bytes, and only {free:,} are free in {where}",
                    "Free some space, or choose another folder with --to (to=).",
                )
            handle, name = tempfile.mkstemp(prefix=".nbfiles-", suffix=".part", dir=self.path.parent)
        except OSError as error:
            raise InputError(
                f"nothing can be written to {visible(str(self.path.parent))}: {visible(error.strerror or 'refused')}",
                "Choose another folder with --to (to=).",
            ) from None
        self._part = Path(name)
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._got = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, data: bytes) -> int:
        """Append `data`; return how many bytes have arrived.

        Raises
        ------
        ResponseError
            As soon as more arrives than the server said the file has.
        Error
            If the disk takes no more.
        """
        self._got += len(data)
        if self._got > self._size:
            raise ResponseError(f"more than the {self._size} bytes arrived that {visible(self.path.name)} should have")
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._unwritten(error) from None
        return self._got

    def publish(self) -> Path:
        """Put the whole file in its place and return where that is.

        Raises
        ------
        ResponseError
            If fewer bytes arrived than the server said.
        InputError
            If a file has appeared there meanwhile.
        Error
            If the disk takes no more.
        """
        if self._got != self._size:
            raise ResponseError(f"only {self._got} of {self._size} bytes of {visible(self.path.name)} arrived")
        self._file.close()
        try:
            if self._overwrite:
                self._part.replace(self.path)  # a link that lies there is replaced, not followed
            else:
                self._publish_new()
        except FileExistsError:
            raise _taken(self.path) from None
        except OSError as error:
            raise self._unwritten(error) from None
        return self.path

    def _publish_new(self) -> None:
        """Put the file where none may be: by a hard link, or by a copy where there are no hard links (FAT)."""
        try:
            os.link(self._part, self.path)
        except FileExistsError:
            raise
        except OSError:
            self._publish_by_copy()

    def _publish_by_copy(self) -> None:
        with self._part.open("rb") as part, self.path.open("xb") as target:
            try:
                shutil.copyfileobj(part, target, 1 << 20)
            except BaseException:  # half a file is not left behind
                self.path.unlink(missing_ok=True)
                raise

    def _unwritten(self, error: OSError) -> Error:
        return Error(
            f"{visible(str(self.path))} could not be written: {visible(error.strerror or 'refused')}",
            "Nothing was kept. Free some space, or choose another folder with --to (to=).",
        )


def _target(to: str | os.PathLike[str] | None, filename: str) -> Path:
    if to is None:
        return Path.cwd() / safe_name(filename)
    text = os.fspath(to)
    try:
        path = Path(text).expanduser()
        if text.endswith(("/", os.sep)):
            path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: ~ of somebody unknown
        raise InputError(f"{visible(text)} cannot be made a folder", "Choose another with --to (to=).") from None
    if path.is_dir():
        return path / safe_name(filename)
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {visible(str(path.parent))}", "Make it first, or end --to with a slash.")
    return path


def _taken(path: Path) -> InputError:
    return InputError(
        f"{visible(str(path))} is there already", "Use --overwrite (overwrite=True), or --to another name."
    )
