"""Data sets that others made, through every format that can hold them, stored and read back."""

import csv
import html
import io
import json
import re
from pathlib import Path

import openpyxl
import pandas as pd
import polars as pl
import pytest
import sklearn.datasets
import statsmodels.api
import vega_datasets
from polars.testing import assert_frame_equal
from test_frames_random import cells_of, same_json, with_index
from test_frames_random_formats import check_rows, printed, same_cell, split

from nbfiles._errors import LossError

VEGA = Path(vega_datasets.__file__).parent / "_data"


def of_sklearn(name):
    return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


def of_statsmodels(name):
    return getattr(statsmodels.api.datasets, name).load_pandas().data


def of_vega(name):
    path = VEGA / name
    return pd.read_csv(path) if path.suffix == ".csv" else pd.DataFrame(json.loads(path.read_text("utf-8")))


SETS = {
    "iris": lambda: of_sklearn("iris"),
    "wine": lambda: of_sklearn("wine"),
    "diabetes": lambda: of_sklearn("diabetes"),
    "breast cancer": lambda: of_sklearn("breast_cancer"),
    "longley": lambda: of_statsmodels("longley"),
    "co2": lambda: of_statsmodels("co2").tail(500).rename_axis("week"),  # indexed by days, with gaps
    "star98": lambda: of_statsmodels("star98"),
    "heart": lambda: of_statsmodels("heart"),
    "cars": lambda: of_vega("cars.json"),
    "barley": lambda: of_vega("barley.json"),
    "stocks": lambda: of_vega("stocks.csv").assign(date=lambda frame: pd.to_datetime(frame["date"], format="%b %d %Y")),
    "weather": lambda: of_vega("seattle-weather.csv").head(800),
    "riots": lambda: of_vega("la-riots.csv"),  # texts with commas, and missing ones
    "airports": lambda: of_vega("airports.csv").head(800),
    "employment": lambda: of_vega("us-employment.csv"),
    "driving": lambda: of_vega("driving.json"),
}


@pytest.fixture(scope="module", params=SETS)
def real(request):
    """One data set as a frame."""
    return SETS[request.param]()


@pytest.mark.parametrize("format_", ["csv", "tsv"])
def test_text(store, real, format_):
    """CSV and TSV have every cell."""
    text = store(real, format=format_).content.decode()
    delimiter = {"csv": ",", "tsv": "\t"}[format_]
    head, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    check_rows(real, head, rows)


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_json(store, real, format_):
    """JSON and JSON lines have every value."""
    text = store(real, format=format_).content.decode()
    records = json.loads(text) if format_ == "json" else [json.loads(line) for line in text.splitlines()]
    whole = with_index(real)
    assert len(whole) == len(records)
    for values, record in zip(cells_of(whole), records, strict=True):
        assert [str(name) for name in whole.columns] == list(record)
        assert all(map(same_json, values, record.values()))


@pytest.mark.parametrize("format_", ["parquet", "feather"])
def test_binary(store, real, format_):
    """Parquet and Feather give back the same frame, index and dtypes too; the same rows in polars' hands."""
    content = store(real, format=format_).content
    pd.testing.assert_frame_equal(real, getattr(pd, f"read_{format_}")(io.BytesIO(content)), check_freq=False)
    table = pl.from_pandas(real)
    read = pl.read_parquet if format_ == "parquet" else pl.read_ipc
    assert_frame_equal(table, read(io.BytesIO(store(table, format=format_).content)))


def test_xlsx(store, real):
    """A workbook has every value."""
    sheet = openpyxl.load_workbook(io.BytesIO(store(real, format="xlsx").content), read_only=True).active
    head, *rows = sheet.iter_rows(values_only=True)
    whole = with_index(real)
    assert [str(name) for name in whole.columns] == [str(name) for name in head]
    for values, cells in zip(cells_of(whole), rows, strict=True):
        assert all(map(same_cell, values, cells))


@pytest.mark.parametrize("format_", ["html", "md", "txt"])
def test_shown(store, real, format_):
    """HTML, Markdown and text have every cell."""
    try:
        text = store(real, format=format_).content.decode()
    except LossError as error:
        assert "line breaks" in error.cause  # noqa: PT017  what a line cannot hold
        return
    whole = with_index(real)
    if format_ == "txt":
        head, *lines = text.splitlines()
        cells = printed(whole)
        assert len(cells) == len(lines)
        for line, row in zip(lines, cells, strict=True):
            place = 0
            for cell in row:
                place = line.index(cell, place) + len(cell)
        assert all(str(name) in head for name in whole.columns)
    elif format_ == "md":
        head, _, *rows = [[cell.strip() for cell in split(line)] for line in text.splitlines()]
        check_rows(real, head, rows, form=str.strip)
    else:
        head, *rows = [
            [html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)]
            for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
        ]
        check_rows(real, head, rows)


def test_digits(store):
    """A picture of scikit-learn and its array of digits come back as they are."""
    import numpy as np
    from PIL import Image

    digits = sklearn.datasets.load_digits()
    assert (digits.images == np.load(io.BytesIO(store(digits.images).content))).all()
    photo = sklearn.datasets.load_sample_image("flower.jpg")
    back = Image.open(io.BytesIO(store(Image.fromarray(photo)).content))
    assert (photo == np.asarray(back)).all()


def test_records(store):
    """The records of a real JSON file come back equal."""
    records = json.loads((VEGA / "cars.json").read_text("utf-8"))
    assert records == json.loads(store(records).content)
    assert records == [json.loads(line) for line in store(records, format="jsonl").content.splitlines()]
