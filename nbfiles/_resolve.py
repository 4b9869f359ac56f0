"""Meaning: what the sources of a command are, once the names and files around the line are looked at.

The order in which a word is understood, the first that fits::

    "quoted"                  the file or folder of exactly that name, else a glob; never Python
    scheme://                 a URL
    (parentheses)  x + y      Python
    name                      a variable that is defined
    sales.csv  data/          an existing file or folder of exactly that text
    df[0]  len(x)             Python whose names are all defined
    data/*.csv                a glob with a match
    [1]                       Python without names
                              otherwise an error, with the nearest names and files

Where two readings were possible the meaning carries a note for the receipt. Nothing is evaluated, opened or sent here,
so a whole line is refused before its first byte leaves.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from nbfiles._words import (
    BUILTINS,
    braces,
    free_names,
    has_glob,
    is_string,
    is_url,
    is_word,
    near,
    parse_expression,
    quoted,
    shell_variable,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbfiles._command import Clause, Command, Id, Source
    from nbfiles._errors import GrammarError
    from nbfiles._here import Holds, PathKind

Kind = Literal["file", "folder", "glob", "name", "python", "url", "notebook", "cells"]


class World(Protocol):
    """What surrounds a line: names and files. ``_here.Here`` is the real one."""

    def defined(self, name: str) -> bool:
        """Whether `name` is a variable; builtins do not count."""

    def names(self) -> Iterable[str]:
        """Return the variables that may be suggested."""

    def holds(self, name: str) -> Holds:
        """Tell what a variable stands for: one source, many, a module, or only its value tells."""

    def has_attribute(self, name: str, attribute: str) -> bool:
        """Whether the variable `name` has `attribute`, without computing it."""

    def expand(self, path: str) -> str:
        """Fill in a leading ``~``."""

    def path_kind(self, path: str) -> PathKind | None:
        """Tell what stands at `path`."""

    def matches(self, pattern: str) -> Sequence[str]:
        """Return the files that match `pattern`, sorted."""

    def siblings(self, path: str) -> Sequence[str]:
        """Return what stands in the folder of `path`, spelled as `path` is."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one source is.

    Parameters
    ----------
    kind : {"file", "folder", "glob", "name", "python", "url", "notebook", "cells"}
        Which.
    value : str
        A path (``~`` filled in), a pattern, a variable (NFKC), an expression, a URL, or ranges of cells.
    many : bool or None
        Whether a list is bound. None: the value decides, a list if it is one.
    note : str, default ""
        What else the text could have meant, for the receipt.
    source : Source or None, default None
        Where it stands.
    target : str or None, default None
        The name to bind.
    """

    kind: Kind
    value: str
    many: bool | None
    note: str = ""
    source: Source | None = None
    target: str | None = None


def resolve(command: Command, world: World) -> tuple[Meaning, ...]:
    """Tell what every source of `command` is, and check the names that will be bound.

    Parameters
    ----------
    command : Command
        Of ``%upload`` or ``%%upload``, whose file name is never looked up.
    world : World
        Names and files.

    Returns
    -------
    tuple of Meaning
        One for each clause, in their order.

    Raises
    ------
    GrammarError
        If a source is nothing that exists, a name would destroy what is uploaded or an imported module, or
        ``--name`` stands with what may be several files. The place is marked.
    """
    meanings = []
    for at, clause in enumerate(command.clauses):
        meaning = _in_cell(clause) if command.magic == "cell" else _Search(command, at, world).meaning()
        meanings.append(meaning)
    _check_targets(command, meanings, world)
    _check_name_option(command, meanings)
    return tuple(meanings)


def resolve_ids(command: Command, world: World) -> tuple[Id, ...]:
    """Tell what the ids of a ``%files`` command are.

    A word such as ``file_id`` has the form of an id and is often a variable: if it is defined, it is Python.

    Raises
    ------
    GrammarError
        If Python among them uses a name that is not defined.
    """
    found = []
    for one in command.ids:
        kind = "python" if one.kind == "id" and world.defined(one.text) else one.kind
        if kind == "python":
            missing = _missing(one.text, world)
            if missing:
                raise command.error(_not_defined(missing[0], world), one.start, one.end)
        found.append(replace(one, kind=kind))
    return tuple(found)


class _Search:
    """Finds what the source of one clause is."""

    def __init__(self, command: Command, at: int, world: World) -> None:
        self.command = command
        self.at = at
        self.clause = command.clauses[at]
        self.source = self.clause.source
        self.text = self.source.text
        self.world = world

    def meaning(self) -> Meaning:
        """Return it, or raise the error that says what was probably meant."""
        source = self.source
        if source.kind in {"notebook", "cells"}:
            return self.made("notebook" if source.kind == "notebook" else "cells", self.text, many=False)
        if source.kind in {"quoted", "word"} and is_url(self.text):
            return self.made("url", self.text, many=self._many_at_url())
        if source.kind == "quoted":
            return self.path() or self.glob() or self.fail(self._no_file())
        if source.kind in {"python", "spaced"}:
            return self.python()
        return self.word()

    def made(self, kind: Kind, value: str, *, many: bool | None, note: str = "") -> Meaning:
        """Make the meaning, for this clause."""
        return Meaning(kind, value, many, note, self.source, self.clause.target)

    def error(self, message: str) -> GrammarError:
        """Make the error that marks the source."""
        return self.command.error(message, self.source.start, self.source.end)

    def fail(self, message: str) -> Meaning:
        """Raise the error for a source that is nothing, unless its neighbours explain it better."""
        self._check_commas()
        raise self.error(message)

    def path(self) -> Meaning | None:
        """Return the file or folder of exactly this text, if there is one."""
        path = self.world.expand(self.text)
        kind = self.world.path_kind(path)
        if kind is None:
            return None
        return self.made(kind, path, many=kind == "folder" and "zip" not in self.command.options)

    def glob(self) -> Meaning | None:
        """Return the pattern, if a file matches it."""
        pattern = self.world.expand(self.text)
        if has_glob(pattern) and self.world.matches(pattern):
            return self.made("glob", pattern, many=True)
        return None

    def python(self) -> Meaning:
        """Read Python that is written so that it can be nothing else."""
        if self.source.kind == "spaced" and self.world.path_kind(self.world.expand(self.text)):
            raise self.error(f"a path with spaces goes in quotes: {shown(quoted(self.text))}")
        missing = _missing(self.source.code, self.world)
        if missing:
            raise self.error(self._undefined(missing[0]))
        return self.made("python", self.source.code, many=self._by_value())

    def word(self) -> Meaning:
        """Read a word, in the order at the top of this module."""
        names = free_names(self.source.code)
        missing = _missing(self.source.code, self.world)
        named = self.name() or self.path()
        if named:
            return named if named.kind == "name" else self.with_note(named, names, missing)
        if unfilled := braces(self.text):
            raise self.error(_not_filled_in(unfilled))
        found = self.glob()
        is_alone = names == (unicodedata.normalize("NFKC", self.text),)
        if names and not missing and not is_alone:
            return self.made("python", self.source.code, many=self._by_value(), note=self._would_match(found))
        if found:
            return found
        if names == ():
            return self.made("python", self.source.code, many=self._by_value())
        return self.fail(self.nothing(names, missing))

    def name(self) -> Meaning | None:
        """Return the variable of this name, if there is one."""
        name = unicodedata.normalize("NFKC", self.text)
        if not name.isidentifier() or not self.world.defined(name):
            return None
        kind = self.world.path_kind(self.text)
        note = f"{self.text} is the variable; {quoted(self.text)} would be the {kind}" if kind else ""
        holds = self.world.holds(name)
        many = {"many": True, "unknown": None}.get(holds, False)
        return self.made("name", name, many=False if "one" in self.command.options else many, note=note)

    def with_note(self, meaning: Meaning, names: Sequence[str] | None, missing: Sequence[str]) -> Meaning:
        """Note that a path would also have been Python, if its names and attributes are there."""
        if not names or missing or not self._attributes_exist():
            return meaning
        return replace(meaning, note=f"{shown(self.text)} is the {meaning.kind}; ({shown(self.text)}) would be Python")

    def _attributes_exist(self) -> bool:
        """Whether every ``name.attribute`` of the text is there; attributes of anything longer are not asked for."""
        tree = parse_expression(self.source.code)
        return all(
            self.world.defined(node.value.id) and self.world.has_attribute(node.value.id, node.attr)
            for node in (ast.walk(tree) if tree else ())
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        )

    def _would_match(self, found: Meaning | None) -> str:
        """Note that Python would also have been a glob."""
        if found is None:
            return ""
        count = len(self.world.matches(found.value))
        files = "1 file" if count == 1 else f"{count:,} files"
        return f"{shown(self.text)} is Python; {shown(quoted(self.text))} would match {files}"

    def _by_value(self) -> bool | None:
        return False if "one" in self.command.options else None

    def _many_at_url(self) -> bool:
        """Whether a URL is several files. A ``?`` in http(s) begins a query, so there it is always one."""
        if self.text.lower().startswith(("http://", "https://")):
            return False
        return has_glob(self.text) or (self.text.endswith("/") and "zip" not in self.command.options)

    # What went wrong, from here on.

    def nothing(self, names: Sequence[str] | None, missing: Sequence[str]) -> str:
        """Say why a word is nothing that exists, and what was probably meant."""
        text = self.text
        if text.isidentifier():
            return self._no_name_or_file()
        if unfilled := shell_variable(text):
            return _not_filled_in(unfilled)
        if is_string(text) and names is None:
            return "this is not a Python string; before Python 3.12 the holes of an f-string cannot hold its quotes"
        if text.startswith("*") and self.world.defined(text.strip("*")):
            return f"no file matches {shown(text)}; a list is one source: write {shown(text.strip('*'))}"
        name, equals, value = text.partition("=")
        if equals and name.isidentifier() and free_names(value) and not _missing(value, self.world):
            return f"there is no file {shown(text)}; to bind a name write {shown(value)} as {shown(name)}"
        if missing and len(missing) < len(names or ()) and any(bracket in text for bracket in "([{"):
            return self._undefined(missing[0])
        return self._no_file(root=_root(self.source.code) if missing else "")

    def _no_name_or_file(self) -> str:
        """Say that a plain word is neither."""
        text = shown(self.text)
        before = self.command.clauses[self.at - 1] if self.at else None
        if before and before.target and not self.clause.target:
            return f"{text} is no name and no file here; one name follows each as, and many files bind as one list"
        meant = near(self.text, self.world.names()) or _spelled(near(self.text, self.world.siblings(self.text)))
        return f"{text} is no name and no file here{_did_you_mean(meant)}"

    def _no_file(self, root: str = "") -> str:
        """Say that nothing has this path, or matches it; `root` is the name that Python would need."""
        path = self.world.expand(self.text)
        meant = _spelled(near(path, self.world.siblings(path)))
        if not meant and root:
            name = near(root, self.world.names())
            meant = self.text.replace(root, name, 1) if name else ""
        what = "no file matches" if has_glob(self.text) else "there is no file"
        also = f", and no name {shown(root)}" if root else ""
        return f"{what} {shown(self.text)}{also}{_did_you_mean(meant)}"

    def _undefined(self, name: str) -> str:
        """Say that `name` is not defined; ``name << source`` is jupysql's way to bind."""
        left, arrows, right = self.text.partition("<<")
        if arrows and left.strip() == name:
            return f"{shown(name)} is not defined; to bind a name write {shown(right.strip())} as {shown(name)}"
        return _not_defined(name, self.world)

    def _check_commas(self) -> None:
        """Refuse a path with a comma that was read as several sources."""
        clauses = self.command.clauses
        for first in range(max(0, self.at - 2), self.at + 1):
            for last in range(max(first + 1, self.at), min(len(clauses), first + 4)):
                if any(clause.target for clause in clauses[first:last]):
                    continue
                start, end = clauses[first].source.start, clauses[last].source.end
                path = self.command.line[start:end]
                if self.world.path_kind(self.world.expand(path)):
                    message = f"a path with a comma goes in quotes: {shown(quoted(path))}"
                    raise self.command.error(message, start, end)


def _in_cell(clause: Clause) -> Meaning:
    """Return the file name of a cell, which is never looked up."""
    source = clause.source
    kind: Kind = "python" if source.kind == "python" else "file"
    return Meaning(kind, source.code if kind == "python" else source.text, False, "", source, clause.target)  # noqa: FBT003  a field


def _check_targets(command: Command, meanings: Sequence[Meaning], world: World) -> None:
    """Refuse to bind over what is uploaded, and over imported modules."""
    uploaded = {name for meaning in meanings for name in [_variable(meaning)] if name}
    for clause in command.clauses:
        name = clause.target
        if name and name in uploaded:
            message = f"{shown(name)} holds what is uploaded and would be lost; choose another name, such as {name}_id"
            raise command.error(message, clause.start, clause.end)
        if name and world.defined(name) and world.holds(name) == "module":
            message = f"{shown(name)} is an imported module; choose another name, such as {name}_id"
            raise command.error(message, clause.start, clause.end)


def _variable(meaning: Meaning) -> str:
    """Return the variable that `meaning` is, in parentheses or not; ``""`` if it is more than a variable."""
    if meaning.kind == "name":
        return meaning.value
    names = free_names(meaning.value) if meaning.kind == "python" else None
    return names[0] if names and re.fullmatch(rf"[(\s]*{re.escape(names[0])}[)\s]*", meaning.value) else ""


def _check_name_option(command: Command, meanings: Sequence[Meaning]) -> None:
    """Refuse ``--name`` for what may be several files."""
    for meaning in meanings:
        if "name" in command.options and meaning.many and "one" not in command.options:
            raise command.error(
                f"--name is for one file, and {shown(meaning.value)} may be several", *command.places["name"]
            )


def _missing(code: str, world: World) -> tuple[str, ...]:
    """Return the names that `code` needs and that are neither defined nor builtins; none if it is no Python."""
    return tuple(name for name in free_names(code) or () if name not in BUILTINS and not world.defined(name))


def _not_defined(name: str, world: World) -> str:
    return f"{shown(name)} is not defined{_did_you_mean(near(name, world.names()))}"


def _not_filled_in(text: str) -> str:
    return f'{shown(text)} is not filled in here; write a name, or an f-string: f"{{folder}}/x.csv"'


def _did_you_mean(meant: str) -> str:
    return f"; did you mean {shown(meant)}?" if meant else ""


def _spelled(path: str) -> str:
    """Return `path` as the line has to spell it, in quotes if it needs them."""
    return path if not path or is_word(path) else quoted(path)


def _root(code: str) -> str:
    """Return the name that `code` begins with if it is a chain such as ``a.b[0]``; ``""`` for anything else."""
    tree = parse_expression(code)
    node = tree.body if tree else None
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
