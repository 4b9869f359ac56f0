"""``Column``: one column or index level of a frame, and the questions a format asks about its values.

The questions are cheap where the dtype answers, and one quick pass over the values where it cannot (object columns).
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbfiles._names import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy as np
    import pandas as pd

MAX_EXACT = 2**53  # whole numbers beyond it have neighbours that are the same double (RFC 8259, section 6)
STEP = 1 << 18  # values looked at in one go, so that questions about long columns stay small in memory

_QUICK: dict[str, type] = {"string": str, "boolean": bool, "decimal": decimal.Decimal}  # by `kinds_of`
_FIRST = 100  # objects that mostly tell whether a look at all of them is of use

Question = Callable[["Column"], bool]


class Column:
    """One column or index level.

    Parameters
    ----------
    label : str
        How messages call it, such as ``column price`` or ``the index``.
    values : pandas.Series
        What it holds.
    """

    def __init__(self, label: str, values: pd.Series[Any]) -> None:
        self.label = label
        self.values = values

    @cached_property
    def plain(self) -> Any:
        """The values themselves: of a categorical its categories, of a sparse column the dense one."""
        import pandas as pd

        dtype = self.values.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            return pd.Series(dtype.categories)
        if isinstance(dtype, pd.SparseDtype):
            return self.values.astype(dtype.subtype)
        return self.values

    @cached_property
    def kind(self) -> str:
        """NumPy's letter for the dtype: ``i u f b c M m O ...``; ``U`` for strings."""
        import pandas as pd

        dtype = self.plain.dtype
        if isinstance(dtype, pd.StringDtype) or _arrow_name(self) in {"string", "large_string"}:
            return "U"
        return str(getattr(dtype, "kind", "O"))

    @cached_property
    def types(self) -> frozenset[type]:
        """The Python types in an object column, without those of missing values; empty for any other column."""
        if self.kind != "O":
            return frozenset()
        import pandas as pd

        if isinstance(self.plain.dtype, pd.PeriodDtype | pd.IntervalDtype):
            return frozenset({self.plain.dtype.type})
        quick = kinds_of(self.plain, _QUICK.keys())
        if quick is not None:
            return frozenset(_QUICK[kind] for kind in quick)
        found: set[type] = set()
        held = self.plain.to_numpy()  # whose iteration, in pieces as a list, costs a third of a Series's
        for start in range(0, len(held), STEP):
            found.update(map(type, held[start : start + STEP].tolist()))
        found -= {type(None), type(pd.NA), type(pd.NaT)}
        if float in found and all(value != value for value in self.plain if type(value) is float):  # noqa: PLR0124 - NaN
            found.discard(float)
        return frozenset(found)

    def holds(self, *types: type) -> bool:
        """Whether an object column holds a value of one of `types`."""
        return any(issubclass(found, types) for found in self.types)

    def present(self, *types: type) -> Iterator[Any]:
        """Yield every value of an object column that is of one of `types` and not missing."""
        if self.holds(*types):
            for value, gone in zip(self.plain, self.plain.isna(), strict=True):
                if isinstance(value, types) and not gone:
                    yield value

    def texts(self) -> Iterator[str]:
        """Yield every string in it."""
        if self.kind == "U" or self.holds(str):
            yield from (value for value in self.plain if isinstance(value, str))


def kinds_of(values: pd.Series[Any], wanted: Collection[str]) -> set[str] | None:
    """Return which of the kinds `wanted`, as ``infer_dtype`` calls them, are in objects; None if there are others.

    Missing values are of no kind.
    """
    from pandas.api.types import infer_dtype

    held, found = values.to_numpy(), set()
    for start, stop in ((0, _FIRST), *((start, start + STEP) for start in range(0, len(held), STEP))):
        found.add(infer_dtype(held[start:stop], skipna=True))
        if not found <= {"empty", *wanted}:
            return None
    return found - {"empty"}


def columns_of(frame: pd.DataFrame, *, index: bool) -> list[Column]:
    """Return the columns of `frame` by position, the levels of its index first if it is written."""
    import pandas as pd

    levels = []
    if index:
        for number, name in enumerate(frame.index.names):
            level = frame.index.get_level_values(number)
            levels.append(Column(f"index {shown(name)}" if name is not None else "the index", pd.Series(level)))
    return levels + [
        Column(f"column {shown(name)}", frame.iloc[:, number]) for number, name in enumerate(frame.columns)
    ]


def shown(name: object) -> str:
    """Return a column's name for a message, cut where it is long."""
    text = visible(str(name))
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_bytes(column: Column) -> bool:
    """Whether it holds bytes."""
    return column.holds(bytes, bytearray, memoryview) or "binary" in _arrow_name(column)


def is_unitless(column: Column) -> bool:
    """Whether it holds a ``numpy.timedelta64`` without a unit."""
    import numpy as np

    return any(np.datetime_data(value.dtype)[0] == "generic" for value in column.present(np.timedelta64))


def is_nested(column: Column) -> bool:
    """Whether it holds lists, dicts, sets or arrays."""
    import numpy as np

    name = _arrow_name(column)
    return column.holds(list, tuple, set, frozenset, dict, np.ndarray) or "list" in name or "struct" in name


def is_mixed(column: Column) -> bool:
    """Whether it holds values of several types; whole and other numbers are one."""
    return len({_family(found) for found in column.types}) > 1


def is_period(column: Column) -> bool:
    """Whether it holds periods."""
    import pandas as pd

    return isinstance(column.plain.dtype, pd.PeriodDtype) or column.holds(pd.Period)


def is_interval(column: Column) -> bool:
    """Whether it holds intervals."""
    import pandas as pd

    return isinstance(column.plain.dtype, pd.IntervalDtype) or column.holds(pd.Interval)


def is_decimal(column: Column) -> bool:
    """Whether it holds decimals."""
    return column.holds(decimal.Decimal) or "decimal" in _arrow_name(column)


def is_long_decimal(column: Column) -> bool:
    """Whether it holds a decimal of more than 15 digits, which a double does not keep."""
    return any(len(value.as_tuple().digits) > 15 for value in column.present(decimal.Decimal))


def is_duration(column: Column) -> bool:
    """Whether it holds lengths of time."""
    import numpy as np

    return column.kind == "m" or column.holds(dt.timedelta, np.timedelta64)


def is_complex(column: Column) -> bool:
    """Whether it holds complex numbers."""
    import numpy as np

    return column.kind == "c" or column.holds(complex, np.complexfloating)


def has_zone(column: Column) -> bool:
    """Whether it holds times with a time zone."""
    if column.kind == "M":
        return getattr(column.plain.dtype, "tz", None) is not None or "tz=" in _arrow_name(column)
    return any(value.tzinfo is not None for value in column.present(dt.datetime, dt.time))


def has_fine_time(column: Column) -> bool:
    """Whether it holds times finer than a millisecond."""
    if column.kind == "M":
        times = column.plain.dt
        return bool((times.microsecond.fillna(0) % 1000).any() or times.nanosecond.fillna(0).any())
    return any(
        value.microsecond % 1000 or getattr(value, "nanosecond", 0) for value in column.present(dt.datetime, dt.time)
    )


def is_before_1900(column: Column) -> bool:
    """Whether it holds dates before 1900, where Excel's calendar begins."""
    if column.kind == "M":
        return bool((column.plain.dt.year < 1900).any())
    return any(value.year < 1900 for value in column.present(dt.date))


def has_infinity(column: Column) -> bool:
    """Whether it holds inf or -inf."""
    import numpy as np

    if column.kind == "f":
        return any(bool(np.isinf(floats).any()) for floats in _floats(column))
    return any(math.isinf(value) for value in column.present(float, np.floating))


def has_big_whole(column: Column) -> bool:
    """Whether it holds a whole number beyond 2^53."""
    import numpy as np

    if column.kind in "iu":
        if not column.plain.notna().any():
            return False
        return int(column.plain.max()) > MAX_EXACT or int(column.plain.min()) < -MAX_EXACT
    return any(abs(int(value)) > MAX_EXACT for value in column.present(int, np.integer))


def has_empty_and_missing(column: Column) -> bool:
    """Whether it holds both empty strings and missing values."""
    if column.kind == "U":
        if column.plain is column.values and _is_arrows(column.plain):
            return _has_empty_and_null(column.plain)
        return bool(column.values.isna().any()) and bool((column.plain == "").any())
    if not column.holds(str):
        return False
    try:
        empty = bool(column.plain.isin([""]).any())
    except TypeError:  # a list or another value without a hash
        empty = any(text == "" for text in column.texts())
    return empty and bool(column.values.isna().any())


def _is_arrows(values: pd.Series[Any]) -> bool:
    """Whether Arrow keeps texts."""
    import pandas as pd

    return isinstance(values.dtype, pd.ArrowDtype) or getattr(values.dtype, "storage", "") == "pyarrow"


def _has_empty_and_null(values: pd.Series[Any]) -> bool:
    """Return what `has_empty_and_missing` says of texts that Arrow keeps; it need not ask pandas, and is quicker."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.array(values.array)
    return texts.null_count > 0 and bool(pc.any(pc.equal(pc.binary_length(texts), 0)).as_py())


def has_text(found: Callable[[str], bool]) -> Question:
    """Return the question whether any string of a column is one for which `found` says yes."""
    return lambda column: any(map(found, column.texts()))


def _arrow_name(column: Column) -> str:
    """Return the Arrow type as a word for a column that Arrow keeps, else ""."""
    import pandas as pd

    dtype = column.plain.dtype
    return str(dtype.pyarrow_dtype) if isinstance(dtype, pd.ArrowDtype) else ""


def _family(found: type) -> str:
    import numpy as np

    if issubclass(found, bool | np.bool_):
        return "bool"
    if issubclass(found, int | float | np.integer | np.floating):
        return "number"
    if issubclass(found, str):
        return "str"
    return found.__name__


def _floats(column: Column) -> Iterator[np.ndarray[Any, Any]]:
    for start in range(0, len(column.plain), STEP):
        yield column.plain.iloc[start : start + STEP].to_numpy(dtype="float64", na_value=math.nan)
