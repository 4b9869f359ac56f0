"""Arrow tables of several libraries: stored in every format with the values they had, or refused by name."""

import csv
import datetime as dt
import decimal
import io
import itertools
import json
import os

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nbfiles import sources
from nbfiles._errors import LossError, SourceError
from nbfiles.sources import Request
from nbfiles.sources._formats import FORMATS

ARROW = pa.table({
    "n": pa.array([1, None, 2**60], pa.int64()),
    "small": pa.array([1, None, 255], pa.uint8()),
    "x": pa.array([0.1, None, 1e-300], pa.float64()),
    "yes": pa.array([True, None, False]),
    "text": pa.array(["é", None, "a,b"]),
    "kind": pa.array(["u", "v", "u"]).dictionary_encode(),
    "price": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-2.00")]),
    "at": pa.array([dt.datetime(1700, 1, 2, 3, 4, 5, 6), None, dt.datetime(2200, 1, 1)], pa.timestamp("us")),
    "zoned": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None, None], pa.timestamp("us", "UTC")),
    "day": pa.array([dt.date(1600, 1, 1), None, dt.date(9999, 12, 31)]),
    "many": pa.array([[1, 2**60], None, []], pa.list_(pa.int64())),
    "record": pa.array([{"a": 2**60, "b": None}, None, {"a": None, "b": "x"}]),
})  # fmt: skip
TEXTS = [
    ["1", "1", "0.1", "True", "é", "u", "1.10", "1700-01-02 03:04:05.000006", "2020-01-01 00:00:00+00:00", "1600-01-01",
     str([1, 2**60]), str({"a": 2**60, "b": None})],
    ["", "", "", "", "", "v", "", "", "", "", "", ""],
    [str(2**60), "255", "1e-300", "False", "a,b", "u", "-2.00", "2200-01-01 00:00:00.000000", "", "9999-12-31", "[]",
     str({"a": None, "b": "x"})],
]  # fmt: skip


def by_reader(table):
    """The table as a stream that can be read once."""
    return pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=2)))


class Capsule:
    """An object of no known library that speaks the protocol."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


FORMS = {
    "table": lambda table: table,
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "reader": by_reader,
    "capsule": Capsule,
    "polars": pl.from_arrow,
    "lazy": lambda table: pl.from_arrow(table).lazy(),
    "duckdb": duckdb.from_arrow,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format_", ["csv", "tsv"])
def test_text(store, form, format_):
    """CSV and TSV hold every value with all its digits, whole numbers as whole numbers beside missing ones."""
    arrived = store(FORMS[form](ARROW), format=format_)
    reader = csv.reader(io.StringIO(arrived.content.decode(), newline=""), delimiter={"csv": ",", "tsv": "\t"}[format_])
    head, *rows = reader
    assert ARROW.column_names == head
    assert TEXTS == rows


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_records(store, form, format_):
    """JSON and JSON lines hold every value, null where it is missing."""
    table = ARROW.drop_columns(["n", "many", "record"])
    content = store(FORMS[form](table), format=format_).content.decode()
    records = json.loads(content) if format_ == "json" else [json.loads(line) for line in content.splitlines()]
    expected = {
        "small": 1, "x": 0.1, "yes": True, "text": "é", "kind": "u", "price": "1.10",
        "at": "1700-01-02T03:04:05.000006", "zoned": "2020-01-01T00:00:00+00:00", "day": "1600-01-01",
    }  # fmt: skip
    assert [expected, dict.fromkeys(expected) | {"kind": "v"}] == records[:2]
    assert [255, 1e-300, False] == [records[2][name] for name in ("small", "x", "yes")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format_", ["parquet", "feather"])
def test_arrow_formats(store, form, format_):
    """Parquet and Feather hold the same values and the same types as Arrow gives them."""
    back = io.BytesIO(store(FORMS[form](ARROW), format=format_).content)
    if form in {"polars", "lazy"}:
        read = pl.read_parquet if format_ == "parquet" else pl.read_ipc
        assert_frame_equal(pl.from_arrow(ARROW), read(back), categorical_as_str=True)
        return
    read = pa.parquet.read_table if format_ == "parquet" else pa.feather.read_table
    expected, found = pa.table(FORMS[form](ARROW)), read(back)
    assert expected.to_pylist() == found.to_pylist()
    assert expected.schema.types == found.schema.types


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format_", ["xlsx", "html", "md", "txt"])
def test_shown(store, form, format_):
    """Workbooks and tables for reading hold the text of every value."""
    table = ARROW.select(["small", "text", "kind"] + ["day"] * (format_ != "xlsx"))
    content = store(FORMS[form](table), format=format_, name=f"x.{format_}").content
    if format_ == "xlsx":
        back = pd.read_excel(io.BytesIO(content))
        assert [1, 255] == back["small"].dropna().tolist()
        assert ["é", "a,b"] == back["text"].dropna().tolist()
    else:
        text = content.decode()
        for expected in ("é", "a,b", "255", "1600-01-01", "9999-12-31"):
            assert expected in text


@pytest.mark.parametrize(
    "obj",
    [
        pl.Series("price", [3, None, 1]),
        pa.chunked_array([[3, None], [1]]),
        pa.array([3, None, 1]),
    ],
    ids=["polars", "chunked", "array"],
)
def test_one_column(send, obj):
    """A Series or an array is a table of one column, named by itself or by the variable."""
    assert b'price\n3\n""\n1\n' == send(obj, label="price").content


def test_a_reader_without_end(send):
    """Of a stream no more is read than the rows that are asked for."""
    schema = pa.schema({"n": pa.int64()})
    batches = (pa.record_batch({"n": range(start, start + 10)}, schema=schema) for start in itertools.count(0, 10))
    arrived = send(pa.RecordBatchReader.from_batches(schema, batches), max_rows=25)
    assert list(range(25)) == pd.read_csv(io.BytesIO(arrived.content))["n"].tolist()
    assert ("the first 25 rows; how many there are was not asked",) == arrived.notes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_rows(send, form, format_):
    """--sample takes the same rows of every form and format, and --max-rows the first ones."""
    table = pa.table({"n": range(1000)})
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[format_]
    sample = send(FORMS[form](table), format=format_, sample=50)
    frame = send(table.to_pandas(), sample=50)
    assert pd.read_csv(io.BytesIO(frame.content))["n"].tolist() == read(io.BytesIO(sample.content))["n"].tolist()
    assert ("50 of 1,000 rows, at random",) == sample.notes
    first = send(FORMS[form](table), format=format_, max_rows=7)
    assert list(range(7)) == read(io.BytesIO(first.content))["n"].tolist()


def test_the_index_of_pandas_comes_along(send):
    """An index that pandas put into an Arrow table is written as pandas' own would be, and --no-index leaves it out."""
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="k"))
    table = pa.Table.from_pandas(frame)
    assert send(frame).content == send(table).content
    assert send(frame, index=False).content == send(table, index=False).content
    pd.testing.assert_frame_equal(frame, pd.read_parquet(io.BytesIO(send(table, format="parquet").content)))
    bare = pd.read_parquet(io.BytesIO(send(table, format="parquet", index=False).content))
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), bare)


UNION = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])


@pytest.mark.parametrize(
    ("table", "format_", "words", "way_out"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "parquet", "column a is there twice", "--lossy"),
        (pa.table([[1], [2]], names=["a", "a"]), "csv", "column a is there twice", "--lossy"),
        (pa.table({"u": UNION}), "parquet", "column u holds values of type sparse_union", "--format feather"),
        (pa.table({"t": pa.array([1], pa.time64("ns"))}), "csv", "column t holds values of type time64[ns]", "feather"),
        (pa.table({"b": pa.array([b"x"])}), "csv", "column b holds bytes", "--format parquet"),
        (pa.table({"n": [2**60]}), "json", "column n holds whole numbers beyond 2^53", "--format csv"),
        (pa.table({"x": [float("inf")]}), "jsonl", "column x holds inf", "--format csv"),
        (pa.table({"t": pa.array([1], pa.duration("s"))}), "xlsx", "column t holds lengths of time", "--format csv"),
        (pa.table({}), "csv", "the frame has no columns", "--lossy"),
    ],
)
def test_refused(table, format_, words, way_out):
    """What the format would lose is refused with the source, the column and a format that can."""
    with pytest.raises(LossError) as caught:
        sources.payloads(table, Request(label="tbl", format=format_))
    assert caught.value.cause.startswith(f"tbl: {words}")
    assert way_out in caught.value.way_out


@pytest.mark.parametrize(
    ("table", "format_", "back"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "parquet", {"a": [1], "a.1": [2]}),
        (pa.table({"u": UNION}), "parquet", {"u": ["1", "b"]}),
    ],
)
def test_lossy(send, table, format_, back):
    """--lossy writes it all the same, and the receipt says what became of it."""
    arrived = send(table, format=format_, lossy=True)
    assert back == pa.parquet.read_table(io.BytesIO(arrived.content)).to_pydict()
    assert arrived.notes


def test_a_reader_that_was_read(send):
    """A reader gives its rows once; that there were none is said."""
    reader = by_reader(ARROW)
    send(reader)
    assert ("the stream had no rows; a reader can be read only once",) == send(reader).notes


def test_a_stream_that_breaks():
    """A stream that fails half-way is one line, and leaves nothing behind."""
    schema = pa.schema({"n": pa.int64()})

    def batches():
        yield pa.record_batch({"n": [1]}, schema=schema)
        raise ValueError("the disk is gone\nand more")

    with pytest.raises(SourceError, match=r"tbl cannot be read: .*the disk is gone. "):
        sources.payloads(pa.RecordBatchReader.from_batches(schema, batches()), Request(label="tbl"))


def test_a_query_that_fails():
    """What a lazy frame raises is the user's own, and nothing is left behind."""
    with pytest.raises(pl.exceptions.PolarsError):
        sources.payloads(pl.LazyFrame({"a": [1]}).select("b"))


def test_long_lists_are_whole(send):
    """A list of thousands of numbers is written to its end."""
    table = pa.table({"v": [list(range(3000))]})
    _, (text,) = csv.reader(io.StringIO(send(table).content.decode()), strict=True)
    assert list(range(3000)) == json.loads(text)


WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
TYPES = [
    (pa.int64(), WHOLE),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.dictionary(pa.int32(), pa.string()), TEXT),
    (pa.decimal128(20, 3), st.decimals(-1000, 1000, places=3, allow_nan=False)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))),
    (pa.time64("us"), st.times()),
    (pa.binary(), st.binary(max_size=3)),
    (pa.list_(pa.int64()), st.lists(WHOLE | st.none(), max_size=3)),
    (pa.struct({"a": pa.int64(), "b": pa.string()}), st.fixed_dictionaries({"a": WHOLE | st.none(), "b": TEXT})),
]
FULL = os.environ.get("NBFILES_TRIALS") == "full"


@st.composite
def tables(draw):
    """An Arrow table of up to four columns of any type, with missing values."""
    size = draw(st.integers(0, 5))
    columns = {}
    for name in draw(st.lists(TEXT.filter(bool), max_size=4, unique=True)):
        kind, values = draw(st.sampled_from(TYPES))
        found = draw(st.lists(st.none() | values, min_size=size, max_size=size))
        columns[name] = pa.array(found, kind.value_type).dictionary_encode() if "dict" in str(kind) else None
        if columns[name] is None:
            columns[name] = pa.array(found, kind)
    return pa.table(columns)


def arrives(obj, format_):
    """Return what arrives, or None if it was refused by the name of a column or for having none."""
    try:
        made = sources.payloads(obj, Request(format=format_))
    except LossError as error:
        refused = error.cause
    else:
        with made:
            return b"".join(made.items[0].chunks())
    assert refused.startswith(("column ", "the frame has no ", "the name of a column "))
    return None


def trials(full):
    return settings(
        max_examples=full if FULL else full // 10,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.mark.parametrize("format_", ["parquet", "feather"])
@trials(1000)
@given(tables())
def test_random_binary(format_, table):
    """Any table comes back from Parquet and Feather with its values and its types."""
    content = arrives(table, format_)
    if content is not None:
        read = pa.parquet.read_table if format_ == "parquet" else pa.feather.read_table
        back = read(io.BytesIO(content))
        assert table.to_pydict() == back.to_pydict()
        assert table.schema.types == back.schema.types


@trials(3000)
@given(tables())
def test_random_text(table):
    """Any table is the same CSV as the frame of its Python values, or refused."""
    content = arrives(table, "csv")
    if content is None:
        return
    _, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    rows = [row or [""] for row in rows]
    assert table.num_rows == len(rows)
    for texts, record in zip(rows, table.to_pylist(), strict=True):
        for text, value in zip(texts, record.values(), strict=True):
            assert same(value, text), (value, text)


def same(value, text):
    """Whether a text in a CSV file is `value`."""
    if value is None:
        return text == ""
    if isinstance(value, float):
        return float(text) == value
    if isinstance(value, dt.datetime):
        return pd.Timestamp(text) == value
    return text == str(value)


def test_nothing_is_imported():
    """The object alone is asked: no library is imported to find out that it is not involved."""
    assert not sources._arrow_tables.matches(np.arange(3))
    assert not sources._arrow_tables.matches(pa.Table)
    assert set(FORMATS) >= set(sources._arrow_tables._DIRECT)
