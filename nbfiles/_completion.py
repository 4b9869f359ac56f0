"""Completion: what may stand at the cursor of a ``%upload`` or ``%files`` line. Knows no IPython.

Options and verbs come from the table in `_options.py`, variables by their type, paths from the disk, ids from variables
and from the latest table. Nothing is sent to find out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbfiles._listing import SORTS
from nbfiles._models import FileId
from nbfiles._names import PURPOSES, TYPES
from nbfiles._options import PLACES, VERBS, Verb, options_for, verb
from nbfiles._values import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LINE = re.compile(r"^\s*(?:[\w., ]+=\s*)?(%%?upload|%files)(\s.*)$", re.DOTALL)
_CHOICES: dict[str, tuple[str, ...]] = {
    "--for": PURPOSES,
    "--format": FORMATS,
    "--sort": tuple(SORTS),
    "--type": tuple(sorted(set(TYPES.values()))),
}
_MOST = 200  # entries of a folder that one wants to choose from


class Completions(NamedTuple):
    """What may stand at the cursor, and how much of what is typed it replaces.

    Parameters
    ----------
    fragment : str
        The end of the line that is to be replaced.
    words : list of str
        Whole replacements, the likeliest first.
    """

    fragment: str
    words: list[str]


def complete(line: str, names: Mapping[str, Any], latest: Iterable[str] = ()) -> Completions | None:
    """Return the completions at the end of `line`, or None if it is none of our lines.

    Parameters
    ----------
    line : str
        The line up to the cursor.
    names : Mapping
        The notebook's namespace.
    latest : iterable of str, default ()
        File ids that were seen last.
    """
    found = _LINE.match(line)
    if found is None:
        return None
    magic, rest = found.groups()
    before, fragment = _last_word(rest)
    place = {"%upload": "upload", "%%upload": "cell"}.get(magic) or _verb_of(before)
    previous = before.split()[-1] if before.split() else ""
    if previous in _CHOICES and not before.rstrip().endswith(","):
        return Completions(fragment, _starting(fragment, _CHOICES[previous]))
    if fragment.startswith("-"):
        return Completions(fragment, _starting(fragment, _flags(place)))
    if previous == "as":  # who binds again what is bound, when a cell is written once more
        return Completions(fragment, _starting(fragment, _holders(names)))
    if magic == "%%upload":
        return Completions(fragment, [])
    if previous == "--to":
        return Completions(fragment, _paths(fragment))
    if magic == "%files":
        return Completions(fragment, _starting(fragment, _for_files(before, place, names, latest)))
    quote = fragment[:1] if fragment[:1] in {'"', "'"} else ""
    if quote:
        return Completions(fragment, [f"{quote}{path}" for path in _paths(fragment[1:], quoted=True)])
    return Completions(fragment, [*_starting(fragment, _uploadable(names)), *_paths(fragment)])


def _last_word(text: str) -> tuple[str, str]:
    """Split `text` before its last word; a quote that is open holds spaces and commas."""
    start, quote = 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and at == start:
            quote = char
        elif char.isspace() or char == ",":
            start = at + 1
    return text[:start], text[start:]


def _verb_of(before: str) -> str:
    words = before.split()
    return words[0] if words and verb(words[0]) else "list"


def _flags(place: str) -> list[str]:
    return sorted(option.flag for option in options_for(place))


def _for_files(before: str, place: str, names: Mapping[str, Any], latest: Iterable[str]) -> list[str]:
    """Return verbs where none stands yet; what holds ids, and ids, after a verb that takes them."""
    if not before.strip():
        return [one.name for one in VERBS]
    takes: Verb | None = verb(place)
    if takes is None or not takes.takes:
        return []
    if takes.takes == "place":
        return list(PLACES)
    return [*_holders(names), *dict.fromkeys(latest)]


def _holders(names: Mapping[str, Any]) -> list[str]:
    """Return the variables that hold file ids."""
    return sorted(name for name, value in list(names.items()) if not name.startswith("_") and _holds_ids(value))


def _holds_ids(value: object) -> bool:
    return isinstance(value, FileId) or (type(value) is list and bool(value) and isinstance(value[0], FileId))


def _uploadable(names: Mapping[str, Any]) -> list[str]:
    """Return the variables that hold something to upload; frames first, then data. No value is looked into."""
    frames, others = [], []
    for name, value in list(names.items()):
        if name.startswith("_") or isinstance(value, FileId) or callable(value):
            continue
        if hasattr(type(value), "__dataframe__") or hasattr(type(value), "to_frame"):
            frames.append(name)
        elif isinstance(value, bytes | bytearray | list | tuple | os.PathLike):
            others.append(name)
    return [*sorted(frames), *sorted(others)]


def _paths(fragment: str, *, quoted: bool = False) -> list[str]:
    """Return the entries of the folder that `fragment` is in, spelled as it is; those with spaces in quotes."""
    head, tail = os.path.split(fragment)
    prefix = fragment[: len(fragment) - len(tail)]
    found = []
    try:
        entries = sorted(Path(head or os.curdir).expanduser().iterdir())
    except OSError:
        return []
    for entry in entries:
        if not entry.name.startswith(tail) or (entry.name.startswith(".") and not tail.startswith(".")):
            continue
        path = prefix + entry.name + ("/" if entry.is_dir() else "")
        found.append(path if quoted or not re.search(r"[\s,'\"#;]", path) else f'"{path}"')
        if len(found) == _MOST:
            break
    return found


def _starting(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]
