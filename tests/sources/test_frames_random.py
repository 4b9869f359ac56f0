"""Random frames through CSV, JSON, JSON lines and Parquet: read back equal or refused by name, never silently wrong."""

import csv
import datetime as dt
import decimal
import io
import json
import math
import os
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request, _table

TRIALS = 3000 if os.environ.get("NBFILES_TRIALS") == "full" else 300
RANDOM = settings(
    max_examples=TRIALS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TIMES = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
WHOLE_TIMES = TIMES.map(lambda time: time.replace(microsecond=0))
DAYS = TIMES.map(lambda time: dt.datetime.combine(time.date(), dt.time()))
ZONED = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2200, 1, 1))  # before, its offset had seconds
WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8) | st.sampled_from(
    ["", "NA", "nan", "a,b", 'q"', "\r", "\n", "\r\n", " x ", "007", "1e5", "True", "=1+1"]
)
NESTED = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
).filter(lambda value: isinstance(value, list | dict))


def series(values, dtype):
    """A strategy for columns of so many `values`, some of them missing, with the dtype."""
    return lambda size: st.lists(values, min_size=size, max_size=size).map(lambda found: pd.Series(found, dtype=dtype))


COLUMNS = [
    series(WHOLE, "int64"),
    series(st.integers(0, 2**64 - 1), "uint64"),
    series(st.floats(), "float64"),
    series(st.floats(width=32), "float32"),
    series(st.booleans(), "bool"),
    series(TEXT, "str"),
    series(TEXT | st.none(), "object"),
    series(WHOLE | st.none(), "Int64"),
    series(st.booleans() | st.none(), "boolean"),
    series(DAYS | st.none(), "datetime64[us]"),
    series(WHOLE_TIMES | st.none(), "datetime64[s]"),
    series(TIMES | DAYS | st.none(), "datetime64[ns]"),
    series(ZONED | st.none(), "datetime64[us, Asia/Kolkata]"),
    series(st.integers(-(10**15), 10**15).map(lambda n: pd.Timedelta(n, "ns")) | st.none(), "timedelta64[ns]"),
    series(st.sampled_from(["x", "y"]) | st.none(), "category"),
    series(st.decimals(-1000, 1000, places=3, allow_nan=False) | st.none(), "object"),
    series(st.dates() | st.none(), "object"),
    series(st.binary(max_size=3) | st.none(), "object"),
    series(NESTED | st.none(), "object"),
    series(st.one_of(WHOLE, TEXT, st.floats(), st.booleans(), st.none(), st.dates(), st.binary(max_size=2)), "object"),
]
NAMES = st.lists(TEXT.filter(bool), max_size=4, unique=True) | st.lists(st.sampled_from(["a", "b", 1, "1"]), max_size=4)


@st.composite
def frames(draw):
    """A frame of up to four columns of any dtype with odd names, and any kind of index."""
    size = draw(st.integers(0, 6))
    names = draw(NAMES)
    columns = [draw(draw(st.sampled_from(COLUMNS))(size)) for _ in names]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(size))
    frame.columns = pd.Index(names, dtype=object)
    kind = draw(st.sampled_from(["default", "default", "text", "times", "levels"]))
    if kind == "text":
        frame.index = pd.Index(draw(st.lists(TEXT, min_size=size, max_size=size)), dtype="str", name="the key")
    elif kind == "times":
        found = draw(st.lists(TIMES, min_size=size, max_size=size))
        frame.index = pd.DatetimeIndex(np.array(found, dtype="M8[us]"), name="the time")
    elif kind == "levels":
        frame.index = pd.MultiIndex.from_arrays([range(size), ["x"] * size], names=["one", "two"])
    return frame


def written(frame, format_, cells):
    """Return what arrives, or None if the frame was refused by the name of what is wrong."""
    with mock.patch.object(_table, "CELLS", cells):
        try:
            made = sources.payloads(frame, Request(format=format_))
        except LossError as error:
            refused = error
        else:
            refused = None
    if refused is not None:
        places = [f"column {sources._columns.shown(name)} " for name in frame.columns]
        places += [f"index {name} " for name in frame.index.names] + ["the name of a column ", "the frame has no "]
        assert any(refused.cause.startswith(place) for place in places)
        assert "--lossy" in refused.way_out
        return None
    with made:
        return b"".join(made.items[0].chunks())


def with_index(frame):
    """Return the frame as its file holds it: the index as the first columns, unless it is the default one."""
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def is_missing(value):
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and math.isnan(value))
    )


def same_text(value, text):
    """Whether a text in a CSV file is `value`."""
    if is_missing(value):
        return text == ""
    if isinstance(value, str | list | dict | bytes):
        return text == str(value)
    if isinstance(value, float | np.floating):
        return type(value)(text) == value
    if isinstance(value, pd.Timedelta):
        return pd.Timedelta(text) == value
    if isinstance(value, pd.Timestamp):
        return pd.Timestamp(text) == value
    return text == str(value)


def same_json(value, back):
    """Whether a value in a JSON file is `value`."""
    if is_missing(value):
        return back is None
    if isinstance(value, bool | np.bool_):
        return back is bool(value)
    if isinstance(value, int | float | np.number):
        return not isinstance(back, bool | str) and back == value
    if isinstance(value, pd.Timedelta | pd.Timestamp):
        return type(value)(back) == value
    if isinstance(value, decimal.Decimal):
        return decimal.Decimal(back) == value
    if isinstance(value, dt.date):
        return dt.date.fromisoformat(back) == value
    if isinstance(value, list):
        return len(value) == len(back) and all(map(same_json, value, back))
    if isinstance(value, dict):
        return list(map(str, value)) == list(back) and all(same_json(value[key], back[str(key)]) for key in value)
    return type(back) is str and back == value


def values_of(column):
    """Return a column's values; a float32 stays one, which its shortest text is meant for."""
    values = column.astype(object).tolist()
    return [np.float32(value) for value in values] if column.dtype == np.float32 else values


def cells_of(frame):
    """Return every row as a list of Python values."""
    columns = [values_of(frame.iloc[:, number]) for number in range(len(frame.columns))]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(len(frame))]


@RANDOM
@given(frames(), st.sampled_from([1, 5, _table.CELLS]))
def test_csv(frame, cells):
    """CSV read by a strict reader has every cell, and under read_csv it equals what to_csv writes."""
    content = written(frame, "csv", cells)
    if content is None:
        return
    text = content.decode()
    whole = with_index(frame)
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert [str(name) for name in whole.columns] == header
    rows = [row or [""] for row in rows]
    assert [len(whole.columns)] * len(whole) == [len(row) for row in rows]
    for values, texts in zip(cells_of(whole), rows, strict=True):
        assert [] == [(value, back) for value, back in zip(values, texts, strict=True) if not same_text(value, back)]
    by_pandas = frame.to_csv(index=whole is not frame, lineterminator="\n")
    if "\r" not in by_pandas:
        assert by_pandas == text
        pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(by_pandas)), pd.read_csv(io.StringIO(text)))


@pytest.mark.parametrize("format_", ["json", "jsonl"])
@RANDOM
@given(frames(), st.sampled_from([1, 5, _table.CELLS]))
def test_json(format_, frame, cells):
    """JSON read by a strict reader has every value, with its type as far as JSON has one."""
    content = written(frame, format_, cells)
    if content is None:
        return

    def refuse(word):
        raise AssertionError(word)

    texts = [content] if format_ == "json" else content.decode().split("\n")[:-1]
    read = [json.loads(text, parse_constant=refuse) for text in texts]
    records = read[0] if format_ == "json" else read
    whole = with_index(frame)
    assert len(whole) == len(records)
    for values, record in zip(cells_of(whole), records, strict=True):
        assert [str(name) for name in whole.columns] == list(record)
        found = zip(values, record.values(), strict=True)
        assert [] == [(value, back) for value, back in found if not same_json(value, back)]


def same(value, back):
    """Whether a value that Parquet gives back is `value`; lists come as arrays, dicts with all keys of the column."""
    if is_missing(value):
        return is_missing(back)
    if isinstance(value, list):
        return len(value) == len(back) and all(map(same, value, back))
    if isinstance(value, dict):
        return all(key in back and same(member, back[key]) for key, member in value.items())
    return bool(value == back) and isinstance(back, str) is isinstance(value, str)


def check_table(frame, back, other=frozenset()):
    """See that `back` has names, index, values and, but for objects and those in `other`, dtypes of `frame`."""
    assert [str(name) for name in frame.columns] == [str(name) for name in back.columns]
    assert list(frame.index) == list(back.index)
    for values, found in zip(cells_of(frame), cells_of(back), strict=True):
        pairs = zip(values, found, strict=True)
        assert [] == [(value, again) for value, again in pairs if not same(value, again)]
    for number in range(len(frame.columns)):
        dtype = frame.iloc[:, number].dtype
        if dtype not in {np.dtype(object), *other} and frame.iloc[:, number].notna().any():
            assert dtype == back.iloc[:, number].dtype


@RANDOM
@given(frames())
def test_parquet(frame):
    """Parquet read by pandas has every value, the index and, where it has one, the dtype."""
    content = written(frame, "parquet", 1)
    if content is None:
        return
    check_table(frame, pd.read_parquet(io.BytesIO(content)), other={np.dtype("M8[s]")})
