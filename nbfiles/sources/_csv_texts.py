"""Texts of cells as Arrow strings: put in quotes where CSV needs them, replaced in places, and joined to rows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

QUOTE = '"'
MEMBERS = QUOTE + "\r\n"  # what makes a text need quotes, beside the separator; see `quoted`

_FEW = 32  # texts that are replaced one by one


def joined(columns: list[Any], sep: str, missing: str, end: str, *, bare: bool) -> Iterator[Any]:
    """Yield buffers with the rows whose cells are `columns`.

    Parameters
    ----------
    columns : list of pyarrow.LargeStringArray
        The cells of every column.
    sep, missing, end : str
        What stands between two cells, in place of a missing one, and after a row.
    bare : bool
        Whether no cell has a quote, or a separator as between columns that pandas wrote.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(columns) == 1:  # an empty line is no row for any reader
        missing = missing or QUOTE * 2
        empty = pc.equal(pc.binary_length(columns[0]), 0)
        columns = [pc.if_else(empty, scalar(QUOTE * 2), columns[0])]
    if bare and not missing and end == "\n":
        yield _joined_bare(columns, sep)
        return
    rows = pc.binary_join_element_wise(*columns, scalar(sep), null_handling="replace", null_replacement=missing)
    whole = pa.LargeListArray.from_arrays(pa.array([0, len(rows)], pa.int64()), rows)
    yield content_of(pc.binary_join(whole, scalar(end)))
    yield end.encode()


def _joined_bare(columns: list[Any], sep: str) -> Any:
    """Return a buffer with the rows of bare cells: pyarrow's CSV takes no others, and is quicker."""
    import pyarrow as pa
    import pyarrow.csv

    size = len(columns[0])
    options = pa.csv.WriteOptions(include_header=False, delimiter=sep, quoting_style="none", batch_size=size)
    # As long as it will be: a buffer that grows costs twice as much.
    rows = pa.allocate_buffer(len(columns) * size + sum(content_of(cells).size for cells in columns))
    table = pa.table(columns, [str(number) for number in range(len(columns))])
    pa.csv.write_csv(table, pa.FixedSizeBufferWriter(rows), options)
    return rows


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
    return pc.if_else(pc.equal(lines, scalar(QUOTE * 2)), scalar(""), lines) if alone else lines


def quoted(texts: Any, sep: str) -> Any:
    """Return `texts` with quotes around those that need them; the same array if none does.

    A carriage return needs them too: ``to_csv`` leaves it bare up to Python 3.12, and ``read_csv`` then breaks the row.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = holds(texts, MEMBERS + sep)
    if not found:
        return texts
    letters = np.frombuffer(content_of(texts), "u1")
    hits = letters == ord(found[0])
    for each in found[1:]:
        hits |= letters == ord(each)
    places, starts = np.flatnonzero(hits), starts_of(texts)
    needs = np.zeros(len(texts), bool)
    needs[np.searchsorted(starts - starts[0], places, "right") - 1] = True
    inner = texts.filter(pa.array(needs))
    if QUOTE in found:
        inner = pc.replace_substring(inner, QUOTE, QUOTE * 2)
    return replaced(texts, needs, together(scalar(QUOTE), inner, scalar(QUOTE)))


def holds(texts: Any, characters: str) -> list[str]:
    """Return which of some ASCII `characters` are in `texts`."""
    content = bytes(content_of(texts))  # in which Python looks for a byte more quickly than anybody elsewhere
    return [each for each in characters if each.encode() in content]


def starts_of(texts: Any) -> np.ndarray[Any, Any]:
    """Return where in their buffer each of `texts` starts, and where the last one ends."""
    import numpy as np

    starts: np.ndarray[Any, Any] = np.frombuffer(texts.buffers()[1], "i8")
    return starts[texts.offset : texts.offset + len(texts) + 1]


def content_of(texts: Any) -> Any:
    """Return the buffer in which the characters of `texts` stand one after the other."""
    import pyarrow as pa

    starts, content = starts_of(texts), texts.buffers()[2]
    return pa.py_buffer(b"") if content is None else content.slice(int(starts[0]), int(starts[-1] - starts[0]))


def replaced(texts: Any, mask: np.ndarray[Any, Any], others: Any) -> Any:
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
def scalar(text: str) -> Any:
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())


def together(*parts: Any) -> Any:
    """Return texts made of `parts`, which are arrays of texts or one text for all."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, scalar(""))
