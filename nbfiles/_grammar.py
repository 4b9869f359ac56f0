r"""A magic line as a command: ``%upload df as sales_id`` is read here, and written again by `render`.

Reading never looks at files or names; what a source means is ``_resolve``'s. The grammar is Python's import statement::

    upload   = [ clause { "," clause } ] { option } [ "--" clause { "," clause } ] [ ";" ] [ comment ]
    clause   = source [ "as" NAME ]
    source   = QUOTED | URL | "(" PYTHON ")" | PYTHON with outer spaces | WORD | "--notebook" | "--cells" RANGES
    cell     = ( QUOTED | WORD | FSTRING | "(" PYTHON ")" ) [ "as" NAME ] { option } [ ";" ] [ comment ]
    files    = [ verb ] { id [ "," ] } { option } [ ";" ] [ comment ]
    option   = "--" KEY [ ( "=" | space ) ( WORD | QUOTED | FSTRING | "(" PYTHON ")" ) ]

Options of ``%upload`` also stand before and between clauses, never inside a source or after ``as``. Words, quotes and
brackets are those of ``_words``, options and verbs those of ``_options``. Every error marks its place in the line.
"""

from __future__ import annotations

import re

from nbfiles._caret import caret
from nbfiles._command import Clause, Command, Id, Python, Source, Span, render, settle
from nbfiles._errors import FileNameError, GrammarError
from nbfiles._names import check_filename
from nbfiles._options import PLACES, VERBS, find_option, place_name, verb
from nbfiles._reader import Reader
from nbfiles._words import (
    QUOTES,
    braces,
    free_names,
    is_parenthesised,
    is_string,
    near,
    plain_spaces,
    quoted,
    shell_variable,
    shown,
)

__all__ = [
    "Clause",
    "Command",
    "GrammarError",
    "Id",
    "Python",
    "Source",
    "caret",
    "parse_cell",
    "parse_files",
    "parse_upload",
    "render",
    "settle",
]

_RANGES = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*")


def parse_upload(line: str) -> Command:
    """Read what follows ``%upload``.

    Parameters
    ----------
    line : str
        The text after the magic's name.

    Returns
    -------
    Command
        Its clauses stand in the order they were written.

    Raises
    ------
    GrammarError
        With the whole line and the place in it.
    """
    return _UploadReader(line).read()


def parse_cell(line: str) -> Command:
    """Read what follows ``%%upload`` on its first line; see `parse_upload`."""
    return _CellReader(line).read()


def parse_files(line: str) -> Command:
    """Read what follows ``%files``; see `parse_upload`."""
    return _FilesReader(line).read()


class _UploadReader(Reader):
    """Reads ``%upload``: clauses between commas, with options around them."""

    magic = "upload"

    def __init__(self, body: str) -> None:
        super().__init__(body)
        self.clauses: list[Clause] = []
        self.raw = False
        self.dangling: Span | None = None
        self._open_clause()

    def _open_clause(self) -> None:
        self.words: list[Span] = []
        self.special: Source | None = None
        self.bound: tuple[str, int, int] | None = None
        self.interrupted = False

    def takes_options(self) -> bool:
        """After ``--`` a source may begin with dashes; nothing after its first word may."""
        return not self.raw or bool(self.words)

    def comma(self) -> None:
        """End a clause."""
        at = self.line.at
        if not (self.words or self.special):
            raise self.line.error("a source is missing before this comma", at, at + 1)
        self._close_clause()
        self.dangling = (at, at + 1)
        self.line.at += 1

    def dashes(self) -> None:
        """Take an option, ``--``, or a source that is written as one."""
        line = self.line
        if self._after_operator():
            start, end = line.read_word()
            raise line.error("two minus signs read as an option; put this Python in parentheses", start, end)
        start, end, key = self.read_key()
        if self.raw:
            raise line.error("after -- everything is a source; put options before it", start, end)
        if key in {"notebook", "cells"}:
            self._special(key, start, end)
        elif key:
            line.at = start
            super().dashes()
            self.interrupted = bool(self.words or self.special)
        else:
            if self.words or self.special:
                self._close_clause()
            self.raw = True
            self.dangling = (start, end)

    def _after_operator(self) -> bool:
        """Whether the source so far ends with an operator, as ``x -`` does."""
        return len(self.words) > 1 and not self.interrupted and _is_operator(self._text(self.words[-1]))

    def _special(self, key: str, start: int, end: int) -> None:
        """Take ``--notebook`` or ``--cells RANGES``."""
        line = self.line
        if self.words or self.special:
            raise line.error(f"--{key} is a source of its own; put a comma before it", start, end)
        text = ""
        if key == "cells":
            text, end = self._ranges(start, end)
        elif line.char() == "=":
            raise line.error(f"--{key} takes no value", line.at, line.read_word()[1])
        self.dangling = None
        self.special = Source("cells" if key == "cells" else "notebook", text, start, end)

    def _ranges(self, start: int, end: int) -> tuple[str, int]:
        """Read the RANGES of ``--cells``; return them and where they end. The only value with bare commas."""
        line = self.line
        line.at += line.char() == "="
        line.skip_spaces()
        first = line.at
        found = _RANGES.match(line.text, first)
        last = found.end() if found else first
        if not line.ends_word(last) or first == last:
            while not line.ends_word(last):
                last += 1
            if first == last:
                raise line.error("--cells needs a value: --cells 1-5,8", start, end)
            raise line.error("--cells takes numbers and ranges without spaces: 1-5,8", first, last)
        at = first
        for part in line.text[first:last].split(","):
            low, _, high = part.partition("-")
            if int(low) < 1 or int(high or low) < 1:
                raise line.error("--cells counts from 1", at, at + len(part))
            if high and int(high) < int(low):
                raise line.error(f"--cells {part} runs backwards; write {high}-{low}", at, at + len(part))
            at += len(part) + 1
        line.at = last
        return line.text[first:last], last

    def short(self) -> None:
        """Refuse an option with one dash; ``-o name`` and ``-i name`` are rpy2's way to bind."""
        start = self.line.at
        if not self.words and (self.line.is_bare("-o") or self.line.is_bare("-i")):
            raise self.line.error("write what to upload, then as and a name: df as sales_id", start, start + 2)
        super().short()

    def word(self) -> None:
        """Take a word of a source, or ``as`` and the name after it."""
        line = self.line
        start = line.at
        self.dangling = None
        if line.is_bare("as"):
            self._bind(start)
            return
        if self.bound or self.special:
            raise self._comma_before(*self._next_word())
        if self.interrupted:
            end = self._rest_of_source()
            raise line.error("an option stands inside this source; put options at the end", self.words[0][0], end)
        self.words.append(self._next_word())

    def _next_word(self) -> Span:
        """Take a word; a quote that begins a source begins a quoted word."""
        first = not self.words or self.bound is not None
        return self.line.read_quoted() if first and self.line.char() in QUOTES else self.line.read_word()

    def _rest_of_source(self) -> int:
        """Pass the words up to the next option, comma or ``as``; return where the last ends."""
        end = self.line.at
        while not (self.at_end() or self.line.char() == "," or self.line.is_bare("as")
                   or self.line.text.startswith("--", self.line.at)):  # fmt: skip
            end = self.line.read_word()[1]
        return end

    def _bind(self, start: int) -> None:
        """Take ``as NAME``."""
        line = self.line
        line.at += 2
        if not (self.words or self.special):
            raise line.error("nothing stands before as; write what to upload, then as and a name", start, line.at)
        if self.bound:
            raise line.error("one name for each source; a comma stands before the next source", start, line.at)
        if self.interrupted:
            raise line.error("an option stands before this as; put options at the end", start, line.at)
        self.bound = self.name((start, line.at))
        name, first, last = self.bound
        if any(clause.target == name for clause in self.clauses):
            raise line.error(f"{shown(name)} is bound twice", first, last)

    def _close_clause(self) -> None:
        """Make the clause that ends here."""
        source = self.special or self._source()
        name, start, end = self.bound or (None, 0, 0)
        self.clauses.append(Clause(source, name, start, end))
        self._open_clause()

    def _source(self) -> Source:
        """Tell what kind of source the words are."""
        start, end = self.words[0][0], self.words[-1][1]
        text = self.line.text[start:end]
        if len(self.words) > 1:
            if text[0] in QUOTES:
                raise self._after_quotes()
            if free_names(plain_spaces(text)) is None:
                raise self._not_python(start, end)
            return Source("spaced", text, start, end)
        if text[0] in QUOTES:
            return Source("quoted", text[1:-1], start, end)
        if is_parenthesised(text):
            if free_names(plain_spaces(text)) is None:
                raise self.line.error(
                    "what stands in parentheses is Python, and this is not; a path goes in quotes", start, end
                )
            return Source("python", text, start, end)
        return Source("word", text, start, end)

    def _after_quotes(self) -> GrammarError:
        """Make the error for words after a quoted one."""
        second = self.words[1]
        if _is_operator(self._text(second)):
            return self.line.error("Python that begins with a quote goes in parentheses", *second)
        return self._comma_before(*second)

    def _not_python(self, start: int, end: int) -> GrammarError:
        """Make the error for several words that are no Python: paths, most likely."""
        for span in self.words[1:-1]:
            if self._text(span).casefold() == "as":
                return self.line.error("write as in small letters", *span)
        texts = [self._text(span) for span in self.words]
        if texts[1] == "=" and texts[0].isidentifier():
            source = self.line.text[self.words[min(2, len(texts) - 1)][0] : end]
            return self.line.error(f"to bind a name write {shown(source)} as {shown(texts[0])}", start, end)
        for before, span in zip(texts, self.words[1:], strict=False):
            if not (_is_operator(before) or _is_operator(self._text(span))):
                return self._comma_before(*span)
        return self.line.error("this is not Python, and a path with spaces goes in quotes", start, end)

    def _comma_before(self, start: int, end: int) -> GrammarError:
        word = self.line.text[start:end]
        key, equals, _ = word.partition("=")
        if equals and find_option(key, self.place):
            return self.line.error(f"options start with two dashes: --{key}", start, end)
        return self.line.error(
            f"a comma must stand before {shown(word)}; a path with spaces goes in quotes", start, end
        )

    def _text(self, span: Span) -> str:
        return self.line.text[span[0] : span[1]]

    def finish(self) -> Command:
        """Check what needs the whole line."""
        line = self.line
        if self.words or self.special:
            self._close_clause()
        elif self.dangling:
            before = "this comma" if line.text[self.dangling[0]] == "," else "--"
            raise line.error(f"a source is missing after {before}", *self.dangling)
        if not self.clauses and "help" not in self.options:
            if line.text[self.stop[0] : self.stop[1]] == "#":
                message = "nothing to upload: what follows # is a comment; a path that begins with # goes in quotes"
            else:
                message = "nothing to upload; try %upload report.pdf as report_id, or %upload? for help"
            raise line.error(message, *self.stop)
        if "name" in self.options and len(self.clauses) > 1:
            raise line.error(
                f"--name is for one file, and this line has {len(self.clauses)} sources", *self.places["name"]
            )
        return self.command(clauses=tuple(self.clauses))


class _CellReader(Reader):
    """Reads ``%%upload``: one file name, never looked up."""

    magic = "cell"

    def __init__(self, body: str) -> None:
        super().__init__(body)
        self.source: Source | None = None
        self.bound: tuple[str | None, int, int] = (None, 0, 0)

    def comma(self) -> None:
        """Refuse it."""
        at = self.line.at
        raise self.line.error("the cell is one file; write one file name", at, at + 1)

    def word(self) -> None:
        """Take the file name, or ``as`` and the name after it."""
        line = self.line
        start = line.at
        if line.is_bare("as"):
            line.at += 2
            if self.source is None:
                raise line.error("a file name must stand before as: %%upload notes.md as notes_id", start, line.at)
            if self.bound[0]:
                raise line.error("the cell is one file; write one name", start, line.at)
            self.bound = self.name((start, line.at))
            return
        is_quoted = line.char() in QUOTES
        _, end = line.read_quoted() if is_quoted else line.read_word()
        if self.source:
            raise line.error("the cell is one file; a file name with spaces goes in quotes", start, end)
        self.source = self._filename(start, end, is_quoted=is_quoted)

    def _filename(self, start: int, end: int, *, is_quoted: bool) -> Source:
        """Check the file name that stands at `start` to `end`."""
        text = self.line.text[start:end]
        if not is_quoted and (is_string(text) or is_parenthesised(text)):
            return Source("python", self.python(start, end), start, end)
        if is_quoted:
            text = text[1:-1]
        elif unfilled := braces(text) or shell_variable(text):
            raise self.line.error(
                f'{shown(unfilled)} is not filled in here; write an f-string: f"{{day}}.md"', start, end
            )
        if any(char in text for char in "/\\"):
            raise self.line.error("%%upload takes a file name without folders", start, end)
        try:
            check_filename(text)
        except FileNameError as error:
            raise self.line.error(error.cause, start, end) from None
        return Source("quoted" if is_quoted else "word", text, start, end)

    def finish(self) -> Command:
        """Check what needs the whole line."""
        if self.source is None:
            if "help" in self.options:
                return self.command()
            raise self.line.error("a file name is missing; write %%upload notes.md as notes_id", *self.stop)
        return self.command(clauses=(Clause(self.source, *self.bound),))


class _FilesReader(Reader):
    """Reads ``%files``: a verb, then ids and options."""

    magic = "files"

    def __init__(self, body: str) -> None:
        super().__init__(body)
        self.verb = ""
        self.ids: list[Id] = []
        self.may_take_comma = False

    @property
    def place(self) -> str:
        """The verb; without one, it is ``list``."""
        return self.verb or "list"

    def comma(self) -> None:
        """Take a comma after an id."""
        at = self.line.at
        if not self.may_take_comma:
            raise self.line.error("an id is missing before this comma", at, at + 1)
        self.may_take_comma = False
        self.line.at += 1

    def dashes(self) -> None:
        """Take an option; one that comes first says that the verb is ``list``."""
        self.verb = self.place
        self.may_take_comma = False
        super().dashes()

    def short(self) -> None:
        """Take ``-y``, the only short option."""
        start = self.line.at
        if self.line.is_bare("-y"):
            option = find_option("yes", self.place)
            self.line.at += 2
            if option is None:
                raise self.line.error(f"-y belongs to %files delete, not to {place_name(self.place)}", start, start + 2)
            self.take(option, start, start + 2)
            return
        super().short()

    def word(self) -> None:
        """Take the verb, or an id."""
        line = self.line
        start = line.at
        if line.is_bare("as"):
            raise line.error(f"%files binds no names; write table = {place_name(self.place)}", start, start + 2)
        is_quoted = line.char() in QUOTES
        _, end = line.read_quoted() if is_quoted else line.read_word()
        text = line.text[start:end]
        if not self.verb:
            self._verb(text, start, end)
            return
        self.may_take_comma = True
        if self._verb_takes() == "place":
            self._place(text, start, end)
        else:
            self._id(text, start, end, is_quoted=is_quoted)

    def _verb_takes(self) -> str:
        found = verb(self.verb)
        return found.takes if found else ""

    def _verb(self, text: str, start: int, end: int) -> None:
        """Take the verb `text`."""
        line = self.line
        if verb(text):
            self.verb = text
            self.places["verb"] = (start, end)
            return
        if text == "upload":
            raise line.error("to send files, write %upload", start, end)
        meant = next((v.name for v in VERBS if text.lower() in {v.name, *v.meant}), "") or near(
            text, [v.name for v in VERBS]
        )
        more = not self.at_end() and self.line.char() not in {",", "-"}
        if not text.isidentifier() or text.startswith("file_") or not (meant or more):
            raise line.error(f"say what to do with it: %files info {shown(text)}", start, end)
        ending = f"did you mean %files {meant}?" if meant else f"it knows {', '.join(v.name for v in VERBS)}"
        raise line.error(f"%files knows no {shown(text)}; {ending}", start, end)

    def _place(self, text: str, start: int, end: int) -> None:
        """Take where files go from now on."""
        if text not in PLACES or self.ids:
            meant = near(text, PLACES)
            ending = f"; did you mean {meant}?" if meant and not self.ids else ""
            raise self.line.error(f"%files use takes one of {' and '.join(PLACES)}{ending}", start, end)
        self.ids.append(Id("place", text, start, end))

    def _id(self, text: str, start: int, end: int, *, is_quoted: bool) -> None:
        """Take an id, a file name, or Python that holds ids."""
        here = place_name(self.place)
        if is_quoted:
            made = Id("filename", text[1:-1], start, end)
        elif re.fullmatch(r"file_\w+", text, re.ASCII):
            made = Id("id", text, start, end)
        elif free_names(plain_spaces(text)) is not None:
            made = Id("python", plain_spaces(text), start, end)
        else:
            message = f"{shown(text)} is neither an id nor Python; a file name goes in quotes"
            raise self.line.error(message, start, end)
        if not self._verb_takes():
            advice = ""
            if verb(text):
                advice = f"; the verb stands first: %files {text}"
            elif is_quoted and find_option("match", self.place):
                advice = f"; did you mean --match {quoted(shown(made.text))}?"
            raise self.line.error(f"{here} takes options only{advice}", start, end)
        self.ids.append(made)

    def finish(self) -> Command:
        """Check what needs the whole line."""
        self.verb = self.place
        takes = self._verb_takes()
        if takes and not self.ids and "help" not in self.options:
            if takes == "place":
                message = "%files use needs a place: %files use local, or %files use anthropic"
            else:
                here = place_name(self.verb)
                message = f"{here} needs an id or a name that holds one: {here} report_id"
            raise self.line.error(message, *self.stop)
        return self.command(verb=self.verb, ids=tuple(self.ids))


_OPERATOR_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "lambda", "await", "for"})


def _is_operator(word: str) -> bool:
    """Whether `word` is an operator of Python and nothing else."""
    return word in _OPERATOR_WORDS or (bool(word) and all(char in "+-*/%@<>=!|&^~" for char in word))
