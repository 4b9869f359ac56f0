"""What a format would change or merge: refused by name, or, where nothing is lost that a reader needs, noted.

Loss is that two different cells or columns become the same, or a value changes; a dtype that a text format has no name
for is not loss (the project's rule for every format). Each rule is a question about a column, the words for it, and the
formats that hold what this one cannot.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbfiles._errors import LossError
from nbfiles.sources import _columns as ask
from nbfiles.sources._columns import Column, columns_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

EXCEL_ROWS = 1_048_576  # https://support.microsoft.com/office/excel-specifications-and-limits
EXCEL_COLUMNS = 16_384
EXCEL_TEXT = 32_767

# XML 1.0 has no form for these at all.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a format does not keep.

    Parameters
    ----------
    asks : callable
        Whether a column has it.
    holds : str
        What it has, after "column x holds".
    but : str
        What the format does with it.
    can : tuple of str, default ()
        Formats that keep it, the nearest first.
    """

    asks: ask.Question
    holds: str
    but: str
    can: tuple[str, ...] = ()


_BYTES = Rule(ask.is_bytes, "bytes", "would write like text", ("parquet", "feather"))
_UNITLESS = Rule(ask.is_unitless, "timedeltas without a unit", "cannot tell from numbers")
_INFINITY = Rule(ask.has_infinity, "inf", "has no form for", ("csv", "parquet"))
_BIG = Rule(ask.has_big_whole, "whole numbers beyond 2^53", "readers would round", ("csv", "parquet"))
_BREAKS = Rule(
    ask.has_text(lambda text: "\n" in text or "\r" in text), "line breaks", "has one line a row for", ("csv", "json")
)
_CARRIAGE = Rule(
    ask.has_text(lambda text: "\r" in text), "carriage returns", "would turn into line feeds", ("csv", "json")
)

_TEXTUAL = (_BYTES, _UNITLESS)
_JSON = (_INFINITY, _BIG, _BYTES, _UNITLESS)
_EXCEL = (
    _BYTES,
    _INFINITY,
    _BIG,
    _CARRIAGE,
    Rule(ask.is_duration, "lengths of time", "would write as bare numbers", ("csv", "parquet")),
    Rule(ask.has_zone, "times with a time zone", "has no form for", ("csv", "parquet")),
    Rule(ask.has_fine_time, "times finer than a millisecond", "would round", ("csv", "parquet")),
    Rule(ask.is_before_1900, "dates before 1900", "has no form for", ("csv", "parquet")),
    Rule(ask.is_long_decimal, "decimals of more than 15 digits", "would round", ("csv", "parquet")),
    Rule(ask.is_complex, "complex numbers", "has no form for", ("csv",)),
    Rule(
        ask.has_text(lambda text: len(text) > EXCEL_TEXT),
        f"texts of more than {EXCEL_TEXT:,} characters",
        "would cut",
        ("csv", "parquet"),
    ),
    Rule(
        ask.has_text(lambda text: _NOT_IN_XML.search(text) is not None),
        "characters that XML forbids",
        "has no form for",
        ("csv", "parquet"),
    ),
)

REFUSED: dict[str, tuple[Rule, ...]] = {
    "csv": _TEXTUAL,
    "tsv": _TEXTUAL,
    "json": _JSON,
    "jsonl": _JSON,
    "geojson": _JSON,
    "parquet": (),  # what pyarrow refuses, found while it is written
    "feather": (),
    "xlsx": _EXCEL,
    "html": (*_TEXTUAL, _CARRIAGE),
    "md": (*_TEXTUAL, _BREAKS),
    "txt": (*_TEXTUAL, _BREAKS),
}

_NESTED = Rule(ask.is_nested, "lists or dicts", "are written as Python prints them")
_MIXED = Rule(ask.is_mixed, "values of several types", "are written as they print, without their type")
_PERIOD = Rule(ask.is_period, "periods", "are written as text")
_INTERVAL = Rule(ask.is_interval, "intervals", "are written as text")
_EMPTY = Rule(ask.has_empty_and_missing, "empty texts and missing values", "are written alike")
_ROOMY = Rule(
    ask.has_text(lambda text: text != text.strip()), "texts with spaces at an end", "are written without those spaces"
)
# Characters that pandas takes for space at the end of a cell of HTML, and that have no entity.
_NO_ENTITY = "\x0b\x1c\x1d\x1e\x1f\x85"
_ENDED = Rule(
    ask.has_text(lambda text: text != text.strip(_NO_ENTITY)),
    "texts with control characters at an end",
    "are written without those characters",
)
_PRINTED = (_NESTED, _MIXED, _PERIOD, _INTERVAL, _EMPTY)
_JSON_NOTES = (
    _PERIOD,
    _INTERVAL,
    Rule(ask.is_decimal, "decimals", "are written as text, with all their digits"),
    Rule(ask.is_complex, "complex numbers", "are written as text"),
)
_ARROW_NOTES = (Rule(ask.is_nested, "lists or dicts", "get one Arrow type for the whole column"),)

NOTED: dict[str, tuple[Rule, ...]] = {
    "csv": _PRINTED,
    "tsv": _PRINTED,
    "json": _JSON_NOTES,
    "jsonl": _JSON_NOTES,
    "geojson": _JSON_NOTES,
    "parquet": _ARROW_NOTES,
    "feather": _ARROW_NOTES,
    "xlsx": _PRINTED,
    "html": (*_PRINTED, _ENDED),
    "md": (*_PRINTED, _ROOMY),
    "txt": (*_PRINTED, _ROOMY),
}


def check(frame: pd.DataFrame, format_: str, *, index: bool, lossy: bool, where: str = "") -> tuple[str, ...]:
    """Return the notes for `frame` in the format `format_`.

    Parameters
    ----------
    frame : pandas.DataFrame
        What is to be written.
    format_ : str
        One of the formats' names.
    index : bool
        Whether the index is written.
    lossy : bool
        Whether loss is noted instead of refused.
    where : str, default ""
        Said before a column's name, such as ``sheet x,``.

    Raises
    ------
    LossError
        If the format would lose something and `lossy` is False; it names the column and a format that can.
    """
    columns = columns_of(frame, index=index)
    notes = []
    texts = [*columns, names_of(frame)]
    for cause, can in (*_shape(frame, format_, index=index), *_values(texts, format_)):
        cause = f"{where} {cause}".strip()  # noqa: PLW2901 - the same sentence, with its place
        if not lossy:
            raise LossError(cause, way_out(can))
        notes.append(f"{cause} (written anyway)")
    for rule in NOTED[format_]:
        notes += [f"{column.label}: {rule.holds} {rule.but}" for column in columns if rule.asks(column)]
    return tuple(notes)


def way_out(can: Iterable[str]) -> str:
    """Return what to do about a loss that the formats `can` do not have."""
    others = " or ".join(f"--format {name}" for name in can)
    anyway = "--lossy writes it anyway (lossy=True)."
    return f"Use {others}; {anyway}" if others else f"Convert it first; {anyway}"


def header(name: object) -> str:
    """Return a column's name as a text format writes it; nothing for a name that is missing."""
    import pandas as pd

    return "" if pd.isna(name) is True else str(name)  # type: ignore[call-overload]  # a name may be anything


def names_of(frame: pd.DataFrame) -> Column:
    """Return the names of the columns as a column, since what a format does to texts it does to them."""
    import pandas as pd

    return Column("the name of a column", pd.Series([header(name) for name in frame.columns], dtype=object))


def _values(columns: list[Column], format_: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    for rule in REFUSED[format_]:
        for column in columns:
            if rule.asks(column):
                can = tuple(name for name in rule.can if name != format_)
                yield f"{column.label} holds {rule.holds}, which {format_} {rule.but}", can


def _shape(frame: pd.DataFrame, format_: str, *, index: bool) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Yield what is wrong with the names of the columns, or with how many rows and columns there are."""
    import pandas as pd

    arrow = format_ in {"parquet", "feather"}
    if isinstance(frame.columns, pd.MultiIndex):
        if not arrow and format_ != "html":
            first = shown(frame.columns[0] if len(frame.columns) else frame.columns.names)
            yield f"column {first} has a name of several levels, which {format_} has no form for", ("parquet", "html")
    else:
        twice = _first_twice(frame, format_, index=index)
        if twice is not None:
            yield f"column {shown(twice)} is there twice, and {format_} readers could not tell which is which", ()
    if not index and not len(frame.columns) and (len(frame) or not arrow):
        yield f"the frame has no columns, so {format_} would lose its rows", ()
    if format_ in {"json", "jsonl"} and not len(frame) and len(frame.columns):
        first = shown(frame.columns[0])
        yield f"the frame has no rows, so {format_} would lose column {first} and all others", ("csv", "parquet")
    if format_ == "xlsx":
        yield from _too_big(frame, index=index)


def _first_twice(frame: pd.DataFrame, format_: str, *, index: bool) -> str | None:
    names = [header(name) for name in frame.columns]
    if index and format_ not in {"parquet", "feather"}:  # Arrow keeps the index apart
        names = [header(name) for name in frame.index.names if name is not None] + names
    # Where columns are laid out with spaces, those at the ends of a name are nobody's.
    told_apart = [name.strip() for name in names] if format_ in {"md", "txt"} else names
    counts = Counter(told_apart)
    return next((name for name, told in zip(names, told_apart, strict=True) if counts[told] > 1), None)


def _too_big(frame: pd.DataFrame, *, index: bool) -> Iterable[tuple[str, tuple[str, ...]]]:
    if len(frame) + 1 > EXCEL_ROWS:
        yield f"the frame has {len(frame):,} rows, and a sheet holds {EXCEL_ROWS:,}", ("csv", "parquet")
    width = len(frame.columns) + (frame.index.nlevels if index else 0)
    if width > EXCEL_COLUMNS:
        last = shown(frame.columns[EXCEL_COLUMNS - 1])
        yield f"the frame has {width:,} columns, and a sheet ends at column {last}", ("csv", "parquet")


def refusal(column: str, holds: str, format_: str, but: str, can: Iterable[Any]) -> LossError:
    """Return the LossError for something that is only seen while it is written."""
    return LossError(f"{column} holds {holds}, which {format_} {but}", way_out(can))


def without_controls(text: str) -> str:
    """Return `text` without the characters that XML, and so a workbook, has no form for."""
    return _NOT_IN_XML.sub("", text)
