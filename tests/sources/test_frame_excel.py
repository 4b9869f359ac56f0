"""Excel workbooks: values come back, text stays text, and what a sheet cannot hold is refused by name."""

import datetime as dt
import decimal
import io

import numpy as np
import openpyxl
import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request, _loss, _table


def back(arrived, **options):
    """Return the sheets as pandas reads them again."""
    return pd.read_excel(io.BytesIO(arrived.content), sheet_name=None, keep_default_na=False, na_values=[""], **options)


@pytest.mark.parametrize(
    "column",
    [
        [1, -(2**53)],
        [0.1, np.nan],
        [1 / 3, 1e300],
        [True, False],
        ["x", None],
        ["=1+1", "=cmd|' /C calc'!A0"],
        ["#N/A", "#REF!"],
        ["007", "1e5"],
        ["NA", "a\nb"],
        [" x ", "é✓"],
        pd.to_datetime(["2020-01-01", "2020-01-02 03:04:05.678"], format="ISO8601"),
        [dt.datetime(1900, 1, 1), dt.datetime(9999, 12, 31)],
    ],
    ids=str,
)
def test_round_trip(send, column):
    """Numbers, texts and times come back; a text that looks like a formula or an error is still a text."""
    frame = pd.DataFrame({"a": column, "b": [1, 2]})
    arrived = send(frame, format="xlsx")
    texts = {"dtype": {"a": str}} if isinstance(column[0], str) else {}  # read_excel makes a number of 007
    pd.testing.assert_frame_equal(frame, back(arrived, **texts)["Sheet1"], check_dtype=False)
    kinds = {cell.data_type for row in openpyxl.load_workbook(io.BytesIO(arrived.content)).active for cell in row}
    assert not kinds & {"f", "e"}


def test_index(send):
    """Each row carries its index, even where the one above has the same."""
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("x", 2)], names=["i", "j"]))
    pd.testing.assert_frame_equal(frame.reset_index(), back(send(frame, format="xlsx"))["Sheet1"])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([b"x"], "bytes"),
        ([np.inf], "inf"),
        ([2**53 + 1], "whole numbers beyond 2^53"),
        (["a\rb"], "carriage returns"),
        (["a\x00b"], "characters that XML forbids"),
        (["x" * 32_768], "texts of more than 32,767 characters"),
        (pd.to_timedelta([1]), "lengths of time"),
        ([dt.timedelta(1), "x"], "lengths of time"),
        (pd.to_datetime(["2020-01-01"]).tz_localize("UTC"), "times with a time zone"),
        ([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), 1], "times with a time zone"),
        (pd.to_datetime(["2020-01-01 00:00:00.000001"]), "times finer than a millisecond"),
        (pd.to_datetime([1], unit="ns"), "times finer than a millisecond"),
        ([dt.time(1, 2, 3, 4), 1], "times finer than a millisecond"),
        (pd.to_datetime(["1899-12-31"]), "dates before 1900"),
        ([dt.date(1492, 1, 1)], "dates before 1900"),
        ([decimal.Decimal("1.1234567890123456")], "decimals of more than 15 digits"),
        ([1j], "complex numbers"),
    ],
)
def test_loss(send, column, words):
    """What a sheet would cut, round or change is refused by its column; --lossy writes it as text."""
    frame = pd.DataFrame({"ok": [1] * len(column), "a": column})
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(format="xlsx"))
    assert f"column a holds {words}, which xlsx" in caught.value.cause
    arrived = send(frame, format="xlsx", lossy=True)
    assert any(words in note for note in arrived.notes)
    assert len(frame) == len(back(arrived)["Sheet1"])


def test_no_loss_where_there_is_no_value():
    """Missing times and empty columns are no loss."""
    frame = pd.DataFrame({"t": pd.Series([pd.NaT, pd.NaT], dtype="datetime64[ns]"), "n": [None, None]})
    sources.payloads(frame, Request(format="xlsx")).close()
    sources.payloads(frame.iloc[:0], Request(format="xlsx")).close()


def test_too_many_rows(send, monkeypatch):
    """More rows than a sheet has are refused with both numbers; --lossy cuts."""
    with pytest.raises(LossError) as caught:
        sources.payloads(pd.DataFrame({"a": np.zeros(1_048_576, dtype="int8")}), Request(format="xlsx"))
    assert "1,048,576 rows" in str(caught.value)
    monkeypatch.setattr(_loss, "EXCEL_ROWS", 3)
    arrived = send(pd.DataFrame({"a": [1, 2, 3]}), format="xlsx", lossy=True)
    assert [1, 2] == back(arrived)["Sheet1"]["a"].tolist()


def test_too_many_columns():
    """More columns than a sheet has are refused."""
    with pytest.raises(LossError, match="16,385 columns"):
        sources.payloads(pd.DataFrame([range(16_385)]), Request(format="xlsx"))


def test_dict_of_frames(send):
    """A dict of frames is one workbook with a sheet each, in order, each with its own index rule."""
    frames = {
        "sales": pd.DataFrame({"a": [1, 2]}),
        "Müller & Co": pd.DataFrame({"b": ["x"]}, index=pd.Index([7], name="i")),
        "s": pd.Series([1.5], name="v"),
    }
    arrived = send(frames, label="report")
    assert "report.xlsx" == arrived.name
    read = back(arrived)
    assert list(frames) == list(read)
    pd.testing.assert_frame_equal(frames["sales"], read["sales"])
    pd.testing.assert_frame_equal(frames["Müller & Co"].reset_index(), read["Müller & Co"])
    assert [1.5] == read["s"]["v"].tolist()
    assert "b.xlsx" == send(frames, name="b.xlsx").name


@pytest.mark.parametrize("name", ["", "x" * 32, "a/b", "a\\b", "a:b", "[a]", "a*b", "a?b", "'a", "a'", "SALES"])
def test_sheet_names(name):
    """A sheet name that Excel would refuse is refused by nbfiles."""
    frame = pd.DataFrame({"a": [1]})
    with pytest.raises(InputError, match=r"a sheet cannot be called|two sheets are called"):
        sources.payloads({"sales": frame, name: frame})
    if name != "SALES":
        with pytest.raises(InputError, match="a sheet cannot be called"):
            sources.payloads(frame, Request(format="xlsx", opt=(("sheet_name", name),)))


@pytest.mark.parametrize(
    ("obj", "request_", "words"),
    [
        ({1: pd.DataFrame({"a": [1]})}, {}, "a sheet's name must be a text"),
        ({"a": pd.DataFrame({"a": [1]})}, {"format": "csv"}, "csv holds one table"),
        ({"a": pd.DataFrame({"a": [1]})}, {"name": "a.parquet"}, "parquet holds one table"),
        ({"a": pd.DataFrame({"a": [1]})}, {"opt": (("sheet_name", "x"),)}, "sheet_name is for one frame"),
    ],
)
def test_dict_refused(obj, request_, words):
    """What one workbook cannot be is refused."""
    with pytest.raises(InputError, match=words):
        sources.payloads(obj, Request(**request_))


def test_loss_names_the_sheet():
    """A loss in one sheet is named with the sheet and the column."""
    with pytest.raises(LossError, match="in sheet two column a holds inf"):
        sources.payloads({"one": pd.DataFrame({"a": [1]}), "two": pd.DataFrame({"a": [np.inf]})})


def test_missing_package(monkeypatch):
    """Without openpyxl there is one line that says how to get it."""
    monkeypatch.setattr(_table.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(InputError, match=r"xlsx needs the package openpyxl.*%pip install openpyxl"):
        sources.payloads(pd.DataFrame({"a": [1]}), Request(format="xlsx"))


@pytest.mark.parametrize(
    ("frame", "rows"),
    [
        (pd.DataFrame(index=pd.Index(["a", "b"], name="k")), [("k",), ("a",), ("b",)]),
        (pd.DataFrame(index=pd.MultiIndex.from_tuples([(1, 2)], names=["p", "q"])), [("p", "q"), (1, 2)]),
        (
            pd.DataFrame({"n": [1]}, index=pd.period_range("2020", periods=1, freq="Y", name="y")),
            [("y", "n"), ("2020", 1)],
        ),
    ],
    ids=["index", "levels", "periods"],
)
def test_an_index_is_written_as_it_is(send, frame, rows):
    """An index without columns has no blank row above it, and periods stay periods."""
    content = send(frame, format="xlsx").content
    assert rows == list(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True))
