"""JSON records and JSON lines, in row chunks.

Written value by value and not by ``DataFrame.to_json``, which keeps 15 digits of a float at most and writes inf as
null. Floats keep all their digits here, times are ISO 8601, missing values are null.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nbfiles.sources._columns import MAX_EXACT, shown
from nbfiles.sources._loss import header, refusal
from nbfiles.sources._registry import type_name
from nbfiles.sources._table import unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from nbfiles._errors import LossError
    from nbfiles._payload import Spool
    from nbfiles.sources._table import Table

LINES_OPTIONS = frozenset({"ensure_ascii"})
OPTIONS = frozenset({"ensure_ascii", "indent"})

_AS_PRINTED = (decimal.Decimal, complex, uuid.UUID, PurePath)


def write_json(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as one array of records, a record a line."""
    before = "[\n"
    for records in _chunks(table, "json"):
        spool.write((before + ",\n".join(records)).encode())
        before = ",\n"
    spool.write(b"[]\n" if before == "[\n" else b"\n]\n")
    return ()


def write_jsonl(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as JSON lines, a record a line."""
    for records in _chunks(table, "jsonl"):
        spool.write(("\n".join(records) + "\n").encode())
    return ()


def _chunks(table: Table, format_: str) -> Iterator[list[str]]:
    """Yield the encoded records of chunk after chunk."""
    options = {"ensure_ascii": False, "allow_nan": False, **table.options}
    if options.get("indent") is None:
        options["separators"] = (",", ":")
    encode = json.JSONEncoder(**options).encode
    for start in range(0, len(table.frame), table.rows_at_once):
        piece = table.frame.iloc[start : start + table.rows_at_once]
        yield [encode(record) for record in records(piece, table, format_)]


def records(piece: pd.DataFrame, table: Table, format_: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `piece`, which is a part of `table`, as what JSON has a form for."""
    if table.index:
        piece = _with_index(piece)
    names = [header(name) for name in piece.columns]
    names = unique(names) if len(set(names)) < len(names) else names
    if not names:
        yield from ({} for _ in range(len(piece)))
        return
    columns = [
        Values(f"column {shown(name)}", format_, lossy=table.lossy).of(piece.iloc[:, number])
        for number, name in enumerate(names)
    ]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _with_index(piece: pd.DataFrame) -> pd.DataFrame:
    """Return `piece` with its index as first columns, even if (lossy) a column has the same name."""
    import pandas as pd

    names = piece.index.names
    levels = pd.concat([pd.Series(piece.index.get_level_values(n)) for n in range(len(names))], axis=1)
    if piece.index.nlevels == 1:
        levels.columns = pd.Index(["index" if names[0] is None else names[0]])
        if names[0] is None and "index" in piece.columns:
            levels.columns = pd.Index(["level_0"])
    else:
        levels.columns = pd.Index([f"level_{n}" if name is None else name for n, name in enumerate(names)])
    return pd.concat([levels, piece.reset_index(drop=True)], axis=1)


class Values:
    """Turns the values of one column, or one field of records, into what JSON has a form for.

    Parameters
    ----------
    column : str
        How messages call it.
    format_ : {"json", "jsonl"}
    lossy : bool
        Whether what JSON has no form for is written as well as it goes.
    tabular : bool, default True
        Whether the formats of a frame are a way out for what is refused.
    """

    def __init__(self, column: str, format_: str, *, lossy: bool, tabular: bool = True) -> None:
        self._column = column
        self._format = format_
        self._lossy = lossy
        self._tabular = tabular

    def _refusal(self, holds: str, but: str, *can: str) -> LossError:
        return refusal(self._column, holds, self._format, but, can if self._tabular else ())

    def of(self, column: pd.Series[Any]) -> list[Any]:
        """Return the values of `column`; missing ones as None."""
        import numpy as np
        import pandas as pd

        if isinstance(column.dtype, pd.SparseDtype):
            column = column.astype(column.dtype.subtype)
        missing = column.isna()
        if column.dtype.kind in "iub" and not missing.any():
            return column.tolist()
        if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f" and not self._lossy:  # inf was refused
            return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
        return [None if gone else self.one(value) for value, gone in zip(column.tolist(), missing, strict=True)]

    def one(self, value: Any) -> Any:
        """Return one value; nested ones are turned inside too."""
        import numpy as np

        if isinstance(value, np.ndarray):
            value = value.tolist()
        elif isinstance(value, np.generic) and not isinstance(value, np.timedelta64 | np.datetime64):
            value = value.item()
        if value is None or isinstance(value, str | bool):
            return str(value) if isinstance(value, enum.Enum) else value
        if isinstance(value, int):
            return self._whole(value)
        if isinstance(value, float):
            return self._float(value)
        if isinstance(value, dict):
            return self._dict(value)
        if isinstance(value, list | tuple):
            return [self.one(member) for member in value]
        return self._scalar(value)

    def _whole(self, value: int) -> int:
        if abs(value) > MAX_EXACT and not self._lossy:
            raise self._refusal("whole numbers beyond 2^53", "readers would round", "csv", "parquet")
        return int(value)

    def _float(self, value: float) -> float | None:
        if math.isnan(value):
            return None
        if math.isinf(value):
            if not self._lossy:
                raise self._refusal("inf", "has no form for", "csv", "parquet")
            return None
        return float(value)

    def _dict(self, value: dict[Any, Any]) -> dict[str, Any]:
        return dict(zip(self.names(value), map(self.one, value.values()), strict=True))

    def names(self, keys: Iterable[Any]) -> list[str]:
        """Return the keys of a dict as texts, which must still be different ones."""
        made = [str(key) for key in keys]
        if len(set(made)) < len(made) and not self._lossy:
            raise self._refusal("a dict with two keys that print alike", "would merge", "csv")
        return made

    def _scalar(self, value: Any) -> Any:
        import numpy as np
        import pandas as pd

        if value is pd.NA or value is pd.NaT:
            return None
        if isinstance(value, np.datetime64):
            return None if np.isnat(value) else str(value)
        if isinstance(value, dt.timedelta | np.timedelta64) and not self._lossy:
            return pd.Timedelta(value).isoformat()
        if isinstance(value, dt.date | dt.time):
            return value.isoformat()
        if isinstance(value, (*_AS_PRINTED, pd.Period, pd.Interval)):
            return str(value)
        if self._lossy:
            return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
        raise self._refusal(type_name(value), "has no form for", "csv")
