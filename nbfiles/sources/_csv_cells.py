"""``Cells``: the text of every cell of a column as Arrow strings, exactly as ``to_csv`` writes it.

    cells_of(column) -> whole numbers | floats | bools | texts | times | categories of these
                     -> None: only pandas knows how these are written

What a column is, is decided once over all of it, so a cell's text does not depend on the chunk it is written in.
pyarrow makes the texts, at a tenth of the cost; where it writes a value in another way than pandas (whole floats, tiny
and huge ones, times, bools, a text that needs quotes) the difference is made up for here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from nbfiles.sources._columns import STEP, kinds_of
from nbfiles.sources._csv_times import MISSING, PER_SECOND, fineness, on_the_wall, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd

Cells = Callable[[int, int], Any]
"""Of the rows from the first number up to the second, the cells as a ``pyarrow.LargeStringArray``; null is missing."""

QUOTE = '"'
MEMBERS = QUOTE + "\r\n"  # what makes a text need quotes, beside the separator; see `quoted`

_SMALL = 2**17  # whole numbers up to here are looked up instead of written: a third of the cost
_FEW = 32  # texts that are replaced one by one
_MAX_WHOLE = 2**53  # above, not every whole number is a double, and the shortest text may end in other digits
_DECIMALS = 10**4  # multiples of its inverse can be written as whole numbers, at a third of the cost
_MAX_SHORT = 1e14  # such a multiple, times `_DECIMALS`: up to 15 digits are kept by a double
_SAMPLE = 64  # floats that tell whether it is worth looking for decimals; the text is the same either way
# Of doubles and singles: between which sizes NumPy writes what Arrow writes, where they are not whole (beyond, one of
# them uses an exponent), and from which size on both use an exponent.
_FLOATS = {"d": (1e-4, 1e10, 1e16), "f": (2e-4, 1e6, float("inf"))}
# Others may have no four digits on some clock, and pandas' versions differ in how they write these.
_FIRST_YEAR, _LAST_YEAR = "1001", "9999"


def cells_of(values: pd.Series[Any], sep: str) -> Cells | None:
    """Return the cells of `values` for a file with the separator `sep`, or None where only pandas knows them."""
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values, sep)
    if isinstance(dtype, pd.StringDtype):
        return _texts(values, sep)
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(values, sep)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _times(values)
    arrays = pd.arrays
    if isinstance(values.array, arrays.IntegerArray | arrays.FloatingArray | arrays.BooleanArray):
        return {"i": _whole, "u": _whole, "f": _floats, "b": _bools}[dtype.kind](values)
    if not isinstance(dtype, np.dtype) or not dtype.isnative:
        return None
    if dtype.kind == "O":
        return _objects(values, sep)
    makers = {"i": _whole, "u": _whole, "f": _floats, "b": _bools, "M": _times}
    return makers[dtype.kind](values) if dtype.kind in makers else None


def index_cells(index: pd.Index[Any], sep: str) -> list[Cells] | None:
    """Return the cells of every level of `index`, or None where only pandas knows those of one of them."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(index, pd.RangeIndex):
        return [lambda start, stop: _whole_texts(pa.array(index[start:stop].to_numpy()))]
    if isinstance(index, pd.MultiIndex):
        levels = [
            _looked_up(pd.Series(level), codes, sep) for level, codes in zip(index.levels, index.codes, strict=True)
        ]
    else:
        levels = [cells_of(pd.Series(index), sep)]
    found = [level for level in levels if level is not None]
    return found if len(found) == len(levels) else None


def joined(columns: list[Any], sep: str, missing: str, end: str) -> Iterator[Any]:
    """Yield buffers with the rows whose cells are `columns`.

    Parameters
    ----------
    columns : list of pyarrow.LargeStringArray
        The cells of every column.
    sep, missing, end : str
        What stands between two cells, in place of a missing one, and after a row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(columns) == 1 and not missing:  # an empty line is no row for any reader
        missing = QUOTE * 2
        empty = pc.equal(pc.binary_length(columns[0]), 0)
        columns = [pc.if_else(empty, _scalar(missing), columns[0])]
    if not missing and end == "\n" and all(_is_bare(cells, sep) for cells in columns):
        yield _joined_bare(columns, sep)
        return
    rows = pc.binary_join_element_wise(*columns, _scalar(sep), null_handling="replace", null_replacement=missing)
    whole = pa.LargeListArray.from_arrays(pa.array([0, len(rows)], pa.int64()), rows)
    yield _content(pc.binary_join(whole, _scalar(end)))
    yield end.encode()


def _is_bare(cells: Any, sep: str) -> bool:
    """Whether in none of `cells` is a quote, or a separator as between columns that pandas wrote."""
    content = bytes(_content(cells))
    return QUOTE.encode() not in content and sep.encode() not in content


def _joined_bare(columns: list[Any], sep: str) -> Any:
    """Return a buffer with the rows of bare cells: pyarrow's CSV takes no others, and is quicker."""
    import pyarrow as pa
    import pyarrow.csv

    rows, size = pa.BufferOutputStream(), len(columns[0])
    options = pa.csv.WriteOptions(include_header=False, delimiter=sep, quoting_style="none", batch_size=size)
    pa.csv.write_csv(pa.table(columns, [str(number) for number in range(len(columns))]), rows, options)
    return rows.getvalue()


def lines_of(text: bytes, rows: int, *, alone: bool) -> Any:
    """Return the lines of a CSV as cells.

    Parameters
    ----------
    text : bytes
        What ``to_csv`` writes, with a line feed after each row.
    rows : int
        How many there are.
    alone : bool
        Whether a row is one cell, whose quotes around nothing then mean that it is missing or empty.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    content = np.frombuffer(text, "u1")
    ends = content == ord("\n")
    if np.count_nonzero(ends) != rows:  # some stand between quotes
        ends &= np.logical_xor.accumulate(content == ord(QUOTE)) == 0
    offsets = np.zeros(rows + 1, "i8")
    offsets[1:] = np.flatnonzero(ends) - np.arange(rows)
    kept = pa.py_buffer(content[~ends])
    lines = pa.LargeStringArray.from_buffers(rows, pa.py_buffer(offsets), kept)
    return pc.if_else(pc.equal(lines, _scalar(QUOTE * 2)), _scalar(""), lines) if alone else lines


def quoted(texts: Any, sep: str) -> Any:
    """Return `texts` with quotes around those that need them.

    A carriage return needs them too: ``to_csv`` leaves it bare up to Python 3.12, and ``read_csv`` then breaks the row.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    content = _content(texts)
    held = bytes(content)
    found = [each for each in MEMBERS + sep if each.encode() in held]
    if not found:
        return texts
    letters = np.frombuffer(content, "u1")
    places = np.flatnonzero(np.logical_or.reduce([letters == ord(each) for each in found]))
    starts = _starts(texts)
    before = np.searchsorted(places, starts - starts[0])
    needs = before[1:] > before[:-1]
    inner = texts.filter(pa.array(needs))
    if QUOTE in found:
        inner = pc.replace_substring(inner, QUOTE, QUOTE * 2)
    return _replaced(texts, needs, _together(_scalar(QUOTE), inner, _scalar(QUOTE)))


def _starts(texts: Any) -> np.ndarray[Any, Any]:
    """Return where in their buffer each of `texts` starts, and where the last one ends."""
    import numpy as np

    starts: np.ndarray[Any, Any] = np.frombuffer(texts.buffers()[1], "i8")
    return starts[texts.offset : texts.offset + len(texts) + 1]


def _content(texts: Any) -> Any:
    """Return the buffer in which the characters of `texts`, of which there are some, stand one after the other."""
    starts, content = _starts(texts), texts.buffers()[2]
    return content.slice(int(starts[0]), int(starts[-1] - starts[0]))


def _replaced(texts: Any, mask: np.ndarray[Any, Any], others: Any) -> Any:
    """Return `texts` with `others`, one after the other, where `mask` is true."""
    import numpy as np
    import pyarrow as pa

    if len(others) > _FEW:
        places = np.arange(len(texts))
        places[mask] = np.arange(len(texts), len(texts) + len(others))
        return pa.concat_arrays([texts, others]).take(pa.array(places))
    parts, last = [], 0
    for number, place in enumerate(np.flatnonzero(mask).tolist()):
        parts += [texts.slice(last, place - last), others.slice(number, 1)]
        last = place + 1
    return pa.concat_arrays([*parts, texts.slice(last)])


@cache
def _scalar(text: str) -> Any:
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())


def _together(*parts: Any) -> Any:
    """Return texts made of `parts`, which are arrays of texts or one text for all."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, _scalar(""))


def _arrays(values: pd.Series[Any]) -> Cells:
    """Return what gives rows of `values` as an Arrow array of their own type."""
    import numpy as np
    import pyarrow as pa

    held: Any = values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array

    def cut(start: int, stop: int) -> Any:
        found = pa.array(held[start:stop], from_pandas=True)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    return cut


def _of_arrow(values: pd.Series[Any], sep: str) -> Cells | None:
    """Return the cells of a column that Arrow keeps. Its floats tell NaN from missing, its times know no midnights."""
    import pyarrow as pa

    kind = getattr(values.dtype, "pyarrow_dtype", None)
    if pa.types.is_integer(kind):
        return _whole(values)
    if pa.types.is_boolean(kind):
        return _bools(values)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(values, sep)
    return None


def _objects(values: pd.Series[Any], sep: str) -> Cells | None:
    """Return the cells of an object column that holds texts, or bools, and missing values only."""
    kinds = kinds_of(values, {"string", "boolean"})
    if kinds is None or len(kinds) > 1:
        return None
    return _bools(values) if kinds == {"boolean"} else _texts(values, sep)


def _texts(values: pd.Series[Any], sep: str) -> Cells:
    import pyarrow as pa

    kind = pa.large_string()
    if values.dtype != object:
        arrays = _arrays(values)
        return lambda start, stop: quoted(arrays(start, stop).cast(kind), sep)
    held = values.to_numpy()

    def cut(start: int, stop: int) -> Any:
        texts = held[start:stop]
        try:
            return quoted(pa.array(texts, kind, from_pandas=True), sep)
        except pa.ArrowTypeError:  # a NumPy scalar that is NaN
            texts = texts.copy()
            texts[values.iloc[start:stop].isna().to_numpy()] = None
            return quoted(pa.array(texts, kind), sep)

    return cut


def _whole(values: pd.Series[Any]) -> Cells:
    arrays = _arrays(values)
    return lambda start, stop: _whole_texts(arrays(start, stop))


def _whole_texts(numbers: Any) -> Any:
    """Return the texts of whole numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    span = pc.min_max(numbers)
    low, high = span["min"].as_py(), span["max"].as_py()
    if low is None or not 0 <= low <= high < _SMALL:
        return numbers.cast(pa.large_string())
    return _small_wholes().take(numbers)


@cache
def _small_wholes() -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.arange(_SMALL)).cast(pa.large_string())


def _bools(values: pd.Series[Any]) -> Cells:
    import pyarrow as pa

    arrays, words = _arrays(values), pa.array(["False", "True"], pa.large_string())
    return lambda start, stop: words.take(arrays(start, stop).cast(pa.int8()))


def _floats(values: pd.Series[Any]) -> Cells | None:
    """Return the cells of doubles or singles; None for a nullable column that tells NaN from missing."""
    import numpy as np

    dtype: Any = getattr(values.dtype, "numpy_dtype", values.dtype)
    letter = dtype.char
    if letter not in _FLOATS:
        return None
    if isinstance(values.dtype, np.dtype):
        held = values.to_numpy()
        return lambda start, stop: _float_texts(held[start:stop])
    arrays = _arrays(values)
    for start in range(0, len(values), STEP):
        if np.isnan(arrays(start, start + STEP).drop_null().to_numpy()).any():
            return None
    return lambda start, stop: _float_texts(arrays(start, stop).to_numpy(zero_copy_only=False))


def _float_texts(values: np.ndarray[Any, Any]) -> Any:
    """Return the texts of floats; NaN is missing.

    Arrow writes most. Whole ones, for which it has no ``.0``, are written as whole numbers; so are those with few
    decimals where that is what a column is made of. What NumPy writes in another form is written by NumPy.
    """
    import numpy as np

    double = values.dtype.char == "d"
    low, high, exponent = _FLOATS[values.dtype.char]
    size = np.abs(values)
    short = np.rint(values) == values
    odd = (size <= low) | (size >= high)
    if double and 2 * np.count_nonzero(_is_short(values[:_SAMPLE])) > _SAMPLE:
        short |= _is_short(values)
    count = np.count_nonzero(short | odd)
    if not count:
        return _by_arrow(values)
    if count <= _FEW < len(values):
        return _replaced(_by_arrow(values), short | odd, _float_texts(values[short | odd]))
    short &= size < (_MAX_WHOLE if double else high)
    other = odd & (size < exponent) & ~short
    ways = [(short, _short), (other, _by_numpy), (~(short | other), _by_arrow)]
    return _chosen(values, [(mask, write) for mask, write in ways if mask.any()])


def _chosen(
    values: np.ndarray[Any, Any], ways: list[tuple[np.ndarray[Any, Any], Callable[[np.ndarray[Any, Any]], Any]]]
) -> Any:
    """Return the texts of `values`, each written in the way whose mask is true for it."""
    import numpy as np
    import pyarrow as pa

    if len(ways) == 1:
        return ways[0][1](values)
    places, texts, count = np.empty(len(values), "i8"), [], 0
    for mask, write in ways:
        texts.append(write(values[mask]))
        places[mask] = np.arange(count, count + len(texts[-1]))
        count += len(texts[-1])
    return pa.concat_arrays(texts).take(pa.array(places))


def _is_short(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where doubles are the nearest to a number with at most four decimals, and have at most 15 digits."""
    import numpy as np

    scaled = values * _DECIMALS
    short: np.ndarray[Any, Any] = (np.rint(scaled) / _DECIMALS == values) & (np.abs(scaled) < _MAX_SHORT)
    return short


def _by_arrow(values: np.ndarray[Any, Any]) -> Any:
    """Return the texts of floats as Arrow writes them; NaN is missing."""
    import pyarrow as pa

    return pa.array(values, from_pandas=True).cast(pa.large_string())


def _by_numpy(values: np.ndarray[Any, Any]) -> Any:
    """Return the texts of floats as NumPy writes them."""
    import pyarrow as pa

    return pa.array(values.astype(str).astype(object), pa.large_string())


def _short(values: np.ndarray[Any, Any]) -> Any:
    """Return the texts of floats with at most four decimals: up to 15 digits, no other text is as short.

    12.34 is written as the whole number 12034, and 0.34 as 1034; then the point and the nought are put in their places.
    """
    import numpy as np
    import pyarrow as pa

    minus = np.signbit(values)
    size = np.abs(values.astype("f8", copy=False))
    whole = size.astype("i8")
    rest = np.rint((size - whole) * _DECIMALS).astype("i8")
    digits, written = (table[rest] for table in _decimals()) if rest.any() else (np.int64(1), np.int64(0))
    numbers = np.maximum(whole, 1) * (10 ** np.arange(6))[digits + 1] + written
    texts = pa.array(np.where(minus, -numbers, numbers)).cast(pa.large_string())
    starts, letters = _starts(texts), np.frombuffer(texts.buffers()[2], "u1").copy()
    letters[starts[1:] - 1 - digits] = ord(".")
    below = whole == 0
    letters[(starts[:-1] + minus)[below]] = ord("0")
    return pa.LargeStringArray.from_buffers(len(texts), texts.buffers()[1], pa.py_buffer(letters))


@cache
def _decimals() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return of so many ten-thousandths how many decimals they need, at least one, and these as a whole number."""
    import numpy as np

    written, digits = np.arange(_DECIMALS), np.full(_DECIMALS, 4)
    for _ in range(3):
        even = (written % 10 == 0) & (digits > 1)
        written[even] //= 10
        digits[even] -= 1
    return digits, written


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
        return texts if zone is None else _together(texts, _offsets(piece, wall, PER_SECOND[own]))

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
        return _scalar(texts[0])
    return pa.array(texts, pa.large_string()).take(different.indices)


def _offset(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    text = f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest:02}" if rest else text


def _categories(values: pd.Series[Any], sep: str) -> Cells | None:
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
    return _looked_up(pd.Series(categories), places, sep)


def _looked_up(values: pd.Series[Any], places: np.ndarray[Any, Any], sep: str) -> Cells | None:
    """Return as cells those of `values` at `places`; -1 is missing."""
    import numpy as np
    import pyarrow as pa

    cells = cells_of(values, sep)
    if cells is None:
        return None
    table, held = cells(0, len(values)), np.asarray(places)

    def cut(start: int, stop: int) -> Any:
        piece = held[start:stop]
        return table.take(pa.array(piece, mask=piece < 0))

    return cut
