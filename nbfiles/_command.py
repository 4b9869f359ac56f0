"""A command: what a magic line asks for, as frozen data, and how it is written as a line again.

``_grammar`` reads lines into commands. Here is what can be done with one without knowing the notebook: write it
(`render`), give its Python values (`settle`), and check a name that an id may be bound to (`check_name`).
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from nbfiles._errors import GrammarError, InputError
from nbfiles._options import Magic, Option, options_for
from nbfiles._values import BYTES, SECONDS
from nbfiles._words import (
    BUILTINS,
    braces,
    is_parenthesised,
    is_string,
    is_word,
    plain_spaces,
    quoted,
    shell_variable,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SourceKind = Literal["quoted", "word", "python", "spaced", "notebook", "cells"]
IdKind = Literal["id", "filename", "python", "place"]
Span = tuple[int, int]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Python:
    """Python that stands where a text could: ``--name f"{r}.csv"``. The caller evaluates it (see `settle`).

    Parameters
    ----------
    code : str
        One expression.
    start, end : int
        Its place in the line.
    """

    code: str
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """What a clause names, before anybody looked whether it exists.

    Parameters
    ----------
    kind : {"quoted", "word", "python", "spaced", "notebook", "cells"}
        ``"python"`` is Python in parentheses (or, in ``%%upload``, an f-string), ``"spaced"`` Python with outer
        spaces; a ``"word"`` may be a name, a path, a glob, a URL or Python.
    text : str
        As it was written, without quotes; the ranges of ``--cells``; ``""`` for ``--notebook``.
    start, end : int
        Its place in the line, quotes included.
    """

    kind: SourceKind
    text: str
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    @property
    def code(self) -> str:
        """The text as Python takes it: outside strings every space is a plain one."""
        return plain_spaces(self.text)


@dataclass(frozen=True, slots=True)
class Clause:
    """A source and the name its id is bound to.

    Parameters
    ----------
    source : Source
        What is uploaded.
    target : str or None, default None
        The name after ``as``, in NFKC as Python binds it.
    start, end : int
        The place of the name, if there is one.
    """

    source: Source
    target: str | None = None
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Id:
    """What a verb of ``%files`` is given.

    Parameters
    ----------
    kind : {"id", "filename", "python", "place"}
        A word that begins with ``file_``; a file name that stood in quotes; Python that holds one id or many; the
        place of ``%files use``.
    text : str
        As it was written, without quotes.
    start, end : int
        Its place in the line.
    """

    kind: IdKind
    text: str
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A magic line that was read. Two are equal if they ask for the same, wherever their parts stand.

    Parameters
    ----------
    magic : {"upload", "cell", "files"}
        Which magic.
    verb : str, default ""
        The verb of ``%files``.
    clauses : tuple of Clause, default ()
        Of ``%upload``; ``%%upload`` has exactly one, the file's name.
    ids : tuple of Id, default ()
        Of ``%files``.
    options : Mapping of str to Any, default {}
        What was given, by Python name (``for_``, ``dry_run``). Checked values: seconds, bytes, numbers, texts,
        tuples for what may repeat, ``index`` True or False, ``expires`` None for never; or `Python`.
    hidden : bool, default False
        Whether a ``;`` at the end hides the table.
    line : str
        The whole line, the magic's name included.
    places : Mapping of str to (int, int)
        Where each option, and the verb, stand in it.
    """

    magic: Magic
    verb: str = ""
    clauses: tuple[Clause, ...] = ()
    ids: tuple[Id, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)
    hidden: bool = False
    line: str = field(default="", compare=False)
    places: Mapping[str, Span] = field(default_factory=lambda: _NOTHING, compare=False)

    def error(self, message: str, start: int, end: int) -> GrammarError:
        """Make the error that marks ``line[start:end]``."""
        return GrammarError(message, self.line, start, end)


def render(command: Command) -> str:
    """Write `command` as the text after its magic's name.

    Parameters
    ----------
    command : Command
        As a ``parse_`` function of ``_grammar`` returns it.

    Returns
    -------
    str
        A line that is read as an equal command: first the clauses or the verb and its ids, then the options, then
        ``--`` and the sources that begin with a dash.
    """
    clauses = list(command.clauses)
    dashed = len(clauses)
    if command.magic == "upload":
        dashed = next((at for at, clause in enumerate(clauses) if _begins_with_dash(clause.source)), dashed)
    parts = [command.verb, ", ".join(map(render_clause, clauses[:dashed])), *map(_render_id, command.ids)]
    parts.extend(render_options(command))
    if clauses[dashed:]:
        parts += ["--", ", ".join(map(render_clause, clauses[dashed:]))]
    if command.hidden:
        parts.append(";")
    return " ".join(filter(None, parts))


def render_clause(clause: Clause) -> str:
    """Write one clause."""
    source = clause.source
    if source.kind == "notebook":
        text = "--notebook"
    elif source.kind == "cells":
        text = f"--cells {source.text}"
    else:
        text = quoted(source.text) if source.kind == "quoted" else source.text
    return f"{text} as {clause.target}" if clause.target else text


def render_options(command: Command) -> Iterator[str]:
    """Write the options, one text each."""
    for name, value in command.options.items():
        for option in options_for(command.verb or command.magic):
            if option.name != name or (not option.metavar and option.value != value):
                continue
            if not option.metavar:
                yield option.flag
            for one in (value if option.repeatable else (value,)) if option.metavar else ():
                yield f"{option.flag} {_render_value(option, one)}"


def _begins_with_dash(source: Source) -> bool:
    return source.kind in {"word", "spaced"} and source.text.startswith("-")


def _render_id(one: Id) -> str:
    return quoted(one.text) if one.kind == "filename" else one.text


def _render_value(option: Option, value: Any) -> str:
    """Write the argument of `option`."""
    if isinstance(value, Python):
        return value.code
    if option.metavar == "KEY=VALUE":
        return f"{value[0]}={value[1]!r}"
    if option.metavar in {"AGE", "TIME"}:
        return "never" if value is None else _in_units(value, _AGE_UNITS if option.metavar == "AGE" else _TIME_UNITS)
    if option.metavar == "SIZE":
        return _in_units(value, _SIZE_UNITS)
    text = str(value)
    return text if _is_plain(text) else quoted(text)


def _is_plain(text: str) -> bool:
    """Whether `text` is read as itself where an argument stands, without quotes."""
    if not is_word(text) or text.startswith(("-", "#", '"', "'")) or text in {"as", "="}:
        return False
    return not (is_string(text) or is_parenthesised(text) or braces(text) or shell_variable(text))


_AGE_UNITS = {unit: SECONDS[unit] for unit in "wdhm"}
_TIME_UNITS = {unit: SECONDS[unit] for unit in "ms"}
_SIZE_UNITS = {unit.upper(): BYTES[unit] for unit in ("tb", "gb", "mb", "kb", "b")}


def _in_units(number: int, units: Mapping[str, int]) -> str:
    """Write `number` in the largest of `units` (largest first) that divides it."""
    unit, factor = next((unit, factor) for unit, factor in units.items() if number % factor == 0)
    return f"{number // factor}{unit}"


def settle(command: Command, evaluate: Callable[[str], object]) -> Command:
    """Return `command` with a checked value for every option that is Python.

    Parameters
    ----------
    command : Command
        As it was read.
    evaluate : callable
        Given the code of one expression, returns its value. What it raises passes through.

    Raises
    ------
    GrammarError
        If a value does not fit its option; the Python is marked.
    """
    options = dict(command.options)
    for option in options_for(command.verb or command.magic):
        if not option.metavar or option.name not in options:
            continue
        value = options[option.name]
        if option.repeatable:
            options[option.name] = tuple(_settled(command, option, one, evaluate) for one in value)
        else:
            options[option.name] = _settled(command, option, value, evaluate)
    return replace(command, options=MappingProxyType(options))


def _settled(command: Command, option: Option, value: Any, evaluate: Callable[[str], object]) -> Any:
    """Return the value of one argument."""
    if not isinstance(value, Python):
        return value
    try:
        return option.accept(evaluate(value.code))
    except InputError as error:
        raise command.error(str(error), value.start, value.end) from None


# IPython's own, which it writes again after each cell. https://ipython.readthedocs.io/en/stable/interactive/reference.html
_IPYTHON = re.compile(r"_+|_\d+|_i+|_i\d+|_[iod]h|In|Out|get_ipython|exit|quit|display")


def check_name(name: str) -> str:
    """Return `name` as Python binds it (NFKC), if an id may be bound to it.

    Parameters
    ----------
    name : str
        What stands after ``as``.

    Raises
    ------
    InputError
        If it is no identifier, or a keyword, a builtin, a dunder, or IPython's.
    """
    normal = unicodedata.normalize("NFKC", name)
    if not normal.isidentifier():
        if name[:1] in {"(", "[", "{", "*"}:
            raise InputError("one name for each source; many files bind as one list, so unpack it on the next line")
        path = "; a path that holds as goes in quotes" if any(char in name for char in "./\\") else ""
        raise InputError(f"{shown(name)} is not a name; write {_as_name(normal)}{path}")
    if keyword.iskeyword(normal):
        raise InputError(f"{normal} is a Python keyword; choose another name, such as {normal}_id")
    if _IPYTHON.fullmatch(normal):
        raise InputError(f"{normal} belongs to IPython; choose another name")
    if normal.startswith("__") and normal.endswith("__"):
        raise InputError(f"{shown(normal)} belongs to Python; choose another name")
    if normal in BUILTINS:
        raise InputError(f"{normal} is a Python builtin; choose another name, such as {normal}_id")
    return normal


def _as_name(text: str) -> str:
    """Return a name that is like `text`."""
    name = re.sub(r"\W+", "_", text).strip("_")[:60]
    if not name:
        return "report_id"
    if not name.isidentifier():
        name = f"f_{name}"
    return f"{name}_id" if keyword.iskeyword(name) or name in BUILTINS else name
