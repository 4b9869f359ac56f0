"""Parquet and Feather, by pyarrow: what it refuses is refused by name here, and what it would change silently too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbfiles.sources._columns import Column, columns_of
from nbfiles.sources._loss import header, refusal
from nbfiles.sources._table import unique

if TYPE_CHECKING:
    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._table import Table

PARQUET_OPTIONS = frozenset(
    {"compression", "compression_level", "row_group_size", "version", "use_dictionary", "write_statistics",
     "data_page_size", "data_page_version", "write_page_index"}
)  # fmt: skip
FEATHER_OPTIONS = frozenset({"compression", "compression_level", "chunksize", "version"})


def write_parquet(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as Parquet."""
    import pyarrow.parquet

    return _write(table, spool, "parquet", pyarrow.parquet.write_table)


def write_feather(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as Feather, which is Arrow's own file format."""
    import pyarrow.feather

    return _write(table, spool, "feather", pyarrow.feather.write_feather)


def _write(table: Table, spool: Spool, format_: str, write: Any) -> tuple[str, ...]:
    import pyarrow as pa

    frame, notes = prepared(table, format_, write)
    # Not False: pyarrow would then forget names of columns that are no text.
    arrow = pa.Table.from_pandas(frame, preserve_index=True if table.index else None)
    write(arrow, str(spool.path), **table.options)
    spool.adopt()
    return notes


def prepared(table: Table, format_: str, write: Any) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the frame as pyarrow can hold it: refused columns raise, or become text where `table.lossy`."""
    frame = table.frame.copy(deep=False) if table.index else table.frame.reset_index(drop=True)
    frame.attrs = {}  # pyarrow would write them into the file, and nobody asked for that
    if frame.columns.nlevels == 1 and frame.columns.inferred_type.startswith("mixed"):
        frame.columns = frame.columns.map(header)
    notes = []
    for number, column in enumerate(columns_of(frame, index=False)):
        why = _why_not(column, write)
        if why:
            if not table.lossy:
                raise refusal(column.label, why, format_, "has no form for", ("csv",))
            frame.isetitem(number, column.values.astype(object).map(str, na_action="ignore").array)
            notes.append(f"{column.label} holds {why}, and is written as text")
    for level in columns_of(frame.iloc[:, :0], index=table.index):
        why = _why_not(level, write)
        if why:
            raise refusal(level.label, why, format_, "has no form for", ("csv",))
    if frame.columns.nlevels == 1 and not frame.columns.is_unique:
        frame.columns = unique([header(name) for name in frame.columns])
    return frame, tuple(notes)


def _why_not(column: Column, write: Any) -> str:
    """Return what a column holds that Arrow or the file cannot, or nothing."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    dtype = column.values.dtype
    if dtype.kind in "iubfmM" and not isinstance(dtype, pd.SparseDtype):
        return ""
    if isinstance(dtype, pd.CategoricalDtype) and column.types:
        if isinstance(column.plain.dtype, pd.IntervalDtype | pd.PeriodDtype):
            return _described(column)  # Feather writes it, and then nobody can read it
        why = _why_not(Column(column.label, column.plain), write)
        if why:
            return why
    try:
        array = pa.Table.from_pandas(column.values.to_frame("x"), preserve_index=False)
        write(array.slice(0, 1), pa.BufferOutputStream())
    except UnicodeEncodeError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _described(column)
    if isinstance(dtype, np.dtype) and not _comes_back(column, array.column(0)):
        return _described(column)
    return ""


def _described(column: Column) -> str:
    if column.types:
        return "values of type " + " and ".join(sorted(found.__name__ for found in column.types))
    return f"values of dtype {column.values.dtype}"


def _comes_back(column: Column, array: Any) -> bool:
    """Whether the values are still what they were: pyarrow writes b"a" and "a" alike, and cuts a time off its date."""
    kept = array.to_pylist()
    gone = column.values.isna()
    return all(none or _same(value, back) for value, back, none in zip(column.values, kept, gone, strict=True))


def _same(value: Any, back: Any) -> bool:
    import numpy as np

    if isinstance(value, dict):
        return isinstance(back, dict) and all(key in back and _same(value[key], back[key]) for key in value)
    if isinstance(value, list | tuple | np.ndarray):
        return len(value) == len(back) and all(map(_same, value, back))
    if isinstance(value, set | frozenset):
        return value == set(back)
    try:
        return bool(value == back) or (value != value and (back is None or back != back))  # noqa: PLR0124 - NaN
    except (TypeError, ValueError):
        return True  # pandas' own scalars against Python's, which pyarrow knows by type
