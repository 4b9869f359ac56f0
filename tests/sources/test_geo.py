"""Geo frames: geometries, values and reference system back from every format that has them, or refused."""

import csv
import io
import json
import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LinearRing, LineString, MultiPoint, Point, Polygon

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request

LAKE = Polygon([(0, 0), (1e-7, 0), (1, 1)], [[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)]])
CITIES = gpd.GeoDataFrame(
    {
        "name": ["é", "b", None],
        "people": [1, 2**53, 3],
        "founded": pd.to_datetime(["1700-01-01", None, "2000-01-01 12:34:56"], format="ISO8601"),
    },
    geometry=[Point(1.123456789012345, 2), None, LAKE],
    crs=4326,
)  # fmt: skip


def test_geojson(store):
    """GeoJSON read by geopandas has every geometry to the last digit, and by a JSON reader every value."""
    arrived = store(CITIES)
    assert ("data.geojson", "application/geo+json") == (arrived.name, arrived.mime_type)
    back = gpd.read_file(io.BytesIO(arrived.content))
    assert CITIES.geometry.to_wkb().tolist() == back.geometry.to_wkb().tolist()
    features = json.loads(arrived.content)["features"]
    assert [
        {"name": "é", "people": 1, "founded": "1700-01-01T00:00:00"},
        {"name": "b", "people": 2**53, "founded": None},
        {"name": None, "people": 3, "founded": "2000-01-01T12:34:56"},
    ] == [feature["properties"] for feature in features]


@pytest.mark.parametrize("format_", ["parquet", "feather"])
@pytest.mark.parametrize("crs", [4326, 3857, None])
def test_arrow(store, format_, crs):
    """GeoParquet and Feather read by geopandas are the same frame, reference system and index too."""
    frame = CITIES.set_crs(crs, allow_override=True).set_index(pd.Index(["x", "y", "z"], name="key"))
    content = store(frame, format=format_).content
    assert_geodataframe_equal(frame, getattr(gpd, f"read_{format_}")(io.BytesIO(content)))


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl", "xlsx", "html", "md", "txt"])
def test_wkt(store, send, format_):
    """Every other table holds the geometry as WKT with all its digits, and the receipt says what is left out."""
    frame = CITIES[["name", "geometry"]].iloc[[0]]
    content = store(frame, format=format_, name=f"x.{format_}").content
    text = pd.read_excel(io.BytesIO(content))["geometry"][0] if format_ == "xlsx" else content.decode()
    assert "POINT (1.123456789012345 2)" in text
    note = "column geometry: geometries are written as WKT, without their reference system EPSG:4326"
    assert note in send(frame, format=format_).notes


@pytest.mark.parametrize(
    "text",
    ["POINT Z (1 2 3)", "POINT M (1 2 0.0006483905187629297)", "POINT ZM (1 2 3 1e-300)", "POLYGON EMPTY",
     "GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 5e-324 1))", "POINT (nan inf)"],
)  # fmt: skip
def test_wkt_of_every_shape(send, text):
    """WKT holds heights, measures, empty and nested shapes, and the smallest numbers."""
    frame = gpd.GeoDataFrame(geometry=[shapely.from_wkt(text)], crs=4326)
    (row,) = csv.DictReader(io.StringIO(send(frame, format="csv").content.decode()))
    assert shapely.to_wkb(frame.geometry[0]) == shapely.to_wkb(shapely.from_wkt(row["geometry"]))


def test_series(store):
    """A GeoSeries is a geo frame of its geometries alone."""
    back = gpd.read_file(io.BytesIO(store(CITIES.geometry).content))
    assert CITIES.geometry.to_wkb().tolist() == back.geometry.to_wkb().tolist()


def test_index_and_rows(send):
    """The index becomes a property unless it is the default one; rows are chosen as of any frame."""
    keyed = CITIES.set_index("name")
    first = json.loads(send(keyed).content)["features"][0]["properties"]
    assert "é" == first["name"]
    assert "name" not in json.loads(send(keyed, index=False).content)["features"][0]["properties"]
    arrived = send(CITIES, max_rows=2)
    assert (2, ("2 of 3 rows, the first",)) == (len(json.loads(arrived.content)["features"]), arrived.notes)


@pytest.mark.parametrize(
    ("frame", "words", "way_out"),
    [
        (CITIES.to_crs(3857), "column geometry holds coordinates in EPSG:3857, which geojson would turn", "parquet"),
        (CITIES.assign(b=CITIES.geometry), "column b holds a second geometry for each row", "parquet"),
        (gpd.GeoDataFrame(geometry=[LinearRing([(0, 0), (1, 0), (1, 1)])], crs=4326), "rings that are no", "--lossy"),
        (gpd.GeoDataFrame(geometry=[Point(np.inf, 0)], crs=4326), "coordinates that are no numbers", "parquet"),
        (CITIES.assign(x=np.inf), "column x holds inf", "--format csv"),
        (CITIES.assign(x=2**60), "column x holds whole numbers beyond 2^53", "--format csv"),
        (gpd.GeoDataFrame(geometry=shapely.from_wkt(["POINT M (1 2 3)"]), crs=4326), "measures (M)", "parquet"),
    ],
    ids=["crs", "two", "ring", "inf", "value", "big", "measure"],
)
def test_refused(frame, words, way_out):
    """What GeoJSON would lose is refused by the column's name, with a format that can."""
    with pytest.raises(LossError) as caught:
        sources.payloads(frame, Request(label="cities"))
    assert caught.value.cause.startswith("cities: column ")
    assert words in caught.value.cause
    assert way_out in caught.value.way_out


def test_lossy(send):
    """--lossy turns coordinates into WGS 84, and says so."""
    arrived = send(CITIES.to_crs(3857), lossy=True)
    assert any("is turned from EPSG:3857 into WGS 84" in note for note in arrived.notes)
    back = gpd.read_file(io.BytesIO(arrived.content))
    assert 1e-9 > abs(back.geometry[0].x - 1.123456789012345)


def test_not_changed(send):
    """The user's frame is as it was."""
    frame = CITIES.copy()
    frame.attrs["k"] = "v"
    for format_ in ("geojson", "parquet", "feather", "csv"):
        assert b'"v"' not in send(frame, format=format_).content
    assert_geodataframe_equal(CITIES, frame)
    assert {"k": "v"} == frame.attrs


def test_real_data(store):
    """The file that geopandas tests its own reader with comes through all of its formats."""
    frame = gpd.read_file(Path(gpd.__file__).parent / "tests/data/null_geom.geojson")
    assert_geodataframe_equal(frame, gpd.read_file(io.BytesIO(store(frame).content)))
    for format_ in ("parquet", "feather"):
        back = getattr(gpd, f"read_{format_}")(io.BytesIO(store(frame, format=format_).content))
        assert_geodataframe_equal(frame, back)


XY = st.tuples(*[st.floats(-180, 180).map(lambda number: number + 0.0)] * 2)  # WKT has no -0.0, which equals 0.0
SHAPES = st.one_of(
    st.none(),
    XY.map(Point),
    st.lists(XY, min_size=2, max_size=4).map(LineString),
    st.lists(XY, min_size=1, max_size=3).map(MultiPoint),
    st.lists(XY, min_size=3, max_size=5).map(Polygon),
)


@settings(
    max_examples=1000 if os.environ.get("NBFILES_TRIALS") == "full" else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(SHAPES, min_size=1, max_size=4))
def test_random(shapes):
    """Any geometries come back from GeoJSON, GeoParquet and CSV with all their digits."""
    frame = gpd.GeoDataFrame({"n": range(len(shapes))}, geometry=shapes, crs=4326)
    content = {}
    for format_ in ("geojson", "parquet", "csv"):
        with sources.payloads(frame, Request(format=format_)) as made:
            content[format_] = b"".join(made.items[0].chunks())
    expected = frame.geometry.to_wkb().tolist()
    features = json.loads(content["geojson"])["features"]
    found = [feature["geometry"] and shapely.geometry.shape(feature["geometry"]) for feature in features]
    assert expected == [shape and shapely.to_wkb(shape) for shape in found]
    assert expected == gpd.read_parquet(io.BytesIO(content["parquet"])).geometry.to_wkb().tolist()
    texts = [row["geometry"] for row in csv.DictReader(io.StringIO(content["csv"].decode()))]
    assert expected == [shapely.to_wkb(shapely.from_wkt(text)) if text else None for text in texts]
