"""JSON records and lines: every value comes back, and what has no JSON form is refused by its column."""

import datetime as dt
import decimal
import json
import pathlib
import uuid

import numpy as np
import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request, _table

BOTH = pytest.mark.parametrize("format_", ["json", "jsonl"])


@pytest.fixture(autouse=True, params=[_table.CELLS, 1], ids=["at once", "in chunks"])
def cells(request, monkeypatch):
    """Cells a chunk; the file must not depend on it."""
    monkeypatch.setattr(_table, "CELLS", request.param)


def records(arrived):
    """Return the records of a JSON or JSON lines file; NaN and Infinity are no JSON."""

    def refuse(word):
        raise AssertionError(word)

    if arrived.name.endswith(".jsonl"):
        return [json.loads(line, parse_constant=refuse) for line in arrived.content.decode().rstrip("\n").split("\n")]
    return json.loads(arrived.content, parse_constant=refuse)


@BOTH
@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1, -2, 2**53], [1, -2, 2**53]),
        (np.array([1, 255], dtype="uint8"), [1, 255]),
        ([0.1, 0.1 + 0.2, 1e300, 5e-324, -0.0, np.nan], [0.1, 0.1 + 0.2, 1e300, 5e-324, -0.0, None]),
        (np.array([0.1], dtype="float32"), [float(np.float32(0.1))]),
        ([True, False], [True, False]),
        (["x", None, 'é\n\r"\\\u2028'], ["x", None, 'é\n\r"\\\u2028']),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (pd.array([0.5, None], dtype="Float64"), [0.5, None]),
        (pd.array([True, None], dtype="boolean"), [True, None]),
        (pd.Categorical(["x", None]), ["x", None]),
        (pd.arrays.SparseArray([0, 1]), [0, 1]),
        (pd.to_datetime(["2020-01-01", None]), ["2020-01-01T00:00:00", None]),
        ([pd.Timestamp("2020-01-01 00:00:00.000000001")], ["2020-01-01T00:00:00.000000001"]),
        (pd.to_datetime(["2020-01-01"]).tz_localize("Asia/Kolkata"), ["2020-01-01T00:00:00+05:30"]),
        (pd.to_timedelta(["1D", None]), ["P1DT0H0M0S", None]),
        ([dt.date(2020, 1, 2), dt.time(3, 4)], ["2020-01-02", "03:04:00"]),
        ([np.datetime64("2020-01-01"), np.str_("x")], ["2020-01-01", "x"]),
        ([[1, [None, "x"]], {"k": {"l": 1.5}}], [[1, [None, "x"]], {"k": {"l": 1.5}}]),
        ([np.array([1, 2]), (1, np.int64(2))], [[1, 2], [1, 2]]),
        ([1, "x", None, 2.5], [1, "x", None, 2.5]),
        (pd.Series([pd.NA, pd.NaT, None, np.nan], dtype=object), [None] * 4),
        ([decimal.Decimal("1.10")], ["1.10"]),
        ([uuid.UUID(int=1), pathlib.PurePosixPath("a/b")], [str(uuid.UUID(int=1)), "a/b"]),
        (pd.period_range("2020", periods=1, freq="M"), ["2020-01"]),
        (pd.interval_range(0, 1), ["(0, 1]"]),
        ([1 + 2j], ["(1+2j)"]),
    ],
)
def test_values(send, format_, column, expected):
    """Every kind of value is written as the JSON value that stands for it, floats with all their digits."""
    assert [{"a": value} for value in expected] == records(send(pd.DataFrame({"a": column}), format=format_))


@BOTH
def test_float_digits(send, format_):
    """Ten thousand random floats come back bit for bit, which to_json does not manage."""
    floats = np.frombuffer(np.random.default_rng(0).bytes(80_000), dtype="float64")
    floats = floats[np.isfinite(floats)][:2000]
    back = [record["a"] for record in records(send(pd.DataFrame({"a": floats}), format=format_))]
    assert floats.tolist() == back


@BOTH
def test_names_and_index(send, format_):
    """Columns keep their order; an index that is written comes first under its name."""
    frame = pd.DataFrame({"b": [1], 2: [2], "a": [3]})
    assert [["b", "2", "a"]] == [list(record) for record in records(send(frame, format=format_))]
    assert [{"index": 0, "b": 1, "2": 2, "a": 3}] == records(send(frame, format=format_, index=True))
    named = frame.set_index("b")
    assert [{"b": 1, "2": 2, "a": 3}] == records(send(named, format=format_))
    levels = frame.set_index(["b", "a"]).rename_axis(["x", None])
    assert [{"x": 1, "level_1": 3, "2": 2}] == records(send(levels, format=format_))
    taken = pd.DataFrame({"index": [5]})
    assert [{"level_0": 0, "index": 5}] == records(send(taken, format=format_, index=True))


def test_rows_without_columns(send):
    """Rows of a frame that has only an index are kept."""
    frame = pd.DataFrame(index=pd.Index([1, 2], name="i"))
    assert [{"i": 1}, {"i": 2}] == records(send(frame, format="json"))


def test_layout(send):
    """A record a line, and the text of people in their letters."""
    frame = pd.DataFrame({"a": ["é", "b"]})
    assert '[\n{"a":"é"},\n{"a":"b"}\n]\n'.encode() == send(frame, format="json").content
    assert '{"a":"é"}\n{"a":"b"}\n'.encode() == send(frame, format="jsonl").content
    assert b'{"a":"\\u00e9"}\n' in send(frame, format="jsonl", opt=(("ensure_ascii", True),)).content
    assert frame.to_dict("records") == records(send(frame, format="json", opt=(("indent", 2),)))


@BOTH
@pytest.mark.parametrize(
    ("column", "words", "written"),
    [
        ([1.5, np.inf], "column a holds inf", [1.5, None]),
        (pd.array([-np.inf], dtype="Float64"), "column a holds inf", [None]),
        ([2**53 + 1], "column a holds whole numbers beyond 2^53", [2**53 + 1]),
        ([-(2**63)], "column a holds whole numbers beyond 2^53", [-(2**63)]),
        (np.array([2**64 - 1], dtype="uint64"), "column a holds whole numbers beyond 2^53", [2**64 - 1]),
        (pd.array([2**60, None], dtype="Int64"), "column a holds whole numbers beyond 2^53", [2**60, None]),
        ([2**70, "x"], "column a holds whole numbers beyond 2^53", [2**70, "x"]),
        ([[1, [2**60]]], "column a holds whole numbers beyond 2^53", [[1, [2**60]]]),
        ([{"k": float("inf")}], "column a holds inf", [{"k": None}]),
        ([b"x"], "column a holds bytes", ["eA=="]),
        ([[b"x"]], "column a holds a bytes", [["eA=="]]),
        ([{1}], "column a holds a set", ["{1}"]),
        ([{1: "x", "1": "y"}], "column a holds a dict with two keys that print alike", [{"1": "y"}]),
        ([range(2)], "column a holds a range", ["range(0, 2)"]),
        (pd.Categorical([2**60]), "column a holds whole numbers beyond 2^53", [2**60]),
        (pd.Categorical([np.inf]), "column a holds inf", [None]),
    ],
)
def test_loss(send, format_, column, words, written):
    """What JSON cannot hold is refused by its column; --lossy writes what goes."""
    frame = pd.DataFrame({"ok": [1] * len(column), "a": column})
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(format=format_))
    assert words in str(caught.value)
    assert written == [record["a"] for record in records(send(frame, format=format_, lossy=True))]


def test_loss_in_the_index():
    """The index is held to the same rule, by its name."""
    frame = pd.DataFrame({"a": [1]}, index=pd.Index([2**60], name="big"))
    with pytest.raises(LossError, match="index big holds whole numbers"):
        sources.payloads(frame, Request(format="json"))


def test_lossy_names(send):
    """Names that are there twice are told apart by a number where loss is allowed."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a.1"])
    assert [{"a": 1, "a.1": 2, "a.1.1": 3}] == records(send(frame, format="json", lossy=True))
