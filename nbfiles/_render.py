"""Pieces of output: one thing to say, as text for a terminal and as HTML for a notebook.

A ``Piece`` holds both. Pieces are made from plain strings, and a string is escaped on its way in, always: whoever
writes a receipt or a table joins pieces and cannot forget it. What was named by a person or sent by a server

* never becomes markup: ``<``, ``&`` and quotes are escaped, and it stands in no attribute but ``title``;
* never drives a terminal and never moves other text: characters that are not seen are written as ``<U+202E>``, with a
  border in HTML, and a name is isolated from the direction of the text around it.

The HTML reads well where a host strips ``<style>``, classes or scripts (an untrusted notebook, GitHub, an e-mail): it
is paragraphs and real tables, with whole ids, and no icon carries a meaning of its own.
"""

from __future__ import annotations

import functools
import html
import importlib.resources
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nbfiles._names import ending_of, is_hidden, mark, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_BREAK = "\u00a0"
DASH = "–"  # noqa: RUF001  # nothing to show here; a hyphen would read as a minus sign
ELLIPSIS = "…"
# Rows of a table that are shown; more would push the notebook away, and the frame holds them all.
MAX_SHOWN = 20

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Shapes of 16 by 16, drawn with a line. Size and stroke stand on the element too, for hosts that strip the stylesheet.
_ICONS = {
    "done": ("ok", "M3 8.5l3.2 3.2L13 5"),
    "failed": ("bad", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3.6M8 10.9v.2"),
    "warning": ("warn", "M8 2.5 14.2 13.5H1.8zM8 6.5v3.2M8 11.6v.1"),
    "plan": ("dim", "M3 4.5h10M3 8h10M3 11.5h6"),
    "local": ("dim", "M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5"),
}
# A part of a line up to this long is kept on one line, so that lines break after the dots.
_KEPT_TOGETHER = 32
_CODE_COLUMNS, _NAME_COLUMNS, _WORD_COLUMNS = 60, 48, 32
_TAIL_COLUMNS = 14


@dataclass(frozen=True, slots=True)
class Piece:
    """The same words twice.

    Parameters
    ----------
    text : str
        For a terminal or a log: no character that is not seen.
    html : str
        Markup that this module wrote. Only `element` and the functions here make it; `piece` escapes a string.
    """

    text: str
    html: str

    def __add__(self, other: Piece | str) -> Piece:
        """Put `other` after this piece; a string is escaped."""
        after = piece(other)
        return Piece(self.text + after.text, self.html + after.html)

    def __radd__(self, other: str) -> Piece:
        """Put the string `other`, escaped, before this piece."""
        return piece(other) + self


NOTHING = Piece("", "")
DOT = Piece(f"{NO_BREAK}· ", f'{NO_BREAK}<span class="dim">·</span> ')


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a `grid`: its header, the class of its cells, and whether it holds figures (then right-aligned)."""

    header: str
    cls: str = ""
    figures: bool = False


# ---- making pieces ---------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Return `text` as HTML for content and for quoted attributes alike, hidden characters written ``<U+202E>``."""
    return html.escape(visible(text), quote=True)


def piece(words: Piece | str) -> Piece:
    """Return `words` as a piece: one that is one already as it stands, a string escaped and marked."""
    return words if isinstance(words, Piece) else Piece(visible(words), _marked(words))


def element(tag: str, *children: Piece | str, cls: str = "", title: str | None = None, **attributes: str) -> Piece:
    """Wrap `children` in an HTML element; their text stays as it is.

    Parameters
    ----------
    tag : str
        The element's name. It and the names of attributes come from our code, never from data.
    *children : Piece or str
        What stands inside; strings are escaped.
    cls : str, default ""
        Its classes, of our stylesheet.
    title : str or None, default None
        Shown on hover: the one attribute that may hold what a person or a server wrote.
    **attributes : str
        Further ones; ``_`` stands for ``-``, as in ``aria_label``.
    """
    inner = joined(children)
    given = {"class": cls or None, "title": title, **attributes}
    written = "".join(
        f' {key.replace("_", "-")}="{escape(value)}"' for key, value in given.items() if value is not None
    )
    return Piece(inner.text, f"<{tag}{written}>{inner.html}</{tag}>")


def joined(pieces: Iterable[Piece | str], between: Piece | str = NOTHING) -> Piece:
    """Put `pieces` one after the other, with `between` between them."""
    made = [piece(item) for item in pieces]
    link = piece(between)
    return Piece(link.text.join(item.text for item in made), link.html.join(item.html for item in made))


def dotted(parts: Iterable[Piece | str]) -> Piece:
    """Join the parts of a line with dots; short parts are not broken, so the line wraps after a dot."""
    made = [piece(part) for part in parts]
    return joined([element("span", part, cls="nw") if len(part.text) <= _KEPT_TOGETHER else part for part in made], DOT)


def code(text: str) -> Piece:
    """Show `text`, something to type or a file name within a sentence, in the code font and isolated."""
    cls = "nbf-code nw" if len(text) <= _KEPT_TOGETHER else "nbf-code"
    return element("code", element("bdi", _fitted(text, _CODE_COLUMNS)), cls=cls)


def codes(texts: Iterable[str]) -> Piece:
    """Show several with commas between them."""
    return joined([code(text) for text in texts], ", ")


def blocks(text: str) -> Piece:
    """Show the content blocks of a file, ``"container_upload, document"``: the choice first, as a chip."""
    choice, comma, others = text.partition(", ")
    return element("span", choice, cls="nbf-chip") + element("span", comma + others, cls="dim")


def nothing() -> Piece:
    """Show that a cell is empty."""
    return element("span", DASH, cls="dim")


def icon(name: str) -> Piece:
    """Draw an ornament: ``done``, ``failed``, ``warning``, ``plan`` or ``local``. The words beside it say the same."""
    tone, path = _ICONS[name]
    return Piece(
        "",
        f'<svg class="i {tone}" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" '
        f'aria-hidden="true"><path d="{path}"/></svg>',
    )


# ---- names -----------------------------------------------------------------------------------------------------------


def word(text: str) -> Piece:
    """Show a long word whose beginning says the most, such as a MIME type: its cell may cut it at the end."""
    return Piece(_fitted(text, _WORD_COLUMNS), element("bdi", text, title=text).html)


def name(text: str) -> Piece:
    """Show a file name such that its ending is seen at any width.

    In HTML it is one text in two spans, and the first gives way; the whole stands in ``title``. In text it is cut in
    its middle to at most 48 columns.
    """
    head, tail = _split(text, len(_ending(text)) + 4)
    return Piece(_fitted(text, _NAME_COLUMNS), _two_spans(head, tail, "nbf-name", _columns_of(tail)))


def ident(text: str) -> Piece:
    """Show a file id: in HTML it may give way to its last 6 characters, in text it is never shortened."""
    head, tail = _split(text, 6)
    return Piece(visible(text), _two_spans(head, tail, "nbf-name mono", len(visible(tail))))


def _two_spans(head: str, tail: str, cls: str, columns: float) -> str:
    """Write one isolated text as two spans; `columns` is what the second needs, in widths of a ``0``."""
    spans = element("span", head, cls="h") + element("span", tail, cls="t")
    return element("bdi", spans, cls=cls, title=head + tail, style=f"--t:{columns:.4g}").html


def _ending(text: str) -> str:
    """Return the ending of the file name `text`, or ``""`` where a dot begins no short ending."""
    ending = ending_of(text)
    return ending if len(ending) <= 10 else ""


def _split(text: str, keep: int) -> tuple[str, str]:
    """Cut `text` before its last `keep` characters, fewer if they are wide; never between a letter and its accent."""
    cut, columns = len(text), 0
    while cut and len(text) - cut < keep:
        columns += width(_shown(text[cut - 1]))
        if columns > _TAIL_COLUMNS:
            break
        cut -= 1
    while cut and cut < len(text) and width(text[cut]) == 0:
        cut -= 1
    return text[:cut], text[cut:]


def _columns_of(tail: str) -> float:
    """Estimate the width of `tail` in widths of a ``0`` of a proportional font; generous, for it must not be cut."""
    return sum(_letter(char) for char in tail)


def _letter(char: str) -> float:
    if is_hidden(char):
        return 0.9 * len(mark(char)) + 1.2
    if char in "iljtfrI.,:;'|!()[] -":
        return 0.65
    if char in "mwMW@%":
        return 1.6
    return 2.0 if width(char) == 2 else 1.2 if char.isupper() else 1.05


def _fitted(text: str, columns: int) -> str:
    """Return `text`, marked, in at most `columns` columns: cut in the middle, its ending kept."""
    shown = [_shown(char) for char in text]
    widths = [width(each) for each in shown]
    if sum(widths) <= columns:
        return "".join(shown)
    tail = _split(text, len(_ending(text)) + 4)[1]
    room = columns - 1 - sum(widths[len(text) - len(tail) :])
    kept = 0
    for at, each in enumerate(widths):
        room -= each
        if room < 0:
            kept = at
            break
    return "".join(shown[:kept]) + ELLIPSIS + visible(tail)


def _shown(char: str) -> str:
    return mark(char) if is_hidden(char) else char


_MARK = re.compile(r"(<U\+[0-9A-F]{4,6}>)")


def _marked(text: str) -> str:
    """Return `text` as HTML content with a border around each mark, also those that a message brought along."""
    parts = _MARK.split(visible(text))
    return "".join(
        f'<span class="nbf-cc">{html.escape(part)}</span>' if at % 2 else html.escape(part, quote=True)
        for at, part in enumerate(parts)
    )


# ---- figures and times -----------------------------------------------------------------------------------------------


def size(count: int) -> str:
    """Write a number of bytes, decimal, with 3 significant digits: ``96 B``, ``412 kB``, ``24.1 MB``, ``1.21 GB``."""
    if count < 1000:
        return f"{count}{NO_BREAK}B"
    value, units = count / 1000, iter(("kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and (larger := next(units, None)):
        value, unit = value / 1000, larger
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{NO_BREAK}{unit}"


def sized(count: int) -> Piece:
    """Show `size`, with the exact number of bytes on hover."""
    return element("span", size(count), title=f"{count:,} {'byte' if count == 1 else 'bytes'}")


def counted(count: int, noun: str) -> str:
    """Write ``1 file``, ``4 files``, ``1,902 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write a length of time that has passed: ``38 ms``, ``1.9 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 0.0995:
        return f"{max(round(seconds * 1000), 1)}{NO_BREAK}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}{NO_BREAK}s"
    if seconds < 59.5:
        return f"{seconds:.0f}{NO_BREAK}s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}{NO_BREAK}min" + (f" {rest}{NO_BREAK}s" if rest else "")
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours}{NO_BREAK}h" + (f" {rest}{NO_BREAK}min" if rest else "")


def remaining(seconds: float) -> str:
    """Write what is left: ``8 s left``, ``4 min left``, ``2 h left``; always rounded up, so that nobody is let down."""
    if seconds <= 59:
        return f"{max(math.ceil(seconds), 1)}{NO_BREAK}s left"
    if seconds <= 59 * 60:
        return f"{math.ceil(seconds / 60)}{NO_BREAK}min left"
    return f"{math.ceil(seconds / 3600)}{NO_BREAK}h left"


def ago(when: datetime, now: datetime) -> str:
    """Write a time that has passed: ``just now``, ``3 min ago``, ``yesterday``, ``12 Oct``, ``12 Oct 2024``.

    Parameters
    ----------
    when : datetime.datetime
        With its time zone. A little ahead of `now` is ``just now``: two machines, two clocks.
    now : datetime.datetime
        With the reader's time zone, which decides what yesterday is.
    """
    seconds = (now - when).total_seconds()
    if -3600 < seconds < 60:
        return "just now"
    if 0 < seconds < 3600:
        return f"{int(seconds // 60)}{NO_BREAK}min ago"
    if 0 < seconds < 86_400:
        return f"{counted(int(seconds // 3600), 'hour')} ago"
    there = when.astimezone(now.tzinfo)
    days = (now.date() - there.date()).days
    if days == 1:
        return "yesterday"
    if 1 < days < 7:
        return f"{days} days ago"
    date = f"{there.day}{NO_BREAK}{_MONTHS[there.month - 1]}"
    return date if there.year == now.year else f"{date} {there.year}"


def until(when: datetime, now: datetime) -> str:
    """Write a time ahead: ``in 20 min``, ``in 3 hours``, ``in 7 days``; ``expired`` once it has passed."""
    seconds = (when - now).total_seconds()
    if seconds <= 0:
        return "expired"
    if seconds < 3570:
        return f"in {max(int(seconds / 60 + 0.5), 1)}{NO_BREAK}min"
    if seconds < 172_800 - 1800:
        return f"in {counted(int(seconds / 3600 + 0.5), 'hour')}"
    return f"in {counted(int(seconds / 86_400 + 0.5), 'day')}"


def moment(words: str, when: datetime) -> Piece:
    """Show `words` about the time `when`, which stands in full on hover and for machines."""
    exact = when.astimezone(UTC).replace(microsecond=0)
    return element("time", words, title=exact.isoformat(" "), datetime=exact.isoformat())


def present() -> datetime:
    """Return the time now, in the zone of whoever reads."""
    return datetime.now().astimezone()


# ---- whole outputs ---------------------------------------------------------------------------------------------------


def width(text: str) -> int:
    """Count the columns of a terminal that `text` takes: 2 for a wide character, 0 for an accent on its letter."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in {"Mn", "Me"} else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def grid(columns: Sequence[Column], rows: Sequence[Sequence[Piece]], label: str) -> Piece:
    """Draw a table: in HTML a real one in a box that scrolls sideways, in text aligned columns.

    Parameters
    ----------
    columns : sequence of Column
        What stands above, and how its cells look.
    rows : sequence of sequence of Piece
        The cells, as many in each row as there are columns.
    label : str
        What a screen reader calls the box.
    """
    head = [_cell("th", piece(column.header), column, scope="col") for column in columns]
    body = [[_cell("td", cell, column) for column, cell in zip(columns, row, strict=True)] for row in rows]
    table = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *(element("tr", *row) for row in body)),
        cls="nbf-t",
    )
    box = element("div", table, cls="nbf-scroll", role="region", aria_label=label, tabindex="0")
    return Piece(_aligned(columns, rows), box.html)


def _cell(tag: str, inside: Piece, column: Column, **attributes: str) -> Piece:
    if column.figures:
        return element(tag, inside, cls="num", align="right", **attributes)
    return element(tag, inside, cls=column.cls, **attributes)


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[Piece]]) -> str:
    """Write the cells' text in columns, two spaces apart, figures to the right."""
    texts = [[visible(column.header) for column in columns], *([cell.text for cell in row] for row in rows)]
    widths = [max(width(row[at]) for row in texts) for at in range(len(columns))]
    lines = []
    for row in texts:
        padded = (
            " " * (most - width(text)) + text if column.figures else text + " " * (most - width(text))
            for column, text, most in zip(columns, row, widths, strict=True)
        )
        lines.append("  ".join(padded).rstrip(" "))
    return "\n".join(lines)


def lines(*blocks: Piece) -> Piece:
    """Put blocks below each other; in text, those that say nothing there leave no empty line."""
    return Piece("\n".join(block.text for block in blocks if block.text), "".join(block.html for block in blocks))


def output(*blocks: Piece) -> Piece:
    """Wrap the blocks of one output, with the stylesheet they need. No dollar in a name begins a formula."""
    # The first is for MathJax 3 and later (JupyterLab), the second for MathJax 2 (nbconvert).
    return element("div", Piece("", stylesheet()), lines(*blocks), cls="nbf mathjax_ignore tex2jax_ignore")


@functools.cache
def css() -> str:
    """Return the rules that every output of ours needs, without comments."""
    rules = importlib.resources.files("nbfiles").joinpath("_style.css").read_text("utf-8")
    rules = re.sub(r"/\*.*?\*/", "", rules, flags=re.DOTALL)
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"\s+", " ", rules)).strip()


def stylesheet() -> str:
    """Return the ``<style>`` element that every output carries: an output is saved, moved and cleared alone."""
    return f"<style>{css()}</style>"
