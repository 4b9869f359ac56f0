"""CSV and TSV: what to_csv writes, byte for byte, however long the frame is."""

import datetime as dt
import decimal
import io
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request, _csv, _csv_cells, _table

N = 50
MIDNIGHTS = pd.date_range("2020-01-01", periods=N)
COLUMNS = {
    "int": np.arange(N) - 7,
    "uint64": np.full(N, 2**64 - 1, dtype="uint64"),
    "float": np.linspace(-1, 1, N) / 3,
    "whole floats": np.arange(float(N)),
    "extremes": [0.0, -0.0, 1e15, 1e-5, 1.5e300, np.nan, np.inf, -np.inf, 5e-324, 0.1] * 5,
    "float32": np.linspace(-1, 1, N, dtype="float32") * 16777216,
    "bool": np.arange(N) % 2 == 0,
    "text": ["plain", 'quo"te', "com,ma", "line\nbreak", " sp ", "tab\t", "é✓", "=1+1", "NA", "007"] * 5,
    "object": pd.Series(["x", None, "y", np.nan, "z"] * 10, dtype=object),
    "midnights": MIDNIGHTS,
    "seconds": MIDNIGHTS + pd.to_timedelta([0] * (N - 1) + [5], unit="s"),
    "late millisecond": MIDNIGHTS + pd.to_timedelta([0] * (N - 1) + [5], unit="ms"),
    "late nanosecond": MIDNIGHTS.as_unit("ns") + pd.to_timedelta([0] * (N - 1) + [5], unit="ns"),
    "early microsecond": MIDNIGHTS + pd.to_timedelta([7] + [0] * (N - 1), unit="us"),
    "with NaT": pd.Series(MIDNIGHTS).where(np.arange(N) % 3 == 0),
    "only NaT": pd.Series([pd.NaT] * N, dtype="datetime64[ns]"),
    "zone": MIDNIGHTS.tz_localize("America/New_York"),
    "zone, late": (MIDNIGHTS + pd.to_timedelta([0] * (N - 1) + [5], unit="ms")).tz_localize("Asia/Kolkata"),
    "unit s": MIDNIGHTS.as_unit("s"),
    "days": pd.to_timedelta(np.arange(N), unit="D"),
    "late timedelta": pd.to_timedelta([0] * (N - 1) + [5], unit="ms"),
    "category": pd.Categorical(["x", "y", None, "x", "z"] * 10),
    "dates as category": pd.Categorical(MIDNIGHTS + pd.to_timedelta([0] * (N - 1) + [5], unit="ms")),
    "Int64": pd.array([1, None] * 25, dtype="Int64"),
    "boolean": pd.array([True, None] * 25, dtype="boolean"),
    "decimal": [decimal.Decimal("1.10"), None] * 25,
    "date": [dt.date(2020, 1, 1), None] * 25,
    "sparse": pd.arrays.SparseArray([0, 0, 1, 0, 0] * 10),
    "arrow text": pd.array(["x", None] * 25, dtype="string[pyarrow]"),
    "period": pd.period_range("2020", periods=N, freq="M"),
    "interval": pd.interval_range(0, N),
    "complex": np.arange(N) * 1j,
    "bools as objects": pd.Series([True, None, np.False_, np.nan, pd.NA] * 10, dtype=object),
    "strings of all sorts": pd.Series(["x", np.str_("y"), np.float32("nan"), None, pd.NA] * 10, dtype=object),
    "nothing": pd.Series([None] * N, dtype=object),
    "foreign bytes": pd.Series(np.arange(N).astype(">f8")),
    "years before 1000": np.array(["0999-12-31"] * N, "M8[s]"),
    "used times only": pd.Categorical.from_codes(
        [0, 1] * 25, pd.DatetimeIndex([*MIDNIGHTS[:2], "2020-01-01 01:02:03"])
    ),
    "lists": [[1, "x"], {"k": 1}] * 25,
    "mixed": [1, "x", 2.5, None, True] * 10,
}


NO_INDEX = {"lists", "mixed", "complex", "foreign bytes"}  # of which pandas makes no levels


@pytest.fixture(
    params=[(_table.CELLS, 1), (7, 1), (1, 1), (7, _csv.FEW_ROWS)],
    ids=["at once", "in chunks", "row by row", "by pandas in chunks"],
)
def cells(request, in_chunks):
    """Cells a chunk, and from how many rows on pyarrow writes; the file must not depend on it."""
    cells, few_rows = request.param
    with in_chunks(cells, few_rows=few_rows):
        yield


@pytest.mark.parametrize("name", COLUMNS)
def test_equals_to_csv(send, cells, name):
    """Every dtype is written exactly as one call of to_csv writes it, in chunks too."""
    frame = pd.DataFrame({"a": COLUMNS[name], "b": np.arange(N)})
    assert frame.to_csv(index=False, lineterminator="\n").encode() == send(frame).content
    assert frame.to_csv(index=False, lineterminator="\n", sep="\t").encode() == send(frame, format="tsv").content


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in NO_INDEX])
def test_index_equals_to_csv(send, cells, name):
    """Every dtype as an index, and as a level of one, is written as to_csv does."""
    index = pd.Index(pd.Series(COLUMNS[name]), name="i")
    frame = pd.DataFrame({"b": np.arange(N)}, index=index)
    assert frame.to_csv(lineterminator="\n").encode() == send(frame, index=True).content
    levels = frame.set_index(pd.MultiIndex.from_arrays([np.arange(N), index]))
    assert levels.to_csv(lineterminator="\n").encode() == send(levels).content


SLOW = {
    "days", "late timedelta", "decimal", "date", "sparse", "period", "interval", "complex", "foreign bytes",
    "years before 1000",
}  # fmt: skip
if not _csv_cells._is_even():  # pandas 2 writes each time of a zone as finely as that one needs
    SLOW.add("zone, late")


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in SLOW])
def test_pandas_writes_the_header_alone(send, monkeypatch, name):
    """All but these few dtypes are written by pyarrow, at a tenth of the cost."""
    column = pd.Series(COLUMNS[name])
    frame = pd.concat([pd.DataFrame({"a": column, "b": np.arange(N)})] * (_csv.FEW_ROWS // N))
    expected = frame.to_csv(index=False, lineterminator="\n").encode()
    monkeypatch.setattr(_csv, "_texts", None)
    monkeypatch.setattr(_csv._Run, "__init__", None)
    assert expected == send(frame, index=False).content


def test_all_columns_together(send, cells):
    """All dtypes side by side are written as to_csv does."""
    frame = pd.DataFrame(COLUMNS)
    assert frame.to_csv(index=False, lineterminator="\n").encode() == send(frame).content


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [None, "x", None]}),
        pd.DataFrame({"a": ["", "x"]}),
        pd.DataFrame({"a": [np.nan, 1.0]}),
        pd.DataFrame({"a": []}),
        pd.DataFrame({'na"me': [1], "na,me": [2], "": [3], None: [4]}).iloc[:, :3],
        pd.DataFrame({1: [1], 2.5: [2], dt.date(2020, 1, 1): [3]}),
        pd.DataFrame({"a": [1]}, index=pd.DatetimeIndex(["2020-01-01"])),
        pd.DataFrame([list(range(2000))]),
    ],
)
def test_small_frames(send, cells, frame):
    """Lone columns with missing values, odd names and very wide frames are as to_csv writes them."""
    index = not isinstance(frame.index, pd.RangeIndex)
    assert frame.to_csv(index=index, lineterminator="\n").encode() == send(frame).content


FLOATS = {
    "at NumPy's borders": [1e-5, 9.9e-5, 1e-4, 1.1e-4, 9999999999.5, 1e10, 1e10 + 0.5, 1e15 + 0.5, 1e16, 1.5e16],
    "whole to the last": [0.0, -0.0, 1.0, -1.0, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, -(2.0**53), 1e15, 1e17, 1e22, 1e23],
    "few decimals": [0.1, -0.1, 0.0001, -0.0001, 0.01, 12.5, 12.34, -12.345, 1.2345, 99999.9999, 1234567890.1234, 0.0],
    "one more decimal": [0.1, 0.25, 0.12345, 1.00001, 12345.67891, 1e-5, 3.0, 4.5, 7.25, 8.125, 9.0625, 9.03125],
    "no decimals at all": [1 / 3, 2 / 3, 1e-300, 1e300, 5e-324, np.pi, 1.7976931348623157e308, np.nan, np.inf, -np.inf],
    "many whole": [float(n) for n in range(40)] + [0.5, np.nan],
    "one whole": [n / 7 for n in range(1, 48)],
    "tiny": [n / 7e9 for n in range(1, 48)],
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "Float32", "float16"])
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_floats(send, cells, name, dtype):
    """Every float is written with the digits and in the form that to_csv chooses."""
    floats = pd.Series(np.array(FLOATS[name]).astype(dtype.lower()), dtype=dtype)
    for frame in (pd.DataFrame({"a": floats, "b": floats[::-1].array}), pd.DataFrame({"a": floats})):
        assert frame.to_csv(index=False, lineterminator="\n").encode() == send(frame).content


def test_random_floats(send):
    """A hundred thousand doubles and singles of any size are written as to_csv writes them."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**64, 50_000, dtype="uint64")
    frame = pd.DataFrame(
        {
            "any double": bits.view("float64"),
            "any single": bits.astype("uint32").view("float32"),
            "usual": random.normal(size=50_000) * 10.0 ** random.integers(-6, 17, 50_000),
            "usual single": (random.normal(size=50_000) * 10.0 ** random.integers(-6, 9, 50_000)).astype("float32"),
            "prices": random.integers(-(10**6), 10**6, 50_000) / 100,
            "decimals": random.integers(-(10**13), 10**13, 50_000) / 10.0 ** random.integers(0, 6, 50_000),
        }
    )
    assert frame.to_csv(index=False, lineterminator="\n").encode() == send(frame).content


def test_without_pyarrows_help(send, monkeypatch):
    """What pyarrow writes and what pandas writes beside it is one file: pandas columns between and around Arrow's."""
    rows = 3000
    spans = pd.to_timedelta(np.arange(rows), unit="s")
    lists = pd.Series([["a", 'q"'], ["line\nbreak"], None] * 1000, dtype=object)
    texts = pd.Series(['x"\ny', "", None] * 1000, dtype=object)
    frames = [
        pd.DataFrame({"t": spans, "a": range(rows), "l": lists, "u": spans, "b": texts}),
        pd.DataFrame({"a": range(rows), "l": lists, "b": texts, "c": range(rows)}),
        pd.DataFrame({"a": range(rows), "l": lists}, index=pd.Index(spans, name="i")),
        pd.DataFrame({"a": range(rows), "b": texts}, index=pd.Index(texts, name="i")),
    ]
    monkeypatch.setattr(_csv, "_texts", None)  # to_csv alone is not used
    for frame in frames:
        index = not isinstance(frame.index, pd.RangeIndex)
        assert frame.to_csv(index=index, lineterminator="\n").encode() == send(frame).content


CARRIAGES = [
    pd.DataFrame({"a": ["x\ry", "b\r", "\r", "c"] * 5, "b": [1.0, None, 2.5, 3.0] * 5}),
    pd.DataFrame({"a\rb": [1, 2], "c": [True, False]}),
    pd.DataFrame({"a": ["1\r\n2", 'q"\r'], "t": pd.to_datetime(["2020-01-01", None])}),
    pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x\ry", "z"], name="i")),
    pd.DataFrame({"a": ["x\ry"]}),
]


@pytest.mark.parametrize("frame", CARRIAGES)
def test_carriage_return(send, cells, frame):
    """A carriage return inside a text comes back, which to_csv itself does not manage."""
    index = not isinstance(frame.index, pd.RangeIndex)
    arrived = pd.read_csv(io.BytesIO(send(frame).content), index_col=0 if index else None)
    if "t" in frame:
        arrived["t"] = pd.to_datetime(arrived["t"])
    pd.testing.assert_frame_equal(frame, arrived, check_dtype=False)


def test_carriage_return_is_quoted_alone(send, cells):
    """A carriage return puts quotes around its own cell, like a line feed, and around no other."""
    frame = pd.DataFrame({"a": ["x\ry", "plain", "\r"], "b": [1.5, None, 2.0], "l": [["u"], ["v"], None]})
    assert b"a,b,l\n\"x\ry\",1.5,['u']\nplain,,['v']\n\"\r\",2.0,\n" == send(frame).content
    by_single_quotes = send(frame, opt=(("quotechar", "'"),)).content
    assert b"a,b,l\n'x\ry',1.5,'[''u'']'\nplain,,'[''v'']'\n'\r',2.0,\n" == by_single_quotes


def test_an_empty_text_alone_is_no_empty_line(send, cells):
    """The only cell of a row has quotes if it is empty, also where a missing one has a word of its own."""
    frame = pd.DataFrame({"a": ["x", "", None]})
    assert b'a\nx\n""\nNULL\n' == send(frame, opt=(("na_rep", "NULL"),)).content


@pytest.mark.parametrize(
    "options",
    [
        {"sep": ";", "decimal": ","},
        {"sep": "|"},
        {"sep": "."},
        {"na_rep": 'a"b'},
        {"na_rep": "NULL", "lineterminator": "\r\n"},
        {"escapechar": "\\", "doublequote": False},
        {"na_rep": "NULL"},
        {"float_format": "%.2f"},
        {"header": False},
        {"header": ["x", "y", "z"]},
        {"quoting": 1},
        {"quotechar": "'"},
        {"lineterminator": "\r\n"},
        {"date_format": "%d.%m.%Y"},
        {"index": True, "index_label": "row"},
    ],
)
def test_options(send, cells, options):
    """The options of to_csv are its options."""
    frame = pd.DataFrame({"a": [1.5, None] * 5, "b": ["x", "it's"] * 5, "t": pd.date_range("2020-01-01", periods=10)})
    expected = frame.to_csv(**{"index": False, "lineterminator": "\n", **options}).encode()
    assert expected == send(frame, opt=tuple(options.items())).content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encoding(send, cells, encoding):
    """Another encoding has its byte order mark once, at the start."""
    frame = pd.DataFrame({"a": ["é"] * 10})
    content = send(frame, opt=(("encoding", encoding),), type="application/octet-stream").content
    assert frame.to_csv(index=False, lineterminator="\n").encode(encoding) == content


def test_ascii(send, cells):
    """An encoding that is not UTF-8 needs no letter beyond its own."""
    frame = pd.DataFrame({"a": ["e"] * 10})
    assert b"a\n" + b"e\n" * 10 == send(frame, opt=(("encoding", "ascii"),)).content


def test_half_a_surrogate_pair(send, cells):
    """A text that UTF-8 has no form for is refused by its column in a long frame too; --lossy mends it."""
    frame = pd.DataFrame({"n": range(10), "a": pd.Series(["x"] * 9 + ["\ud800"], dtype=object)})
    with pytest.raises(LossError, match="column a holds half of a surrogate pair"):
        sources.payloads(frame, Request())
    assert send(frame, lossy=True).content.endswith(b"8,x\n9,?\n")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([b"x"], "column a holds bytes"),
        ([bytearray(b"x"), None], "column a holds bytes"),
        (["x", b"x"], "column a holds bytes"),
        (pd.Categorical([b"x"]), "column a holds bytes"),
        (pd.Series([np.timedelta64(5)], dtype=object), "column a holds timedeltas without a unit"),
    ],
)
@pytest.mark.parametrize("format_", ["csv", "tsv"])
def test_loss(send, column, words, format_):
    """Bytes and lengths of time without a unit are refused by their column; --lossy writes and says so."""
    frame = pd.DataFrame({"ok": [1] * len(column), "a": column})
    with pytest.raises(LossError, match=words):
        sources.payloads(frame, Request(format=format_))
    arrived = send(frame, format=format_, lossy=True)
    assert any(words in note for note in arrived.notes)
    sep = "\t" if format_ == "tsv" else ","
    assert frame.to_csv(index=False, lineterminator="\n", sep=sep).encode() == arrived.content


@pytest.mark.parametrize(
    ("column", "note"),
    [
        ([[1], [2]], "column a: lists or dicts are written as Python prints them"),
        ([{"k": 1}, None], "column a: lists or dicts are written as Python prints them"),
        ([1, "x"], "column a: values of several types are written as they print, without their type"),
        (pd.period_range("2020", periods=2, freq="M"), "column a: periods are written as text"),
        (pd.interval_range(0, 2), "column a: intervals are written as text"),
        (pd.cut([1, 9], 2), "column a: intervals are written as text"),
        (["", None], "column a: empty texts and missing values are written alike"),
        ([1, 2], None),
        ([1, 2.5], None),
        (["x", None], None),
        (pd.Series([1, 2.5, None], dtype=object), None),
        (pd.to_timedelta([1, 2]), None),
    ],
)
def test_notes(send, column, note):
    """What a reader should know about a column is in the receipt, and nothing else is."""
    assert ((note,) if note else ()) == send(pd.DataFrame({"a": column})).notes


def test_memory_stays_flat():
    """Encoding takes no more memory for ten times the rows, once past the first chunk."""
    peaks = []
    for rows in (30_000, 300_000):
        frame = pd.DataFrame({"a": np.arange(rows), "t": pd.date_range("2020-01-01", periods=rows, freq="s")})
        tracemalloc.start()
        sources.payloads(frame, Request(sample=None)).close()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (8 << 20)
