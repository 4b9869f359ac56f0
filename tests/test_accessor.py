"""``df.nbfiles``: ids from whatever rows are left."""

from __future__ import annotations

import importlib
import io
import warnings
from datetime import UTC, datetime

import pandas as pd
import pytest
from shells import fresh_shell

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


DERIVED = [
    lambda frame: frame[frame["size_bytes"] >= 10],
    lambda frame: frame.sort_values("filename", ascending=False),
    lambda frame: pd.concat([frame, frame]),
    lambda frame: frame.reset_index(drop=True).copy(),
    lambda frame: frame.set_index("filename", drop=False),
    lambda frame: frame.merge(pd.DataFrame({"filename": ["a.csv", "b.pdf", "c.png"]}), how="outer"),
]


@pytest.mark.parametrize("derive", DERIVED)
def test_what_is_said_of_the_rows(table, derive) -> None:
    """Total and blocks count each file once, after any filter, sort, merge or concat."""
    frame = derive(pd.DataFrame(table))
    assert 60 == frame.nbfiles.total()
    with pytest.warns(UserWarning, match="a.csv has expired"):
        blocks = frame.nbfiles.blocks()
    assert ["container_upload", "document", "image"] == sorted(block["type"] for block in blocks)


def test_a_total_needs_its_column(table) -> None:
    """Without sizes there is no total."""
    with pytest.raises(InputError, match="the frame has no column size_bytes"):
        table.drop(columns="size_bytes").nbfiles.total()
    assert 10 == table.head(2).nbfiles.total()


class Acting:
    """Whoever acts on files; keeps what was asked."""

    def __init__(self):
        self.asked = []

    def delete_files(self, ids, **options):
        self.asked.append(("delete", list(ids), options))
        return pd.DataFrame()

    def download_files(self, ids, to, **options):
        self.asked.append(("download", list(ids), to, options))
        return []


def test_the_rows_that_are_left_are_acted_on(table, monkeypatch) -> None:
    """Deleting and downloading get the ids of exactly the rows that are left, and the words of the call."""
    acting = Acting()
    monkeypatch.setattr(nbfiles._accessor.FilesAccessor, "client", staticmethod(lambda: acting))
    left = table[table["size_bytes"] > 10]
    left.nbfiles.delete(dry_run=True)
    left.nbfiles.delete(all=True)
    left.nbfiles.download("out/", overwrite=True)
    assert [
        ("delete", ["file_2", "file_3"], {"all": False, "dry_run": True}),
        ("delete", ["file_2", "file_3"], {"all": True, "dry_run": False}),
        ("download", ["file_2", "file_3"], "out/", {"overwrite": True}),
    ] == acting.asked


def test_the_files_in_use_act(monkeypatch) -> None:
    """Importing the verbs is enough for a frame to act with them."""
    from nbfiles import _files

    assert _files.default == nbfiles._accessor.FilesAccessor.client


def test_binding_rows_to_a_name(table, tmp_path, monkeypatch) -> None:
    """``bind`` lets a name hold the ids of the rows; names that may not be bound are refused and keep what they had."""
    with fresh_shell(tmp_path) as shell:
        monkeypatch.setattr("IPython.get_ipython", lambda: shell.ip)
        shell.names["table"] = left = table[table["size_bytes"] > 10]
        assert ["file_2", "file_3"] == left.nbfiles.bind("reports") == shell.names["reports"]
        assert FILES[1] == shell.names["reports"][0].metadata
        shell.do("import json")
        for name, message in (
            ("2x", "2x is not a name"),
            ("list", "list is a Python builtin"),
            ("json", "json is an imported module"),
            ("table", "table holds this table and would be lost"),
        ):
            with pytest.raises(InputError, match=message):
                left.nbfiles.bind(name)
        assert left is shell.names["table"]


def test_binding_needs_a_notebook(table) -> None:
    """Where there is no notebook, the way to write it is said."""
    with pytest.raises(InputError, match=r"there is no notebook here .* Write x = table.nbfiles.ids\(\)"):
        table.nbfiles.bind("x")


def test_importing_again_is_silent() -> None:
    """A reload registers the accessor again without pandas' warning about a stranger's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = importlib.reload(nbfiles._accessor)
    assert again.FilesAccessor is type(pd.DataFrame().nbfiles)
