"""pandas frames as files: a DataFrame, Series or Index is one, and a dict of them one workbook with a sheet each.

Which rows, with or without the index, in which format, under which name; the encoders of `_formats` do the rest.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError, LossError
from nbfiles._names import visible
from nbfiles._payload import Payload, Payloads
from nbfiles.sources._columns import Column, columns_of, shown
from nbfiles.sources._format import Format, encoded
from nbfiles.sources._formats import FRAMES
from nbfiles.sources._loss import check, way_out
from nbfiles.sources._registry import naming, type_name
from nbfiles.sources._rows import chosen
from nbfiles.sources._table import Table

if TYPE_CHECKING:
    import pandas as pd

    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is a DataFrame, Series, Index or a dict of DataFrames and Series; never imports pandas."""
    if isinstance(obj, dict):
        return bool(obj) and all(_is_frame(value) for value in obj.values())
    return _is_frame(obj) or _is_a(obj, "Index")


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the frame, encoded into a temporary file."""
    return Payloads([frame_payload(obj, request)], many=False)


def frame_payload(obj: Any, request: Request, notes: tuple[str, ...] = ()) -> Payload:
    """Return the payload of a frame, or of what another kind of source has made one; `notes` come first."""
    with naming(request):
        return _payload(obj, request, notes)


def _payload(obj: Any, request: Request, notes: tuple[str, ...]) -> Payload:
    options = dict(request.opt)
    index = index_asked(options, request)
    if isinstance(obj, dict):
        request = _as_workbook(request)
    format_, name = FRAMES.settle(request, options)
    if isinstance(obj, dict):
        table, more = _workbook(obj, options, index, request)
    else:
        table, more = table_of(obj, options, index, request)
    return _spooled(table, format_, name, notes + more, request)


def _is_frame(obj: Any) -> bool:
    return _is_a(obj, "DataFrame", "Series")


def _is_a(obj: Any, *kinds: str) -> bool:
    pandas = sys.modules.get("pandas")
    return isinstance(obj, tuple(getattr(pandas, kind) for kind in kinds if hasattr(pandas, kind)))


def index_asked(options: dict[str, object], request: Request) -> bool | None:
    """Return what was said about the index; ``--opt index=False`` is the same as ``--no-index``."""
    asked = options.pop("index", None)
    if asked is not None and not isinstance(asked, bool):
        raise InputError("index is True or False", "Write --index or --no-index (index= in Python).")
    return request.index if request.index is not None else asked


def table_of(obj: Any, options: dict[str, Any], index: bool | None, request: Request) -> tuple[Table, tuple[str, ...]]:  # noqa: FBT001 - three answers, not a flag
    """Return the rows that are asked for, and what there is to note about them."""
    frame = _as_frame(obj, request)
    with_index = not is_default(frame.index) if index is None else index
    places, notes = chosen(len(frame), request)
    if places is not None:
        frame = frame.iloc[: len(places)] if isinstance(places, range) else frame.iloc[list(places)]
    return Table(frame, with_index, options, request.lossy), notes


def _as_frame(obj: Any, request: Request) -> pd.DataFrame:
    if hasattr(obj, "columns"):
        frame: pd.DataFrame = obj
        return frame
    if _is_a(obj, "Index"):
        if obj.nlevels > 1:
            names = [f"level_{n}" if name is None else name for n, name in enumerate(obj.names)]
            levels: pd.DataFrame = obj.to_frame(index=False, name=names, allow_duplicates=True)
            return levels
        values: pd.DataFrame = obj.to_frame(index=False, name=_own_name(obj, request))
        return values
    made: pd.DataFrame = obj.to_frame(_own_name(obj, request))
    return made


def _own_name(obj: Any, request: Request) -> Any:
    """Return the name of a Series or Index; without one it is called after the variable."""
    if obj.name is not None:
        return obj.name
    return request.label if request.label.isidentifier() else "value"


def is_default(index: pd.Index[Any]) -> bool:
    """Whether `index` is the one that pandas gives by itself: 0, 1, 2, ... without a name."""
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def _as_workbook(request: Request) -> Request:
    """Return `request` for a dict of frames, which is a workbook and nothing else."""
    if request.format is None and request.name is None:
        return replace(request, format="xlsx")
    asked = FRAMES.choose(request)
    if asked.name != "xlsx":
        raise InputError(
            f"a dict of frames is one workbook, and {asked.name} holds one table",
            "Leave --format out, or upload list(x.values()).",
        )
    return request


def _workbook(
    obj: dict[Any, Any],
    options: dict[str, Any],
    index: bool | None,  # noqa: FBT001 - three answers, not a flag
    request: Request,
) -> tuple[Table, tuple[str, ...]]:
    if "sheet_name" in options:
        raise InputError("sheet_name is for one frame", "The keys of the dict name the sheets.")
    sheets: dict[str, Table] = {}
    notes: list[str] = []
    for key, value in obj.items():
        if not isinstance(key, str):
            raise InputError(f"a sheet's name must be a text, and {shown(key)} is {type_name(key)}", "Use str keys.")
        sheets[key], of_sheet = table_of(value, {}, index, request)
        notes += [f"sheet {visible(key)}: {note}" for note in of_sheet]
    first = next(iter(sheets.values()))
    return Table(first.frame, first.index, options, request.lossy, sheets), tuple(notes)


def _spooled(table: Table, format_: Format, name: str, notes: tuple[str, ...], request: Request) -> Payload:
    """Encode `table` once; a text that UTF-8 cannot write is refused by its column, or mended if `lossy`."""
    notes += _checked(table, format_)
    try:
        return encoded(table, format_, name, request, notes)
    except UnicodeEncodeError:
        label = _mend(table)
        if not request.lossy:
            raise LossError(
                f"{label} holds half of a surrogate pair, which {format_.name} has no form for", way_out(())
            ) from None
        notes += (f"{label} holds half of a surrogate pair (written as ?)",)
        return encoded(table, format_, name, request, notes)


def _checked(table: Table, format_: Format) -> tuple[str, ...]:
    if table.sheets is None:
        return check(table.frame, format_.name, index=table.index, lossy=table.lossy)
    notes: tuple[str, ...] = ()
    for name, sheet in table.sheets.items():
        where = f"in sheet {shown(name)}"
        notes += check(sheet.frame, format_.name, index=sheet.index, lossy=table.lossy, where=where)
    return notes


def _mend(table: Table) -> str:
    """Write ``?`` for each half of a surrogate pair in `table`; return how the first column that held one is called."""
    found = ""
    for sheet in (table, *(table.sheets or {}).values()):
        frame = sheet.frame.copy(deep=False)
        for number, column in enumerate(columns_of(frame, index=False)):
            if _is_broken(column):
                found = found or column.label
                frame.isetitem(number, column.values.astype(object).map(_whole, na_action="ignore").array)
        names = [_whole(name) for name in frame.columns]
        if names != list(frame.columns):
            found = found or "the name of a column"
            frame.columns = names
        sheet.frame = frame
    return found or "the index"


def _is_broken(column: Column) -> bool:
    return any(_whole(text) != text for text in column.texts())


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
