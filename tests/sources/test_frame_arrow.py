"""Parquet and Feather: read back equal, dtypes and index too; what pyarrow would change is refused by name."""

import datetime as dt
import decimal
import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request

BOTH = pytest.mark.parametrize("format_", ["parquet", "feather"])
READ = {"parquet": pd.read_parquet, "feather": pd.read_feather}


def back(arrived, format_):
    """Return the frame as pandas reads it again."""
    return READ[format_](io.BytesIO(arrived.content))


@BOTH
@pytest.mark.parametrize(
    "column",
    [
        [1, 2],
        np.array([1, 255], dtype="uint8"),
        np.array([2**64 - 1, 0], dtype="uint64"),
        [0.1, np.nan],
        [np.inf, -np.inf],
        np.array([0.1, 0.2], dtype="float32"),
        [True, False],
        ["x", None],
        [b"x", None],
        pd.array([1, None], dtype="Int64"),
        pd.array([True, None], dtype="boolean"),
        pd.Categorical(["x", None], categories=["y", "x"], ordered=True),
        pd.to_datetime(["2020-01-01", None]),
        pd.to_datetime([1, 2], unit="ns"),
        pd.to_datetime(["2020-01-01", None]).tz_localize("Asia/Kolkata"),
        pd.to_timedelta([1, None]),
        [decimal.Decimal("1.10"), None],
        [dt.date(2020, 1, 1), None],
        [dt.time(1, 2), None],
        pd.period_range("2020", periods=2, freq="M"),
        pd.interval_range(0, 2),
        [2**60 + 1, -(2**63)],
        pd.Series([1, 2.5], dtype=object).astype(float),
    ],
)
def test_round_trip(send, format_, column):
    """Every dtype that Arrow knows comes back with its values and its dtype."""
    frame = pd.DataFrame({"a": column, "b": [1, 2]})
    arrived = send(frame, format=format_)
    assert () == arrived.notes
    pd.testing.assert_frame_equal(frame, back(arrived, format_))


@BOTH
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="i")),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["i", None])),
        pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 7)),
        pd.DataFrame({"a": [1, 2]}, index=pd.DatetimeIndex(["2020-01-01", "2020-01-02"])),
        pd.DataFrame([[1, 2]]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])),
        pd.DataFrame({"a": []}),
    ],
)
def test_index_and_columns(send, format_, frame):
    """Index and column names come back, of any kind."""
    pd.testing.assert_frame_equal(frame, back(send(frame, format=format_), format_))


@BOTH
def test_no_index(send, format_):
    """An index that is not wanted is not in the file."""
    frame = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), back(send(frame, format=format_, index=False), format_))


@BOTH
def test_mixed_column_names(send, format_):
    """Names of several types are written as text."""
    assert ["a", "1"] == list(back(send(pd.DataFrame([[1, 2]], columns=["a", 1]), format=format_), format_).columns)


@BOTH
@pytest.mark.parametrize(
    "column",
    [
        [1, "x"],
        [b"a", "a"],
        [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)],
        [dt.time(1, tzinfo=dt.UTC)] * 2,
        [True, 1],
        [2**70, 1],
        pd.Series([2**60 + 1, 0.5], dtype=object),
        pd.Categorical([b"a", "a"]),
        [1j, 2j],
        [object(), object()],
        pd.cut([1, 9], 2),
        pd.arrays.SparseArray([0, 1]),
        pd.Series([np.timedelta64(5), np.timedelta64(6)], dtype=object),
    ],
    ids=str,
)
def test_refused(send, format_, column):
    """What pyarrow refuses, or would change without a word, is refused by its column; --lossy writes it as text."""
    frame = pd.DataFrame({"ok": [1, 2], "bad": column})
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(format=format_))
    assert caught.value.cause.startswith("column bad holds values of ")
    assert "--format csv" in caught.value.way_out
    arrived = send(frame, format=format_, lossy=True)
    assert [str(value) for value in frame["bad"]] == back(arrived, format_)["bad"].tolist()
    assert any("column bad" in note for note in arrived.notes)


@BOTH
def test_refused_index(format_):
    """The index is held to the same rule."""
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, "x"], name="bad"))
    with pytest.raises(LossError, match="index bad holds values of type int and str"):
        sources.payloads(frame, Request(format=format_))


@BOTH
@pytest.mark.parametrize(
    "column", [[[1], [2, 3]], [{"k": 1}, {"l": 2}], [(1, 2), None], [{1}, {2}], [np.array([1]), None]]
)
def test_nested(send, format_, column):
    """Lists and dicts are kept, with a note that the column gets one type."""
    arrived = send(pd.DataFrame({"a": column}), format=format_)
    assert ("column a: lists or dicts get one Arrow type for the whole column",) == arrived.notes
    assert 2 == len(back(arrived, format_))


def test_options(send):
    """The options of the writer reach it."""
    frame = pd.DataFrame({"a": np.arange(1000)})
    content = send(frame, format="parquet", opt=(("compression", "gzip"), ("row_group_size", 100))).content
    read = pq.ParquetFile(io.BytesIO(content))
    assert ("GZIP", 10) == (read.metadata.row_group(0).column(0).compression, read.num_row_groups)
    feather = send(frame, format="feather", opt=(("compression", "zstd"),)).content
    pd.testing.assert_frame_equal(frame, pd.read_feather(io.BytesIO(feather)))
