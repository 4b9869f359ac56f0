"""Arrow tables, of whatever library: what offers its data by the Arrow PyCapsule protocol, and polars' lazy frames.

::

    pyarrow Table, polars DataFrame      in memory already; Arrow takes it as it is
    duckdb relation, RecordBatchReader   a stream that may be longer than memory and may be read only once: it is
    polars LazyFrame                     written to a temporary Arrow file, which is mapped and not read

Parquet and Feather are written from Arrow itself, batch by batch; all other formats from the pandas frame that holds
the same values. https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbfiles._errors import SourceError
from nbfiles._names import visible
from nbfiles._payload import Payload, Payloads, Spool
from nbfiles.sources._columns import shown
from nbfiles.sources._format import Format, Thing, encoded
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._frames import frame_payload, index_asked
from nbfiles.sources._loss import check, refusal
from nbfiles.sources._registry import named, naming
from nbfiles.sources._rows import chosen
from nbfiles.sources._table import unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` offers Arrow data, or is a lazy frame of polars."""
    if isinstance(obj, type):
        return False
    return any(hasattr(type(obj), f"__arrow_c_{form}__") for form in ("stream", "array")) or _is_lazy(obj)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the table."""
    options = dict(request.opt)
    index_asked(options, request)  # an Arrow table has none, but pandas' may come along as columns
    format_, name = FRAMES.settle(request, options)
    table = _in_memory(obj, request)
    if table is not None:
        return Payloads([_payload(table, format_, name, request)], many=False)
    with Spool() as spool:
        notes, request = _dump(obj, spool.path, request)
        return Payloads([_mapped(spool.path, format_, name, request, notes)], many=False)


def _is_lazy(obj: Any) -> bool:
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(obj, polars.LazyFrame)


def _in_memory(obj: Any, request: Request) -> Any:
    """Return `obj` as a pyarrow Table if it lies in memory already, else None."""
    import pyarrow as pa

    polars = sys.modules.get("polars")
    if polars is not None and isinstance(obj, polars.DataFrame | polars.Series):
        obj = obj.to_arrow()  # its own view types are younger than many readers
    if isinstance(obj, pa.Table):
        return obj
    if isinstance(obj, pa.RecordBatch):
        return pa.Table.from_batches([obj])
    if isinstance(obj, pa.RecordBatchReader) or _is_lazy(obj):
        return None
    if not hasattr(obj, "__arrow_c_stream__") or not pa.types.is_struct(_type_of(obj)):
        column = obj if isinstance(obj, pa.ChunkedArray | pa.Array) else pa.chunked_array(obj)
        label = request.label if request.label.isidentifier() else "value"
        return pa.table({str(getattr(obj, "name", None) or label): column})
    return None


def _type_of(obj: Any) -> Any:
    """Return the Arrow type of a stream without reading it: a struct for a table, anything else for one column."""
    import pyarrow as pa

    if isinstance(obj, pa.ChunkedArray):
        return obj.type
    try:
        return pa.struct(list(pa.RecordBatchReader.from_stream(obj).schema))
    except (pa.ArrowException, TypeError, ValueError):
        return pa.null()


def _dump(obj: Any, path: Path, request: Request) -> tuple[tuple[str, ...], Request]:
    """Write the stream `obj` into an Arrow file, up to the last row that is asked for."""
    import pyarrow as pa

    first = request.max_rows if request.sample is None else None
    if _is_lazy(obj):
        polars = sys.modules["polars"]
        obj.sink_ipc(path, compat_level=polars.CompatLevel.oldest())
        return (), request
    try:
        with pa.RecordBatchReader.from_stream(obj) as reader, pa.OSFile(str(path), "wb") as file:
            rows, cut = _copy(reader, file, first)
    except (pa.ArrowException, ValueError) as error:
        why = visible(str(error).partition("\n")[0])
        raise SourceError(f"{named(request, 'the stream')} cannot be read: {why}", "Make it anew.") from None
    if not rows and isinstance(obj, pa.RecordBatchReader):
        return ("the stream had no rows; a reader can be read only once",), request
    if not cut:
        return (), request
    return (f"the first {first:,} rows; how many there are was not asked",), replace(request, max_rows=None)


def _copy(reader: Any, file: Any, first: int | None) -> tuple[int, bool]:
    """Copy batches until none or `first` rows are left; return how many rows were copied, and whether any were left."""
    import pyarrow as pa

    rows, left = 0, sys.maxsize if first is None else first
    with pa.ipc.new_file(file, reader.schema) as writer:
        for batch in reader:
            piece = batch.slice(0, left - rows)
            writer.write_batch(piece)
            rows += piece.num_rows
            if piece.num_rows < batch.num_rows:
                return rows, True
    return rows, False


def _mapped(path: Path, format_: Format, name: str, request: Request, notes: tuple[str, ...]) -> Payload:
    import pyarrow as pa

    return _payload(pa.ipc.open_file(pa.memory_map(str(path))).read_all(), format_, name, request, notes)


def _payload(table: Any, format_: Format, name: str, request: Request, notes: tuple[str, ...] = ()) -> Payload:
    places, more = chosen(table.num_rows, request)
    if places is not None:
        table = table.slice(0, len(places)) if isinstance(places, range) else table.take(list(places))
    notes += more
    request = replace(request, max_rows=None, sample=None)
    if format_.name not in {"parquet", "feather"}:
        with naming(request):
            frame = _frame(table, format_.name)
        return frame_payload(frame, request, notes)
    with naming(request):
        table, lost = _held(table, format_.name, request)
    options = {key: value for key, value in request.opt if key != "index"}
    return encoded(Thing(table, options), _DIRECT[format_.name], name, request, notes + lost)


def _held(table: Any, format_: str, request: Request) -> tuple[Any, tuple[str, ...]]:
    """Return what the file can hold of `table`: refused columns raise, or become text where loss is allowed."""
    import pandas as pd

    names = pd.DataFrame(columns=pd.Index(table.column_names, dtype=object), index=range(min(table.num_rows, 1)))
    notes = check(names, format_, index=False, lossy=request.lossy)
    if request.index is False and table.schema.pandas_metadata:
        kept = [name for name in table.schema.pandas_metadata["index_columns"] if isinstance(name, str)]
        table = table.drop_columns(kept).replace_schema_metadata(None)
    if len(set(table.column_names)) < table.num_columns:
        table = table.rename_columns(unique(table.column_names))
    for number, field in enumerate(table.schema):
        if _can(table.select([number]), format_):
            continue
        label, holds = f"column {shown(field.name)}", f"values of type {field.type}"
        if not request.lossy:
            raise refusal(label, holds, format_, "has no form for", ("feather",) if format_ == "parquet" else ("csv",))
        table = table.set_column(number, field.name, _texts(table.column(number)))
        notes += (f"{label} holds {holds}, and is written as text",)
    return table, notes


def _can(column: Any, format_: str) -> bool:
    """Whether the file can hold a table of one column; its first row tells."""
    import pyarrow.parquet

    if format_ == "feather":
        return True
    try:
        with pyarrow.BufferOutputStream() as sink:
            pyarrow.parquet.write_table(column.slice(0, 1), sink)
    except (pyarrow.ArrowException, TypeError, ValueError):
        return False
    return True


def _texts(column: Any) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def _write_parquet(job: Thing, spool: Spool) -> tuple[str, ...]:
    import pyarrow.parquet

    pyarrow.parquet.write_table(job.value, str(spool.path), **job.options)
    spool.adopt()
    return ()


def _write_feather(job: Thing, spool: Spool) -> tuple[str, ...]:
    import pyarrow.feather

    pyarrow.feather.write_feather(job.value, str(spool.path), **job.options)
    spool.adopt()
    return ()


_DIRECT = {
    "parquet": replace(FRAMES.formats["parquet"], encode=_write_parquet),
    "feather": replace(FRAMES.formats["feather"], encode=_write_feather),
}


def _frame(table: Any, format_: str) -> pd.DataFrame:
    """Return the pandas frame that holds the values of `table`; whole numbers stay whole beside missing ones."""
    import pandas as pd
    import pyarrow as pa

    nullable = {getattr(pa, name.lower()): getattr(pd, f"{name}Dtype") for name in _WHOLE}
    mapper = {make(): dtype() for make, dtype in nullable.items()} | {pa.bool_(): pd.BooleanDtype()}
    missing = {field.type for field, column in zip(table.schema, table.columns, strict=True) if column.null_count}
    try:
        frame: pd.DataFrame = table.to_pandas(
            types_mapper=lambda found: mapper.get(found) if found in missing else None
        )
    except (pa.ArrowException, TypeError, ValueError):
        frames = list(_one_by_one(table, format_))
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, axis=1)
    for number, name in enumerate(frame.columns):
        places = table.schema.get_all_field_indices(str(name))
        if places and any(pa.types.is_nested(table.schema.field(place).type) for place in places):
            # pandas would make arrays of lists, which print their ends only, and floats of whole numbers beside None.
            frame.isetitem(number, pd.Series(table.column(places[0]).to_pylist(), dtype=object).array)
    return frame


_WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def _one_by_one(table: Any, format_: str) -> Iterator[pd.DataFrame]:
    """Yield every column as a frame; the one that pandas has no values for is refused by name."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        try:
            yield table.select([number]).to_pandas()
        except (pa.ArrowException, TypeError, ValueError):
            holds = f"values of type {field.type}"
            raise refusal(f"column {shown(field.name)}", holds, format_, "has no form for", ("feather",)) from None
