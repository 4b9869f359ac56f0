"""CSV and TSV: what ``DataFrame.to_csv`` writes, byte for byte, in row chunks.

Two ways lead to the same file. `_csv_cells` makes the cells by pyarrow, at a tenth of the cost; columns that only
pandas knows how to write go through ``to_csv`` beside them (`_Run`). A frame of such columns, a short one, and options
that change more than the separator go through ``to_csv`` as a whole.

Two things differ from calling ``to_csv`` chunk by chunk, and both are needed for an equal file. pandas chooses how
precisely a column of times is written for every call anew, so the finest value of each such column goes in front of
every chunk and is cut off again. And a text with a carriage return is quoted, because ``to_csv`` leaves it bare up to
Python 3.12 and ``read_csv`` then breaks the row there.
"""

from __future__ import annotations

import codecs
import csv
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import visible
from nbfiles.sources._csv_cells import Texts, cells_of, index_cells
from nbfiles.sources._csv_texts import MEMBERS, QUOTE, holds, joined, lines_of, quoted
from nbfiles.sources._csv_times import fineness

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._csv_cells import Cells
    from nbfiles.sources._table import Table

OPTIONS = frozenset(
    {"sep", "na_rep", "float_format", "header", "index_label", "quoting", "quotechar", "doublequote", "escapechar",
     "lineterminator", "date_format", "decimal", "encoding"}
)  # fmt: skip

FEW_ROWS = 1000  # below, pandas is as quick: pyarrow must look at each column first
# Arrow's cells are small beside pandas' Python objects, so more make a chunk: so many times; rows at least and most.
_MORE, _LEAST, _MOST = 2, 1 << 9, 1 << 16
_SEPARATORS = frozenset(",;\t|")  # none of them stands in a number or a time
_UTF_8 = {"utf-8", "utf-8-sig"}  # the same after the byte order mark
# What the cells of `_csv_cells` are made for; the header, with its labels, is always written by pandas.
_FAST = frozenset({"sep", "na_rep", "header", "index_label", "lineterminator", "index"})


def write_csv(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as CSV."""
    return _write(table, spool, {"sep": ","})


def write_tsv(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` with tabs between the cells."""
    return _write(table, spool, {"sep": "\t"})


def _write(table: Table, spool: Spool, defaults: dict[str, Any]) -> tuple[str, ...]:
    # "\n" on every machine: the same frame must be the same file, or its digest would differ.
    options = {"lineterminator": "\n", **defaults, **table.options, "index": table.index}
    encoding = _known(options.pop("encoding", "utf-8"))
    encoder = encoding.incrementalencoder()  # writes a byte order mark once, not once a chunk
    spool.write(encoder.encode(_quoted_if_needed(table.frame.iloc[:0], None, options)))
    options["header"] = False
    columns = _columns(table, options) if encoding.name in _UTF_8 else None
    if columns is None:
        for text in _texts(table, options):
            spool.write(encoder.encode(text))
    else:
        for piece in _pieces(table, columns, options):
            spool.write(memoryview(piece))
    return ()


def _known(encoding: object) -> codecs.CodecInfo:
    try:
        return codecs.lookup(str(encoding))
    except LookupError:
        raise InputError(f"there is no encoding {visible(str(encoding))}", "Leave it out for UTF-8.") from None


def _pieces(table: Table, columns: list[Cells], options: dict[str, Any]) -> Iterator[Any]:
    """Yield the rows chunk by chunk, woven from the cells of `columns`."""
    sep, missing, end = options["sep"], options.get("na_rep", ""), options["lineterminator"]
    rows, step = len(table.frame), table.rows_at_once
    if not any(isinstance(cells, _Run) for cells in columns):
        step = min(max(_MORE * step, _LEAST), _MOST)
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        chunk, bare = [], True
        for cells in columns:
            texts = cells(start, stop)
            if isinstance(cells, Texts):
                raw, texts = texts, quoted(texts, sep)
                bare &= texts is raw
            elif isinstance(cells, _Run):
                bare &= not holds(texts, QUOTE + sep)
            chunk.append(texts)
        yield from joined(chunk, sep, missing, end, bare=bare)


def _columns(table: Table, options: dict[str, Any]) -> list[Cells] | None:
    """Return the cells of the index's levels and the columns; None if ``to_csv`` is as quick, or alone can do it."""
    frame = table.frame
    if len(frame) < FEW_ROWS or not _is_fast(options) or not all(map(_is_native, frame.dtypes)):
        return None
    found: list[list[Cells] | None] = [index_cells(frame.index)] if table.index else []
    for number in range(len(frame.columns)):
        cells = cells_of(frame.iloc[:, number])
        found.append(None if cells is None else [cells])
    columns: list[Cells] = []
    place = runs = 0
    for known, group in groupby(found, lambda cells: cells is not None):
        members = list(group)
        if known:
            columns += [cells for member in members for cells in member or []]
        else:
            runs += 1
            first, stop = (max(0, number - table.index) for number in (place, place + len(members)))
            columns.append(_Run(frame.iloc[:, first:stop], {**options, "index": table.index and not place}))
        place += len(members)
    return columns if runs <= len(found) - found.count(None) else None


def _is_native(dtype: Any) -> bool:
    """Whether this machine's byte order is that of a column; of others pandas 2 cannot take a part."""
    import numpy as np

    return not isinstance(dtype, np.dtype) or dtype.isnative  # pandas' own dtypes claim that they are not


def _is_fast(options: dict[str, Any]) -> bool:
    """Whether the cells of `_csv_cells` are written as `options` want them."""
    sep, missing = options["sep"], options.get("na_rep", "")
    if not (options.keys() <= _FAST and isinstance(sep, str) and isinstance(missing, str)):
        return False
    plain = not any(each in missing for each in MEMBERS + sep)
    return sep in _SEPARATORS and plain and options["lineterminator"] in {"\n", "\r\n"}


class _Run:
    """``Cells`` of neighbouring columns that only pandas can write: what it writes of a row of them is one cell.

    Parameters
    ----------
    frame : pandas.DataFrame
        The columns, with all rows.
    options : dict
        Those of ``to_csv``.
    """

    def __init__(self, frame: pd.DataFrame, options: dict[str, Any]) -> None:
        self._frame = frame
        self._options = {**options, "lineterminator": "\n"}
        self._finest = _finest_row(frame, index=options["index"])
        self._alone = options["index"] + len(frame.columns) == 1

    def __call__(self, start: int, stop: int) -> Any:
        text = _quoted_if_needed(self._frame.iloc[start:stop], self._finest, self._options)
        return lines_of(text.encode(), stop - start, alone=self._alone)


def _texts(table: Table, options: dict[str, Any]) -> Iterator[str]:
    """Yield the rows chunk by chunk as ``to_csv`` writes them."""
    frame, step = table.frame, table.rows_at_once
    finest = _finest_row(frame, index=table.index) if len(frame) > step else None
    for start in range(0, len(frame), step):
        yield _quoted_if_needed(frame.iloc[start : start + step], finest, options)


def _quoted_if_needed(piece: pd.DataFrame, first: pd.DataFrame | None, options: dict[str, Any]) -> str:
    """Return `piece` as text, with quotes around the cells that have a carriage return."""
    text, end = _text(piece, first, options), options["lineterminator"]
    if "\r" not in text or "\r" in end or "quoting" in options:
        return text
    if not options.get("doublequote", True):  # then quotes cannot be counted
        return _text(piece, first, {**options, "quoting": csv.QUOTE_NONNUMERIC})
    # The csv module puts quotes around each character of what ends a line: so a carriage return is made part of that,
    # and is taken away again wherever it is not between quotes.
    quote = options.get("quotechar", '"')
    parts = _text(piece, first, {**options, "lineterminator": end + "\r"}).split(quote)
    parts[::2] = [part.replace(end + "\r", end) for part in parts[::2]]
    return str(quote.join(parts))


def _text(piece: pd.DataFrame, first: pd.DataFrame | None, options: dict[str, Any]) -> str:
    """Return `piece` as text, written as if the row `first` stood before it."""
    if first is None:
        return str(piece.to_csv(None, chunksize=len(piece) + 1, **options))
    import pandas as pd

    both = pd.concat([first, piece])
    before = str(first.to_csv(None, **options))
    return str(both.to_csv(None, chunksize=len(both) + 1, **options))[len(before) :]


def _finest_row(frame: pd.DataFrame, *, index: bool) -> pd.DataFrame | None:
    """Return a row that has, in every column of times, the value that needs the most digits; None without times."""
    import pandas as pd

    places = [fineness(frame.iloc[:, number]) for number in range(len(frame.columns))]
    levels = [frame.index.get_level_values(number) for number in range(frame.index.nlevels)] if index else []
    level_places = [fineness(pd.Series(level)) for level in levels]
    if all(found is None for found in places + level_places):
        return None
    row = frame.iloc[:1].copy()  # not [[0]], which refuses numbers in a foreign byte order
    for number, found in enumerate(places):
        if found is not None:
            row.isetitem(number, frame.iloc[[found.place], number].array)
    if any(level_places):
        taken = [level[[found.place if found else 0]] for level, found in zip(levels, level_places, strict=True)]
        row.index = taken[0] if len(taken) == 1 else pd.MultiIndex.from_arrays(taken, names=frame.index.names)
    return row
