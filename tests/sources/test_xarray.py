"""Labelled arrays: identical when netCDF is read back, tables where a table is asked for."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request

WEATHER = xr.Dataset(
    {
        "rain": (("time", "place"), np.array([[0.1, np.nan], [3, 4]]), {"units": "mm"}),
        "count": ("place", np.array([2**40, -1])),
    },
    coords={"time": pd.date_range("2020-01-01", periods=2, freq="h"), "place": ["é", "b"]},
    attrs={"title": "Weather"},
)


def read(arrived):
    """Return the dataset in a netCDF file."""
    with xr.open_dataset(io.BytesIO(arrived.content), engine="h5netcdf") as opened:
        return opened.load()


def test_netcdf(store):
    """A Dataset is stored as netCDF, which gives back values, coordinates, dtypes and attributes."""
    arrived = store(WEATHER)
    assert ("data.nc", "application/x-netcdf") == (arrived.name, arrived.mime_type)
    back = read(arrived)
    xr.testing.assert_identical(WEATHER, back.astype({"place": str}) if back.place.dtype == object else back)
    assert {name: WEATHER[name].dtype for name in ("rain", "count")} == {
        name: back[name].dtype for name in ("rain", "count")
    }


def test_data_array(store):
    """A DataArray is a Dataset of one variable."""
    xr.testing.assert_equal(WEATHER.rain, read(store(WEATHER.rain)).rain)


@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "parquet", "feather", "xlsx", "html", "md", "txt", "json"])
def test_tables(send, format_):
    """Any format of a frame holds what to_dataframe gives."""
    frame = WEATHER.to_dataframe()
    expected, arrived = (send(obj, format=format_) for obj in (frame, WEATHER))
    if format_ == "xlsx":
        pd.testing.assert_frame_equal(*(pd.read_excel(io.BytesIO(each.content)) for each in (expected, arrived)))
    else:
        assert expected.content == arrived.content
    unnamed = xr.DataArray([1, 2], dims="x")
    assert b"x,rain\n0,1\n1,2\n" == send(unnamed, label="rain", format="csv").content


def test_real_data(store):
    """The file that xarray tests its own reader with comes back identical."""
    path = Path(xr.__file__).parent / "tests/data/example_1.nc"
    with xr.open_dataset(path, engine="scipy") as opened:
        dataset = opened.load()
    xr.testing.assert_identical(dataset, read(store(dataset)))


@pytest.mark.parametrize(
    ("obj", "error", "words"),
    [
        (xr.Dataset({"a": ("x", np.array([{}, 1], dtype=object))}), LossError, "netCDF cannot hold it: "),
        (WEATHER.stack(both=["time", "place"]), LossError, "netCDF cannot hold it: variable"),
        (WEATHER, InputError, "netCDF has no rows to choose from"),
    ],
)  # fmt: skip
def test_refused(obj, error, words):
    """What netCDF cannot hold is one line."""
    rows = {"sample": 1} if error is InputError else {}
    with pytest.raises(error) as caught:
        sources.payloads(obj, Request(label="ds", **rows))
    assert words in caught.value.cause
