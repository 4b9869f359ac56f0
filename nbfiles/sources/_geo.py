"""Geo frames, those of geopandas: GeoJSON, GeoParquet and Feather with their geometries, other tables with WKT.

GeoJSON is always in WGS 84 (RFC 7946, section 4), so a frame in another reference system is refused there.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from nbfiles._payload import Payloads
from nbfiles.sources import _arrow
from nbfiles.sources._columns import shown
from nbfiles.sources._format import Family, Format, encoded
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._frames import frame_payload, index_asked, table_of
from nbfiles.sources._json import records
from nbfiles.sources._loss import check, refusal
from nbfiles.sources._registry import naming
from nbfiles.sources._table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request

_NUMBER = re.compile(r"(?<![A-Za-z])-?(?:\d[\d.]*(?:e[+-]?\d+)?|nan|inf)(?![A-Za-z])", re.IGNORECASE)
_WGS84 = {"EPSG:4326", "OGC:CRS84"}  # the same but for the order of the axes, which geopandas keeps as x, y


def matches(obj: Any) -> bool:
    """Whether `obj` is a GeoDataFrame or a GeoSeries; never imports geopandas."""
    geopandas = sys.modules.get("geopandas")
    return geopandas is not None and isinstance(obj, geopandas.GeoDataFrame | geopandas.GeoSeries)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the geo frame."""
    frame = obj if hasattr(obj, "columns") else obj.to_frame("geometry" if obj.name is None else obj.name)
    if FRAMES.has(request) and not _FAMILY.has(request):
        return Payloads([frame_payload(_as_wkt(frame), request, _notes(frame))], many=False)
    options = dict(request.opt)
    index = index_asked(options, request)
    format_, name = _FAMILY.settle(request, options)
    with naming(request):
        table, notes = table_of(frame, options, index, request)
        notes += check(_as_wkt(table.frame), format_.name, index=table.index, lossy=request.lossy)
        return Payloads([encoded(table, format_, name, request, notes)], many=False)


def _geometries(frame: Any) -> list[Any]:
    """Return the names of the columns that hold geometries."""
    return [name for name, dtype in zip(frame.columns, frame.dtypes, strict=True) if dtype == "geometry"]


def _as_wkt(frame: Any) -> pd.DataFrame:
    """Return `frame` as an ordinary one, each geometry as text."""
    import pandas as pd

    plain = pd.DataFrame(frame)
    for number, dtype in enumerate(frame.dtypes):
        if dtype == "geometry":
            texts = [None if shape is None else _wkt(shape) for shape in frame.iloc[:, number]]
            plain.isetitem(number, pd.Series(texts, dtype=object).array)
    return plain


def _wkt(shape: Any) -> str:
    """Return the WKT of `shape` with all digits; GEOS writes 16 decimals at most, which are too few near zero."""
    import shapely

    measured = hasattr(shapely, "has_m") and shapely.has_m(shape)
    further = {"include_m": True} if measured else {}
    numbers = iter(shapely.get_coordinates(shape, include_z=shape.has_z, **further).ravel().tolist())
    return _NUMBER.sub(lambda _: repr(next(numbers)).removesuffix(".0"), shapely.to_wkt(shape, rounding_precision=-1))


def _notes(frame: Any) -> tuple[str, ...]:
    notes = []
    for name in _geometries(frame):
        crs = frame[name].crs
        lost = f", without their reference system {crs.to_string()}" if crs is not None else ""
        notes.append(f"column {shown(name)}: geometries are written as WKT{lost}")
    return tuple(notes)


# ---- GeoJSON ---------------------------------------------------------------------------------------------------------


def _write_geojson(table: Table, spool: Spool) -> tuple[str, ...]:
    frame: Any = table.frame
    frame, notes = _on_the_globe(frame, lossy=table.lossy)
    _check_shapes(frame, lossy=table.lossy)
    before = '{"type":"FeatureCollection","features":[\n'
    for text in _features(frame, table):
        spool.write(f"{before}{text}".encode())
        before = ",\n"
    spool.write(b"\n]}\n")
    return notes


def _on_the_globe(frame: Any, *, lossy: bool) -> tuple[Any, tuple[str, ...]]:
    """Return `frame` in WGS 84; refused if its coordinates would have to change for that."""
    crs = frame.crs
    label = f"column {shown(frame.geometry.name)}"
    if crs is None:
        return frame, (f"{label} has no reference system, and readers of geojson take it for WGS 84",)
    if crs.to_string() in _WGS84:
        return frame, ()
    if not lossy:
        raise refusal(label, f"coordinates in {crs.to_string()}", "geojson", "would turn into WGS 84", ("parquet",))
    return frame.to_crs(4326), (f"{label} is turned from {crs.to_string()} into WGS 84",)


def _check_shapes(frame: Any, *, lossy: bool) -> None:
    import shapely

    label, shapes = f"column {shown(frame.geometry.name)}", frame.geometry.to_numpy()
    if lossy:
        return
    further = [name for name in _geometries(frame) if name != frame.geometry.name]
    if further:
        raise refusal(
            f"column {shown(further[0])}", "a second geometry for each row", "geojson", "has no form for", ("parquet",)
        )
    if (shapely.get_type_id(shapes) == shapely.GeometryType.LINEARRING).any():
        raise refusal(label, "rings that are no polygons", "geojson", "would turn into lines", ())
    if hasattr(shapely, "has_m") and shapely.has_m(shapes).any():
        raise refusal(label, "measures (M)", "geojson", "has no form for", ("parquet", "csv"))


def _features(frame: Any, table: Table) -> Iterator[str]:
    """Yield every row as a feature, with all digits of its coordinates."""
    import pandas as pd

    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    names = [name for name in frame.columns if name != frame.geometry.name]
    properties = pd.DataFrame(_as_wkt(frame)[names])
    rows = records(properties, Table(properties, table.index, {}, table.lossy), "geojson")
    for shape, row in zip(frame.geometry, rows, strict=True):
        try:
            geometry = encode(None if shape is None else _shape(shape))
        except ValueError:
            label = f"column {shown(frame.geometry.name)}"
            raise refusal(
                label, "coordinates that are no numbers", "geojson", "has no form for", ("parquet",)
            ) from None
        yield f'{{"type":"Feature","properties":{encode(row)},"geometry":{geometry}}}'


def _shape(shape: Any) -> dict[str, Any]:
    made: dict[str, Any] = shape.__geo_interface__
    return {**made, "type": "LineString"} if made["type"] == "LinearRing" else made


# ---- Parquet and Feather ---------------------------------------------------------------------------------------------


def _write_parquet(table: Table, spool: Spool) -> tuple[str, ...]:
    import pyarrow.parquet

    return _write_arrow(table, spool, "parquet", pyarrow.parquet.write_table)


def _write_feather(table: Table, spool: Spool) -> tuple[str, ...]:
    import pyarrow.feather

    return _write_arrow(table, spool, "feather", pyarrow.feather.write_feather)


def _write_arrow(table: Table, spool: Spool, format_: str, write: Any) -> tuple[str, ...]:
    frame: Any = table.frame
    plain = Table(_as_wkt(frame), table.index, {}, table.lossy)
    prepared, notes = _arrow.prepared(plain, format_, write)
    made = frame.copy() if table.index else frame.reset_index(drop=True)
    made.attrs = {}
    for number, dtype in enumerate(frame.dtypes):
        if dtype != "geometry":
            made.isetitem(number, prepared.iloc[:, number].array)
    getattr(made, f"to_{format_}")(spool.path, index=True if table.index else None, **table.options)
    spool.adopt()
    return notes


_FAMILY = Family(
    "a geo frame",
    Format("geojson", (".geojson",), frozenset(), _write_geojson),
    Format("parquet", (".parquet",), _arrow.PARQUET_OPTIONS | {"geometry_encoding", "schema_version"}, _write_parquet),
    Format("feather", (".feather", ".arrow"), _arrow.FEATHER_OPTIONS | {"schema_version"}, _write_feather),
)
