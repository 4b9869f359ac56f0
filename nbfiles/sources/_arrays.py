"""NumPy arrays: one as ``.npy``, a dict of them as ``.npz``; arrays of one or two dimensions as any table too."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING, Any

from nbfiles._payload import Payloads
from nbfiles.sources._columns import shown
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._frames import frame_payload
from nbfiles.sources._loss import refusal
from nbfiles.sources._registry import naming
from nbfiles.sources._rows import chosen

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is an array, or a dict of nothing but arrays; never imports NumPy."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    if isinstance(obj, dict):
        return bool(obj) and all(
            isinstance(key, str) and isinstance(value, numpy.ndarray) for key, value in obj.items()
        )
    return isinstance(obj, numpy.ndarray)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the array or arrays."""
    with naming(request):
        if isinstance(obj, dict):
            return Payloads([_ARRAYS.payload(obj, request)], many=False)
        if not _ARRAY.has(request) and FRAMES.has(request) and 0 < obj.ndim <= 2:
            return Payloads([frame_payload(_frame(obj, request), request)], many=False)
        notes: tuple[str, ...] = ()
        if obj.ndim:
            places, notes = chosen(len(obj), request)
            obj = obj if places is None else obj[list(places)]
        return Payloads([_ARRAY.payload(obj, request, notes)], many=False)


def _frame(array: np.ndarray[Any, Any], request: Request) -> pd.DataFrame:
    import pandas as pd

    if array.ndim == 1 and array.dtype.names is None:
        name = request.label if request.label.isidentifier() else "value"
        return pd.DataFrame({name: array})
    return pd.DataFrame(array)


def _write_npy(job: Thing, spool: Spool) -> tuple[str, ...]:
    import numpy as np

    _check(job.value, "the array", "npy")
    with spool.path.open("wb") as file:
        np.save(file, job.value, allow_pickle=False)
    spool.adopt()
    return ()


def _write_npz(job: Thing, spool: Spool) -> tuple[str, ...]:
    import numpy as np

    arrays = job.value if isinstance(job.value, dict) else {"arr_0": job.value}  # as numpy.savez calls it
    for name, array in arrays.items():
        _check(array, f"array {shown(name)}", "npz")
    method = zipfile.ZIP_DEFLATED if job.options.get("compressed", True) else zipfile.ZIP_STORED
    # Not numpy.savez: it takes no array called "file", and writes the time of the day into the archive.
    with zipfile.ZipFile(spool.path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = method
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    spool.adopt()
    return ()


def _check(array: np.ndarray[Any, Any], label: str, format_: str) -> None:
    """Refuse what NumPy would pickle, which nobody should open, and the mask that it would drop."""
    import numpy as np

    if array.dtype.hasobject:
        raise refusal(label, "Python objects", format_, "could only pickle", ("csv", "json"))
    if isinstance(array, np.ma.MaskedArray):
        raise refusal(label, "a mask", format_, "would drop", ("csv", "parquet"))


_ARRAY = Family(
    "an array",
    Format("npy", (".npy",), frozenset(), _write_npy),
    Format("npz", (".npz",), frozenset({"compressed"}), _write_npz),
)
_ARRAYS = Family("a dict of arrays", Format("npz", (".npz",), frozenset({"compressed"}), _write_npz))
