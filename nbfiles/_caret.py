"""caret: an error of the grammar as a person reads it, with its place marked below the line."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from nbfiles._names import is_hidden, visible

if TYPE_CHECKING:
    from nbfiles._command import Span
    from nbfiles._errors import GrammarError

# What an error shows of a long line, in columns; a notebook's output has about this many.
WIDTH = 100


def caret(error: GrammarError) -> str:
    """Return the message of `error`, its line, and a line of ``^`` under the marked place.

    Parameters
    ----------
    error : GrammarError
        Any; a place outside its line is moved into it.

    Returns
    -------
    str
        Three lines. Wide characters count two columns and combining ones none (Unicode East Asian Width), hidden ones
        are written as their code points, and a long line is cut around the place.

    Examples
    --------
    >>> try:
    ...     parse_upload("a.csv b.csv")
    ... except GrammarError as error:
    ...     print(caret(error))
    a comma must stand before b.csv; a path with spaces goes in quotes
      %upload a.csv b.csv
                    ^^^^^
    """
    start = max(0, min(error.start, len(error.line)))
    end = max(start, min(error.end, len(error.line)))
    cells = [_cell(char) for char in error.line]
    first, last = _window([width for _, width in cells], start, end)
    before = "…" * (first > 0)
    text = before + "".join(shown for shown, _ in cells[first:last]) + "…" * (last < len(cells))
    column = len(before) + sum(width for _, width in cells[first:start])
    marked = sum(width for _, width in cells[start : min(end, last)])
    return f"{visible(str(error))}\n  {text}\n  {' ' * column}{'^' * max(1, marked)}"


def _cell(char: str) -> tuple[str, int]:
    """Return how `char` is shown, and how many columns that takes."""
    if char == "\t":
        return " ", 1
    if is_hidden(char):
        return visible(char), len(visible(char))
    if unicodedata.category(char) in {"Mn", "Me"}:
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _window(widths: list[int], start: int, end: int) -> Span:
    """Return which characters to show so that ``start`` is seen, as much to `end` as fits, and text around both."""
    if sum(widths) <= WIDTH:
        return 0, len(widths)
    first = last = start
    room = WIDTH - 2
    while last < min(end, len(widths)) and room >= widths[last]:
        room -= widths[last]
        last += 1
    while first > 0 and room >= widths[first - 1] and (room > WIDTH // 3 or last >= len(widths)):
        first -= 1
        room -= widths[first]
    while last < len(widths) and room >= widths[last]:
        room -= widths[last]
        last += 1
    while first > 0 and room >= widths[first - 1]:
        first -= 1
        room -= widths[first]
    return first, last
