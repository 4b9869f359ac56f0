"""Labelled arrays, those of xarray: a Dataset or DataArray as netCDF, or as the table that ``to_dataframe`` makes."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError, LossError
from nbfiles._names import visible
from nbfiles._payload import Payloads
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._frames import frame_payload
from nbfiles.sources._registry import naming
from nbfiles.sources._table import need

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request

# What writes netCDF, the fullest first: SciPy knows netCDF 3 only, which has no 64-bit integers.
_ENGINES = {"netcdf4": ("netCDF4",), "h5netcdf": ("h5netcdf", "h5py"), "scipy": ("scipy",)}


def matches(obj: Any) -> bool:
    """Whether `obj` is a Dataset or a DataArray; never imports xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(obj, xarray.Dataset | xarray.DataArray)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the arrays."""
    with naming(request):
        if FRAMES.has(request):
            name = {} if hasattr(obj, "data_vars") or obj.name is not None else {"name": request.label or "value"}
            return Payloads([frame_payload(obj.to_dataframe(**name), request)], many=False)
        if request.sample is not None or request.max_rows is not None:
            raise InputError("netCDF has no rows to choose from", "Choose them: ds.isel(time=slice(100)).")
        return Payloads([_FAMILY.payload(obj, request)], many=False)


def _write_netcdf(job: Thing, spool: Spool) -> tuple[str, ...]:
    options = {"engine": _engine(), **job.options}
    try:
        job.value.to_netcdf(spool.path, **options)
    except (TypeError, ValueError, NotImplementedError) as error:
        if job.options:
            raise
        why = visible(str(error).partition("\n")[0])
        raise LossError(f"netCDF cannot hold it: {why}", "Convert what it names, or use --format parquet.") from None
    spool.adopt()
    return ()


def _engine() -> str:
    for engine, packages in _ENGINES.items():
        if all(find_spec(package) for package in packages):
            return engine
    need("h5netcdf", "netCDF")
    need("h5py", "netCDF")
    return "h5netcdf"


_FAMILY = Family(
    "a dataset",
    Format("nc", (".nc", ".nc4"), frozenset({"engine", "format", "encoding", "unlimited_dims"}), _write_netcdf),
)
