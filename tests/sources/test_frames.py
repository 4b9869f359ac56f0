"""Frames: which rows, with which index, in which format, under which name."""

import io
import subprocess
import sys

import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import FileNameError, InputError, LossError
from nbfiles._names import TYPES
from nbfiles.sources import Request, _csv
from nbfiles.sources._formats import FORMATS

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({}, "data.csv"),
        ({"label": "sales"}, "sales.csv"),
        ({"label": "df[df.x > 3]"}, "df_df_x_3.csv"),
        ({"label": "sales", "format": "parquet"}, "sales.parquet"),
        ({"label": "sales", "name": "s.parquet"}, "s.parquet"),
        ({"name": "s.ARROW"}, "s.ARROW"),
        ({"name": "s.ndjson"}, "s.ndjson"),
        ({"name": "s.htm"}, "s.htm"),
        ({"name": "s"}, "s"),
        ({"name": "s.2024"}, "s.2024"),
        ({"name": "s.dat", "format": "parquet"}, "s.dat"),
    ],
)
def test_name(send, request_, name):
    """The name is the one asked for, else the variable's with the format's ending."""
    assert name == send(FRAME, **request_).name


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_type_of_every_format(send, format_):
    """Every format is stored with its own type, as text/plain where that can be read as a document."""
    plain = {"csv", "tsv", "json", "jsonl", "md", "txt"}
    ending = FORMATS[format_].endings[0]
    assert TYPES[ending] == send(FRAME, format=format_, for_="container").mime_type
    assert ("text/plain" if format_ in plain else TYPES[ending]) == send(FRAME, format=format_).mime_type


@pytest.mark.parametrize("ending", sorted(ending for each in FORMATS.values() for ending in each.endings))
def test_ending_chooses_the_format(send, ending):
    """The ending of the name chooses the format, and its content is the same as by --format."""
    by_ending = send(FRAME, name=f"x{ending}")
    (name,) = (each.name for each in FORMATS.values() if ending in each.endings)
    by_format = send(FRAME, format=name)
    if name != "xlsx":  # a workbook holds the time of its making
        assert by_format.content == by_ending.content


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"name": "a.pdf"}, "cannot be written as a.pdf"),
        ({"name": "a.csv.gz"}, "cannot be written as a.csv.gz"),
        ({"format": "pdf"}, "there is no format pdf"),
        ({"format": "parquet", "name": "a.csv"}, "a.csv would be the wrong name for parquet"),
        ({"format": "csv", "name": "a.png"}, "a.png would be the wrong name for csv"),
        ({"format": "csv", "opt": (("separator", ";"),)}, "csv has no option separator"),
        ({"format": "parquet", "opt": (("sep", ";"),)}, "parquet has no option sep"),
        ({"opt": (("sep", "ab"),)}, "csv cannot be written with sep='ab'"),
        ({"opt": (("encoding", "nix"),)}, "there is no encoding nix"),
        ({"opt": (("index", "no"),)}, "index is True or False"),
        ({"format": "parquet", "opt": (("compression", "nix"),)}, "parquet cannot be written with compression='nix'"),
        ({"type": "text/plain", "format": "parquet"}, "is not text"),
        ({"for_": "document", "format": "xlsx"}, "a document must be"),
        ({"max_rows": 0}, "no row is left"),
        ({"sample": 0}, "no row is left"),
    ],
)
def test_refused_requests(request_, words):
    """What cannot be done as asked is refused in one line that names it."""
    with pytest.raises(InputError) as caught:
        sources.payloads(FRAME, Request(**request_))
    assert words in str(caught.value)


def test_bad_name_costs_no_encoding(monkeypatch):
    """A name that the API would refuse is refused before the frame is encoded."""
    monkeypatch.setattr(_csv, "_texts", None)
    with pytest.raises(FileNameError):
        sources.payloads(FRAME, Request(name="a/b.csv"))


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_every_option_is_known_to_its_writer(format_):
    """Each option that a format lists is one that its writer takes, and the list is what the error shows."""
    with pytest.raises(InputError) as caught:
        sources.payloads(FRAME, Request(format=format_, opt=(("nonsense", 1),)))
    for option in FORMATS[format_].options:
        assert option in caught.value.way_out


@pytest.mark.parametrize(
    ("index", "asked", "written"),
    [
        (None, None, False),
        (pd.RangeIndex(3), None, False),
        (pd.RangeIndex(1, 4), None, True),
        (pd.RangeIndex(0, 6, 2), None, True),
        (pd.RangeIndex(3, name="n"), None, True),
        (pd.Index([0, 1, 2]), None, True),
        (pd.Index(["x", "y", "z"]), None, True),
        (pd.MultiIndex.from_tuples([(1, "x"), (1, "y"), (2, "x")], names=["i", "j"]), None, True),
        (None, True, True),
        (pd.Index(["x", "y", "z"]), False, False),
    ],
)
def test_index(send, index, asked, written):
    """A default RangeIndex is left out, any other is written, and what is asked for wins."""
    frame = FRAME if index is None else FRAME.set_axis(index)
    expected = frame.to_csv(index=written, lineterminator="\n").encode()
    assert expected == send(frame, index=asked).content
    if asked is not None:
        assert expected == send(frame, opt=(("index", asked),)).content


def test_default_index_stays_default_when_rows_are_chosen(send):
    """Choosing rows of a frame with a default index does not make that index worth writing."""
    long = pd.DataFrame({"a": range(100)})
    assert b"a\n0\n1\n" == send(long, max_rows=2).content
    assert b"a\n" == send(long, sample=5).content[:2]


def test_max_rows(send):
    """max_rows is the first rows, and the receipt says how many of how many."""
    arrived = send(FRAME, max_rows=2)
    assert (b"a,b\n1,x\n2,y\n", ("2 of 3 rows, the first",)) == (arrived.content, arrived.notes)
    assert () == send(FRAME, max_rows=3).notes


def test_sample(send):
    """A sample is so many different rows in their order, the same ones every time."""
    long = pd.DataFrame({"a": range(1000)})
    first, again = send(long, sample=50), send(long, sample=50)
    rows = pd.read_csv(io.BytesIO(first.content))["a"].tolist()
    assert first.content == again.content
    assert sorted(set(rows)) == rows
    assert (50, True) == (len(rows), rows != list(range(50)))
    assert ("50 of 1,000 rows, at random",) == first.notes
    assert 1000 == len(pd.read_csv(io.BytesIO(send(long, sample=5000).content)))


@pytest.mark.parametrize(
    ("series", "label", "expected"),
    [
        (pd.Series([1, 2], name="price"), "s", b"price\n1\n2\n"),
        (pd.Series([1, 2]), "s", b"s\n1\n2\n"),
        (pd.Series([1, 2]), "df.x * 2", b"value\n1\n2\n"),
        (pd.Series([1, 2], index=["x", "y"], name="price"), "s", b",price\nx,1\ny,2\n"),
    ],
)
def test_series(send, series, label, expected):
    """A Series is a frame of one column, named by itself or by the variable."""
    assert expected == send(series, label=label).content


def test_not_changed():
    """The user's frame and Series are as they were, whatever they are written as."""
    frame = pd.DataFrame({1: [b"a", "\ud800"], "z": [float("inf"), 2**60]}, dtype=object)
    frame.attrs["k"] = "v"
    before = frame.copy(deep=True)
    for format_ in FORMATS:
        sources.payloads(frame, Request(format=format_, lossy=True)).close()
    pd.testing.assert_frame_equal(before, frame)
    assert {"k": "v"} == frame.attrs


def test_attrs_stay_at_home(send):
    """What is pinned to a frame's attrs is in no file."""
    frame = FRAME.copy()
    frame.attrs["password"] = "hunter2"
    for format_ in FORMATS:
        assert b"hunter2" not in send(frame, format=format_).content


def test_pandas_is_not_imported():
    """Asking what a source is does not import pandas, and neither does importing the sources."""
    code = "import sys; from nbfiles import sources; sources.payloads(b'x').close(); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "False" == done.stdout.strip()


def test_label_in_a_refusal():
    """A refusal says which source, which column, and which format can hold it."""
    frame = pd.DataFrame({"bad": [b"x"]})
    with pytest.raises(LossError) as caught:
        sources.payloads([FRAME, frame], Request(label="dfs"))
    assert "dfs[1]: column bad holds bytes, which csv would write like text" == caught.value.cause
    assert "--format parquet" in caught.value.way_out


def test_hostile_column_name():
    """A column's name is shown cut and with its hidden characters visible."""
    with pytest.raises(LossError) as caught:
        sources.payloads(pd.DataFrame({"\u202e" + "x" * 500: [b"x"]}))
    assert "<U+202E>xxx" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_interrupted_encoding(monkeypatch, spool, error):
    """Ctrl-C or any failure while a frame is encoded leaves no temporary file."""

    def fail(*_):
        assert 1 == len(list(spool.iterdir()))
        raise error

    monkeypatch.setattr(_csv, "_texts", fail)
    with pytest.raises(error):
        sources.payloads(FRAME)
    assert [] == list(spool.iterdir())


@pytest.mark.parametrize("format_", sorted(set(FORMATS) - {"xlsx"}))
def test_same_frame_same_file(format_):
    """An equal frame gives an equal digest, so that it can be reused."""
    request = Request(format=format_)
    with sources.payloads(FRAME, request) as one, sources.payloads(FRAME.copy(), request) as two:
        assert one.items[0].digest == two.items[0].digest
        assert one.items[0].digest is not None


NAMES_TWICE = pd.DataFrame([[1, 2]], columns=["a", "a"])
NAMES_ALIKE = pd.DataFrame([[1, 2]], columns=[1, "1"])
LEVELS = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")]))
INDEX_TWICE = pd.DataFrame({"a": [1]}, index=pd.Index([5], name="a"))
SPACED = pd.DataFrame([[1, 2]], columns=["a", " a"])
NO_COLUMNS = pd.DataFrame(index=range(3))
NO_ROWS = pd.DataFrame({"a": [], "b": []})


@pytest.mark.parametrize("format_", sorted(FORMATS))
@pytest.mark.parametrize(
    ("frame", "words", "holds"),
    [
        (NAMES_TWICE, "column a is there twice", set()),
        (NAMES_ALIKE, "column 1 is there twice", set()),
        (SPACED, "column a is there twice", set(FORMATS) - {"md", "txt"}),
        (INDEX_TWICE, "column a is there twice", {"parquet", "feather"}),
        (LEVELS, "column ('a', 'x') has a name of several levels", {"parquet", "feather", "html"}),
        (NO_COLUMNS, "the frame has no columns", set()),
        (NO_ROWS, "the frame has no rows", set(FORMATS) - {"json", "jsonl"}),
    ],
)
def test_shapes(send, frame, words, holds, format_):
    """Names that could not be told apart, and frames whose shape would be lost, are refused by each such format."""
    if format_ in holds:
        assert () == send(frame, format=format_).notes
        return
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(format=format_))
    assert words in str(caught.value)
    assert any(words in note for note in send(frame, format=format_, lossy=True).notes)


def test_unnamed_levels_are_no_duplicates(send):
    """An index of several unnamed levels is written as to_csv does."""
    frame = pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)]))
    assert frame.to_csv(lineterminator="\n").encode() == send(frame).content


BROKEN_NAME = pd.Index(["\ud800"], dtype=object)
SURROGATE = pd.DataFrame({"a": pd.Series(["x\ud800", "y"], dtype=object)})


@pytest.mark.parametrize("format_", sorted(FORMATS))
@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (SURROGATE, "column a holds"),
        (SURROGATE.set_axis(BROKEN_NAME, axis=1), "column <U+D800> holds"),
        (pd.DataFrame({"a": [1]}).set_axis(BROKEN_NAME, axis=1), "the name of a column"),
    ],
    ids=["value", "both", "name"],
)
def test_half_a_surrogate(send, frame, words, format_):
    """What UTF-8 cannot write is refused by its column in every format, and mended where loss is allowed."""
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(format=format_))
    assert words in str(caught.value)
    assert send(frame, format=format_, lossy=True).notes


@pytest.mark.parametrize(
    ("index", "label", "expected"),
    [
        (pd.Index([3, 1], name="price"), "x", b"price\n3\n1\n"),
        (pd.Index(["b", "a"]), "names", b"names\nb\na\n"),
        (pd.RangeIndex(2, 4), "df.index", b"value\n2\n3\n"),
        (pd.DatetimeIndex(["2020-01-02"], name="day"), "x", b"day\n2020-01-02\n"),
        (pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", None]), "x", b"n,level_1\n1,x\n2,y\n"),
    ],
)
def test_index_alone(send, index, label, expected):
    """An Index is a column of its own, a MultiIndex one for each level."""
    assert expected == send(index, label=label).content
