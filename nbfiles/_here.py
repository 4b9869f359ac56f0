"""Here: the notebook's names and this machine's files, as ``_resolve`` asks about them.

Works alike on Linux, macOS and Windows: paths are the text that was typed, in the separators it was typed with.
"""

from __future__ import annotations

import glob
import os
import types
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Holds = Literal["one", "many", "module", "unknown"]
PathKind = Literal["file", "folder"]

_OF_RECORDS = ("__dataclass_fields__", "__pydantic_core_schema__")
# Enough to find a typo in, and quick on a folder of millions.
_SIBLINGS = 2000


class Here:
    """The world around a magic line.

    Parameters
    ----------
    *namespaces : Mapping of str to object
        Where names are looked up, the nearest first: a function's locals, then the notebook's globals.
    """

    def __init__(self, *namespaces: Mapping[str, object]) -> None:
        self._namespaces = namespaces

    def defined(self, name: str) -> bool:
        """Whether `name` is a variable; builtins do not count."""
        return any(name in namespace for namespace in self._namespaces)

    def names(self) -> Sequence[str]:
        """Return the variables a person may have meant: without those that begin with an underscore."""
        return sorted({name for namespace in self._namespaces for name in namespace if not name.startswith("_")})

    def holds(self, name: str) -> Holds:
        """Tell from its type what the variable `name` stands for; no property of the value is read."""
        value = self._value(name)
        if isinstance(value, types.ModuleType):
            return "module"
        if isinstance(value, list | tuple):
            return "unknown" if value and _is_record(value[0]) else "many"
        # A text may be a glob; Dask and its like may be one file or one for each partition.
        if isinstance(value, str | os.PathLike) or hasattr(type(value), "npartitions"):
            return "unknown"
        return "one"

    def has_attribute(self, name: str, attribute: str) -> bool:
        """Whether the variable `name` lists `attribute`. Nothing is computed: ``df.T`` would be a whole table."""
        try:
            return attribute in dir(self._value(name))
        except Exception:  # noqa: BLE001  somebody's __dir__ may raise anything
            return False

    def expand(self, path: str) -> str:
        """Fill in a leading ``~``. A file that is called ``~x`` stays what it is; environment variables too."""
        if not path.startswith("~"):
            return path
        home = path[1:2] in {"", "/", os.sep}
        return path if not home and os.path.lexists(path) else str(os.path.expanduser(path))  # noqa: PTH111  the text stays as typed

    def path_kind(self, path: str) -> PathKind | None:
        """Tell what stands at `path`; a device counts as a file. None: nothing, or nothing that may be seen."""
        try:
            if os.path.isdir(path):  # noqa: PTH112  Path would drop the trailing slash of "report.pdf/"
                return "folder"
            return "file" if os.path.exists(path) else None  # noqa: PTH110  # never raises
        except (OSError, ValueError):
            return None

    def matches(self, pattern: str) -> tuple[str, ...]:
        """Return the files that match `pattern` (see `glob_files`)."""
        return glob_files(pattern)

    def siblings(self, path: str) -> Sequence[str]:
        """Return what stands in the folder of `path`, spelled as `path` is; at most 2,000 entries."""
        folder, name = os.path.split(path)
        prefix = path[: len(path) - len(name)]
        found: list[str] = []
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    found.append(prefix + entry.name)
                    if len(found) == _SIBLINGS:
                        break
        except (OSError, ValueError):
            return ()
        return sorted(found)

    def _value(self, name: str) -> object:
        """Return what the nearest namespace holds as `name`."""
        return next((namespace[name] for namespace in self._namespaces if name in namespace), None)


def _is_record(value: object) -> bool:
    """Whether `value` may be a record: a list of records is one file, and only all of it can tell."""
    return isinstance(value, dict) or any(hasattr(type(value), name) for name in _OF_RECORDS)


def glob_files(pattern: str) -> tuple[str, ...]:
    """Return the files that match `pattern`, sorted, each once.

    Parameters
    ----------
    pattern : str
        With ``*``, ``?``, ``[...]``, and ``**`` for any folders. Hidden files match only where the pattern says the
        dot.

    Returns
    -------
    tuple of str
        Spelled as the pattern is; folders are left out.
    """
    try:
        found: Iterable[str] = glob.iglob(pattern, recursive=True)  # noqa: PTH207  Path.glob matches hidden files
        return tuple(sorted({path for path in found if not Path(path).is_dir()}))
    except (OSError, ValueError, RecursionError):
        return ()
