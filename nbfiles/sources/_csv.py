"""CSV and TSV: what ``DataFrame.to_csv`` writes, in row chunks.

Two things differ from calling it chunk by chunk, and both are needed for an equal file. pandas chooses how precisely a
column of times is written for every call anew, so the finest value of each such column goes in front of every chunk and
is cut off again. And a chunk with a carriage return inside a text is quoted throughout, because ``to_csv`` leaves it
bare and ``read_csv`` then breaks the row there.
"""

from __future__ import annotations

import codecs
import csv
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import visible
from nbfiles.sources._columns import STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._table import Table

OPTIONS = frozenset(
    {"sep", "na_rep", "float_format", "header", "index_label", "quoting", "quotechar", "doublequote", "escapechar",
     "lineterminator", "date_format", "decimal", "encoding"}
)  # fmt: skip

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MISSING = -(2**63)  # NaT as a number


def write_csv(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as CSV."""
    return _write(table, spool, {"sep": ","})


def write_tsv(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` with tabs between the cells."""
    return _write(table, spool, {"sep": "\t"})


def _write(table: Table, spool: Spool, defaults: dict[str, Any]) -> tuple[str, ...]:
    # "\n" on every machine: the same frame must be the same file, or its digest would differ.
    options = {"lineterminator": "\n", **defaults, **table.options, "index": table.index}
    encoder = _encoder(options.pop("encoding", "utf-8"))
    for text in _texts(table, options):
        spool.write(encoder.encode(text))
    return ()


def _encoder(encoding: object) -> codecs.IncrementalEncoder:
    """Return an encoder that writes a byte order mark once, not once a chunk."""
    try:
        return codecs.getincrementalencoder(str(encoding))()
    except LookupError:
        raise InputError(f"there is no encoding {visible(str(encoding))}", "Leave it out for UTF-8.") from None


def _texts(table: Table, options: dict[str, Any]) -> Iterator[str]:
    """Yield the header, then the rows chunk by chunk."""
    frame, step = table.frame, table.rows_at_once
    yield _quoted_if_needed(frame.iloc[:0], None, options)
    finest = _finest_row(frame, index=table.index) if len(frame) > step else None
    options = {**options, "header": False}
    for start in range(0, len(frame), step):
        yield _quoted_if_needed(frame.iloc[start : start + step], finest, options)


def _quoted_if_needed(piece: pd.DataFrame, first: pd.DataFrame | None, options: dict[str, Any]) -> str:
    text = _text(piece, first, options)
    if "\r" in text and "\r" not in options["lineterminator"] and "quoting" not in options:
        return _text(piece, first, {**options, "quoting": csv.QUOTE_NONNUMERIC})
    return text


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

    places = [_finest(frame.iloc[:, number]) for number in range(len(frame.columns))]
    levels = [frame.index.get_level_values(number) for number in range(frame.index.nlevels)] if index else []
    level_places = [_finest(pd.Series(level)) for level in levels]
    if all(place is None for place in places + level_places):
        return None
    row = frame.iloc[[0]].copy()
    for number, place in enumerate(places):
        if place:
            row.isetitem(number, frame.iloc[[place], number].array)
    if any(level_places):
        taken = [level[[place or 0]] for level, place in zip(levels, level_places, strict=True)]
        row.index = taken[0] if len(taken) == 1 else pd.MultiIndex.from_arrays(taken, names=frame.index.names)
    return row


def _finest(values: pd.Series[Any]) -> int | None:
    """Return where the value of `values` is that needs the most digits to write; None if they are not times."""
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.dtype.kind not in "mM" or isinstance(values.dtype, pd.ArrowDtype):
        return None
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)  # midnight is midnight on the wall
    per_second = _PER_SECOND[np.datetime_data(np.asarray(values.iloc[:0]).dtype)[0]]
    place, best = 0, len(_steps(per_second))
    for start in range(0, len(values), STEP):
        counts = np.asarray(values.iloc[start : start + STEP]).view("i8")
        found, level = _finest_count(counts, per_second)
        if level < best:
            place, best = start + found, level
    return place


def _steps(per_second: int) -> list[int]:
    """Return the lengths of microsecond, millisecond, second and day in units of the column, without its own unit."""
    lengths = (per_second // 10**6, per_second // 10**3, per_second, per_second * 86_400)
    return [length for length in lengths if length > 1]


def _finest_count(counts: np.ndarray[Any, Any], per_second: int) -> tuple[int, int]:
    """Return where the finest of `counts` is, and the first step (see `_steps`) that it is not a multiple of."""
    steps = _steps(per_second)
    for level, length in enumerate(steps):
        uneven = (counts % length != 0) & (counts != _MISSING)
        if uneven.any():
            return int(uneven.argmax()), level
    return 0, len(steps)
