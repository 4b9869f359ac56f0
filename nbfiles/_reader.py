"""Reader: reads a magic line from left to right; the part that all magics share, which is options and the end.

``_grammar`` has one kind of it for each magic.
"""

from __future__ import annotations

import abc
from types import MappingProxyType
from typing import Any, NamedTuple

from nbfiles._command import Command, Python, Span, check_name
from nbfiles._errors import GrammarError, InputError
from nbfiles._options import (
    MAGICS,
    OPTIONS,
    SECRETS,
    Magic,
    Option,
    find_option,
    meant_option,
    options_for,
    place_name,
)
from nbfiles._words import (
    QUOTES,
    Line,
    braces,
    free_names,
    is_parenthesised,
    is_string,
    plain_spaces,
    shell_variable,
    shown,
)


class _Value(NamedTuple):
    """The argument of an option, as it was written."""

    text: str
    python: bool
    start: int
    end: int


class Reader(abc.ABC):
    """Reads a line from left to right: the part that all magics share, which is options and the end."""

    magic: Magic

    def __init__(self, body: str) -> None:
        self.line = Line(MAGICS[self.magic], body)
        self.options: dict[str, Any] = {}
        self.places: dict[str, Span] = {}
        self.given: set[str] = set()
        self.keys: set[str] = set()
        self.hidden = False
        self.stop: Span = (0, 0)

    @property
    def place(self) -> str:
        """Whose options count here."""
        return self.magic

    def read(self) -> Command:
        """Read the whole line."""
        while not self.at_end():
            if self.line.char() == ",":
                self.comma()
            elif self.line.text.startswith("--", self.line.at) and self.takes_options():
                self.dashes()
            elif self._one_dash() and self.takes_options():
                self.short()
            else:
                self.word()
        return self.finish()

    def at_end(self) -> bool:
        """Go to the next word; whether there is none. Takes the ``;`` and leaves the comment."""
        line = self.line
        line.skip_spaces()
        start = line.at
        if count := line.semicolons(start):
            line.at += count
            line.skip_spaces()
            if line.char() not in {"", "#"}:
                raise line.error("one magic a line: put what follows the ; on a line of its own", start, start + 1)
            self.hidden = True
            self.stop = (start, start + 1)
            return True
        self.stop = (start, start + len(line.char()))
        return line.char() in {"", "#"}

    def takes_options(self) -> bool:
        """Whether dashes begin an option here."""
        return True

    @abc.abstractmethod
    def comma(self) -> None:
        """Take a comma."""

    @abc.abstractmethod
    def word(self) -> None:
        """Take a word that is no option."""

    @abc.abstractmethod
    def finish(self) -> Command:
        """Check the whole, and make it a command."""

    def command(self, **parts: Any) -> Command:
        """Make the command, with what all magics share."""
        return Command(
            self.magic,
            options=MappingProxyType(self.options),
            hidden=self.hidden,
            line=self.line.text,
            places=MappingProxyType(self.places),
            **parts,
        )

    def dashes(self) -> None:
        """Take an option and its argument."""
        start, end, key = self.read_key()
        if not key:
            raise self.line.error("-- means nothing here; what begins with dashes goes in quotes", start, end)
        option = find_option(key, self.place)
        if option is None:
            raise self.unknown(key, start, end)
        self.take(option, start, end)

    def read_key(self) -> tuple[int, int, str]:
        """Take ``--key`` and return its span and the key; reading goes on at the ``=`` or after it."""
        line = self.line
        start = line.at
        end = start + 2
        while line.text[end : end + 1] == "-" or line.text[end : end + 1].isidentifier():
            end += 1
        if line.ends_word(end) or (line.text[end] == "=" and end > start + 2):
            line.at = end
        else:
            end = line.read_word()[1]
        return start, end, line.text[start + 2 : end]

    def take(self, option: Option, start: int, end: int) -> None:
        """Read the argument of `option`, whose key stands at `start` to `end`, and note it."""
        if option.key in self.given and not option.repeatable:
            raise self.line.error(f"{option.flag} is given twice", start, end)
        if option.name in self.options and not option.repeatable:
            raise self.line.error("--index and --no-index exclude each other", start, end)
        value: Any
        if option.metavar:
            read = self._argument(option, start, end)
            end = read.end
            value = self._checked(option, read)
        elif self.line.char() == "=":
            stop = self.line.read_word()[1]
            raise self.line.error(f"{option.flag} takes no value", end, stop)
        else:
            value = option.value
        if option.repeatable:
            value = (*self.options.get(option.name, ()), value)
        self.given.add(option.key)
        self.options[option.name] = value
        self.places.setdefault(option.name, (start, end))

    def _argument(self, option: Option, start: int, end: int) -> _Value:
        """Read the argument of `option`."""
        line = self.line
        if line.char() == "=":
            line.at += 1
            missing = line.ends_word(line.at)
        else:
            line.skip_spaces()
            missing = (
                line.ends_word(line.at)
                or line.char() == "#"
                or line.text.startswith("--", line.at)
                or line.is_bare("as")
                or line.is_bare("=")
            )
        if missing:
            raise line.error(f"{option.flag} needs a value: {option.usage}", start, end)
        if line.char() in QUOTES:
            first, last = line.read_quoted()
            return _Value(line.text[first + 1 : last - 1], False, first, last)  # noqa: FBT003  a field, not a switch
        first, last = line.read_word()
        text = line.text[first:last]
        python = is_string(text) or is_parenthesised(text)
        if python:
            text = self.python(first, last)
        elif unfilled := self._unfilled(option, text):
            raise line.error(f"{shown(unfilled)} is not filled in here; write an f-string",
                             *_within(line.text, unfilled, first))  # fmt: skip
        return _Value(text, python, first, last)

    @staticmethod
    def _unfilled(option: Option, text: str) -> str:
        """Return the ``{x}`` or ``$x`` in `text` that nobody fills in; in ``--opt`` they are the writer's."""
        return "" if option.key == "opt" else braces(text) or shell_variable(text)

    def _checked(self, option: Option, value: _Value) -> Any:
        """Check an argument; Python is checked when it has a value (`settle`)."""
        if value.python:
            return Python(value.text, value.start, value.end)
        try:
            checked = option.read(option.flag, value.text)
        except InputError as error:
            raise self.line.error(str(error), value.start, value.end) from None
        if option.key == "opt" and checked[0] in self.keys:
            raise self.line.error(f"{option.flag} {shown(checked[0])} is given twice", value.start, value.end)
        if option.key == "opt":
            self.keys.add(checked[0])
        return checked

    def python(self, start: int, end: int) -> str:
        """Return the Python that stands at `start` to `end`."""
        code = plain_spaces(self.line.text[start:end])
        if free_names(code) is None:
            raise self.line.error("this is not Python; a path goes in quotes", start, end)
        return code

    def unknown(self, key: str, start: int, end: int) -> GrammarError:
        """Make the error for the option ``--key``, which does not exist here."""
        if key.lower() in SECRETS:
            # The key itself is left out of the error: it would be saved with the notebook once more.
            return GrammarError(
                "a key on a line is saved with the notebook; use nbfiles.login() or ANTHROPIC_API_KEY",
                f"{self.line.text[:end]} …",
                start,
                end,
            )
        flag = shown(f"--{key}")
        meant = meant_option(key, self.place)
        theirs = meant is not None and key in meant.meant
        owner = next((option.on[0] for option in OPTIONS if option.key == key), "")
        if owner or key in {"notebook", "cells"}:
            message = f"{flag} belongs to {place_name(owner or 'upload')}, not to {place_name(self.place)}"
        else:
            message = f"there is no option {flag}; {MAGICS[self.magic]} --help lists them"
        if meant and (theirs or not owner):
            message = f"there is no option {flag}; did you mean {meant.flag}?"
        return self.line.error(message, start, end)

    def _one_dash(self) -> bool:
        """Whether a single dash and a letter stand here: the short options of other tools."""
        letter = self.line.text[self.line.at + 1 : self.line.at + 2]
        return self.line.char() == "-" and letter.isalpha()

    def short(self) -> None:
        """Refuse an option with one dash."""
        start, end = self.line.read_word()
        word = self.line.text[start:end]
        meant = meant_option(word[1:].partition("=")[0], self.place) if len(word) > 2 else self._letter(word[1:])
        advice = f"did you mean {meant.flag}?" if meant else "options have two."
        raise self.line.error(f"{shown(word)} has one dash: {advice} Python goes in parentheses", start, end)

    def _letter(self, letter: str) -> Option | None:
        """Return the option that other tools write with this letter."""
        return next((option for option in options_for(self.place) if letter in option.meant), None)

    def name(self, after: Span) -> tuple[str, int, int]:
        """Read the NAME that follows the ``as`` at `after`."""
        line = self.line
        line.skip_spaces()
        if line.ends_word(line.at) or line.char() == "#" or line.text.startswith("--", line.at):
            raise line.error("a name must follow as: as report_id", *after)
        if line.char() in QUOTES:
            start, end = line.read_quoted()
            raise line.error("a name stands without quotes: as report_id", start, end)
        start, end = line.read_word()
        try:
            return check_name(line.text[start:end]), start, end
        except InputError as error:
            raise line.error(str(error), start, end) from None


def _within(text: str, part: str, start: int) -> Span:
    """Return the span of `part` in `text` from `start` on."""
    at = text.index(part, start)
    return at, at + len(part)
