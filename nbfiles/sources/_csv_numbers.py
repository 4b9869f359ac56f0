"""Numbers as texts, exactly as ``to_csv`` writes them: by Arrow where it writes the same, else as whole numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from nbfiles.sources._csv_texts import replaced, starts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

_SMALL = 2**17  # whole numbers up to here are looked up instead of written: a third of the cost
_FEW = 32  # floats that are written apart and put in their places, beside many that Arrow writes
_MAX_WHOLE = 2**53  # above, not every whole number is a double, and the shortest text may end in other digits
_DECIMALS = 10**4  # multiples of its inverse can be written as whole numbers, at a third of the cost
_MAX_SHORT = 1e14  # such a multiple, times `_DECIMALS`: up to 15 digits are kept by a double
_SAMPLE = 64  # floats that tell whether it is worth looking for decimals; the text is the same either way
# Of doubles and singles: between which sizes NumPy writes what Arrow writes, where they are not whole (beyond, one of
# them uses an exponent), and from which size on both use an exponent.
WRITTEN = {"d": (1e-4, 1e10, 1e16), "f": (2e-4, 1e6, float("inf"))}


def whole_texts(numbers: Any) -> Any:
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


def float_texts(values: np.ndarray[Any, Any]) -> Any:
    """Return the texts of floats; NaN is missing.

    Arrow writes most. Whole ones, for which it has no ``.0``, are written as whole numbers; so are those with few
    decimals where that is what a column is made of. What NumPy writes in another form is written by NumPy.
    """
    import numpy as np

    double = values.dtype.char == "d"
    low, high, exponent = WRITTEN[values.dtype.char]
    size = np.abs(values)
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        short = np.rint(values) == values
    odd = (size <= low) | (size >= high)
    if double and 2 * np.count_nonzero(_is_short(values[:_SAMPLE])) > min(_SAMPLE, len(values)):
        short |= _is_short(values)
    count = np.count_nonzero(short | odd)
    if not count:
        return _by_arrow(values)
    if count <= _FEW < len(values):
        return replaced(_by_arrow(values), short | odd, float_texts(values[short | odd]))
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

    with np.errstate(over="ignore", invalid="ignore"):  # huge ones are not short
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
    starts, letters = starts_of(texts), np.frombuffer(texts.buffers()[2], "u1").copy()
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
