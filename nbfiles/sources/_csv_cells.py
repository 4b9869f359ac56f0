"""``Cells``: the text of every cell of a column as Arrow strings, exactly as ``to_csv`` writes it.

    cells_of(column) -> whole numbers | floats | bools | texts | times | categories of these
                     -> None: only pandas knows how these are written

What a column is, is decided once over all of it, so a cell's text does not depend on the chunk it is written in.
pyarrow makes the texts, at a tenth of the cost; where it writes a value in another way than pandas (floats, times,
bools, a text that needs quotes) the difference is made up for, here and in `_csv_numbers` and `_csv_texts`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from nbfiles.sources._columns import STEP, kinds_of
from nbfiles.sources._csv_numbers import WRITTEN, float_texts, whole_texts
from nbfiles.sources._csv_texts import scalar, together
from nbfiles.sources._csv_times import MISSING, PER_SECOND, fineness, on_the_wall, unit_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Cells = Callable[[int, int], Any]
"""Of the rows from the first number up to the second, the cells as a ``pyarrow.LargeStringArray``; null is missing."""


class Texts:
    """``Cells`` of which some may need quotes. In those that are no `Texts` stands neither a quote nor a separator.

    Parameters
    ----------
    cut : callable
        Gives them, as they are.
    """

    def __init__(self, cut: Cells) -> None:
        self._cut = cut

    def __call__(self, start: int, stop: int) -> Any:
        return self._cut(start, stop)


# Others may have no four digits on some clock, and pandas' versions differ in how they write these.
_FIRST_YEAR, _LAST_YEAR = "1001", "9999"


def cells_of(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of `values`, or None where only pandas knows them."""
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values)
    if isinstance(dtype, pd.StringDtype):
        return _texts(values)
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(values)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _times(values)
    arrays = pd.arrays
    if isinstance(values.array, arrays.IntegerArray | arrays.FloatingArray | arrays.BooleanArray):
        return {"i": _whole, "u": _whole, "f": _floats, "b": _bools}[dtype.kind](values)
    if not isinstance(dtype, np.dtype) or not dtype.isnative:
        return None
    if dtype.kind == "O":
        return _objects(values)
    makers = {"i": _whole, "u": _whole, "f": _floats, "b": _bools, "M": _times}
    return makers[dtype.kind](values) if dtype.kind in makers else None


def index_cells(index: pd.Index[Any]) -> list[Cells] | None:
    """Return the cells of every level of `index`, or None where only pandas knows those of one of them."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(index, pd.RangeIndex):
        return [lambda start, stop: whole_texts(pa.array(index[start:stop].to_numpy()))]
    if isinstance(index, pd.MultiIndex):
        # As to_csv does before it looks how finely the times of a level are written.
        index = index.remove_unused_levels()
        levels = [_looked_up(pd.Series(level), codes) for level, codes in zip(index.levels, index.codes, strict=True)]
    else:
        levels = [cells_of(pd.Series(index))]
    found = [level for level in levels if level is not None]
    return found if len(found) == len(levels) else None


def _arrays(values: pd.Series[Any]) -> Cells:
    """Return what gives rows of `values` as an Arrow array of their own type."""
    import numpy as np
    import pyarrow as pa

    held: Any = values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array

    def cut(start: int, stop: int) -> Any:
        found = pa.array(held[start:stop], from_pandas=True)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    return cut


def _of_arrow(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of a column that Arrow keeps. Its floats tell NaN from missing, its times know no midnights."""
    import pyarrow as pa

    kind = getattr(values.dtype, "pyarrow_dtype", None)
    if pa.types.is_integer(kind):
        return _whole(values)
    if pa.types.is_boolean(kind):
        return _bools(values)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(values)
    return None


def _objects(values: pd.Series[Any]) -> Cells:
    """Return the cells of an object column: where it is not of texts only, or of bools, what ``str`` makes of each."""
    kinds = kinds_of(values, {"string", "boolean"})
    if kinds is None or len(kinds) > 1:
        return _strings(values)
    return _bools(values) if kinds == {"boolean"} else _texts(values)


def _strings(values: pd.Series[Any]) -> Cells:
    """Return the cells of objects of any type, which the csv module writes as ``str`` does."""
    import pandas as pd
    import pyarrow as pa

    held = values.to_numpy()

    def cut(start: int, stop: int) -> Any:
        piece = held[start:stop]
        return pa.array(list(map(str, piece.tolist())), pa.large_string(), mask=pd.isna(piece))

    return Texts(cut)


def _texts(values: pd.Series[Any]) -> Cells:
    import pyarrow as pa

    kind = pa.large_string()
    if values.dtype != object:
        arrays = _arrays(values)
        return Texts(lambda start, stop: arrays(start, stop).cast(kind))
    held = values.to_numpy()

    def cut(start: int, stop: int) -> Any:
        texts = held[start:stop]
        try:
            return pa.array(texts, kind, from_pandas=True)
        except pa.ArrowTypeError:  # a NumPy scalar that is NaN
            texts = texts.copy()
            texts[values.iloc[start:stop].isna().to_numpy()] = None
            return pa.array(texts, kind)

    return Texts(cut)


def _whole(values: pd.Series[Any]) -> Cells:
    arrays = _arrays(values)
    return lambda start, stop: whole_texts(arrays(start, stop))


def _bools(values: pd.Series[Any]) -> Cells:
    import pyarrow as pa

    arrays, words = _arrays(values), pa.array(["False", "True"], pa.large_string())
    return lambda start, stop: words.take(arrays(start, stop).cast(pa.int8()))


def _floats(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of doubles or singles; None for a nullable column that tells NaN from missing."""
    import numpy as np

    dtype: Any = getattr(values.dtype, "numpy_dtype", values.dtype)
    letter = dtype.char
    if letter not in WRITTEN:
        return None
    if isinstance(values.dtype, np.dtype):
        held = values.to_numpy()
        return lambda start, stop: float_texts(held[start:stop])
    arrays = _arrays(values)
    for start in range(0, len(values), STEP):
        if np.isnan(arrays(start, start + STEP).drop_null().to_numpy()).any():
            return None
    return lambda start, stop: float_texts(arrays(start, stop).to_numpy(zero_copy_only=False))


def _times(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of times; None if a year has not four digits, or each is written in its own way."""
    import numpy as np
    import pyarrow as pa

    found = fineness(values)
    own = unit_of(values)
    if found is None or not _has_four_digits(values, own):
        return None
    zone = getattr(values.dtype, "tz", None)
    if zone is not None and found.unit not in {"s", "D"} and not _is_even():
        return None
    days = found.unit == "D" and zone is None
    kind = pa.timestamp("s" if found.unit == "D" else found.unit)

    def cut(start: int, stop: int) -> Any:
        piece = values.iloc[start:stop]
        wall = np.asarray(on_the_wall(piece))
        times = pa.array(wall, pa.timestamp(own), from_pandas=True)
        if days:  # there are not many, so each is written once
            different = times.cast(pa.date32()).dictionary_encode()
            return different.dictionary.cast(pa.large_string()).take(different.indices)
        texts = times.cast(kind).cast(pa.large_string())
        return texts if zone is None else together(texts, _offsets(piece, wall, PER_SECOND[own]))

    return cut


@cache
def _is_even() -> bool:
    """Whether this pandas writes all times of a column with a zone equally finely, as it writes those without."""
    import pandas as pd

    times = pd.Series(pd.to_datetime(["2000-01-01T00:00:00.0", "2000-01-01T00:00:00.5"])).dt.tz_localize("UTC")
    return ":00.000+" in str(times.to_csv())


def _has_four_digits(values: pd.Series[Any], unit: str) -> bool:
    """Whether every year in times, counted in `unit`, has four digits."""
    import numpy as np

    if unit == "ns":  # which begin in 1677 and end in 2262
        return True
    first, last = np.array([_FIRST_YEAR, _LAST_YEAR], f"M8[{unit}]").view("i8")
    for start in range(0, len(values), STEP):
        counts = np.asarray(values.iloc[start : start + STEP].array.view("i8"))
        if ((counts < first) & (counts != MISSING)).any() or (counts >= last).any():
            return False
    return True


def _offsets(piece: pd.Series[Any], wall: np.ndarray[Any, Any], per_second: int) -> Any:
    """Return how far the clock on the `wall` is from UTC at each time of `piece`, as ``+05:30``."""
    import numpy as np
    import pyarrow as pa

    utc = np.asarray(piece.dt.tz_convert(None))
    different = pa.array((wall.view("i8") - utc.view("i8")) // per_second).dictionary_encode()
    texts = [_offset(seconds) for seconds in different.dictionary.to_pylist()]
    if len(texts) == 1:
        return scalar(texts[0])
    return pa.array(texts, pa.large_string()).take(different.indices)


def _offset(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    text = f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest:02}" if rest else text


def _categories(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of a categorical: those of its categories; None where pandas writes these unlike values."""
    import numpy as np
    import pandas as pd

    categories, places = values.cat.categories, values.cat.codes.to_numpy()
    if categories.dtype.kind == "m" or getattr(categories.dtype, "numpy_dtype", categories.dtype) == np.float32:
        return None
    if categories.dtype.kind == "M":  # how finely times are written depends on those that are used
        used = np.unique(places[places >= 0])
        if len(used) < len(categories):
            new = np.full(len(categories) + 1, -1)  # the last is for -1
            new[used] = np.arange(len(used))
            categories, places = categories[used], new[places]
    return _looked_up(pd.Series(categories), places)


def _looked_up(values: pd.Series[Any], places: np.ndarray[Any, Any]) -> Cells | None:
    """Return as cells those of `values` at `places`; -1 is missing."""
    import numpy as np
    import pyarrow as pa

    cells = cells_of(values)
    if cells is None:
        return None
    table, held = cells(0, len(values)), np.asarray(places)

    def cut(start: int, stop: int) -> Any:
        piece = held[start:stop]
        return table.take(pa.array(piece, mask=piece < 0))

    return Texts(cut) if isinstance(cells, Texts) else cut
