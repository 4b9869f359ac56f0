"""The main job, end to end: a notebook, a real kernel, and the local Files API as a program of its own."""

from __future__ import annotations

import ast
import hashlib
import io
import os
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

DATA = Path(__file__).parents[2] / "notebooks" / "data"
PAGE, PHOTO = DATA / "huckleberry-finn-page-29.pdf", DATA / "china.jpg"
TABLES = sorted(DATA.glob("*.csv"))


@pytest.fixture
def execute(local_api, monkeypatch, tmp_path):
    """Run cells in a new kernel whose environment names the local Files API, as it would name Anthropic's."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", local_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", local_api.api_key)
    monkeypatch.setenv("IPYTHONDIR", os.fspath(tmp_path / "ipython"))

    def run(*cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in ("%load_ext nbfiles", *cells)]
        )
        client = NotebookClient(notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": tmp_path}})
        client.execute()
        return [cell.outputs for cell in notebook.cells[1:]]

    return run


def value(outputs):
    """Return the value of a cell's last expression, which must be a literal."""
    (last,) = (output for output in outputs if output.output_type == "execute_result")
    return ast.literal_eval(last.data["text/plain"])


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_upload_in_a_notebook(execute, local_api):
    """A PDF, a photo, a glob and a DataFrame arrive byte for byte; ids are in variables, metadata in a DataFrame."""
    read = f"import pandas as pd\npenguins = pd.read_csv({os.fspath(TABLES[-1])!r})"
    line = f"table = %upload {PAGE} as page_id, {PHOTO} as photo_id, {DATA}/*.csv as csv_ids, penguins as penguins_id"
    kinds = "[type(each).__name__ for each in (page_id, photo_id, csv_ids, csv_ids[0], penguins_id)]"
    ids = "[str(each) for each in (page_id, photo_id, *csv_ids, penguins_id)]"
    columns = (
        "table[['id', 'filename', 'size_bytes', 'mime_type', 'variable', 'status']].astype(object).values.tolist()"
    )
    done = execute(read, line, kinds, ids, columns, "isinstance(table, pd.DataFrame)")
    assert ["FileId", "FileId", "list", "FileId", "FileId"] == value(done[2])

    bound = value(done[3])
    files = [PAGE, PHOTO, *TABLES]
    assert [sha256(path) for path in files] == [local_api.stored_sha256(one) for one in bound[:-1]]
    sent = pd.read_csv(TABLES[-1])
    pd.testing.assert_frame_equal(sent, pd.read_csv(io.BytesIO(local_api.stored_bytes(bound[-1]))))
    assert set(bound) == local_api.stored_ids()

    size = len(local_api.stored_bytes(bound[-1]))
    names = ["page_id", "photo_id", *(f"csv_ids[{number}]" for number in range(len(TABLES))), "penguins_id"]
    types = ["application/pdf", "image/jpeg", *["text/plain"] * len(TABLES), "text/plain"]
    filenames = [*(path.name for path in files), "penguins.csv"]
    sizes = [*(path.stat().st_size for path in files), size]
    rows = zip(bound, filenames, sizes, types, names, strict=True)
    assert [[*row, "uploaded"] for row in rows] == value(done[4])
    assert True is value(done[5])


def test_what_a_person_sees(execute):
    """The cell shows a receipt and, below it, the table: in HTML for a notebook and in text for all else."""
    ((receipt, table),) = execute(f"%upload {PAGE} as page_id")
    assert ["display_data", "execute_result"] == [receipt.output_type, table.output_type]
    assert "1 file uploaded" in receipt.data["text/plain"].replace("\u00a0", " ")
    assert "bound page_id" in receipt.data["text/plain"].replace("\u00a0", " ")
    for output in (receipt, table):
        assert {"text/plain", "text/html"} == output.data.keys()
    assert PAGE.name in table.data["text/plain"]
    assert PAGE.name in table.data["text/html"]


def test_the_cell_is_the_file(execute, local_api):
    """``%%upload`` sends the cell's own text, with its last line break."""
    (_, (line,)) = execute("%%upload notes.md as notes_id\n# Notes\n\nÜber Pinguine – 企鹅\n", "str(notes_id)")
    file_id = ast.literal_eval(line.data["text/plain"])
    assert "# Notes\n\nÜber Pinguine – 企鹅\n" == local_api.stored_bytes(file_id).decode()


@pytest.mark.parametrize("line", ["%upload missing.csv as missing_id", "%files info file_local_missing"])
def test_an_error_stops_run_all(execute, line):
    """What goes wrong, be it found here or by the server, ends the run at its cell."""
    with pytest.raises(CellExecutionError) as caught:
        execute(line, "raise SystemError('this cell must not run')")
    assert "SystemError" not in str(caught.value)
    assert "missing" in str(caught.value)
