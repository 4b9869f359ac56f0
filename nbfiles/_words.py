"""The words of a magic line: where each begins and ends, what quotes and brackets hide, and what of it is Python.

The rules of characters only; ``_grammar`` knows what the words mean. A word is a run without outer space or comma.
Brackets match and hide spaces, commas and ``;``; strings inside a word follow Python, f-strings with their holes
included (since Python 3.12 a hole may hold the very quotes of its string). A *quoted* word is simpler: it ends at the
next quote of its kind, and a backslash in it is an ordinary character, as Windows paths need it.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import re
import symtable
import warnings
from typing import TYPE_CHECKING, NamedTuple

from nbfiles._errors import GrammarError
from nbfiles._names import is_hidden, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

QUOTES = "\"'"
BUILTINS = frozenset(dir(builtins))

_CLOSER = {"(": ")", "[": "]", "{": "}"}
_CURLY = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b"
# `;` counts where a space or the end follows: a;b.csv is a word. df;; ends like df; (and 9 bound the search).
_SEMICOLONS = re.compile(r";{1,9}(?=\s|\Z)")
_PREFIX = re.compile(r"(?<!\w)(?:[rbu]|[ft]r?|r[bft]|br)\Z", re.IGNORECASE)
_STRING = re.compile(r"(?:[rbu]|[ft]r?|r[bft]|br)[\"']", re.IGNORECASE)
# Two letters or more, so that C:// is a drive. RFC 3986, 3.1.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# {x} before any other bracket or quote, so that neither f({x}) nor a dict counts; and what a shell would fill in.
_BRACES = re.compile(r"[^()\[\]{}\"']*(\{\s*[^\W\d][^{}:,*\"']*\})")
_SHELL = re.compile(r"\$\{?[^\W\d]\w*\}?|%[^\W\d]\w*%")


class _Open(NamedTuple):
    """What is open at some place of a word: a bracket, or a string with its quote."""

    at: int
    closer: str
    string: bool = False
    holes: bool = False
    hint: str = ""


class Line:
    """A magic line, and the place that reading has come to.

    Parameters
    ----------
    magic : str
        What stands in front, such as ``"%upload"``.
    body : str
        What the magic was given.

    Attributes
    ----------
    text : str
        The whole line; every offset counts in it.
    at : int
        Where reading goes on.
    spaces : list of int
        Where spaces stood inside brackets, outside strings.
    closed_at : int
        Where the first bracket that stood in no other was closed; -1: nowhere yet.
    """

    def __init__(self, magic: str, body: str) -> None:
        self.text = f"{magic} {body}" if magic and body else magic + body
        self.at = len(self.text) - len(body)
        self.spaces: list[int] = []
        self.closed_at = -1

    def error(self, message: str, start: int, end: int) -> GrammarError:
        """Make the error that marks ``text[start:end]``."""
        return GrammarError(message, self.text, start, end)

    def skip_spaces(self) -> None:
        """Go to the next character that is no space; any Unicode space is one."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def char(self) -> str:
        """Return the character reading has come to; ``""`` at the end."""
        return self.text[self.at : self.at + 1]

    def semicolons(self, at: int) -> int:
        """Return how many ``;`` stand at `at` if they end a word, else 0."""
        found = _SEMICOLONS.match(self.text, at)
        return len(found[0]) if found else 0

    def ends_word(self, at: int) -> bool:
        """Whether a word cannot go on at `at`."""
        char = self.text[at : at + 1]
        return not char or char == "," or char.isspace() or (char == ";" and self.semicolons(at) > 0)

    def is_bare(self, word: str) -> bool:
        """Whether the next word is exactly `word`."""
        return self.text.startswith(word, self.at) and self.ends_word(self.at + len(word))

    def read_word(self) -> tuple[int, int]:
        """Take the next word and return its span.

        Raises
        ------
        GrammarError
            For brackets and quotes that do not match, curly quotes where a quote would stand, and characters that
            cannot be seen.
        """
        start = self.at
        self.at = self._end_of_word(start, whole=False)
        return start, self.at

    def read_quoted(self) -> tuple[int, int]:
        """Take the quoted word that begins here and return its span, the quotes included.

        Raises
        ------
        GrammarError
            If it is empty, never closed, or goes on after its closing quote.
        """
        start, quote = self.at, self.char()
        end = self.text.find(quote, start + 1) + 1
        if not end:
            raise self.error(f"the quote {quote} is never closed", start, start + 1)
        if not self.ends_word(end):
            stop = end
            while not self.ends_word(stop):
                stop += 1
            raise self.error(
                "text after the closing quote; put the whole path in quotes, or Python in parentheses", end, stop
            )
        if end == start + 2:
            raise self.error("the quotes are empty", start, end)
        self.at = end
        return start, end

    def _end_of_word(self, start: int, *, whole: bool) -> int:
        """Return where the word that begins at `start` ends; `whole` reads to the end of the text."""
        opened: list[_Open] = []
        at = start
        while at < len(self.text):
            if opened and opened[-1].string:
                at = self._in_string(opened, at)
            elif not opened and not whole and self.ends_word(at):
                break
            else:
                at = self._in_code(opened, at, start)
        if opened:
            raise self._unclosed(opened[-1])
        return at

    def _in_string(self, opened: list[_Open], at: int) -> int:
        """Pass one character of a string; return where to go on."""
        string = opened[-1]
        if self.text[at] == "\\":
            return at + 2
        if self.text.startswith(string.closer, at):
            opened.pop()
            return at + len(string.closer)
        if string.holes and self.text.startswith("{{", at):
            return at + 2
        if string.holes and self.text[at] == "{":
            opened.append(_Open(at, "}"))
        return at + 1

    def _in_code(self, opened: list[_Open], at: int, start: int) -> int:
        """Pass one character outside strings, or the quotes that open one; return where to go on."""
        char = self.text[at]
        if char in QUOTES:
            opened.append(self._string(at, start, inside=bool(opened)))
            return at + len(opened[-1].closer)
        if char in _CLOSER:
            opened.append(_Open(at, _CLOSER[char]))
        elif char in ")]}":
            self._close(opened, at)
        elif char in _CURLY and (opened or at == start):
            raise self.error('curly quotes are not quotes here; write "', at, at + 1)
        elif char.isspace():
            self.spaces.append(at)
        elif is_hidden(char):
            raise self.error(
                f"an invisible character, U+{ord(char):04X}, stands here; delete it, or quote the path that holds it",
                at,
                at + 1,
            )
        return at + 1

    def _string(self, at: int, start: int, *, inside: bool) -> _Open:
        """Open the string whose quotes begin at `at`."""
        quote = self.text[at]
        found = _PREFIX.search(self.text[max(start, at - 3) : at])
        prefix = found[0].lower() if found else ""
        in_path = not inside and not prefix and at > start
        return _Open(
            at,
            quote * 3 if self.text.startswith(quote * 3, at) else quote,
            string=True,
            holes="f" in prefix or "t" in prefix,
            hint="; a path that holds a quote goes in the other kind of quotes" if in_path else "",
        )

    def _close(self, opened: list[_Open], at: int) -> None:
        """Close the bracket that is open with the one at `at`."""
        char = self.text[at]
        if not opened:
            raise self.error(f"this {char} closes nothing; a path that holds it goes in quotes", at, at + 1)
        if opened[-1].closer != char:
            raise self.error(f"this {char} does not close the {self.text[opened[-1].at]} before it", at, at + 1)
        opened.pop()
        if not opened and self.closed_at < 0:
            self.closed_at = at

    def _unclosed(self, last: _Open) -> GrammarError:
        """Make the error for what was opened and never closed."""
        char = self.text[last.at]
        if last.string:
            return self.error(f"the quote {char} is never closed{last.hint}", last.at, last.at + 1)
        return self.error(
            f"this {char} is never closed; a magic is one line, and a path that holds it goes in quotes",
            last.at,
            last.at + 1,
        )


def is_word(text: str) -> bool:
    """Whether `text` can stand on a line as one word, without quotes."""
    line = Line("", text)
    try:
        return bool(text) and line.read_word()[1] == len(text)
    except GrammarError:
        return False


def is_parenthesised(word: str) -> bool:
    """Whether the bracket that begins `word` ends it: ``(a)`` does, ``(a)+(b)`` does not. `word` must be a word."""
    line = Line("", word)
    line.read_word()
    return word.startswith("(") and line.closed_at == len(word) - 1


def is_string(word: str) -> bool:
    """Whether `word` begins as a Python string with a prefix: ``f"..."``, ``r'...'``."""
    return _STRING.match(word) is not None


def is_url(text: str) -> bool:
    """Whether `text` begins with ``scheme://``."""
    return _URL.match(text) is not None


def has_glob(text: str) -> bool:
    """Whether `text` holds one of ``* ? [``, the characters of a glob."""
    return any(char in text for char in "*?[")


def braces(word: str) -> str:
    """Return the ``{x}`` of `word` that looks as if it should be filled in, or ``""``."""
    found = _BRACES.match(word)
    return found[1] if found else ""


def shell_variable(word: str) -> str:
    """Return the ``$x`` or ``%X%`` of `word`, or ``""``."""
    found = _SHELL.search(word)
    return found[0] if found else ""


def plain_spaces(code: str) -> str:
    """Return `code` with every space outside its strings as U+0020: Python refuses a pasted non-breaking space."""
    if code.isascii() and code.isprintable():
        return code
    line = Line("", code)
    try:
        line._end_of_word(0, whole=True)  # noqa: SLF001  the same module
    except GrammarError:
        return code
    spaces = set(line.spaces)
    return "".join(" " if at in spaces else char for at, char in enumerate(code))


def parse_expression(code: str) -> ast.Expression | None:
    """Return the syntax tree of `code`, or None if it is not one Python expression."""
    with warnings.catch_warnings():
        # An invalid escape in somebody's string is no concern of ours.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


@functools.lru_cache(maxsize=256)
def free_names(code: str) -> tuple[str, ...] | None:
    """Return the names that `code` takes from outside, in the order they are read.

    Parameters
    ----------
    code : str
        Anything.

    Returns
    -------
    tuple of str or None
        Builtins included, each once, as Python spells them (NFKC). None if `code` is not one Python expression, or
        is one that cannot be evaluated outside a function (``yield``). It is parsed and never run.
    """
    tree = parse_expression(code)
    if tree is None:
        return None
    try:
        table = symtable.symtable(code, "<magic>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return None
    read = _outside(table)
    named = [node for node in nodes if isinstance(node, ast.Name) and node.id in read]
    return tuple(dict.fromkeys(node.id for node in sorted(named, key=lambda node: node.col_offset)))


def _outside(table: symtable.SymbolTable) -> set[str]:
    """Return the names that `table` and the scopes in it read and that none of them binds."""
    found: set[str] = set()
    bound: set[str] = set()
    tables = [table]
    while tables:
        scope = tables.pop()
        tables.extend(scope.get_children())
        for symbol in scope.get_symbols():
            if scope is table and symbol.is_assigned():
                bound.add(symbol.get_name())
            elif symbol.is_global():
                found.add(symbol.get_name())
    return found - bound


def near(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that `word` was probably meant to be, or ``""``; case does not count."""
    if len(word) > 200:  # the comparison is quadratic, and nobody's typo is that long
        return ""
    spelled = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.casefold(), list(spelled), n=1, cutoff=0.6)
    return spelled[found[0]] if found else ""


def shown(text: str) -> str:
    """Return `text` as a message may hold it: nothing hidden in it, and cut in its middle if it is long."""
    return visible(text if len(text) <= 60 else f"{text[:40]}…{text[-16:]}")


def quoted(text: str) -> str:
    r"""Return `text` as a line has to spell it: in the quotes it does not hold, or as ``("a\"b'c")``."""
    for quote in QUOTES:
        if quote not in text:
            return f"{quote}{text}{quote}"
    return f"({text!r})"
