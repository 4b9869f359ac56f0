"""``df.nbfiles``: ids from whatever rows are left."""

from __future__ import annotations

import importlib
import io
import warnings
from datetime import UTC, datetime

import pandas as pd
import pytest

import nbfiles._accessor
from nbfiles._errors import InputError
from nbfiles._models import FileId, FileMetadata
from nbfiles._table import Row, file_table

NOW = datetime(2026, 11, 23, 9, 41, 7, 123456, tzinfo=UTC)
FILES = [
    FileMetadata("file_1", "file", "a.csv", "text/plain", 10, NOW, False, NOW),
    FileMetadata("file_2", "file", "b.pdf", "application/pdf", 20, NOW, None, None),
    FileMetadata("file_3", "file", "c.png", "image/png", 30, NOW, True, None),
]
FAILED = Row(metadata=None, filename="d.pdf", mime_type="application/pdf", size_bytes=5, status="failed", error="no")


@pytest.fixture
def table() -> pd.DataFrame:
    return file_table([Row.of(FILES[0]), FAILED, Row.of(FILES[1]), Row.of(FILES[2])])


def test_ids_know_their_files(table) -> None:
    """Ids from a table are FileIds that know what the server said, in the order of the rows."""
    ids = table.nbfiles.ids()
    assert ["file_1", "file_2", "file_3"] == ids
    assert [FileId] * 3 == [type(each) for each in ids]
    assert FILES == [each.metadata for each in ids]


def test_ids_of_the_rows_that_are_left(table) -> None:
    """A filtered and sorted ordinary frame gives the ids of its own rows."""
    left = table[table["size_bytes"] > 10].sort_values("filename", ascending=False)
    assert ["file_3", "file_2"] == left.nbfiles.ids()
    assert FILES[2] == left.nbfiles.ids()[0].metadata


def test_a_row_without_an_id_is_left_out(table) -> None:
    """A file that failed has no id, also where a merge has made the gap a missing value."""
    merged = table.merge(pd.DataFrame({"filename": ["z.csv"]}), how="outer")
    assert ["file_1", "file_2", "file_3"] == merged.nbfiles.ids()


def test_a_frame_with_ids_alone(table) -> None:
    """Where a column that describes the file is gone, the ids are there and know no file."""
    assert [None] * 3 == [each.metadata for each in table.drop(columns="downloadable").nbfiles.ids()]


@pytest.mark.parametrize(
    ("column", "value"),
    [("size_bytes", None), ("size_bytes", "many"), ("size_bytes", 1.5), ("filename", None), ("created_at", None),
     ("created_at", "soon"), ("mime_type", "")],
)  # fmt: skip
def test_what_is_not_metadata_is_none(table, column: str, value: object) -> None:
    """Metadata is rebuilt only from values that can be it: a frame is anybody's to change."""
    frame = pd.DataFrame(table).assign(**{column: value})
    assert [None] * 3 == [each.metadata for each in frame.nbfiles.ids()]


def test_a_saved_table_comes_back(table) -> None:
    """A table that was saved as CSV and read again gives the same ids with the same metadata."""
    saved = io.StringIO(table.to_csv(index=False))
    assert FILES == [each.metadata for each in pd.read_csv(saved).nbfiles.ids()]


@pytest.mark.parametrize(
    ("frame", "cause"),
    [(pd.DataFrame({"x": [1]}), "the frame has no column id"),
     (pd.DataFrame([["a", "b"]], columns=["id", "id"]), "the frame has 2 columns called id")],
)  # fmt: skip
def test_a_frame_of_something_else(frame, cause: str) -> None:
    """A frame without one id column is refused in one line."""
    with pytest.raises(InputError) as caught:
        frame.nbfiles.ids()
    assert cause == caught.value.cause


def test_importing_again_is_silent() -> None:
    """A reload registers the accessor again without pandas' warning about a stranger's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = importlib.reload(nbfiles._accessor)
    assert again.FilesAccessor is type(pd.DataFrame().nbfiles)
